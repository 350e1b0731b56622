"""What holds for every test: a property may take its time, because the machine may have other work."""

import os

from hypothesis import HealthCheck, Phase, settings

from domain.one_thread import in_one_thread

in_one_thread(os.environ)  # As every shipped process has it; numpy is loaded later.

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Thousands of mutants: the examples are the same in each run, and what fails is not made smaller.
settings.register_profile(
    "mutants",
    settings.get_profile("shared machine"),
    max_examples=50,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile("shared machine")
