"""A thread for the outbox's file, so that a card that takes seconds for a write holds nothing else up.

One piece of work is under way at a time; what is appended meanwhile goes with the next. The event loop's thread decides
what a piece of work holds, and takes its result; the thread only reads and writes the file.
"""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator

Landing = Callable[[BaseException | None], None]
"""Takes the end of a piece of work on the event loop's thread: what it raised, ``None`` where it succeeded."""


class CommitThread:
    """Runs one piece of work at a time; its landing is called on the event loop's thread when it has ended."""

    def __init__(self, pool: concurrent.futures.Executor) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._work: concurrent.futures.Future[None] | None = None
        self._land: Landing | None = None

    @property
    def busy(self) -> bool:
        """Say whether work is under way, or its result was not taken yet."""
        return self._work is not None

    def start(self, work: Callable[[], None], land: Landing) -> None:
        """Begin a piece of work while none is under way."""
        assert self._work is None, "one piece of work at a time"
        self._land = land
        future = self._work = self._pool.submit(work)
        future.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._take, done))

    def join(self) -> None:
        """Wait until nothing is under way: for those who need the disk now, and for the end."""
        while self._work is not None:
            concurrent.futures.wait([self._work])
            self._take(self._work)

    def _take(self, work: "concurrent.futures.Future[None]") -> None:
        # Whoever joined has taken the result before the event loop came to it.
        if self._work is work:
            land, self._work, self._land = self._land, None, None
            assert land is not None, "whoever starts work takes its end"
            land(work.exception())


@contextlib.contextmanager
def commit_thread() -> Iterator[CommitThread]:
    """Give a thread for the block; what is under way at its end is waited for."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox") as pool:
        thread = CommitThread(pool)
        try:
            yield thread
        finally:
            thread.join()
