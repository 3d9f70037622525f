# Each target's line after ## is what `make help` prints.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# A worker for each core; tests/workers.py says what goes together.
PYTEST := $(BIN)/pytest -n logical --maxprocesses=4
# With it each of the hundreds of processes that the tests start would compile marquee again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

.PHONY: env
env: $(INSTALLED)  ## create .venv with everything in requirements.lock

$(INSTALLED): requirements.lock pyproject.toml scripts/setup
	@scripts/setup $(VENV)
	@touch $@

.PHONY: archive
archive: $(INSTALLED)  ## build the archives that are out of date into model_store/
	@$(BIN)/marquee archive

.PHONY: serve
serve: $(INSTALLED)  ## start TorchServe with all models and print a curl line for each
	@$(BIN)/marquee archive || test $$? -eq 3 && exec $(BIN)/marquee serve

.PHONY: studio
studio: $(INSTALLED)  ## open pages to try the models of the running server on
	@exec $(BIN)/marquee studio

.PHONY: test
test: $(INSTALLED)  ## run all tests, against the real server
	@$(PYTEST)

.PHONY: test-quick
test-quick: $(INSTALLED)  ## run the tests that start no server, but for the slow ones
	@$(PYTEST) -m "not server and not slow"

.PHONY: ray-pack-test
ray-pack-test: $(INSTALLED)  ## serve packs by the Python that MARQUEE_RAY_PYTHON names, as AWS's Ray container does
	@test -n "$$MARQUEE_RAY_PYTHON" || { echo "set MARQUEE_RAY_PYTHON to a python with ray[serve], torch, torchvision, pillow and numpy" >&2; exit 2; }
	@$(BIN)/pytest tests/ray/test_packs_served.py

.PHONY: image
image:  ## build the container image marquee:latest
	@docker/build marquee:latest

.PHONY: image-test
image-test: $(INSTALLED)  ## build the image and run it through SageMaker's contract
	@docker/image-test

.PHONY: sbom
sbom: $(INSTALLED)  ## write build/image.cdx.json: what the image is made of, but for Debian's packages
	@mkdir -p build
	@$(BIN)/python -m scripts.image_sbom > build/image.cdx.json.part && mv build/image.cdx.json.part build/image.cdx.json

.PHONY: audit
audit: $(INSTALLED)  ## ask for known holes in what is installed; accepted ones are in .trivyignore.yaml
	@$(BIN)/python -m scripts.audit

.PHONY: check
check: $(INSTALLED) cloud-validate kubernetes-validate workflows  ## lint, check formats, types, versions, workflows, the AWS template and Kubernetes' manifests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/hadolint docker/Dockerfile deploy/kubernetes/ray/Dockerfile
	@$(BIN)/python -m scripts.release check

.PHONY: workflows
workflows: $(INSTALLED)  ## check GitHub's workflows and forms: their form, rights and pins
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	@$(BIN)/zizmor --quiet --offline .github

.PHONY: coverage
coverage: $(INSTALLED)  ## run the tests without a server, and hold the share of lines that they reach
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest tests/handlers tests/marquee
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

.PHONY: gpu-check
gpu-check: gpu-check-bundle  ## check everything on this machine's GPU, in eight minutes
	@cd build/gpu-check && exec $(abspath $(BIN))/python -m bench.gpu --out ..

.PHONY: gpu-check-bundle
gpu-check-bundle: archive  ## make build/gpu-check/, to be copied to a machine with a GPU
	@$(BIN)/python -m bench.gpu_bundle build/gpu-check

.PHONY: dist
dist: $(INSTALLED)  ## build what a release has, sdists and wheels of marquee and its client, into dist/
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation .
	@$(BIN)/python -m build --no-isolation --outdir dist clients/python

.PHONY: hooks
hooks: $(INSTALLED)  ## run lint, formats and types before each commit of yours
	@$(BIN)/pre-commit install

.PHONY: cloud-validate
cloud-validate: $(INSTALLED)  ## check the AWS template: its form, and who may do what
	@$(BIN)/cfn-lint deploy/aws/template.yaml
	@$(BIN)/python -m deploy.aws.validate

.PHONY: kubernetes-validate
kubernetes-validate: $(INSTALLED)  ## check Kubernetes' manifests: their form by each release, and what a pod may do
	@$(BIN)/python -m deploy.kubernetes.validate

.PHONY: cloud-demo
cloud-demo: archive  ## put the examples through the AWS pipelines on this machine
	@exec $(BIN)/marquee cloud demo

.PHONY: fix
fix: $(INSTALLED)  ## mend what lint and format can mend by themselves
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: docs
docs: $(INSTALLED)  ## write what is generated again: docs/commands.md, schemas/, the table of settings
	@$(BIN)/python -m scripts.schemas
	@$(BIN)/python -m scripts.commands_page > docs/commands.md.part && mv docs/commands.md.part docs/commands.md

.PHONY: demo
demo: $(INSTALLED)  ## train the demo weights again (hours on two cores)
	@for model in cifar inkwash rotifer smoke timetravel; do $(BIN)/python -m handlers.$$model.demo.make || exit 1; done

.PHONY: lock
lock: $(INSTALLED)  ## resolve pyproject.toml to requirements.lock again
	@scripts/lock $(VENV)

.PHONY: bench
bench: $(INSTALLED)  ## compare with the alternatives in ten minutes, after installing them once
	@$(BIN)/python -m bench.install
	@$(BIN)/python -m bench.compare

.PHONY: bench-growth
bench-growth: $(INSTALLED)  ## show how cost grows with clients, bodies, batches, workers, models, pixels
	@$(BIN)/python -m bench.install
	@$(BIN)/python -m bench.growth

.PHONY: clean
clean:  ## remove everything that was built, the environment and your weights excepted
	@rm -rf model_store/*.mar model_store/.marquee.json logs build dist .coverage .mypy_cache .ruff_cache .pytest_cache
