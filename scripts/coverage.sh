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
report=$target/coverage
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
    [[ -x $tools/bin/cargo-llvm-cov ]] || {
        echo "coverage: installing cargo-llvm-cov $version into $tools"
        CARGO_TARGET_DIR=$tools/build CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
            cargo install cargo-llvm-cov --locked --quiet --version "$version" --root "$tools"
        rm -rf "$tools/build"
    }
    "$tools/bin/cargo-llvm-cov" llvm-cov "$@"
}

llvm_tools
export LLVM_COV=$bin/llvm-cov LLVM_PROFDATA=$bin/llvm-profdata
[[ $# -gt 0 ]] || set -- --workspace
# Processes that tests kill leave a profile cut short, which is no failure of theirs.
llvm_cov --locked --no-report --no-fail-fast "$@"
mkdir -p "$report"
llvm_cov report --failure-mode all --lcov --output-path "$report/lcov.info"
llvm_cov report --failure-mode all --html --output-dir "$report"
llvm_cov report --failure-mode all | tee "$report/table.txt"
echo "coverage: $report/html/index.html"
