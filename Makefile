# What each target does can be done by hand: docs/install.md.
# PYTHON is any Python 3.11 to 3.13; the first one that runs is taken.
SUPPORTED := import sys; sys.exit(not (3, 11, 4) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3 python; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)
PROFILE ?= demo
DATA ?=
RUN ?= runs/latest
export PROFILE DATA RUN TORCH ESSENTIA  # the shell takes them as they are: a folder's name may hold blanks, quotes and ;
BIN := .venv/bin
MUSICNN := musicnn==0.1.0  # without its dependencies, which ask for TensorFlow 1: only its weights are used
EXTRAS := --extra all --extra dev --extra dask

.PHONY: run all transfer exercises solutions test test-avx2 test-browser test-browsers test-real test-cluster bench torture torture-short animation lab site linkcheck lint lock audit clean

# The paper: notebooks 1 to 4. All of them: make all.
EXECUTE = $(BIN)/python -m genre_utils run --profile "$$PROFILE" $${DATA:+--set "dataset=$$DATA"}
run: .venv/installed
	$(EXECUTE)

all: .venv/installed
	$(EXECUTE) --notebooks all

# Your own genres: DATA is a folder with one folder per genre. They are classified by a pretrained network's features.
transfer: PROFILE = transfer
transfer: run

# The exercises and each lesson's last section, from notebooks/solutions, which is their only source.
exercises: .venv/installed
	$(BIN)/python notebooks/exercises.py generate

# Executes the solutions of the lessons that RUN has executed; each check must accept them and refuse wrong answers.
solutions: .venv/installed
	$(BIN)/python notebooks/exercises.py run "$$RUN"

# A file of tests belongs to one process, so that what its tests share is made once. More than four wait for memory.
# Each computes on one thread: threads of several processes would wait for one another.
TOGETHER := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
test: .venv/installed
	$(TOGETHER) -m "not real and not browser and not cluster"

# Sums of float32 differ with the kernels that libraries take for a CPU. These tests once more with what they take where
# AVX-512 is missing, TensorFlow by oneDNN and by itself. Where it is missing, make test has done the first of these.
# NumPy refuses names that it does not know: pyproject.toml's filter of warnings makes it an error.
AVX2 := ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR"
NETWORKS := tests/models tests/training/test_recipe.py
SIGNALS := tests/features/test_spectrogram.py tests/features/test_handcrafted.py tests/splits/test_fingerprinting.py \
	tests/evaluation/test_novelty.py tests/inference/test_export.py
test-avx2: .venv/installed
	! grep -qsw avx512f /proc/cpuinfo || \
		$(AVX2) $(TOGETHER) -m "not real" $(NETWORKS) $(SIGNALS)
	$(AVX2) TF_ENABLE_ONEDNN_OPTS=0 $(BIN)/python -m pytest $(NETWORKS)

# Importing all other files of tests would take longer than some of these tests.
marked = $(shell grep -rlE 'mark\.$(1)|"$(1)"' --include='test_*.py' tests)

# The explorer and notebook 4 in a real browser: the first Chromium or Chrome found, or the one that CHROMIUM names.
test-browser: .venv/browser
	$(BIN)/python tests/browser/chromium.py
	$(BIN)/python -m pytest -n auto --maxprocesses 2 --dist loadfile tests/browser

# The pictures of the explorer in README and docs, from the newest run; take one of the profile demo.
animation: .venv/browser
	$(BIN)/python docs/animation.py runs/latest/explorer/index.html

# The explorer's page in Chromium, Firefox and WebKit, as far as they are installed: the script names Debian's packages.
test-browsers: .venv/browser
	$(BIN)/python -m benchmarks.reliability.browsers

# Extraction and training in several processes on loopback; those with Dask are left out where it is not installed.
test-cluster: .venv/installed
	$(BIN)/python -m pytest -m cluster $(call marked,cluster)

# The 80 real clips or more, in the folder that GENRE_DATA_HOME names.
test-real: .venv/installed
	$(BIN)/python -m pytest -m real $(call marked,real)

# What is fast, as ratios taken in one run each, on an idle machine: tables here, JSON under runs/bench, a quarter of an
# hour in all. TORCH and ESSENTIA each name a Python that has the rival; DATA names the music. The explorer is measured
# where make test-browser has installed what that needs.
bench: .venv/installed
	mkdir -p runs/bench
	$(BIN)/python -m benchmarks.speed.features --data "$${DATA:-demo}" $${ESSENTIA:+--essentia "$$ESSENTIA"} --sizes --json runs/bench/features.json
	$(BIN)/python -m benchmarks.speed.scaling --json runs/bench/scaling.json
	$(BIN)/python -m benchmarks.speed.pipeline --json runs/bench/pipeline.json
	$(BIN)/python -m benchmarks.speed.training $${TORCH:+--torch "$$TORCH"} --json runs/bench/training.json
	$(BIN)/python -m benchmarks.speed.inference --data "$${DATA:-demo}" --json runs/bench/inference.json
	$(BIN)/python -m benchmarks.speed.startup --json runs/bench/startup.json
	$(BIN)/python -m benchmarks.speed.optimisations --json runs/bench/optimisations.json
	if [ -e .venv/browser ]; then $(BIN)/python -m benchmarks.speed.explorer --data demo --json runs/bench/explorer.json; fi

# What breaks it, tried in numbers: docs/reliability.md, made anew under runs/torture, in about 20 minutes. It goes on
# where one part finds something wrong, and fails in the end.
TORTURES := broken_files broken_settings fuzz faults kills
torture: .venv/installed
	mkdir -p runs/torture
	failed=; for script in $(TORTURES); do \
		$(BIN)/python -m benchmarks.reliability.$$script --json runs/torture/$$script.json || failed="$$failed $$script"; done; \
	$(BIN)/python -m benchmarks.reliability.page runs/torture > runs/torture/reliability.md; test -z "$$failed" || { echo "wrong:$$failed"; exit 1; }

# A few tries of each, and whether the same seed gives the same results.
torture-short: .venv/installed
	for script in $(TORTURES) determinism; do $(BIN)/python -m benchmarks.reliability.$$script --short || exit 1; done

lab: .venv/installed
	$(BIN)/python -m ipykernel install --sys-prefix --name python3
	$(BIN)/jupyter lab --notebook-dir . notebooks/01_eda.ipynb

# A web site in site/ from a run on demo music. If RUN is not given, all notebooks are run first.
site: .venv/site
	$(if $(filter file,$(origin RUN)),$(EXECUTE) --notebooks all && $(BIN)/python notebooks/exercises.py run "$$RUN")
	$(BIN)/python docs/build_site.py "$$RUN"

# The site's links to other sites, over the network.
linkcheck: .venv/site
	$(BIN)/python docs/build_site.py

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/numpydoc lint $$(git ls-files 'genre_utils/*.py')
	$(BIN)/nbstripout --verify notebooks/*.ipynb notebooks/*/*.ipynb

# Needs uv (pip install uv); run it after a change of pyproject.toml's dependencies.
lock:
	uv pip compile --universal --python-version 3.11 --fork-strategy fewest $(EXTRAS) --no-header \
		--upgrade --output-file requirements.txt pyproject.toml
	uv pip compile --universal --python-version 3.11 --fork-strategy fewest $(EXTRAS) --extra browser --no-header \
		--no-annotate --constraint requirements.txt pyproject.toml \
		| grep -vxFf requirements.txt > tests/browser/requirements.txt
	uv pip compile --universal --python-version 3.11 --fork-strategy fewest $(EXTRAS) --extra site --no-header \
		--no-annotate --constraint requirements.txt pyproject.toml \
		| grep -vxFf requirements.txt > docs/requirements.txt

# Known vulnerabilities of what is locked, asked of PyPI over the network, by a tool that stands apart from the locks.
# --strict: a package that PyPI does not answer for counts as unaudited, not as safe.
audit: .venv/audit/installed
	.venv/audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
		-r requirements.txt -r tests/browser/requirements.txt -r tests/audit/requirements.txt -r docs/requirements.txt

# Everything that can be made again: environment, runs, demo music, features. Downloads stay.
clean:
	rm -rf .venv runs build site *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	rm -rf data/demo data/features data/training

.venv/installed: requirements.txt pyproject.toml
	@"$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || { \
		echo "Python 3.11.4 to 3.13 is needed: TensorFlow has no build for others. Found: $$("$(or $(PYTHON),python3)" --version 2>&1)."; \
		echo "Install Python 3.13 (python.org, conda, uv, pyenv or the system's packages), then: make PYTHON=/path/to/python3.13"; exit 1; }
	@echo "Installing into .venv: 3.4 GB of disk, and some minutes. It is done once."
	"$(PYTHON)" -m venv --clear .venv
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-deps --no-build-isolation $(MUSICNN) -e .
	@echo "Compiling what librosa compiles once (half a minute, which notebook 2 would wait for) ..."
	$(BIN)/python -c "import librosa, numpy; librosa.feature.melspectrogram(y=numpy.zeros(4096, numpy.float32))"
	touch $@

.venv/browser: .venv/installed tests/browser/requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -r tests/browser/requirements.txt
	touch $@

.venv/site: .venv/installed docs/requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -r docs/requirements.txt
	touch $@

.venv/audit/installed: tests/audit/requirements.txt
	"$(PYTHON)" -m venv --clear .venv/audit
	.venv/audit/bin/python -m pip install --disable-pip-version-check --progress-bar off -r tests/audit/requirements.txt
	touch $@
