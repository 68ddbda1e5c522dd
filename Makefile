# Two commands for a fresh machine: make demo, make test.

PYTHON ?= python3
VENV ?= .venv
OUT ?= runs
SITE ?= site
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test gallery check docs format acceptance benchmarks clean
.DELETE_ON_ERROR:

demo: $(INSTALLED)  ## the main job on simulated listeners and the embedded language model
	$(BIN)/brainaligner demo --out $(OUT)

test: $(INSTALLED)  ## all tests but the longest, which acceptance runs
	$(BIN)/python -m pytest -n auto -m "not long"

gallery: $(INSTALLED)  ## all studies that cheat, and the honest ones, judged by the audit
	BRAINALIGNER_WHOLE_GALLERY=1 $(BIN)/python -m pytest -n auto tests/gallery

check: $(INSTALLED)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src
	$(BIN)/lint-imports --no-logo

docs: $(INSTALLED)  ## the documentation site, every link checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir $(SITE)

format: $(INSTALLED)  ## put the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

acceptance: $(INSTALLED)  ## the long counts; goes on where it was stopped
	$(BIN)/python -m acceptance --out acceptance/out

benchmarks: $(INSTALLED)  ## speed and memory beside other libraries; ARGS="--size laptop"
	$(BIN)/python -m benchmarks $(ARGS)

# torch goes first and exactly: a looser request would fetch gigabytes of CUDA libraries.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
	  "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(OUT) $(SITE) acceptance/out benchmarks/out
