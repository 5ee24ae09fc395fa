# The two commands of the README are `make run` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
STANDIN_IMAGES ?= ../shared/tools/standin-images.sh
STORE ?= .cofi/$(if $(RATINGS),store,demo-store)
PORT ?= 8080
PYTHONS ?= 3.11 3.12 3.13
BIN := $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE  # else each of the many processes would compile the project again

.PHONY: help run ui demo-ui test test-fast test-pythons install-check lint audit browser spark e2e e2e-ray bench bench-quality bench-similar bench-ingest bench-bad-files bench-night bench-small bench-ray bench-index bench-regression bench-full secrets up down trigger torture lock clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-16s %s\n", $$1, $$2}'

run: $(VENV)/.ready ## Run the job with Airflow on MovieLens, or on your files: RATINGS=<file> ITEMS=<file> STORE=<folder>
	@$(BIN)/python -u -m demo.run --store "$(STORE)" $(foreach f,$(RATINGS),--ratings "$(f)") $(if $(ITEMS),--items "$(ITEMS)")

ui: $(VENV)/.ready ## Start Airflow with its UI, on the home and store of `make run` (with its STORE= or RATINGS=); PORT=8090; Ctrl-C ends it
	@$(BIN)/python -u -m demo.ui --store "$(STORE)" --port "$(PORT)"

demo-ui: $(VENV)/.ready ## The same, at the report of the newest run; the first time it runs the job as `make run` does
	@$(BIN)/python -u -m demo.ui --store "$(STORE)" --port "$(PORT)" --report

test: lint $(VENV)/.ray-ready ## Run all tests
	$(BIN)/python -m pytest

test-fast: $(VENV)/.ready ## Run the tests that need no Airflow and no browser and kill nothing: for the inner loop
	$(BIN)/python -m pytest -n 2 -m "not slow"

# Another Python is asked whether it does the same: hypothesis gives it the same examples each time.
test-pythons: $(VENV)/.ready ## Run the fast tests on each other Python from 3.11 to 3.13 that the machine has; PYTHONS=3.13
	@for version in $(PYTHONS); do \
	  $(BIN)/python -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] == '$$version')" || continue; \
	  python=$$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python 2>/dev/null | tail -1); \
	  python=$${python:-$$(command -v python$$version)}; \
	  $${python:-false} -c "" 2>/dev/null || { echo "Python $$version: NOT TESTED, there is none"; continue; }; \
	  PYTEST_ADDOPTS=--hypothesis-profile=fixed $(MAKE) test-fast PYTHON=$$python VENV=$(VENV)-$$version || exit 1; \
	done

install-check: $(VENV)/.ready ## Install the wheel beside two versions of Airflow, and run a DAG there; AIRFLOW_CONSTRAINTS=<folder>
	$(BIN)/python -m pytest -n 0 e2e/test_install.py

lint: $(VENV)/.ready ## Check format, style, types, and which room imports which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

browser: $(VENV)/.ready ## A first hour, Airflow's UI and reports in a real browser; needs Chromium (Debian: apt-get install chromium)
	$(BIN)/python -m pytest -n 0 e2e/test_first_hour.py e2e/test_ui.py e2e/test_report.py

spark: $(VENV)/.ready $(VENV)-spark/.ready ## Read the outputs with Spark, in an environment of its own; needs Java 17 or newer (Debian: apt-get install default-jre-headless)
	@SPARK_VENV="$(VENV)-spark" $(BIN)/python -m pytest -n 0 e2e/test_spark.py

e2e: $(VENV)/.ready ## Boot the whole stack in containers, run two nights, kill a worker; STANDIN_IMAGES=<script> where no images can be pulled
	@STANDIN_IMAGES="$(STANDIN_IMAGES)" $(BIN)/python -u -m e2e.run

e2e-ray: $(VENV)/.ray-ready ## Runs on 1, 2 and 4 machines of a Ray cluster, some killed or cut off (namespaces of Linux), and the stack's profile ray
	@unshare --user --map-root-user --net --mount --pid --fork --kill-child --mount-proc \
	  $(BIN)/python -m pytest -n 0 e2e/test_ray.py
	@STANDIN_IMAGES="$(STANDIN_IMAGES)" $(BIN)/python -u -m e2e.run --ray

torture: $(VENV)/.torture-ready ## Attack what docs/outputs.md promises: kills, power cuts, disk errors, races, odd input, nights, buckets; ONLY=steps,nights CASES=10
	@$(BIN)/python -u -m torture $(if $(ONLY),--only "$(ONLY)") $(if $(CASES),--cases "$(CASES)")

bench: $(VENV)/.ready $(VENV)-peers/.ready ## Training and scoring beside implicit, lenskit, surprise, Spark and faiss; needs Java, gcc and cmake
	@PEERS_VENV="$(VENV)-peers" $(BIN)/python -u -m benchmarks.compare --images docs/images

bench-quality: $(VENV)/.ready $(VENV)-peers/.ready ## How good the lists are on real ratings, beside tuned peers; SETS=sample,check-ins, or RATINGS=<file>
	@PEERS_VENV="$(VENV)-peers" $(BIN)/python -u -m benchmarks.quality $(if $(SETS),--sets "$(SETS)") $(foreach f,$(RATINGS),--ratings "$(f)") $(if $(KEEP_PEERS),--keep-peers) $(if $(SETS)$(RATINGS),,--document docs/benchmarks.md)

bench-similar: $(VENV)/.ready $(VENV)-peers/.ready ## How good similar items are on real ratings, beside implicit's; SETS=sample,check-ins
	@PEERS_VENV="$(VENV)-peers" $(BIN)/python -u -m benchmarks.similar_items $(if $(SETS),--sets "$(SETS)")

bench-ingest: $(VENV)/.ready ## Time and memory of 1, 10 and 100 million ratings, beside DuckDB's COPY, three times; SIZES=1000000,10000000
	@$(BIN)/python -u -m benchmarks.ingest --image docs/images/growth.png $(if $(SIZES),--sizes $(SIZES))

bench-bad-files: $(VENV)/.ready ## Time and memory of ingest on files that are mostly broken, by size
	@$(BIN)/python -u -m benchmarks.bad_files

bench-night: $(VENV)/.ready ## Time and memory of a first and a nightly run, step by step; SIZES=100000,1000000, or RATINGS=<file>
	@$(BIN)/python -u -m benchmarks.night $(if $(SIZES),--sizes $(SIZES)) $(if $(RATINGS),--ratings "$(RATINGS)")

bench-ray: $(VENV)/.ray-ready $(VENV)-spark/.ready ## Time and memory of train in one process, on 1, 2 and 4 workers of Ray, and of Spark where Java is, and plans; SIZES=300000x20000,1000000x50000 SPARK_MINUTES=0
	@PEERS_VENV="$(VENV)-spark" $(BIN)/python -u -m benchmarks.scaling $(if $(SIZES),--sizes $(SIZES)) $(if $(SPARK_MINUTES),--spark-minutes $(SPARK_MINUTES))

bench-index: $(VENV)-peers/.ready ## What an approximate index of items would give, by faiss: MODEL=<store>/current/model ITEMS=200000
	@$(VENV)-peers/bin/python -m benchmarks.item_index "$(MODEL)" $(if $(ITEMS),--items $(ITEMS))

bench-regression: $(VENV)/.ready ## Fail where something takes much more processor time, by a plain peer's, than it did
	@TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m benchmarks.regression

bench-small: $(VENV)/.ready ## What each task of a small night costs beyond its work, in a whole Airflow; RATINGS=<file>
	@$(BIN)/python -u -m benchmarks.small_night $(if $(RATINGS),--ratings "$(RATINGS)")

bench-full: $(VENV)/.ready $(VENV)-spark/.ready ## Whole nights of 1, 10 and 100 million ratings, beside DuckDB's COPY and Spark; 16 GB of memory; needs Java
	@PEERS_VENV="$(VENV)-spark" $(BIN)/python -u -m benchmarks.night --sizes 1000000,10000000,100000000 --peers --image docs/images/night.png

secrets: ## Write fresh secrets for the stack into .env, once
	@$(PYTHON) deploy/write_secrets.py .env

up: .env ## Start the stack of docker-compose.yaml, with its UI on http://localhost:8080
	@docker compose up --build --detach --wait

.env:
	@echo "found no .env; make secrets writes it"; exit 1

down: ## Stop the stack; its volumes stay
	@docker compose down

trigger: ## Run the DAG in the stack now: RATINGS=<file> ITEMS=<file> SET="<param>=<value> ..."
	@$(PYTHON) -u deploy/trigger.py $(foreach f,$(RATINGS),--ratings "$(f)") $(foreach f,$(ITEMS),--items "$(f)") $(foreach s,$(SET),--set '$(s)')

EXTRAS = airflow gcs postgres s3 tune
COMPILE = $(BIN)/uv pip compile -q --universal --no-header --generate-hashes
lock: $(VENV)/.ready ## Resolve the dependencies in pyproject.toml into the locks that are installed
	$(COMPILE) --python-version 3.11 $(EXTRAS:%=--extra %) pyproject.toml -o requirements.txt
	$(COMPILE) --python-version 3.11 --group pyproject.toml:dev -c requirements.txt -o requirements/dev.txt
	$(COMPILE) --python-version 3.11 --extra gcs --extra ray --extra s3 pyproject.toml -c requirements.txt -c requirements/dev.txt -o requirements/ray.txt
	$(COMPILE) --python-version 3.11 --group pyproject.toml:torture -c requirements.txt -c requirements/dev.txt -o requirements/torture.txt
	$(COMPILE) --python-version 3.12 --group pyproject.toml:image -c requirements.txt -o requirements/image.txt
	$(COMPILE) --python-version 3.11 --group pyproject.toml:spark -o requirements/spark.txt
	$(COMPILE) --python-version 3.11 --group pyproject.toml:peers -o requirements/peers.txt

audit: ## Look up the locked packages in the OSV database of vulnerabilities; IGNORE="<id> ..." for those you have looked at
	@$(PYTHON) deploy/audit.py requirements.txt requirements/*.txt $(foreach id,$(IGNORE),--ignore $(id))

clean: ## Remove the environment, the private Airflow home and the demo stores
	rm -rf $(VENV) $(VENV)-peers $(VENV)-spark $(VENV)-3.* .cofi

# uv installs the locks, and the project beside them: the uv of the machine, else one from inside the environment.
UV = uv=$$(command -v uv || echo $(BIN)/uv); UV_PYTHON= $$uv
SYNC = $(UV) pip sync --quiet --require-hashes

$(VENV)/.ready: pyproject.toml requirements.txt requirements/dev.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(f"found Python {v[0]}.{v[1]}, expected 3.11 to 3.13; say which: make PYTHON=python3.12 ...") if not (3, 11) <= v[:2] <= (3, 13) else 0'
	@echo "installing into $(VENV), once, a few minutes"
	@{ test -x $(BIN)/python && { command -v uv || test -x $(BIN)/uv; } >/dev/null; } || if command -v uv >/dev/null; then uv venv --quiet --clear --python $(PYTHON) $(VENV); else \
		$(PYTHON) -m venv --clear $(VENV) || { echo "found no working venv module, expected one (Debian: apt-get install python3-venv)"; exit 1; }; \
		grep -A99 '^uv==' requirements/dev.txt | sed '/^ *#/,$$d' >$(VENV)/uv.txt; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt; fi
	@$(SYNC) --compile-bytecode --python $(BIN)/python requirements.txt requirements/dev.txt
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

$(VENV)/.ray-ready: requirements/ray.txt $(VENV)/.ready
	@$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(BIN)/python -r requirements/ray.txt
	@touch $@

$(VENV)/.torture-ready: requirements/torture.txt $(VENV)/.ready
	@$(UV) pip install --quiet --require-hashes --python $(BIN)/python -r requirements/torture.txt
	@touch $@

$(VENV)-spark/.ready: requirements/spark.txt $(VENV)/.ready
	@echo "installing Spark into $(VENV)-spark, once, a few minutes"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(VENV)-spark
	@$(SYNC) --python $(VENV)-spark/bin/python requirements/spark.txt
	@touch $@

$(VENV)-peers/.ready: requirements/peers.txt $(VENV)/.ready
	@echo "installing the peers into $(VENV)-peers, once, some minutes and 6 GB"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(VENV)-peers
	@$(SYNC) --python $(VENV)-peers/bin/python requirements/peers.txt
	@touch $@
