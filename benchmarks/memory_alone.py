"""What processes would take of a machine on which no other Python runs.

The kernel's proportional share of a page falls with everybody who maps it, so a gateway measured beside other Pythons
looks smaller than it is on its own board. Here a page that is shared counts once for the gateway's processes together,
whoever else maps it. Source: proc(5), ``smaps``.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ (\S+) (\S+ \d+)")


def memory_alone_mb(pids: Iterable[int]) -> dict[int, float]:
    """Return the resident MB of each process: what is its own, and its part of what several of them share.

    Of a stretch of a file that several map, as much counts as the one holds that holds most; it is split evenly.
    """
    own: dict[int, int] = defaultdict(int)
    shared: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for pid in pids:
        stretch = ("", "")
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if found := _MAPPING.match(line):
                stretch = (found[1], found[2])
            elif line.startswith(("Private_Clean:", "Private_Dirty:")):
                own[pid] += int(line.split()[1])
            elif line.startswith(("Shared_Clean:", "Shared_Dirty:")):
                shared[stretch][pid] = shared[stretch].get(pid, 0) + int(line.split()[1])
    return {pid: (kb + sum(_part(held, pid) for held in shared.values())) * 1024 / 1e6 for pid, kb in own.items()}


def _part(held_kb: Mapping[int, int], pid: int) -> float:
    return max(held_kb.values()) / len(held_kb) if pid in held_kb else 0.0
