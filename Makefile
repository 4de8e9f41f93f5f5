# `make demo` and `make test` need nothing but Python >= 3.11, pip, make and gcc.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test fuzz check format walk docs bench bench-compare bench-long clean

setup: .venv/ready

.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "striate needs Python 3.11 or newer: make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

demo: setup
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python examples/demo.py

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

# The laws alone, with other examples each time, and ten times as many.
fuzz: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m hypothesis --hypothesis-profile fuzz

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Every block of README and docs as printed, in a clean folder: some minutes.
walk: setup
	OMP_NUM_THREADS=1 $(BIN)/python docs/walk.py

docs: setup
	$(BIN)/python docs/generate.py

# Ours beside peers, in some minutes: ratios into a file, which bench-compare takes as OLD later.
OUT ?= bench.json
NEW ?= bench.json
bench: setup
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/quick.py -o $(OUT)

# What became slower since OLD, beyond the spread: make bench-compare OLD=old.json [NEW=new.json]
bench-compare: setup
	$(if $(OLD),,$(error OLD is missing: make bench-compare OLD=old.json))
	$(BIN)/python benchmarks/comparing.py $(OLD) $(NEW)

bench-long: setup
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/durability.py --kills 60 --flips 2000 --faults
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/hostile.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/decoding.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/describing.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/describing.py --library timm --every 12
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/describing.py --memory

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
