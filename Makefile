# Each target does its own set-up; the plain commands stand behind it.
#
#   make run                     Tidegate on real traffic, nothing else needed: sample backend, limits, cache by tenant
#   make run UPSTREAM=HOST:PORT  Tidegate in front of your backend
#   make test                    everything that the tests need, and the tests
#   make lint | make deny        format and clippy | licences, bans, sources and advisories of the dependencies

UPSTREAM ?=
LISTEN ?= 127.0.0.1:8080
TEST_RUNNER := $(if $(shell command -v cargo-nextest),nextest run,test)

.PHONY: run test lint deny

run:
	scripts/setup.sh build
	cargo build --release --locked
ifeq ($(UPSTREAM),)
	cargo run --release --locked --quiet -- demo --listen $(LISTEN)
else
	cargo run --release --locked --quiet -- run --upstream $(UPSTREAM) --listen $(LISTEN)
endif

test:
	scripts/setup.sh test
	cargo $(TEST_RUNNER) --locked
	$(if $(filter nextest,$(TEST_RUNNER)),cargo test --locked --doc)

lint:
	scripts/setup.sh build
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- --deny warnings

deny:
	scripts/setup.sh deny
	scripts/deny.sh
