"""How long to wait before the next connection: full jitter above a floor."""

import random

TAKEN_OVER_S = 60.0
STABLE_S = 30.0  # A connection that lasted so long starts the pauses anew. Source: aws-c-mqtt mqtt5_utils.h.


class Backoff:
    """Pauses that double up to a cap, each drawn between the floor and its own bound; real seconds.

    The floor is the broker's: AWS IoT Core takes one CONNECT a second and client id. The jitter keeps a fleet from
    coming back at once. Source: AWS Architecture Blog, Exponential Backoff And Jitter (full jitter).
    """

    def __init__(self, *, floor_s: float, cap_s: float, generator: random.Random) -> None:
        self._floor_s = floor_s
        self._cap_s = cap_s
        self._generator = generator
        self._attempt = 0

    def next_s(self) -> float:
        """Return the next pause."""
        bound_s = min(self._cap_s, self._floor_s * 2 ** min(self._attempt + 1, 32))
        self._attempt += 1
        return self._generator.uniform(self._floor_s, max(self._floor_s, bound_s))

    def taken_over_s(self) -> float:
        """Return the pause after another client took over our id: long, so that the two do not fight."""
        return max(self._floor_s, min(TAKEN_OVER_S, 2 * self._cap_s)) * self._generator.uniform(1.0, 1.5)

    def lasted(self, connected_s: float) -> None:
        """Note how long a connection lasted."""
        if connected_s >= STABLE_S:
            self._attempt = 0
