"""Which rules nobody can break without a red test: mutants of the code that decides, `make mutants`."""
