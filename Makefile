# Perpetua: `make demo` plays the main job, `make test` runs the tests. Both set up what they need first.
# A machine without a GPU can spare itself the CUDA download:  make setup TORCH_INDEX=<index of CPU builds>

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# of Blender 5.2, for its tests alone
PYTHON_NEWER ?= $(firstword $(shell command -v python3.13) $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python3.13))
PICTURE ?=
CLICK ?=
MATERIAL ?=
OUT ?= out/demo
TORCH_INDEX ?=
# of `make test`; each may take 3 GB of memory. 0 runs the tests in pytest's own process
WORKERS ?= 2

PIP_FLAGS = --disable-pip-version-check --progress-bar off
BACKEND = .venv/bin
BLENDER = .venv-blender/bin
NEWER_BLENDER = .venv-blender-5.2/bin
WINDOW = build/blender-window
# a file's tests stay in one process: they share what is slow to build
PYTEST = -m pytest -q -n $(WORKERS) --dist loadfile
export OMP_WAIT_POLICY = PASSIVE

.PHONY: demo setup test test-slow test-blender test-gui check format extension clean

demo: setup
	$(BACKEND)/perpetua demo $(if $(PICTURE),--picture "$(PICTURE)") $(if $(CLICK),--click "$(CLICK)") \
		$(if $(MATERIAL),--material "$(MATERIAL)") --out "$(OUT)"

setup: .venv/.installed .venv-blender/.installed

# torch first and by its pin, so that nothing after it pulls another build; then exactly what the lock file names.
.venv/.installed: requirements/backend.txt pyproject.toml protocol/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Perpetua needs Python 3.11, this is " + sys.version.split()[0] + "; run: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BACKEND)/python -m pip install $(PIP_FLAGS) -q $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(shell grep -h '^torch==' requirements/backend.txt)
	$(BACKEND)/python -m pip install $(PIP_FLAGS) -q --no-deps -r requirements/backend.txt
	$(BACKEND)/python -m pip install $(PIP_FLAGS) -q --no-deps --no-build-isolation -e ./protocol -e .
	@touch $@

.venv-blender/.installed: requirements/blender.txt protocol/pyproject.toml
	$(PYTHON) -m venv .venv-blender
	$(BLENDER)/python -m pip install $(PIP_FLAGS) -q --no-deps -r requirements/blender.txt
	$(BLENDER)/python -m pip install $(PIP_FLAGS) -q --no-deps --no-build-isolation -e ./protocol
	@touch $@

.venv-blender-5.2/.installed: requirements/blender-5.2.txt protocol/pyproject.toml
	@test -n "$(PYTHON_NEWER)" || { echo "Blender 5.2 needs Python 3.13; run: make test-blender PYTHON_NEWER=/path/to/python3.13" >&2; exit 1; }
	$(PYTHON_NEWER) -m venv .venv-blender-5.2
	$(NEWER_BLENDER)/python -m pip install $(PIP_FLAGS) -q --no-deps -r requirements/blender-5.2.txt
	$(NEWER_BLENDER)/python -m pip install $(PIP_FLAGS) -q --no-deps --no-build-isolation -e ./protocol
	@touch $@

test: setup
	$(BACKEND)/python $(PYTEST)
	$(BLENDER)/python $(PYTEST) tests/blender

test-gui: setup
	$(BACKEND)/python scripts/blender_window.py build $(WINDOW)
	PERPETUA_BLENDER_WINDOW=$(WINDOW) PERPETUA_GUI_PICTURES=build/gui \
		$(BACKEND)/python -m pytest -q -m slow tests/gui

test-slow: setup
	$(BACKEND)/python -m pytest -q -m slow

test-blender: setup .venv-blender-5.2/.installed
	$(BLENDER)/python $(PYTEST) tests/blender
	$(NEWER_BLENDER)/python $(PYTEST) tests/blender

check: setup
	$(BACKEND)/ruff check .
	$(BACKEND)/ruff format --check .
	$(BACKEND)/mypy backend protocol
	$(BACKEND)/lint-imports

format: setup
	$(BACKEND)/ruff check --fix .
	$(BACKEND)/ruff format .

extension: setup
	$(BLENDER)/python scripts/build_extension.py

clean:
	rm -rf .venv .venv-blender .venv-blender-5.2 build dist out
