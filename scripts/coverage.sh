#!/usr/bin/env bash
# Measures the line coverage of the tests: prints a table with a row for each file and writes lcov
# and HTML to target/coverage. The arguments select tests, as for `cargo test`:
#
#     scripts/coverage.sh                          everything
#     scripts/coverage.sh -p firecamp-core         one package's own tests
#
# Needs cargo and the LLVM tools of rustc's LLVM version. Uses the installed ones; otherwise
# downloads Debian's packages and unpacks them beside the other tools, without installing them.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly version=0.9.1
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/tools
out=$target/coverage
# Code that is part of the tests.
readonly not_ours='/tests/|tests\.rs$|/netns-test/|-conformance/|/registry/src/conformance'
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')

fail() { echo "coverage: $*" >&2; exit 1; }

llvm_tools() {
    local installed=/usr/lib/llvm-$llvm/bin unpacked=$tools/llvm-$llvm
    if [[ -x $installed/llvm-cov && -x $installed/llvm-profdata ]]; then
        bin=$installed
        return
    fi
    bin=$unpacked/usr/lib/llvm-$llvm/bin
    export LD_LIBRARY_PATH=$unpacked/usr/lib/x86_64-linux-gnu:$unpacked/usr/lib/llvm-$llvm/lib
    [[ ! -x $bin/llvm-cov ]] || return 0
    echo "coverage: unpacking LLVM $llvm's tools into $unpacked"
    command -v apt-get >/dev/null || fail "install LLVM $llvm's llvm-cov and llvm-profdata"
    mkdir -p "$unpacked"
    local packages=("llvm-$llvm" "libllvm$llvm")
    if ! apt-cache show "${packages[@]}" >/dev/null 2>&1; then
        [[ $(id -u) -eq 0 ]] || fail "run as root: apt-get update && apt-get install llvm-$llvm"
        apt-get update -qq
    fi
    (cd "$unpacked" && apt-get download -qq "${packages[@]}" 2>/dev/null) ||
        fail "cannot download ${packages[*]}; run as root: apt-get install llvm-$llvm"
    local package
    for package in "$unpacked"/*.deb; do
        dpkg-deb -x "$package" "$unpacked"
        rm "$package"
    done
}

llvm_cov() {
    local tool=$tools/bin/cargo-llvm-cov-$version
    [[ -x $tool ]] || scripts/cargo-tool.sh cargo-llvm-cov "$version" "$tool"
    "$tool" llvm-cov "$@"
}

llvm_tools
export LLVM_COV=$bin/llvm-cov LLVM_PROFDATA=$bin/llvm-profdata
[[ $# -gt 0 ]] || set -- --workspace
# Otherwise the report would include binaries of earlier runs.
llvm_cov clean --workspace
llvm_cov --locked --no-report --no-fail-fast "$@"
# Processes that tests kill leave truncated profiles, which are not an error.
report() { llvm_cov report --failure-mode all --ignore-filename-regex "$not_ours" "$@"; }
mkdir -p "$out"
report --lcov --output-path "$out/lcov.info"
report --html --output-dir "$out"
report | awk '
    NR == 1 || /^-/ { next }
    { printf "%-44s %7d lines %6d missed %8s lines %8s regions\n", $1, $8, $9, $10, $4 }
' | tee "$out/table.txt"
# Uncovered lines by file. An uncovered error path of the protocol needs a test.
awk -F '[:,]' '
    function flush() { if (from) ranges = ranges " " (from == to ? from : from "-" to); from = 0 }
    /^SF:/ { file = $2; ranges = "" }
    /^DA:/ { if ($3 > 0) flush(); else if (from && $2 == to + 1) to = $2
             else { flush(); from = to = $2 } }
    /^end_of_record/ { flush(); if (ranges) print file ":" ranges }
' "$out/lcov.info" | sed "s|^$PWD/||" >"$out/missed.txt"
echo "coverage: $out/table.txt, missed.txt, lcov.info and html/index.html"
