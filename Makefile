PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# As snslib sets it, see snslib/__init__.py; here also for what loads PyTorch before it.
export GOMP_SPINCOUNT ?= 10000

# What somebody has set for IPython, Jupyter and Matplotlib stays out, and nothing is written to a home.
export IPYTHONDIR := $(CURDIR)/.cache/ipython
export JUPYTER_CONFIG_DIR := $(CURDIR)/.cache/jupyter
export JUPYTER_DATA_DIR := $(CURDIR)/.cache/jupyter
export JUPYTER_RUNTIME_DIR := $(CURDIR)/.cache/jupyter/runtime
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib

.PHONY: help setup lock book pdf handout sweep test matrix reproduce lint bench gpu-check tried clean

help:
	@echo "make book     run the notebooks and build the book; make book PROFILE=cifar10 SEED=1 sets their parameters"
	@echo "make book STUDENT=1   the same without solutions and the teacher's page"
	@echo "make pdf      print the book that was built, each chapter and the whole of it, into book/_build/pdf; needs Chromium"
	@echo "make handout  a zip for a course: exercises, chapters, library, networks; make handout SOLUTIONS=1 is the teacher's"
	@echo "make sweep NOTEBOOK=04_sns_training GRID='lam=1,5 fraction=0.05,0.1' WITH='seed=1'   every combination, in parallel"
	@echo "make test     run the tests; make test TESTS=tests/core some of them"
	@echo "make matrix   the same on every Python that is here and on the oldest versions of all packages"
	@echo "make reproduce PROFILE=cifar10-small   train and measure all rows of Table 1 or 2; more: ROWS=pat,alp HOURS=2"
	@echo "              on several machines, as make sweep too: SCHEDULER=tcp://HOST:8786, of a Dask cluster"
	@echo "make lock     renew requirements.txt, which says which packages are installed"
	@echo "make lint     check style, spelling and types"
	@echo "make bench    measure the speed and record it; make bench DEVICE=cuda on a GPU, ONLY='attacks kernels' parts of it"
	@echo "make gpu-check   on a GPU: its tests and what matters most of its speed, against the goals; goes on where it was stopped"
	@echo "make tried    measure a network of each family of torchvision, timm and transformers, into results/models_tried.json"
	@echo "make clean    remove the book that was built, and its executed notebooks"

setup: $(VENV)/.ready

# One environment for everything, inside the project; brought up to date only when its description changes.
$(VENV)/.ready: requirements.txt pyproject.toml
	$(PYTHON) tools/environment.py

# requirements.txt anew: the newest versions that pyproject.toml allows, for every Python and system, with their hashes.
lock: setup
	$(BIN)/uv pip compile pyproject.toml --extra book --group test --group tools --universal \
		--python-version 3.11 --generate-hashes --upgrade --quiet --custom-compile-command "make lock" \
		--output-file requirements.txt

# The variables of the command line. Their values reach commands through the environment, where no shell reads them again.
named = $(foreach v,$(MAKEOVERRIDES),$(firstword $(subst =, ,$(v))))
given = $(foreach n,$(named),$(if $(filter command,$(origin $(n))),$(n)))

# Every variable of the command line but PYTHON and STUDENT is a parameter of the notebooks; STUDENT=1 hides the solutions.
book: setup
	$(BIN)/python book/build.py $(foreach n,$(filter-out PYTHON STUDENT,$(given)),"$(n)=$$$(n)")

pdf: setup
	$(BIN)/python book/pdf.py

# SOLUTIONS=1 is the only variable that it takes; it refuses others in words.
handout: setup
	$(BIN)/python book/handout.py $(foreach n,$(filter-out PYTHON,$(given)),"$(n)=$$$(n)")

# Every other variable of the command line is a parameter of all runs, but SCHEDULER, which says who does them.
sweep: setup
	$(BIN)/python book/sweep.py "$$NOTEBOOK" "$$GRID" $$WITH \
		$(foreach n,$(filter-out PYTHON NOTEBOOK GRID WITH,$(given)),"$(n)=$$$(n)")

# Every variable of the command line but PYTHON is an option of the command.
lower = $(subst _,-,$(shell echo $(1) | tr A-Z a-z))
reproduce: setup
	$(BIN)/python -m snslib reproduce $(foreach n,$(filter-out PYTHON,$(given)),--$(call lower,$(n)) "$$$(n)")

# A file at a time on each core.
test: setup
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(TESTS)

matrix: setup
	$(BIN)/python tools/matrix.py $(ONLY)

lint: setup
	$(BIN)/ruff check
	$(BIN)/codespell *.md .github book/*.md book/slides book/_ext book/*.py notebooks snslib tests benchmarks tools
	$(BIN)/mypy
	$(BIN)/mypy book/execute.py book/_ext/*.py tools/*.py
	cd book && ../$(BIN)/mypy --config-file ../pyproject.toml build.py handout.py pdf.py sweep.py
	cd benchmarks && ../$(BIN)/mypy --config-file ../pyproject.toml run.py convolutions.py gpu_check.py

# The libraries that speed is compared with go beside the environment, since they pin what it has in other versions.
$(VENV)/peers: benchmarks/peers.txt $(VENV)/.ready
	$(BIN)/pip install --quiet --no-deps --upgrade --target $@ --requirement $<
	touch $@

bench: $(VENV)/peers
	PYTHONPATH=$(VENV)/peers $(BIN)/python benchmarks/run.py $(if $(DEVICE),--device $(DEVICE)) $(if $(ONLY),--only $(ONLY))

gpu-check: $(VENV)/peers
	PYTHONPATH=$(VENV)/peers $(BIN)/python benchmarks/gpu_check.py

# The packages whose networks are tried besides those of torchvision go beside the environment, as PyTorch is there.
$(VENV)/tried: tools/models_tried.txt $(VENV)/.ready
	$(BIN)/pip install --quiet --no-deps --upgrade --target $@ --requirement $<
	touch $@

tried: $(VENV)/tried
	PYTHONPATH=$(VENV)/tried $(BIN)/python tools/models_tried.py

# The environment and the cache of trained models and data stay.
clean:
	rm -rf book/_build book/executed
