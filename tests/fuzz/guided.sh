#!/usr/bin/env bash
# Lets libFuzzer look for inputs of one target by coverage, from its corpus. Stable Rust does. What it finds is kept below the
# target folder: inputs that reach new code, and those that break the property.
#
#   tests/fuzz/guided.sh TARGET SECONDS [options of libFuzzer]
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -ge 2 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
target=$1 seconds=$2
shift 2

host=$(rustc --version --verbose | sed -n 's/^host: //p')
folder=${CARGO_TARGET_DIR:-$PWD/target}
# What cargo-fuzz sets without a sanitizer. With --target, build scripts and macros are not instrumented.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
cargo build --release --manifest-path tests/fuzz/libfuzzer/Cargo.toml --target "$host" --target-dir "$folder/fuzz"
found=$folder/fuzz/found/$target
mkdir -p "$found"
seeds=("tests/fuzz/corpus/$target")
[ "$target" != config ] || seeds+=(tests/configs/bad config)
FUZZ_TARGET=$target exec "$folder/fuzz/$host/release/tidegate-fuzz" "$found" "${seeds[@]}" \
    -max_total_time="$seconds" -max_len=8192 -artifact_prefix="$found-" "$@"
