#!/usr/bin/env bash
# The compiler of scripts/fuzz.sh (RUSTC_WRAPPER). The SDK's generated clients are built without
# coverage: it would take gigabytes and half an hour for hundreds of operations of which three are
# called; and in many units, where cargo-fuzz asks for one. The SDK's runtime and its XML reader are
# built as all else.
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
