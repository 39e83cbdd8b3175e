#!/usr/bin/env bash
# Puts a tool of cargo where it is wanted: cargo-tool.sh cargo-NAME VERSION FILE. Nobody waits for
# the optimisation of a tool: it runs for seconds, or waits itself for compilers.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1 version=$2 file=$3
mkdir -p "$(dirname "$file")"
key="$version $(rustc --version)"
if scripts/kept.sh get "$name" "$key" "$file"; then
    exit
fi
echo "installing $name $version into $(dirname "$file")"
root=$file.build
trap 'rm -rf "$root"' EXIT
CARGO_TARGET_DIR=$root/target CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install "$name" --locked --force --version "$version" --root "$root"
mv "$root/bin/$name" "$file"
scripts/kept.sh put "$name" "$key" "$file"
