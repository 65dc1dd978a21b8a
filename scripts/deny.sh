#!/usr/bin/env bash
# Licences, bans and sources of the dependency tree: always. Known vulnerabilities: when the advisory database can be
# fetched, which a machine without access to it cannot; the output says which it was.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:$PWD/.venv-deny/bin"

cargo deny --locked check bans licenses sources
if GIT_TERMINAL_PROMPT=0 timeout 120 cargo deny --locked fetch db >/dev/null 2>&1; then
    cargo deny --locked check --disable-fetch advisories
else
    echo "deny: advisories SKIPPED: the advisory database could not be fetched"
fi
