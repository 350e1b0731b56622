"""A log tells what was raised, and how often."""

from pathlib import Path

from sitewatt.swarm.evidence import tracebacks_of

LOG = """2026-11-29 23:36:01,472 WARNING control alarms changed alarms=[]
2026-11-29 23:36:02,472 ERROR a part failed and is started again part=trade
Traceback (most recent call last):
  File "edge/agent/trader.py", line 170, in look
    raise IndexError("list index out of range")
IndexError: list index out of range
2026-11-29 23:36:03,472 WARNING link lost
  + Exception Group Traceback (most recent call last):
  |   File "edge/__main__.py", line 53, in _run
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "edge/site/build.py", line 300, in run
    | edge.errors.OutboxInUse: another gateway runs
    +------------------------------------
"""


def test_each_traceback_is_told_by_the_innermost_error_that_it_names(tmp_path: Path) -> None:
    """Whoever reads a finding must know where to look."""
    log = tmp_path / "gateway.log"
    log.write_text(LOG)
    assert list(tracebacks_of(log)) == [
        "IndexError: list index out of range",
        "edge.errors.OutboxInUse: another gateway runs",
    ]
    log.write_text("2026-11-29 23:36:03,472 WARNING reason=Traceback of something\n")
    assert list(tracebacks_of(log)) == []
