"""Where the numbers in the documents come from."""

import os

from domain.one_thread import in_one_thread

in_one_thread(os.environ)  # As every shipped process has it, before a benchmark loads numpy.
