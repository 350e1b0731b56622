"""One thread for linear algebra, told to numpy's OpenBLAS before it is loaded.

Our matrices are small: some hundred days by some tens of features. OpenBLAS shares even these among a thread a core,
and the threads wait for each other by spinning: beside other work on two cores one forecast from a year took 2.1 s of
processor time instead of 0.35. On a gateway they would spin on the cores that hold limits, in a function they are paid
for (``benchmarks.bench_threads``). Source: OpenBLAS's FAQ, "How can I use OpenBLAS in multi-threaded applications".
"""

from collections.abc import Mapping, MutableMapping
from typing import Final

ONE_THREAD: Final[Mapping[str, str]] = {"OPENBLAS_NUM_THREADS": "1"}


def in_one_thread(environ: MutableMapping[str, str]) -> None:
    """Tell it to the environment of a process that has not loaded numpy yet, unless that says otherwise."""
    for name, value in ONE_THREAD.items():
        environ.setdefault(name, value)
