# Every target works from a clean clone: it installs the Debian packages that it needs (scripts/packages.sh), and only those.
# The recipes are in scripts/, one thing each.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# The scripts run what can run in parallel themselves.
.NOTPARALLEL:
.PHONY: help run build engine model test check format tidy asan tsan fuzz bench deb image prove bare clean

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: ## prepare everything, start the gateway on 127.0.0.1:8080 (LISTEN=...), print what to paste next
	@scripts/prepare.sh "build engine model" engine model program
	@exec scripts/run.sh

build: ## build/thalweg alone
	@scripts/prepare.sh "build" program

engine: ## the on-device engine alone (ENGINE=auto, path, prebuilt or source)
	@scripts/prepare.sh "engine model" engine model

model: ## the default model alone
	@scripts/prepare.sh "model" model

test: ## build and run every test
	@scripts/prepare.sh "build engine model test" engine model tests clients
	@scripts/suite.sh release

check: ## format, tidy, then every test
	@$(MAKE) --no-print-directory format tidy test

format: ## are the changed files formatted? (FIX=1 formats them)
	@scripts/packages.sh check
	@scripts/format.sh

tidy: ## clang-tidy over the changed files
	@scripts/packages.sh build test check
	@scripts/tidy.sh

asan: ## every test under AddressSanitizer and UBSan
	@scripts/prepare.sh "build engine model test" engine model clients
	@scripts/suite.sh asan

tsan: ## every test under ThreadSanitizer
	@scripts/prepare.sh "build engine model test" engine model clients
	@scripts/suite.sh tsan

fuzz: ## every fuzz target for FUZZ_SECONDS (default 60) each
	@scripts/packages.sh build fuzz
	@scripts/fuzz.sh

bench: ## speed beside nginx, as ratios in one run
	@scripts/prepare.sh "build engine model test bench" engine model tests
	@bench/run.sh

deb: ## the Debian package, build/thalweg_VERSION_ARCH.deb, with the engine inside (ENGINE=none: without)
	@scripts/prepare.sh "build engine model deb" $(if $(filter none,$(ENGINE)),,engine model) program
	@scripts/deb.sh

image: ## an OCI image, build/thalweg-oci.tar, with the engine inside (ENGINE=none: without)
	@scripts/prepare.sh "build engine model" $(if $(filter none,$(ENGINE)),,engine model) program
	@scripts/image.sh

prove: ## the long proofs, resumable; writes docs/proof.md
	@scripts/packages.sh build engine model test fuzz bare
	@scripts/prove.sh

bare: ## show that `make run` and `.ci/run` work on a bare Debian 12 (as root)
	@scripts/packages.sh bare
	@tests/bare.sh

clean: ## remove the build folders (the engine and the model stay in the cache)
	rm -rf build build-debug build-asan build-tsan build-fuzz
