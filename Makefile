# make lab      open the notebooks                make test     run everything that must hold
# make run      execute all notebooks             make lint     ruff only
# make ends     a part of the tests with the oldest versions allowed, and with the newest Python
# make site     the site and the playground, in build/site/
# make slides   slides of the notebooks           make bundle   all for a course without a network, in build/bundle/
# make index    refresh notebooks/00_index.ipynb
# make tree     refresh the tree of the README    make colab REPO=https://github.com/you/your-fork     write badges

PYTHON ?= python3
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS)
OFFICIAL := sam2==1.1.0
REFERENCE_METRICS := trackeval==1.3.0
EXPORT_READER := datumaro==1.13.12

# Both ends of what is supported. A Python of pyenv, else of the system, else the one at hand.
python_of = $(firstword $(wildcard $(HOME)/.pyenv/versions/$(1).*/bin/python) $(shell command -v python$(1)) $(PYTHON))
OLDEST := build/oldest
NEWEST := build/newest
END_TOOLS := "pytest>=8" "pytest-timeout>=2.3" "hypothesis>=6.100" "scikit-image>=0.22"
ENDS := tests/test_build.py tests/media tests/weights/test_torch_file.py tests/predict/test_image.py \
	tests/predict/test_prompts.py tests/predict/test_precision.py tests/predict/video/test_tracker.py \
	tests/hardening/test_properties.py tests/hardening/test_fuzz.py

.PHONY: lab run test ends lint checkpoint site slides bundle index colab tree clean

lab: $(VENV)/lab.done checkpoint
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/01_setup.ipynb

run: $(VENV)/lab.done checkpoint
	$(BIN)/python tools/run_notebooks.py

test: $(VENV)/test.done checkpoint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --nbval --nbval-current-env tests notebooks

ends: $(OLDEST)/done $(NEWEST)/done
	for end in $(OLDEST) $(NEWEST); do \
		$$end/bin/python -c "import sys, torch; print('Python', sys.version.split()[0], 'torch', torch.__version__)" && \
		PYTHONPATH=. OMP_NUM_THREADS=1 $$end/bin/python -m pytest -q --timeout 120 -p no:cacheprovider \
			-m "not slow and not parity and not genuine" $(ENDS) || exit 1; done

lint: $(VENV)/test.done
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

# What can be fetched, if it can: the default checkpoint (everything also runs on sam2nb_nano, which is in the repository)
# and onnxruntime-web, with which widgets decode in the browser.
checkpoint: $(VENV)/lab.done
	@$(BIN)/python -m sam2nb download sam2_hiera_tiny || echo "No checkpoint could be fetched; the notebooks use sam2nb_nano."
	@$(BIN)/python -m sam2nb download onnxruntime-web || echo "onnxruntime-web could not be fetched; Python draws the masks of widgets."

site: $(VENV)/site.done
	$(BIN)/python -m sphinx --quiet --fail-on-warning -c docs -d build/doctrees . build/site
	$(BIN)/python tools/make_site.py
	$(BIN)/python tools/check_links.py build/site

slides: $(VENV)/lab.done
	$(BIN)/python tools/make_slides.py

# Options: make bundle BUNDLE="--cpu --platform win_amd64 --checkpoint sam2.1_hiera_tiny"
bundle: $(VENV)/test.done
	$(BIN)/python tools/bundle.py $(BUNDLE)

index: $(VENV)/lab.done
	$(BIN)/python tools/make_index.py && $(BIN)/python tools/run_notebooks.py --in-place notebooks/00_index.ipynb

colab: $(VENV)/lab.done
	$(BIN)/python tools/colab.py "$(REPO)"

tree:
	$(PYTHON) tools/readme_tree.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/lab.done: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable ".[lab,train,onnx]"
	touch $@

$(VENV)/site.done: $(VENV)/lab.done pyproject.toml
	$(PIP) --editable ".[onnx,site]"
	touch $@

# The official packages are the references of the tests. Installed without their dependencies: they would bring a
# compiler, another torch and another OpenCV, none of which is needed.
$(VENV)/test.done: $(VENV)/lab.done pyproject.toml
	$(PIP) --editable ".[test]"
	SAM2_BUILD_CUDA=0 $(PIP) --no-deps --no-build-isolation $(OFFICIAL)
	$(PIP) --no-deps $(REFERENCE_METRICS) $(EXPORT_READER)
	touch $@

$(OLDEST)/done: requirements.txt tools/oldest.py
	$(call python_of,3.10) -m venv $(OLDEST)
	$(PYTHON) tools/oldest.py > $(OLDEST)/pins.txt
	$(OLDEST)/bin/python -m pip install --quiet $(PIP_FLAGS) -r $(OLDEST)/pins.txt $(END_TOOLS)
	touch $@

$(NEWEST)/done: requirements.txt
	$(call python_of,3.13) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet $(PIP_FLAGS) -r requirements.txt $(END_TOOLS)
	touch $@

clean:
	rm -rf $(VENV) build dist
