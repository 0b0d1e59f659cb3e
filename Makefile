# Everything a person or the CI runs. `make setup` is idempotent and every other target calls it.
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

# Where this is set, every trainer compiles all it imports: a start takes twelve seconds of processor time, not five.
export PYTHONDONTWRITEBYTECODE :=
MAKEFLAGS += --jobs=2  # a base image is made while pip downloads

.PHONY: setup demo lint daemon slurm browser engines test test-all bench release locks

setup: $(READY)

$(READY): pyproject.toml containers/install.py $(wildcard containers/locks/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ftsdk needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "Python's venv module is missing; run: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python containers/install.py lf rl
	$(BIN)/python -m pip install --quiet --constraint containers/locks/lf.txt --editable '.[plot,wandb,excel]' --group dev
	@touch $@

demo: setup
	$(BIN)/ftsdk demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/mypy containers tests/setup docs examples
	$(BIN)/lint-imports

# Each script records whether its engine is up: one that failed fails its tests (see tests/setup/engines.py).
daemon:
	@tests/setup/docker.sh || true

slurm:
	@tests/setup/slurm.sh || true

browser:
	@tests/setup/browser.sh || true

engines: daemon slurm browser setup
	@$(BIN)/python tests/setup/image.py || true

test: lint engines
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not long'

test-all: lint engines
	$(BIN)/pytest

bench: setup
	$(BIN)/python -m bench

# sdist and wheel in DIST, checked; uploads nothing. The index shows links to REPOSITORY (docs/release.md).
DIST ?= dist
RELEASE := build/release/bin
release: export FTSDK_REPOSITORY = $(REPOSITORY)
release:
	@[ -n "$(REPOSITORY)" ] || { echo "Say where the sources are: make release REPOSITORY=https://HOST/OWNER/ftsdk"; exit 1; }
	@[ ! -e "$(DIST)" ] || { echo "$(DIST) exists: remove it, or name another folder with DIST=FOLDER"; exit 1; }
	$(PYTHON) -m venv build/release
	$(RELEASE)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(RELEASE)/python -m pip install --quiet --group release
	$(RELEASE)/python -m build --outdir "$(DIST)"
	$(RELEASE)/python -m build --wheel --outdir "$(DIST)/from-tree"
	$(RELEASE)/twine check --strict "$(DIST)"/*.whl "$(DIST)"/*.tar.gz
	$(PYTHON) -m tests.release "$(DIST)"

# The newest versions that locks/*.in allow. The CUDA locks are held to the versions of lf.txt.
locks: setup
	$(BIN)/python -m pip install --quiet uv
	cd containers/locks && compile() { \
	  ../../$(BIN)/uv --config-file uv.toml pip compile --quiet --universal --python-version 3.11 --upgrade \
	    --no-annotate --no-header "$$1.in" --output-file "$$1.txt" "$${@:2}"; } \
	&& compile lf --excludes <(echo torch) && compile lf-cuda -c lf.txt && compile lf-cuda12 -c lf.txt \
	&& compile rl -c <(grep -vE '^(trl|transformers|datasets|accelerate)==' lf.txt) --excludes <(echo torch) \
	&& grep -vxFf lf.txt rl.txt >rl.new && mv rl.new rl.txt
