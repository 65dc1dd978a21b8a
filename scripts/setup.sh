#!/usr/bin/env bash
# Installs what is missing, and only that. On Debian and its kin through apt-get, elsewhere it says what is needed.
#
#   scripts/setup.sh build   what the build needs: a C compiler, its headers, cmake and make (zlib-ng builds with cmake)
#   scripts/setup.sh test    the above, redis-server, postgresql, openssl, and Python with the sample backend in .venv
#   scripts/setup.sh deny    cargo-deny, unless it is installed
#   scripts/setup.sh edge    what the build needs, slowhttptest, h2load, openssl, and Python packages in .venv-edge
#   scripts/setup.sh api     what the build needs, and Python packages in .venv-api
#   scripts/setup.sh conformance   what the build needs, redis-server, node 18 or later, npm, and the suite itself
#   scripts/setup.sh browser what the build needs, chromium, node 18 or later, npm, python3, playwright-core and axe-core
set -euo pipefail
cd "$(dirname "$0")/.."

have() { command -v "$1" >/dev/null 2>&1; }

# Installs the given Debian packages as root.
install() {
    [ $# -gt 0 ] || return 0
    if ! have apt-get; then
        echo "setup: please install with your package manager: $*" >&2
        exit 1
    fi
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || { echo "setup: run as root or install sudo; missing: $*" >&2; exit 1; }
        root=(sudo)
    fi
    echo "setup: installing $*"
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need_cargo() {
    have cargo || { echo "setup: no cargo; install Rust first" >&2; exit 1; }
}

build() {
    need_cargo
    local missing=()
    have cc || have gcc || missing+=(gcc)
    [ -e /usr/include/stdlib.h ] || ! have apt-get || missing+=(libc6-dev)
    have cmake || missing+=(cmake)
    have make || missing+=(make)
    install "${missing[@]}"
}

# A virtual environment with exactly what the file lists, made anew when the list changes.
environment() {
    local folder=$1 list=$2
    if [ -e "$folder/listed" ] && cmp -s "$list" "$folder/listed"; then
        return 0
    fi
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$list"
    cp "$list" "$folder/listed"
}

python() {
    local missing=()
    have python3 || missing+=(python3)
    { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; } || missing+=(python3-venv)
    install "${missing[@]}"
}

test_tools() {
    build
    local missing=()
    have redis-server || missing+=(redis-server)
    have postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
    have openssl || missing+=(openssl)
    have setpriv || ! have apt-get || missing+=(util-linux)
    install "${missing[@]}"
    python
    environment .venv tests/legacy/requirements.txt
}

deny() {
    need_cargo
    if have cargo-deny; then
        return 0
    fi
    python
    environment .venv-deny scripts/deny-requirements.txt
}

edge() {
    build
    local missing=()
    have slowhttptest || missing+=(slowhttptest)
    have h2load || missing+=(nghttp2-client)
    have openssl || missing+=(openssl)
    have prlimit || ! have apt-get || missing+=(util-linux)
    install "${missing[@]}"
    python
    environment .venv-edge tests/edge/requirements.txt
}

api() {
    build
    python
    environment .venv-api tests/api/requirements.txt
}

# Packages of that folder, exactly as its lock file lists them, without running any script of theirs.
packages() {
    local folder=$1 missing=()
    have node || missing+=(nodejs)
    have npm || missing+=(npm)
    have setpriv || ! have apt-get || missing+=(util-linux)
    install "${missing[@]}"
    node --eval 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' ||
        { echo "setup: node $(node --version) is too old; 18 or later is needed" >&2; exit 1; }
    if cmp -s "$folder/package-lock.json" "$folder/node_modules/.listed"; then
        return 0
    fi
    npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp "$folder/package-lock.json" "$folder/node_modules/.listed"
}

conformance() {
    build
    local missing=()
    have redis-server || missing+=(redis-server)
    install "${missing[@]}"
    packages tests/conformance
}

browser() {
    build
    local missing=()
    have chromium || have chromium-browser || have google-chrome || missing+=(chromium)
    have python3 || missing+=(python3)
    install "${missing[@]}"
    packages tests/browser
}

case "${1:-}" in
build) build ;;
test) test_tools ;;
deny) deny ;;
conformance) conformance ;;
browser) browser ;;
edge) edge ;;
api) api ;;
*) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
