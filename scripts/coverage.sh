#!/usr/bin/env bash
# Which lines do the tests enter? Runs them instrumented, prints a table with a row for each file
# and writes lcov and HTML to target/coverage. What is run can be narrowed, as for `cargo test`:
#
#     scripts/coverage.sh                          everything
#     scripts/coverage.sh -p firecamp-core         one package's own tests
#
# Needs cargo, and LLVM's tools of rustc's own version: those of the distribution if they are
# installed, else Debian's packages, which are unpacked beside the other tools and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly version=0.9.1
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/tools
out=$target/coverage
# Code that only tests run.
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
        [[ $(id -u) -eq 0 ]] || fail "as root: apt-get update && apt-get install llvm-$llvm"
        apt-get update -qq
    fi
    (cd "$unpacked" && apt-get download -qq "${packages[@]}" 2>/dev/null) ||
        fail "cannot download ${packages[*]}; as root: apt-get install llvm-$llvm"
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
# Binaries of an earlier run would be counted beside those of this one.
llvm_cov clean --workspace
llvm_cov --locked --no-report --no-fail-fast "$@"
# Processes that tests kill leave a profile cut short, which is no failure of theirs.
report() { llvm_cov report --failure-mode all --ignore-filename-regex "$not_ours" "$@"; }
mkdir -p "$out"
report --lcov --output-path "$out/lcov.info"
report --html --output-dir "$out"
report | awk '
    NR == 1 || /^-/ { next }
    { printf "%-44s %7d lines %6d missed %8s lines %8s regions\n", $1, $8, $9, $10, $4 }
' | tee "$out/table.txt"
# Lines that nothing entered, by file: where an error path of the protocol is in here, a test lacks.
awk -F '[:,]' '
    function flush() { if (from) ranges = ranges " " (from == to ? from : from "-" to); from = 0 }
    /^SF:/ { file = $2; ranges = "" }
    /^DA:/ { if ($3 > 0) flush(); else if (from && $2 == to + 1) to = $2
             else { flush(); from = to = $2 } }
    /^end_of_record/ { flush(); if (ranges) print file ":" ranges }
' "$out/lcov.info" | sed "s|^$PWD/||" >"$out/missed.txt"
echo "coverage: $out/table.txt, missed.txt, lcov.info and html/index.html"
