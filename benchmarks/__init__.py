"""Where the numbers in the documents come from."""

import os

from domain.one_thread import ONE_THREAD

os.environ.update({**ONE_THREAD, **os.environ})  # As every shipped process has it, before a benchmark loads numpy.
