# Everything that a person does with this repository. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export CGO_ENABLED ?= 1

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build bin/nomadhub
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/nomadhub ./cmd/nomadhub

.PHONY: run
run: build ## Run a hub on this machine, with Jupyter, and print a link to log in
	@python=$$(go run ./internal/cmd/pyenv hub5) && exec bin/nomadhub dev -dir .run -notebook "$$python/jupyterhub-singleuser" $(ARGS)

.PHONY: cluster
cluster: build ## Run real Nomad, Consul, Vault and Postgres here, and the hub on them
	@go run ./internal/cmd/deps compiler postgres
	@go build -o bin/cluster ./internal/cmd/cluster && exec bin/cluster $(ARGS)

.PHONY: tools
tools: ## Prepare what tests and the cluster need: servers, Python environments, a browser, a container engine, networks
	@go run ./internal/cmd/deps compiler postgres chromium docker network prometheus
	@go run ./internal/cmd/tools
	@go run ./internal/cmd/pyenv hub5 hub4 hub3 hub6 programs examples culler schemathesis hub5-api

# Tests of packages that start real servers run one package after the other: two cores are few.
.PHONY: test
test: tools build ## Run every test, the browser and the real stack included
	@{ NOMADHUB_TEST_REQUIRE=1 go test -json -race -p 2 -timeout 40m ./... ; cd bench && go test -mod=mod -json -timeout 10m ./... ; } | go run ./internal/cmd/testsum

FUZZ ?= 5m
.PHONY: fuzz
fuzz: tools ## Try made-up input for long: FUZZ=5m for each fuzz test, and as much for the API
	@NOMADHUB_TEST_REQUIRE=1 NOMADHUB_TEST_SCHEMATHESIS=$(FUZZ) go test -count=1 -timeout 24h -run '^TestSchemathesis$$' ./api
	@grep -roE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' --exclude-dir=bench . | while IFS=: read -r file fuzz; do \
		go test -run '^$$' -fuzz "^$${fuzz#func }$$" -fuzztime $(FUZZ) "$$(dirname "$$file")"; done

.PHONY: bench
bench: build ## Measure the hub beside its peers, as root on two cores; ARGS='-only O13' measures a part
	@go run ./internal/cmd/deps compiler postgres
	@go run ./internal/cmd/tools
	@go run ./internal/cmd/pyenv hub5 culler || echo 'make bench: without JupyterHub and its culler to compare with' >&2
	@cd bench && go build -mod=mod -o ../bin/bench . && exec ../bin/bench -hub ../bin/nomadhub -out ../bin/bench.jsonl -page ../bin/performance.md $(ARGS)

.PHONY: lint
lint: ## Check form and style
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo 'The files above are not formatted; run: make fmt' >&2; exit 1; }
	@go vet -tags failpoints ./hub ./cmd/nomadhub
	@go run ./internal/cmd/lint run ./...
	@go build -o bin/lint ./internal/cmd/lint && cd bench && ../bin/lint run ./...
	@terraform fmt -check -recursive terraform 2>/dev/null || ! command -v terraform >/dev/null
	@echo 'lint passed'

.PHONY: fmt
fmt: ## Format code
	@go run ./internal/cmd/lint fmt
	@command -v terraform >/dev/null && terraform fmt -recursive terraform || true

.PHONY: generate
generate: ## Write the reference of options anew, from the code
	@go run ./cmd/nomadhub config -format markdown > docs/reference/configuration.md
	@go run ./cmd/nomadhub help -markdown > docs/reference/commands.md
