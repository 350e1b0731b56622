"""What the gateway last said, asked for once a second for everybody who looks at the page live."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

from edge.errors import StatusUnavailable
from edge.web.tables import Plain

FRESH_S: Final = 1.0  # Real seconds; a control cycle takes as long.


class Latest:
    """The gateway's status; safe to call from many threads."""

    def __init__(self, ask: Callable[[], Plain], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._lock = Lock()
        self._found: Plain | StatusUnavailable | None = None
        self._until_s = float("-inf")

    def __call__(self) -> Plain:
        """Return what the gateway says.

        Raises:
            StatusUnavailable: It does not answer, or did not within the last second.
        """
        with self._lock:
            if self._found is None or self._monotonic() >= self._until_s:
                try:
                    self._found = self._ask()
                except StatusUnavailable as error:
                    self._found = error
                self._until_s = self._monotonic() + FRESH_S
            if isinstance(self._found, StatusUnavailable):
                raise StatusUnavailable(str(self._found)) from self._found
            return self._found
