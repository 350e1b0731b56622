"""Commit the outbox in a thread of its own, so that a card that takes seconds for a write holds nothing else up.

One commit is under way at a time; what is appended meanwhile goes with the next. The event loop's thread decides what a
commit holds, and takes its result; the thread only writes.
"""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator


class CommitThread:
    """Runs one piece of work at a time; ``landed`` is called on the event loop's thread when it has ended."""

    def __init__(self, pool: concurrent.futures.Executor, landed: Callable[[BaseException | None], None]) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._landed = landed
        self._work: concurrent.futures.Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Say whether work is under way, or its result was not taken yet."""
        return self._work is not None

    def start(self, work: Callable[[], None]) -> None:
        """Begin a piece of work while none is under way."""
        assert self._work is None, "one commit at a time"
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
            self._work = None
            self._landed(work.exception())


@contextlib.contextmanager
def commit_thread(landed: Callable[[BaseException | None], None]) -> Iterator[CommitThread]:
    """Give a thread for the block; what is under way at its end is waited for."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox") as pool:
        thread = CommitThread(pool, landed)
        try:
            yield thread
        finally:
            thread.join()
