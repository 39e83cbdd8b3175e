#!/usr/bin/env bash
# The compiler of scripts/fuzz.sh (RUSTC_WRAPPER). Builds the SDK's generated clients without
# coverage, which would take gigabytes and half an hour for hundreds of operations, of which three
# are called, and with many codegen units instead of cargo-fuzz's one. The SDK's runtime and its XML
# parser are built like all other crates.
set -euo pipefail

compiler=$1
shift
case " $* " in
    *" --crate-name aws_sdk_"*) ;;
    *) exec "$compiler" "$@" ;;
esac
arguments=()
for argument; do
    case $argument in
        -Cpasses=sancov-module | -Cllvm-args=-sanitizer-coverage-* | -Ccodegen-units=1) ;;
        *) arguments+=("$argument") ;;
    esac
done
exec "$compiler" "${arguments[@]}"
