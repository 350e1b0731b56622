"""A property that never meets the branch it is about proves nothing: count the branch, and fail where it is missed."""

from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

P = ParamSpec("P")


class Branches:
    """Counts how often a property met each of its branches, over all examples of one run of its test."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._met: Counter[str] = Counter()

    def met(self, name: str, happened: object = True) -> None:
        """Note that a branch was met, where it was."""
        assert name in self._names, f"{name!r} is none of {self._names}"
        self._met[name] += bool(happened)

    def __call__(self, test: Callable[P, None]) -> Callable[P, None]:
        """Return the test, which then fails where a branch was not met once; stands above ``@given``."""

        @wraps(test)
        def counted(*args: P.args, **kwargs: P.kwargs) -> None:
            self._met.clear()
            test(*args, **kwargs)
            missed = [name for name in self._names if not self._met[name]]
            assert not missed, f"no example met {', '.join(missed)}; the property proves nothing there"

        return counted
