"""How the C library keeps memory for a gateway's processes; ``Environment=`` of both units says the same.

By default each thread gets an arena of its own, and blocks are kept for the next request of their size: after the first
forecasts from a year of history the site process stayed 14 MB larger. One arena costs nothing where one thread at a
time runs Python, and a block of 128 KiB goes back to the system when it is free. Source: mallopt(3), ``M_ARENA_MAX``,
``M_MMAP_THRESHOLD``, ``M_TRIM_THRESHOLD``; setting a threshold ends its adjustment. Other C libraries ignore it.
"""

from collections.abc import Mapping

MALLOC: Mapping[str, str] = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}
