# make            what there is
# The set-up behind every target is rlcourse/authoring/install.py; it builds .venv once and is skipped when nothing changed.
.DEFAULT_GOAL := help
.PHONY: help lab test check notebooks constraints clean set-up-lab set-up-test

# The first Python of the course's age; `make lab PYTHON=/path/to/python3` names another. An existing .venv is kept unless PYTHON is named.
ifeq ($(origin PYTHON),undefined)
PYTHON := $(or $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done),python3)
endif
# system: keep the torch that this Python already has (a GPU installation). pinned: the version in constraints.txt. keep: as the present .venv has it.
TORCH ?= keep
INSTALL = $(PYTHON) -m rlcourse.authoring.install --torch $(TORCH) $(if $(filter file,$(origin PYTHON)),--any-python)
RUN = .venv/bin/python -m
THREADS = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMEXPR_NUM_THREADS=1
PYTEST = $(THREADS) $(RUN) pytest -n 2 --dist loadscope
unexport PYTHONPATH PYTHONHOME

help:
	@echo "make lab          set up and open the course in JupyterLab (TORCH=system keeps a torch that is already installed)"
	@echo "make test         set up, run the tests, and check every derivation of every lecture"
	@echo "make check        all tests, the notebooks built twice and compared, every derivation against its wrong versions"
	@echo "make notebooks    build notebooks/, solutions/ and exercises/ from their sources"
	@echo "make constraints  pin every package anew, from a clean installation"
	@echo "make clean        remove .venv and what tests leave; your work in my/ stays"

lab: set-up-lab
	@$(RUN) rlcourse lab

test: set-up-test
	@$(RUN) ruff check rlcourse tests
	@$(PYTEST) -m "not slow"
	@$(THREADS) $(RUN) rlcourse proofs

check: set-up-test
	@$(RUN) ruff check rlcourse tests
	@$(THREADS) $(RUN) rlcourse.authoring.build --double
	@$(PYTEST)
	@$(THREADS) $(RUN) rlcourse proofs --mutate

notebooks: set-up-test
	@$(THREADS) $(RUN) rlcourse.authoring.build

constraints:
	@$(PYTHON) -m rlcourse.authoring.constraints

clean:
	@rm -rf .venv .venv.old .pytest_cache .ruff_cache build dist MUJOCO_LOG.TXT
	@find rlcourse tests notebooks solutions -name __pycache__ -prune -exec rm -rf {} +

set-up-lab set-up-test: set-up-%:
	@command -v $(PYTHON) >/dev/null || { echo "rlcourse: no Python found: install Python 3.11 or newer, then run make again." >&2; exit 1; }
	@$(INSTALL) $*
