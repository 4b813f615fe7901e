# Every target says what it does: make help.

# Tools are pinned here and run from source; another build of one can be named, for
# example: make lint GOLANGCI_LINT=golangci-lint
GOLANGCI_LINT ?= go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   ?= go run golang.org/x/vuln/cmd/govulncheck@v1.8.0

# Another vulnerability database, for where https://vuln.go.dev is out of reach.
GOVULNDB ?=

FUZZTIME     ?= 60s
CRASH_CYCLES ?= 50
RELOADS      ?= 200
HISTORY      ?= 5m
SOAK         ?= 100000
DIFFERENTIAL ?= 2000
ENGINE       ?= docker
BENCH        ?= .
BENCHTIME    ?= 300ms
E2E          ?= -reps 15 -logout 2s

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run the sidecar in front of the example API, ready to try
	go run ./cmd/quickstart

.PHONY: build
build: ## Build Caddy with this plugin: bin/caddy
	go build -trimpath -o bin/caddy ./cmd/caddy

.PHONY: test
test: ## Run go vet and all tests, with the race detector if there is a C compiler
	script/test

.PHONY: lint
lint: ## Run golangci-lint; its rules are in .golangci.yml
	$(GOLANGCI_LINT) run ./...
	cd deploy/kubernetes/validate && $(GOLANGCI_LINT) run ./...

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what is called; GOVULNDB=<url> for another database
	$(GOVULNCHECK) $(if $(GOVULNDB),-db $(GOVULNDB) )./...

.PHONY: fuzz
fuzz: ## Fuzz every fuzz target for FUZZTIME (60s)
	script/fuzz $(FUZZTIME)

.PHONY: crash
crash: ## Kill the built binary CRASH_CYCLES (50) times and look for lost logouts
	CRASH_CYCLES=$(CRASH_CYCLES) go test -count=1 -timeout 30m -run Crash ./...

.PHONY: reload
reload: ## Reload the built binary RELOADS (200) times under load and look for failed requests
	RELOADS=$(RELOADS) go test -count=1 -timeout 30m -run Reload ./e2e

.PHONY: soak-connections
soak-connections: ## Open and end SOAK (100000) WebSockets and look for what is left of them
	SOAK_CONNECTIONS=$(SOAK) go test -count=1 -timeout 30m -v -run NothingIsLeftOfMany ./caddymodule

.PHONY: history
history: ## Kill, cut off and slow down three replicas and their store for HISTORY (5m) each, and check what they answered
	HISTORY_DURATION=$(HISTORY) go test -count=1 -timeout 60m -v -run History ./e2e/history

.PHONY: differential
differential: ## Send DIFFERENTIAL (2000) odd requests for each configuration to real frameworks, and ask what they read
	DIFFERENTIAL_REQUESTS=$(DIFFERENTIAL) DIFFERENTIAL_SEED=$$(date +%s) go test -count=1 -timeout 60m -run NothingThatWasNotJudged ./e2e/differential

.PHONY: bench
bench: bench-check bench-stores bench-e2e bench-websockets ## Run all benchmarks with short settings: some minutes

.PHONY: bench-stores
bench-stores: ## Measure the stores: delays between replicas, logouts a second, memory, time to ready
	go run ./bench/propagation

.PHONY: bench-check
bench-check: ## Run the benchmarks in one process that match BENCH (all), each for BENCHTIME (300ms)
	go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 60m ./bench ./token ./websocket ./revocation/...

.PHONY: bench-e2e
bench-e2e: ## Compare the sidecar with plain Caddy, with wrk; E2E='-help' shows the options
	go run ./bench/e2e $(E2E)

.PHONY: bench-websockets
bench-websockets: ## Measure open connections: memory, time until a logout has closed them, throughput; WS='-help' shows the options
	go run ./bench/websockets $(WS)

.PHONY: image
image: ## Build the image caddy-token-auth with ENGINE (docker)
	$(ENGINE) build -f xcaddy.Dockerfile -t caddy-token-auth .

.PHONY: image-test
image-test: ## Build the image on stand-ins for its base images and run it, as root on Debian: some minutes
	deploy/image/test.sh

.PHONY: fmt
fmt: ## Format Go files and caddyfile.example
	$(GOLANGCI_LINT) fmt ./...
	go run ./cmd/caddy fmt --overwrite caddyfile.example

.PHONY: clean
clean: ## Remove what was built, and the quickstart's data
	rm -rf bin dist .quickstart coverage.txt
