# make demo | test | check | bench: each sets up what it needs, from the lock in requirements/.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
WORKERS ?= 2

.PHONY: demo test swarm fuzz mutants matrix nightly aws arm64 check format bench deb image wheel apt-repo lock debian clean

demo: $(VENV)/.demo
	$(BIN)/sitewatt demo $(ARGS)

test: $(VENV)/.dev debian
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# Neighbourhoods and faults from seeds: make swarm ARGS="--hours 8"
swarm: $(VENV)/.dev debian
	$(BIN)/sitewatt sim swarm $(ARGS)

# Does a test notice when one line of the code that decides is changed? make mutants ARGS="codec --update"
mutants: $(VENV)/.nightly
	nice -n 10 $(BIN)/python -m tests.mutants $(ARGS)

# The oldest and the newest Python, the newest and the lowest libraries: make matrix ARGS="--only 3.11-lowest tests/unit"
matrix: $(VENV)/.nightly debian
	nice -n 10 $(BIN)/python -m tests.nightly.matrix $(ARGS)

# All that is too long for a change, with one report under build/nightly: make nightly ARGS="mutants fuzz"
nightly: $(VENV)/.nightly
	@sh tests/support/debian.sh nightly
	nice -n 10 $(BIN)/python -m tests.nightly $(ARGS)

# The stack on AWS, deployed and used on an emulator; needs Python 3.13 and Node: make aws ARGS="-k settles"
aws: $(VENV)/.nightly
	nice -n 10 $(BIN)/python -m pytest -q -p no:cacheprovider -o faulthandler_timeout=7200 \
		$(wildcard tests/nightly/aws*.py) $(ARGS)

# The package of a Raspberry Pi on an emulated processor; needs root and Debian's qemu-user-static.
arm64: $(VENV)/.dev debian
	nice -n 10 $(BIN)/python -m pytest -q -m nightly -p no:cacheprovider tests/integration/deploy/test_deb_arm64.py $(ARGS)

# Bytes that nobody meant, at every door: make fuzz ARGS="--inputs 1000000 --door command"
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m edge.deploy.lock check

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.bench debian
	$(BIN)/python -m benchmarks $(ARGS)

# The gateway's Debian package: make deb ARGS="--arch arm64 --python 3.11"
deb: $(VENV)/.dev
	$(BIN)/python -m edge.deploy.build_deb $(ARGS)

# An OCI image, without a container engine: make image ARGS="--of cloud"; needs root, for debootstrap.
image: $(VENV)/.dev
	$(BIN)/python -m edge.deploy.image $(ARGS)

# The wheel, and beside it what it is made of.
wheel: $(VENV)/.dev
	$(BIN)/python -m edge.deploy.build_wheel $(ARGS)

# A signed apt repository of the packages in dist/: make apt-repo KEY=packages@example.org
apt-repo: $(VENV)/.dev
	$(BIN)/python -m edge.deploy.apt_repo --key "$(KEY)" $(ARGS) dist/*.deb

# Every library anew, by version and hash, into requirements/; after a change of the dependencies in pyproject.toml.
lock: $(VENV)/.nightly
	$(BIN)/python -m edge.deploy.lock make

# Real parts that tests speak to. Where apt is missing, the tests that need them say so.
debian:
	@sh tests/support/debian.sh

.PHONY: python
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sitewatt needs Python 3.11 or newer, this is " + sys.version)'

$(VENV)/.demo: pyproject.toml requirements/demo.txt | python
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) requirements/install.py $(VENV) demo
	@touch $@

$(VENV)/.dev: pyproject.toml requirements/dev.txt | python
	@echo "setting up $(VENV) for development (once)"
	@$(PYTHON) requirements/install.py $(VENV) dev
	@touch $@ $(VENV)/.demo

$(VENV)/.nightly: $(VENV)/.dev
	@echo "adding the tools of the nightly runs (once)"
	$(PIP) --editable '.[nightly]'
	@touch $@

# The benchmarks run without their rivals too, and name those that are absent.
$(VENV)/.bench: $(VENV)/.dev
	@echo "adding the rivals that the benchmarks are measured beside (once)"
	@$(PIP) --editable '.[bench]' && touch $@ || echo "rivals could not be installed; measuring without them"

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
