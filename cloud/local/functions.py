"""Calls the very functions that Lambda would call, in worker threads."""

import asyncio
import contextvars
import importlib
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cloud.local.events import Context
from cloud.local.metrics import Counts
from cloud.stores.tables import FENCE, Check

THREADS_MAX: Final = 12

Handler = Callable[[dict[str, object], object], object]


class Functions:
    """The functions by the name of their module; owns the threads that they run in."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._threads = ThreadPoolExecutor(max_workers=THREADS_MAX, thread_name_prefix="function")
        self._numbers = itertools.count(1)
        self._handlers: dict[str, Handler] = {}

    def load(self, module: str) -> None:
        """Import a function now, so that the first call is as fast as the others."""
        self._handlers[module] = importlib.import_module(module).handler

    async def call(self, module: str, event: dict[str, object], *, fence: Check | None = None) -> object:
        """Call a function with an event and return its answer; whatever it raises is raised here.

        Args:
            module: The function, by the module of its handler.
            event: What AWS would hand it.
            fence: What all that it writes demands (``cloud.stores.tables.FENCE``).
        """
        context = Context(function_name=module.rpartition(".")[2], aws_request_id=f"{next(self._numbers):032x}")
        loop = asyncio.get_running_loop()
        begun_s, failed, spent = time.monotonic(), True, _Spent()
        try:
            work = contextvars.copy_context()
            work.run(FENCE.set, fence)
            call = spent.of(self._handlers[module])
            answer = await loop.run_in_executor(self._threads, work.run, call, event, context)
            failed = False
            return answer
        finally:
            self._counts.called(module, seconds=time.monotonic() - begun_s, cpu_s=spent.cpu_s, failed=failed)

    def close(self) -> None:
        """Take no more calls; those that run end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Spent:
    """The processor time that a call took in its thread."""

    def __init__(self) -> None:
        self.cpu_s = 0.0

    def of(self, handler: Handler) -> Handler:
        """Return a handler whose time is taken."""

        def timed(event: dict[str, object], context: object) -> object:
            begun_s = time.thread_time()
            try:
                return handler(event, context)
            finally:
                self.cpu_s = time.thread_time() - begun_s

        return timed
