# make demo | test | lint | types | clean. Each works alone on a fresh machine with Python 3.11 or later.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types clean

# torch is installed first: with it in place, no dependency asks for another build of it.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip -c constraints.txt
	$(BIN)/pip install -q torch -c constraints.txt
	$(BIN)/pip install -q -e '.[dev]' -c constraints.txt
	touch $@

# Two threads: a GPT of this size gains nothing from more. They sleep while they wait: threads that spin, as is the
# default, made it four to ten times slower on two cores on which other programs were busy too.
demo: export OMP_NUM_THREADS := $(or $(OMP_NUM_THREADS),2)
demo: export OMP_WAIT_POLICY := passive
demo: $(VENV)/installed
	$(BIN)/python cli.py prepare --folder data/docstrings --source docstrings --tokenizer bytes \
		--large 6000000 --small 64000 --validation 262145 --workers 2
	$(BIN)/python cli.py fit --config demo/outer.yaml
	$(BIN)/python cli.py fit --config demo/inner.yaml --wiring.arm Connectome
	$(BIN)/python cli.py fit --config demo/inner.yaml --wiring.arm NoConnectome
	$(BIN)/python cli.py fit --config demo/inner.yaml --wiring.arm RandomConnectome
	$(BIN)/python cli.py evaluate runs/demo --evaluations demo/evaluations.yaml --weights last \
		--table runs/demo/evaluations.csv
	$(BIN)/python cli.py report runs/demo --out runs/demo/report

test: lint types
	$(BIN)/python -m pytest -q -m "not slow and not shared and not slurm and not gpu"

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

clean:
	rm -rf $(VENV) runs/demo data/docstrings report .pytest_cache .ruff_cache .mypy_cache *.egg-info
