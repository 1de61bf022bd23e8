# Each target is complete by itself on a fresh machine: it makes what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test bench pictures clean

demo: $(INSTALLED)  ## one round through a real SSH proxy on loopback; leaves a page in demo-fleet/site
	$(BIN)/remotestatus demo demo-fleet

test: $(INSTALLED)  ## static checks and all tests
	./tests/prepare
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/ansible-lint --offline playbooks
	$(BIN)/pytest -n 2 --dist loadgroup

bench: $(INSTALLED)  ## compares a round with pdsh, clush and stock Ansible
	./tests/prepare --bench
	# As pip does for an installed package; all the peers are compiled too.
	$(BIN)/python -m compileall -q remotestatus playbooks
	PYTHONPATH=playbooks $(BIN)/python -m tests.bench

pictures: $(INSTALLED)  ## takes the picture in docs/ from the demo
	./tests/prepare
	rm -rf demo-fleet
	$(BIN)/remotestatus demo demo-fleet
	$(BIN)/python -m tests.take_pictures demo-fleet/pictures demo-fleet/site
	mkdir -p docs
	cp demo-fleet/pictures/demo-index-light.png docs/summary.png

$(INSTALLED): pyproject.toml
	# Without Debian's python3-venv there is no pip in a new environment: the system's own pip puts it there.
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[demo]' --group dev
	touch $@

clean:
	rm -rf $(VENV) dist demo-fleet .mypy_cache .ruff_cache .pytest_cache .hypothesis
