# The interface of this project: people and CI run these targets and nothing else. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin
# The first Python on the PATH that Covalent runs on, python3 or else the newest; set it to use another one: make PYTHON=python3.10 …
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$python && break; done)
SOURCES := pyproject.toml Cargo.toml Cargo.lock $(shell find src -name '*.rs')

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

$(BIN)/maturin:
	@test -n "$(PYTHON)" || { echo "Covalent needs Python 3.10 to 3.13, and none is on the PATH."; exit 1; }
	@command -v cargo >/dev/null || { echo "The core is built with Rust: install it from https://rustup.rs"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet 'maturin>=1.9.4,<2'

$(VENV)/built: $(SOURCES) | $(BIN)/maturin
	@echo 'Building the core into $(VENV), with what the project needs: some minutes the first time.'
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --quiet --extras dev,local,server
	@touch $@

# In an environment of its own: it pins what Covalent needs in other versions. Where it cannot be had, the test that
# wants it is skipped and says so.
CHECKOV := $(VENV)/checkov
$(CHECKOV)/done: $(MAKEFILE_LIST) | $(BIN)/maturin
	@$(BIN)/python -m venv $(CHECKOV)
	@if $(CHECKOV)/bin/pip install --quiet --disable-pip-version-check 'checkov>=3.3,<4'; then touch $@; \
	else echo 'No checkov: PyPI does not have it for this machine.'; fi

.PHONY: build
build: $(VENV)/built ## Set up .venv and build the package into it

.PHONY: demo
demo: build ## Run a workflow on the embedded AWS and a real Covalent server
	$(BIN)/covalent-awsbatch demo

# Processes that run tests at the same time. With auto it is one more than there are cores: most tests wait more than they
# compute. The order of the files stays, since the longest ones come first.
WORKERS ?= auto

.PHONY: test
test: build $(CHECKOV)/done ## Build and run every test
	cargo test --quiet --no-default-features
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# PyTorch beside the environment, since its wheel for Linux and what that needs take 5 GB. Jobs of the embedded AWS see what
# is in a directory of this name on the path.
TORCH := target/torch/site-packages
$(TORCH)/torch: | $(BIN)/maturin
	$(BIN)/pip install --quiet --disable-pip-version-check --target $(TORCH) torch

.PHONY: test-torch
test-torch: build $(TORCH)/torch ## Test jobs of several nodes with PyTorch, of which 5 GB are fetched once
	PYTHONPATH=$(CURDIR)/$(TORCH) $(BIN)/pytest tests/integration/task/test_torch_distributed.py

.PHONY: soak
soak: build ## Run the soak test longer, 20 random histories, 20 resumed runs and 5 nights, and fuzz each decoder for a minute
	for seed in 1 2 3; do \
		SOAK_SEED=$$seed SOAK_TASKS=3000 SOAK_ROUNDS=3 $(BIN)/pytest --capture=no tests/integration/test_soak.py || exit; \
	done
	for seed in {1..20}; do HISTORY_SEED=$$seed $(BIN)/pytest tests/e2e/test_history.py || exit; done
	for seed in {1..20}; do RESUME_SEED=$$seed RESUME_FAN=40 $(BIN)/pytest tests/e2e/server/test_resumed_fan.py || exit; done
	for seed in {1..5}; do NIGHT_SEED=$$seed $(BIN)/pytest tests/e2e/server/test_night.py || exit; done
	PYTHON=$(BIN)/python fuzz/run

.PHONY: lint
lint: lint-rust lint-python lint-types lint-crates lint-docs lint-github ## Check everything that needs no test, by the six below

.PHONY: lint-rust
lint-rust: ## Check the format and the lints of the core
	cargo fmt --check
	cargo clippy --quiet --workspace --all-targets -- --deny warnings

.PHONY: lint-python
lint-python: build ## Check the format, the lints and the imports of the package
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache --no-logo

.PHONY: lint-types
lint-types: build ## Check the types, and the core against its stub
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest covalent_awsbatch_plugin._core

# Not optimised, so that it is built in a minute; a check takes a second all the same.
$(BIN)/cargo-deny: | $(BIN)/maturin
	CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --profile dev --root $(VENV) cargo-deny --version '^0.20'

.PHONY: lint-crates
lint-crates: $(BIN)/cargo-deny ## Check the crates by deny.toml, and that their licences are in THIRD-PARTY-NOTICES
	$(BIN)/cargo-deny --locked check licenses bans sources
	$(BIN)/python scripts/notices.py --check
	$(BIN)/python scripts/options.py --check

# Zensical takes Python 3.11 or newer.
.PHONY: lint-docs
lint-docs: build ## Build the site of docs/ into target/site; a link that leads nowhere is an error
	@if test -x $(BIN)/zensical; then $(BIN)/zensical build --clean --strict; else echo 'No site: Zensical takes Python 3.11 or newer.'; fi

.PHONY: docs
docs: lint-docs ## The same, by the name that one looks for

.PHONY: pictures
pictures: build ## Take the README's picture of the terminal anew
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python scripts/pictures.py

.PHONY: lint-github
lint-github: build ## Check the workflows and the forms of .github/
	$(BIN)/zizmor --quiet --offline --strict-collection .
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*_*.yml

.PHONY: advisories
advisories: $(BIN)/cargo-deny ## Look the crates up in RustSec's advisories, which come from GitHub
	$(BIN)/cargo-deny --locked check advisories

.PHONY: hooks
hooks: build ## Have git run the parts of lint that concern a commit, before it is made
	$(BIN)/pre-commit install

.PHONY: notices
notices: build ## Write THIRD-PARTY-NOTICES anew, after a change of the crates
	$(BIN)/python scripts/notices.py

# What links against a C library older than this machine's. Where PyPI has none, the wheel's script says what follows.
$(VENV)/zig: $(MAKEFILE_LIST) | $(BIN)/maturin
	@if $(BIN)/pip install --quiet --disable-pip-version-check --only-binary :all: 'ziglang>=0.17,<0.18'; then touch $@; fi

.PHONY: wheel
wheel: $(BIN)/maturin $(VENV)/zig ## Build the release wheel into dist/, for TARGET=aarch64-unknown-linux-musl or another platform
	$(if $(TARGET),rustup target add $(TARGET))
	$(BIN)/python scripts/wheel.py $(if $(TARGET),--target $(TARGET))

.PHONY: test-wheel
test-wheel: build ## Test the newest wheel of dist/
	WHEEL=$$(ls -t dist/*.whl | head -1) $(BIN)/pytest tests/e2e/test_wheel.py

.PHONY: sdist
sdist: $(BIN)/maturin ## Build the source distribution into dist/
	$(BIN)/maturin sdist --out dist

# By itself, so that nothing is compiled for it.
$(BIN)/twine: | $(BIN)/maturin
	$(BIN)/pip install --quiet 'twine>=6.1,<8'

.PHONY: check-dist
check-dist: $(BIN)/twine sdist ## Check that PyPI takes what is in dist/ and shows its README
	$(BIN)/twine check --strict dist/*

.PHONY: version
version: ## Check that TAG=v1.2.3 is the version of the package and of the core, and that CHANGELOG.md has it and its day
	grep --fixed-strings --line-regexp "version = \"$${TAG#v}\"" pyproject.toml
	grep --fixed-strings --line-regexp "version = \"$${TAG#v}\"" Cargo.toml
	grep --line-regexp "## $${TAG#v}, 20[0-9][0-9]-[01][0-9]-[0-3][0-9]" CHANGELOG.md

.PHONY: bench
bench: build wheel ## Measure this plugin and the public one side by side, 16 minutes once built
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --quiet --extras bench
	cargo build --quiet --profile bench --package core-benches
	cargo bench --quiet --package core-benches
	status=0; \
	$(BIN)/python benches/callgrind.py || status=1; \
	$(BIN)/python -m benches.compare --write docs/benchmarks || status=1; \
	exit $$status

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf $(VENV) target dist python/covalent_awsbatch_plugin/_core*.so
