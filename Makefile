# Renders services from this template, and tests it. Needs Python and make, nothing else.

# What `make diff` compares with, and the answers that it renders, one set a line.
BASE = HEAD
define COMBINATIONS
sync-sqlite
async-postgresql session_style=async database=postgresql
async-postgresql-clickhouse session_style=async database=postgresql analytics=clickhouse ci=gitlab
sync-sqlite-blank domain=blank
endef
export COMBINATIONS

# Where `make new` puts the service, and its answers: make new ARGS="project_name='My Shop' ci=none"
OUT = .
ARGS =

WORKERS = -n auto --maxprocesses 4

# uv and Cookiecutter write to the home folder, where that is possible.
export HOME := $(shell [ -w "$$HOME" ] && echo "$$HOME" || echo "$$PWD/.uv/home")
UV := $(or $(shell command -v uv),.uv/bin/uv)
BIN := .venv/bin
ENV := .venv/.installed
SERVICE := {{cookiecutter.project_slug}}
LIBRARIES := $(SERVICE)/packages/migrator $(SERVICE)/packages/testdb
PINS := $(UV) pip compile --quiet --upgrade --universal --no-emit-index-url --no-header \
	--no-annotate --group dev --group service --group contract --group bench --output-file

.PHONY: help new update test test-quick test-all check diff bench try-service soak pictures release pins clean
.DEFAULT_GOAL := help

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

# The shell takes the folder from the environment, whatever is in its name.
new: override export OUT := $(value OUT)
new: .venv/.cookiecutter ## Render a service (answers: ARGS="key=value ...", folder: OUT=dir)
	@$(BIN)/python new.py --output-dir "$$OUT" $(value ARGS)

# Also called by projects, in a clone that they make of the newest template.
update: override export PROJECT := $(value PROJECT)
update: override export SOURCE := $(value SOURCE)
update: .venv/.cookiecutter ## Show what changed for a service: PROJECT=folder [APPLY=1 TO= FROM= ARGS="key=value ..."]
	@exec $(BIN)/python -m updates $(if $(SOURCE),--source "$$SOURCE") $(if $(FROM),--from '$(FROM)') \
		$(if $(TO),--to '$(TO)') $(if $(filter-out 0 no,$(APPLY)),--apply) "$$PROJECT" $(value ARGS)

test: $(ENV) ## Run the tests of the template; ARGS="-k name" and the like pass through
	@$(BIN)/pytest $(WORKERS) -m 'not complete' $(value ARGS)

test-all: $(ENV) ## Run those as well that are marked as complete, which take long
	@$(BIN)/pytest $(WORKERS) $(value ARGS)

test-quick: $(ENV) ## Run those that install nothing and need no server, on a few renderings
	@$(BIN)/pytest $(WORKERS) --quick $(value ARGS)

# The service's Python is checked as it stands, with the settings that a project with every option has.
check: .venv/.service ## Lint and type-check all Python of the template
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@for library in $(foreach library,$(LIBRARIES),'$(library)'); do \
		for action in check 'format --check'; do \
			$(BIN)/ruff $$action --config "$$library/pyproject.toml" "$$library" || exit 1; \
		done; done
	@$(BIN)/mypy
	@rm -rf .check
	@$(BIN)/cookiecutter --no-input --output-dir .check . project_slug=service \
		package_name=placeholder_service session_style=async database=postgresql \
		analytics=clickhouse >/dev/null
	@cd '$(SERVICE)' && config=../.check/service/pyproject.toml && \
		export RUFF_CACHE_DIR=../.ruff_cache \
			MYPYPATH=packages/migrator/src:packages/testdb/src && \
		../$(BIN)/ruff check --config $$config --extend-exclude pyproject.toml,packages && \
		../$(BIN)/ruff format --check --config $$config --exclude packages && \
		../$(BIN)/mypy --config-file $$config --cache-dir ../.mypy_cache/service
	@rm -rf .check

diff: $(ENV) ## Show what users would see change since BASE=commit
	@rm -rf .diff
	@mkdir -p .diff/template
	@git archive --output .diff/base.tar '$(BASE)' --
	@tar -xf .diff/base.tar -C .diff/template
	@printf '%s\n' "$$COMBINATIONS" | while read -r name answers; do \
		for side in base now; do \
			template=.; [ $$side = now ] || template=.diff/template; \
			$(BIN)/cookiecutter --no-input --output-dir .diff/$$side/$$name $$template $$answers \
				>/dev/null || exit 1; \
			rm -rf .diff/$$side/$$name/*/.git .diff/$$side/$$name/*/.template.json; \
		done; \
	done
	@cd .diff && { git --no-pager diff --no-index --stat base now && echo "Nothing changes."; \
		git --no-pager diff --no-index base now; rm -rf ../.diff; }

bench: .venv/.bench ## Measure what isolation costs a test suite (a short look: ARGS=--quick)
	@PYTHONPATH=hooks $(BIN)/python -m benchmarks $(ARGS)

try-service: override export SOURCE := $(value SOURCE)
try-service: $(ENV) ## Try testdb on a copy of another service: SOURCE=checkout or git address [PYTHON=its python]
	@$(BIN)/python try_service.py --uv '$(UV)' $(if $(PYTHON),--python '$(PYTHON)') "$$SOURCE"

soak: $(ENV) ## Kill a service under load and look for losses: ARGS="async postgresql --seconds 30"
	@PYTHONPATH=hooks $(BIN)/python -m benchmarks.soak $(ARGS)

pictures: .venv/.service ## Draw the pictures of the documentation again
	@PYTHONPATH='$(SERVICE)/src' $(BIN)/python -m pictures

release: ## Tag this commit with the version of pyproject.toml, after checking it
	@python3 release.py

# The service is pinned with every option; what only some answer needs is then made conditional.
pins: $(ENV) ## Raise the pinned versions to the newest, here and in the service
	@$(PINS) constraints.txt pyproject.toml
	@rm -rf .pins
	@for analytics in none clickhouse; do \
		$(BIN)/cookiecutter --no-input --output-dir .pins/$$analytics . project_slug=service \
			session_style=async database=postgresql analytics=$$analytics >/dev/null && \
		$(MAKE) --no-print-directory --directory .pins/$$analytics/service pins || exit 1; \
	done
	@awk 'function when(condition) { \
			if (condition != open) { \
				if (open) print "{%- endif %}"; \
				if (condition) print "{%- if cookiecutter." condition " %}"; \
				open = condition } } \
		NR == FNR { always[$$0]; next } \
		/^(aiosqlite|greenlet|pytest-asyncio)==/ { when("session_style == \"async\""); print; next } \
		!($$0 in always) { when("analytics == \"clickhouse\""); print; next } \
		{ when(""); print }' \
		.pins/none/service/constraints.txt .pins/clickhouse/service/constraints.txt \
		>'$(SERVICE)/constraints.txt'
	@rm -rf .pins

clean: ## Remove the environment
	@rm -rf .venv .uv .check .diff .pins .*_cache

# All that rendering needs, so that a first service is there within seconds.
.venv/.cookiecutter: pyproject.toml constraints.txt | $(UV)
	@$(UV) venv --quiet --clear --python '>=3.11' .venv
	@$(UV) pip install --quiet --python .venv --constraints constraints.txt --group new
	@touch $@

$(ENV): .venv/.cookiecutter
	@echo "Installing the tools of the tests into .venv, once" >&2
	@$(UV) pip install --quiet --python .venv --constraints constraints.txt --group dev
	@touch $@

.venv/.service: $(ENV)
	@$(UV) pip install --quiet --python .venv --constraints constraints.txt --group service
	@touch $@

.venv/.bench: $(ENV)
	@$(UV) pip install --quiet --python .venv --constraints constraints.txt --group bench
	@touch $@

.uv/bin/uv:
	@python3 -m pip --version >/dev/null 2>&1 || { \
		echo "Neither uv nor pip was found. Install one of them: python3-pip, or uv." >&2; exit 1; }
	@PIP_USER=0 python3 -m pip install -qq --disable-pip-version-check --root-user-action=ignore \
		--no-compile --no-deps --target .uv uv
