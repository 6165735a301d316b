# Type "make" for the list of targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build run setup test test-long lint fuzz bench bench-compare bench-persist bench-proxy bench-growth bench-ref clean

ADDR ?= 127.0.0.1:11211
FUZZTIME ?= 20s
REF ?= HEAD
RIVALS ?= memcached,redis-server,pogocache
PROXIES ?= memcached,nutcracker

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/holdfast, one static program
	CGO_ENABLED=0 go build -trimpath -o bin/holdfast ./cmd/holdfast

run: build ## build, and serve on 127.0.0.1:11211 (ADDR=host:port for another)
	@echo "Serving on $(ADDR); Ctrl-C ends it. From another terminal:"
	@echo "  bin/holdfast admin --addr $(ADDR) set greeting hello"
	@echo "  bin/holdfast admin --addr $(ADDR) get greeting"
	@echo "  bin/holdfast admin --addr $(ADDR) stats"
	@echo "or any memcached client."
	@exec bin/holdfast serve -l $(ADDR) -A

setup: ## install what the tests need: a real memcached and real clients (into .venv)
	integration/setup.sh

test: setup build ## all tests: unit, race, scripts, dialogues with real servers and clients
	go test -timeout 30m ./...
	go test -timeout 30m -tags heaparena ./slab ./server
	go test -timeout 30m -race -short ./protocol ./slab ./server ./cluster/...
	go test -timeout 30m -race -short -skip 'Every|Byte|Cut|Crash|Huge|Fuzz' ./persist # what is left out has one goroutine

test-long: setup build ## the soak: half an hour of everything at once, hundreds of kills, stale reads, then the fuzzers
	HOLDFAST_LONG=30m go test -run 'Mixed|TestKill|FullAnywhere|TestStale|ManyNodes|TestGrow|TestReloads' -v -timeout 120m ./integration ./slab
	$(MAKE) fuzz FUZZTIME=2m

lint: ## go vet, staticcheck, errcheck, gofumpt; for other systems too
	go vet ./...
	go vet -tags heaparena ./...
	GOOS=darwin go vet ./cmd/... ./server ./slab ./protocol ./persist ./cluster
	go tool staticcheck ./...
	go tool errcheck -ignoretests -exclude .ci/errcheck-excludes ./...
	@unformatted=$$(go tool gofumpt -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted, run 'go tool gofumpt -w .':"; echo "$$unformatted"; exit 1; fi

fuzz: ## every fuzz target for FUZZTIME (20s)
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "== $$name in $$(dirname "$$file")"; \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "$$(dirname "$$file")"; \
		done; \
	done

bench: build ## server CPU per operation beside memcached: a short table
	go run ./benchmarks -short

bench-compare: build ## every measure beside its rivals, the first of them the one to beat (RIVALS=name=path,…), kept in benchmarks/results; takes an hour
	go run ./benchmarks -rivals "$(RIVALS)" -results benchmarks/results

bench-persist: build ## snapshots, restarts and journals beside Redis, kept in benchmarks/results
	go run ./benchmarks -only '^persist' -rounds 3 -rivals redis-server -results benchmarks/results

bench-proxy: build ## CPU per request of the proxy beside other proxies (PROXIES=memcached=path,…), kept in benchmarks/results
	go run ./benchmarks -proxies "$(PROXIES)" -time 1s -results benchmarks/results

bench-growth: build ## hit ratio while a pool grows from 4 to 5 nodes, kept in benchmarks/results
	go run ./benchmarks growth

bench-ref: ## the short table, this tree beside another commit (REF=…)
	@set -e; dir=$$(mktemp -d); trap 'git worktree remove --force "$$dir/tree"; rm -rf "$$dir"' EXIT; \
		git worktree add -q --detach "$$dir/tree" $(REF); \
		(cd "$$dir/tree" && CGO_ENABLED=0 go build -trimpath -o "$$dir/before" ./cmd/holdfast); \
		$(MAKE) build; go run ./benchmarks -short -rivals "before=$$dir/before"

clean: ## remove what was built and installed here
	rm -rf bin .venv
	go clean -testcache
