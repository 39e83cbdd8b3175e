#!/usr/bin/env bash
# Installs a cargo tool as FILE: cargo-tool.sh cargo-NAME VERSION FILE. Builds it without
# optimization: the tool runs for seconds, or spends its time waiting for compilers.
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
