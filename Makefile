# Needs Python 3.11 or later with its headers and venv module, a C compiler, and a package index for pip.
# Everything lands in .venv/ and build/; nothing is installed outside the checkout, but for one thing: as root `make
# test` installs Prosody by apt-get if it is missing, for the tests of XMPP.
#
#   PYTHON=/path/to/python   the Python to make .venv with (default: the newest that fits)
#   N, SEED   how often `make faults` kills, and the seed that makes its choices
#   N, SEED, SECONDS   how many inputs `make fuzz` tries and which; how long `make fuzz-native` runs
#   DEMO_ARGS, TEST_ARGS, BENCH_ARGS   handed on to the command, to pytest, to pytest

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
EDITABLE := $(PIP) install --no-build-isolation --editable

CORE_SOURCES := setup.py $(shell find src_ext -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h')
CORE_MODULES = $(patsubst oadr2/_core/%.pyi,oadr2._core.%,$(filter-out %/__init__.pyi,$(wildcard oadr2/_core/*.pyi)))
LINTED := .
N := 200

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test lint types tests test-sanitize coverage-native conformance faults bench bench-instructions \
	fuzz fuzz-native figures build dist clean distclean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  %-24s %s\n' "$$name" "$$text"; done

demo: $(VENV)/installed ## a simulated VTN and a VEN, in this terminal (DEMO_ARGS=--fast: in seconds)
	@$(BIN)/oadr2 demo $(DEMO_ARGS)

test: lint types tests ## everything that must hold: lint, types, tests

lint: $(VENV)/installed-test ## ruff: rules and formatting
	@echo "== ruff check" && $(BIN)/ruff check --quiet $(LINTED)
	@echo "== ruff format --check" && $(BIN)/ruff format --check --quiet $(LINTED)

types: $(VENV)/installed-test ## mypy --strict, and the stubs of the compiled modules against the modules
	@echo "== mypy --strict" && $(BIN)/mypy --no-error-summary
	@echo "== stubtest $(CORE_MODULES)"
	@test -z "$(CORE_MODULES)" || $(BIN)/python -m mypy.stubtest --concise --ignore-unused-allowlist \
		--allowlist tools/stubtest_allowlist.txt $(CORE_MODULES)

tests: $(VENV)/installed-test ## the tests alone (TEST_ARGS='-k name')
	@tools/install_servers.sh prosody nginx mosquitto
	@echo "== pytest" && $(BIN)/python -m pytest -n 6 --maxschedchunk 8 $(TEST_ARGS)

test-sanitize: $(VENV)/installed-test ## the tests on a core with AddressSanitizer and UBSan, in build/sanitized
	@echo "== pytest, sanitized" && $(BIN)/python tools/run_sanitized.py $(TEST_ARGS)

coverage-native: $(VENV)/installed-test ## which lines of the .pyx files the tests run; writes docs/native-coverage.md
	@$(BIN)/python tools/native_coverage.py $(TEST_ARGS)

faults: $(VENV)/installed-test ## kill a VEN N times at random moments, lose nothing (N=200 SEED=1)
	@$(BIN)/python tests/integration/fault_harness.py $(N) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/installed-bench ## oadr2 and others on the same payloads, in one run
	@mkdir -p build
	@$(BIN)/python -m pytest --benchmark --benchmark-max-time=0.4 \
		--benchmark-json=build/benchmarks.json $(BENCH_ARGS)

bench-instructions: $(VENV)/installed ## instructions, counted by valgrind, against the baseline (UPDATE=1: write it)
	@$(BIN)/python benchmarks/instructions.py $(if $(UPDATE),--update)

conformance: $(VENV)/installed-test ## run tests/conformance and tests/xmpp, write docs/conformance.md
	@tools/install_servers.sh prosody
	@$(BIN)/python tools/write_conformance.py

figures: bench ## bench, then write README.md's and docs/figures.md's tables
	@$(BIN)/python benchmarks/write_figures.py build/benchmarks.json README.md docs/figures.md

fuzz: N := 1000000
fuzz: $(VENV)/installed-test ## a million changed payloads against lxml (N=, SEED=)
	@cd tests && ../$(BIN)/python -m fuzzing --count $(N) --seed $(or $(SEED),1)

fuzz-native: $(VENV)/installed-test ## the same guided by coverage, under AddressSanitizer (SECONDS=60, SEED=)
	@$(BIN)/python tools/fuzz_native.py $(or $(SECONDS),60) $(or $(SEED),1)

build: $(VENV)/built ## compile the core in place

dist: $(VENV)/built ## source distribution and wheel, in dist/
	@$(PIP) install 'build>=1.2'
	@$(BIN)/python -m build --no-isolation

clean: ## remove what was built; keep .venv
	@rm -rf build dist *.egg-info oadr2/_core/*.so .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@rm -f $(VENV)/built $(VENV)/installed $(VENV)/installed-test $(VENV)/installed-bench
	@find oadr2 tests benchmarks tools src_ext -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	@rm -rf $(VENV)

# --- how .venv comes to be: each file is a stamp that says its step is done ---

$(VENV)/made: pyproject.toml
	@python=$$(PYTHON='$(PYTHON)' tools/choose_python.sh) || exit 1; \
	$(BIN)/python -c "" 2>/dev/null || { \
		echo "making $(VENV) with $$python"; "$$python" -m venv --clear $(VENV); }
	@$(BIN)/python -c "import tomllib; \
	print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" \
	| xargs $(PIP) install
	@touch $@

$(VENV)/built: $(VENV)/made $(CORE_SOURCES)
	@echo "building the compiled core (about a minute)"
	@$(BIN)/python setup.py -q build_ext --inplace
	@touch $@

# Order-only: a changed source is compiled again, which an editable installation sees by itself.
$(VENV)/installed: $(VENV)/made | $(VENV)/built
	@echo "installing oadr2 and what it needs"
	@$(EDITABLE) '.[fleet]'
	@touch $@

$(VENV)/installed-test: $(VENV)/made | $(VENV)/built
	@echo "installing oadr2, what it needs, and what its tests need"
	@$(EDITABLE) '.[fleet,test,lint]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-bench: $(VENV)/made | $(VENV)/built
	@echo "installing oadr2, what it needs, and what it is compared with"
	@$(EDITABLE) '.[fleet,test,bench]'
	@touch $@ $(VENV)/installed
