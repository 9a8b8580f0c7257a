# Every target but clean bootstraps .venv from pyproject.toml and constraints.txt, and does nothing where that is current.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
RUNS ?=
# Stages at a time; by default as many as have their threads and memory.
JOBS ?=
PORT ?= 5000

export PYTHONPATH := src
export JOBS

.PHONY: repro smoke full paper start test lint format ui playground bench clean
.DEFAULT_GOAL := repro

repro: $(READY)  ## rebuild everything, or RUNS="vae dcgan" alone
	@$(BIN)/python pipelines/repro.py $(RUNS)

smoke: $(READY)  ## the same pipeline in minutes, in build/smoke
	@$(BIN)/python pipelines/run_profile.py smoke $(RUNS)

full: $(READY)  ## the default runs and those of profiles/full.yaml, in build/full, on the same cache
	@$(BIN)/python pipelines/run_profile.py full $(RUNS)

paper: $(READY)  ## the runs of profiles/paper.yaml on top of those of `full`, in build/paper; RUNS=dcgan alone; wants a GPU
	@$(BIN)/python pipelines/run_profile.py paper $(RUNS)

start: $(READY)  ## whether the runs of profiles/paper.yaml start: 20 steps of each, exported, in build/paper-start
	@$(BIN)/python pipelines/start_profile.py paper 20 $(RUNS)

test: $(READY)
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

ui: $(READY)  ## MLflow on what there is, on this machine only
	@$(BIN)/python pipelines/ui.py $(PORT)

playground: $(READY)  ## the shipped files in the browser, on this machine only
	@$(BIN)/python pipelines/playground.py $(PORT)

bench: $(READY)
	@$(BIN)/python benchmarks/training.py
	@PYTHONPATH=src:. $(BIN)/python benchmarks/metrics.py

clean:  ## what the pipeline made, but for reports and MLflow; downloads stay in DVC's cache
	rm -rf build data dist .features history journal judges models onnx plots references snapshots weights/*/ extractors/*/ .checkpoints

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (once; minutes on a slow connection)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	@touch $@
