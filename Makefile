# Each target is complete by itself on a fresh machine: it makes what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One stamp for each set of packages, so that nobody installs what the target does not use.
DEMO := $(VENV)/.demo
DEV := $(VENV)/.dev
DOCS := $(VENV)/.docs

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-quick test-slow programs lint lint-playbooks docs bench bench-scale bench-workers openssh-versions collection pictures clean

help:  ## lists the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/make \1:\2/p' $(MAKEFILE_LIST) | awk -F: '{ printf "%-16s %s\n", $$1, $$2 }'

demo: $(DEMO)  ## one round through a real SSH proxy on loopback; leaves a page in demo-fleet/site
	$(BIN)/remotestatus demo demo-fleet

test:  ## static checks and all tests, with branch coverage of the quick ones
	# Side by side, because each waits half of its time: for the network, a server, or a time limit.
	$(MAKE) --no-print-directory -j 3 programs lint lint-playbooks
	$(MAKE) --no-print-directory -j 2 test-quick test-slow

programs:  ## makes sure that the programs which the tests use are there; as root it installs them
	./tests/prepare

lint-playbooks: $(DEV)  ## ansible-lint
	# The collection gets its changelog when it is built.
	$(BIN)/ansible-lint --offline $(filter-out playbooks/collection,$(wildcard playbooks/*))

# They cover what all tests do within one percent, and measuring makes a test a fifth slower.
test-quick: $(DEV)  ## the quick tests, with branch coverage
	$(BIN)/pytest -n 2 --dist loadgroup -m 'not slow' --cov

test-slow: $(DEV)  ## the tests that start servers or a browser
	$(BIN)/pytest -n 4 --dist loadgroup -m slow

test-fast: lint programs  ## static checks and the quick tests, in less than a minute
	$(BIN)/pytest -n 2 --dist loadgroup -m 'not slow'

lint: $(DEV)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DOCS)  ## builds the guide from docs/ into docs-site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(DEV)  ## compares a round with pdsh, clush and stock Ansible
	./tests/prepare --bench
	# As pip does for an installed package; all the peers are compiled too.
	$(BIN)/python -m compileall -q remotestatus playbooks
	PYTHONPATH=playbooks $(BIN)/python -m tests.bench

bench-scale: $(DEV)  ## what a round costs as the fleet grows: seconds, memory and bytes, with their exponents
	PYTHONPATH=playbooks $(BIN)/python -m tests.bench_scale

bench-workers: $(DEV)  ## measures rounds with more and more workers
	PYTHONPATH=playbooks $(BIN)/python -m tests.bench_workers

openssh-versions: $(DEV)  ## tests other versions of OpenSSH, as client and as server; needs root and a Debian mirror
	./tests/openssh_versions

collection: $(DEV)  ## builds the playbook as an Ansible collection into dist/
	rm -rf dist/collection
	mkdir -p dist/collection/plugins dist/collection/playbooks
	cp -r playbooks/collection/. CHANGELOG.md dist/collection
	cp playbooks/check.yml dist/collection/playbooks/check.yml
	cp -r playbooks/action_plugins dist/collection/plugins/action
	cp -r playbooks/library dist/collection/plugins/modules
	cp -r playbooks/remotestatus_playbook playbooks/files dist/collection/plugins
	find dist/collection -name __pycache__ -prune -exec rm -rf {} +
	rm dist/collection/execution-environment.yml
	$(BIN)/ansible-galaxy collection build --force --output-path dist dist/collection

pictures: $(DEV) programs  ## takes the pictures in docs/ from the demo
	rm -rf demo-fleet
	$(BIN)/remotestatus demo demo-fleet
	$(BIN)/python -m tests.take_pictures demo-fleet/pictures demo-fleet/site
	cp demo-fleet/pictures/demo-index-light.png docs/summary.png
	cp demo-fleet/pictures/demo-index-dark.png docs/summary-dark.png

clean:  ## removes all that was built or installed here
	rm -rf $(VENV) dist demo-fleet docs-site .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(DEMO): pyproject.toml
	# Without Debian's python3-venv there is no pip in a new environment: the system's own pip puts it there.
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	touch $@

$(DEV): $(DEMO)
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

$(DOCS): $(DEMO)
	$(BIN)/python -m pip install --quiet --group docs
	touch $@
