# Each target does its own set-up; the plain commands stand behind it.
#
#   make run                     Tidegate on real traffic, nothing else needed: sample backend, limits, cache by tenant
#   make run UPSTREAM=HOST:PORT  Tidegate in front of your backend
#   make test                    everything that the tests need, and the tests
#   make conformance             the HTTP cache suite against the release binary, compared with what is stored
#   make fuzz FUZZ_SECONDS=60    every fuzz target for so long, on inputs made by chance from its corpus
#   make bench-dashboard         the dashboard's database: every question before and after the indexes, what writes cost
#   make edge                    slow clients, HTTP/2 attacks, TLS and memory of the release binary, with outside tools
#   make browser                 the dashboard's page of the release binary in Chromium; pictures in target/browser
#   make api                     the dashboard's API of the release binary by its OpenAPI document
#   make lint | make deny        format and clippy | licences, bans, sources and advisories of the dependencies

UPSTREAM ?=
LISTEN ?= 127.0.0.1:8080
TEST_RUNNER := $(if $(shell command -v cargo-nextest),nextest run,test)

# Options of tests/conformance/run.mjs, such as --list or --update.
CONFORMANCE ?=

# Seconds for each fuzz target.
FUZZ_SECONDS ?= 60

# Options of tests/edge/run.py, such as --only or --json.
EDGE ?=

# Options of benches/dashboard, such as --quick or --json FILE.
BENCH_DASHBOARD ?=

# Options of tests/browser/dashboard.mjs, such as --only or --chromium.
BROWSER ?=

# Options of tests/api/run.py, such as --binary FILE or -- --seed 7.
API ?=

.PHONY: run test conformance fuzz edge bench-dashboard api browser lint deny

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

conformance:
	scripts/setup.sh conformance
	cargo build --release --locked
	node tests/conformance/run.mjs $(CONFORMANCE)

fuzz:
	scripts/setup.sh build
	FUZZ_SECONDS=$(FUZZ_SECONDS) cargo test --locked --test fuzz -- --nocapture

edge:
	scripts/setup.sh edge
	cargo build --release --locked
	.venv-edge/bin/python tests/edge/run.py $(EDGE)

# Fails where a question gains less than half, an index serves none, or a large table is read as a whole.
bench-dashboard:
	scripts/setup.sh test
	cargo bench --locked --bench dashboard -- $(BENCH_DASHBOARD)

browser:
	scripts/setup.sh browser
	cargo build --release --locked
	node tests/browser/dashboard.mjs $(BROWSER)

api:
	scripts/setup.sh api
	cargo build --release --locked
	.venv-api/bin/python tests/api/run.py $(API)

lint:
	scripts/setup.sh build
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- --deny warnings

deny:
	scripts/setup.sh deny
	scripts/deny.sh
