# All paths are relative, so that a checkout in a path with spaces works.
PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check

.PHONY: install demo test test-server lint tables images lock clean

install: .venv/installed

# The stamp files depend on the files that define the environment, so the next call installs a changed
# pin.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --constraint constraints.txt --editable '.[eval,train]'
	.venv/bin/twotower encoder compile
	touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# axe-core, for the accessibility tests of the page. Without npm these tests are skipped with a message.
.venv/installed-axe: .venv/installed-dev
	! command -v npm >/dev/null || npm install --silent --no-audit --no-fund --no-save \
	  --prefix .venv/npm axe-core@4.11
	touch $@

# A small separate collection and three questions: an identifier, a paraphrase and a table.
demo: install
	.venv/bin/twotower ingest examples/handbook --collection handbook
	.venv/bin/twotower search "GK-118/d how tight" --collection handbook --limit 3
	.venv/bin/twotower search "security token has gone missing, who do I tell" --collection handbook --limit 3
	.venv/bin/twotower search "guarantee of a KC-7 box in months" --collection handbook --limit 3 --explain

# Write the README's tables of formats and settings from the code.
tables: install
	.venv/bin/python -m docs.tables

# Take the README's screenshots of the page; needs Debian's chromium.
images: .venv/installed-dev
	.venv/bin/python -m docs.screenshots

lint: .venv/installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

test: lint .venv/installed-axe
	.venv/bin/python -m pytest

# Run the store's tests on a real Qdrant server: make test-server URL=http://127.0.0.1:6333 [KEY=...]
test-server: .venv/installed-dev
	@test -n "$(URL)" || { echo "error: URL is not set; name a server: make test-server URL=http://127.0.0.1:6333"; exit 1; }
	TWOTOWER_TEST_QDRANT_URL="$(URL)" TWOTOWER_TEST_QDRANT_API_KEY="$(KEY)" \
	  .venv/bin/python -m pytest tests/contract -k "server"

# Write constraints.txt again from the versions that pip resolves today; torch keeps its pinned version.
lock:
	rm -rf .venv/lock
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/python -m pip install --quiet torch==2.13.0 --editable '.[dev]'
	{ sed -n '/^#/p' constraints.txt; .venv/lock/bin/python -m pip freeze --exclude-editable \
	  | sed 's/ @ .*//; s/+cpu$$//' ; } > constraints.new
	mv constraints.new constraints.txt
	rm -rf .venv/lock

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
