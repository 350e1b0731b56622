"""The agents' doors: MCP, A2A, REST and live streams, each made from the list of skills."""

import os
from typing import Final

# The A2A SDK wraps each of its hundred steps of a call in a span that nobody collects (docs/decisions/0027), a fifth of
# the call's work. It reads this once, when it is imported; whoever collects spans says ``true``.
_SPANS: Final = "OTEL_INSTRUMENTATION_A2A_SDK_ENABLED"
os.environ.setdefault(_SPANS, "false")
