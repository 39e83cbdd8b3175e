#!/usr/bin/env bash
# The container images (docs/install.md): the program, static, and then
#   images.sh archives [REGISTRY]   OCI archives in target/images, named for REGISTRY if given
#   images.sh engine ENGINE [REGISTRY]   the same by docker or podman and images/Dockerfile
#   images.sh reproducible          builds the archives again elsewhere and compares the bytes
#   images.sh root DIR              only the root filesystem, for the Dockerfile
# PROFILE is a cargo profile: image, or dev for a fast build of large binaries.
# CREATED (2026-01-02T03:04:05Z) and REVISION default to those of the commit. The same commit and
# toolchain produce the same bytes on every machine of one architecture.
set -euo pipefail
cd "$(dirname "$0")/.."
# Images are for the machine that builds them.
platform=$(rustc -vV | sed -n 's/^host: //p')
case $platform in
    x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
    *) echo "images: $platform: images are built by x86_64-unknown-linux-gnu or" \
        "aarch64-unknown-linux-gnu" >&2 && exit 1 ;;
esac
target="${CARGO_TARGET_DIR:-$PWD/target}"
mkdir -p "$target"
target=$(cd "$target" && pwd)
profile=${PROFILE:-image}
binaries="$target/$platform/${profile/#dev/debug}"

commit() { TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format="$1" 2>/dev/null; }
created=${CREATED:-$(commit %cd || echo 1970-01-01T00:00:00Z)}
revision=${REVISION-$(commit %H || true)}

# Removes the paths of cargo's home and of the target directory from the program.
build() {
    local home=${CARGO_HOME:-$HOME/.cargo} flags c_flags name=${platform//-/_}
    flags="-C target-feature=+crt-static"
    # The linker of Debian 12 knows these on amd64 alone: Rust brings its own one there.
    if [[ $platform == x86_64-* ]]; then
        flags+=" -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--icf=all"
        flags+=" -C link-arg=-Wl,-T,$PWD/images/unwind-tables.ld"
    fi
    flags+=" -C force-unwind-tables=no"
    flags+=" --remap-path-prefix=$home=/cargo --remap-path-prefix=$target=/target"
    flags+=" --remap-path-prefix=$PWD=/firecamp"
    c_flags="-ffile-prefix-map=$home=/cargo -ffile-prefix-map=$target=/target"
    c_flags+=" -fno-asynchronous-unwind-tables"
    env "CARGO_TARGET_${name^^}_RUSTFLAGS=$flags" "CFLAGS_$name=$c_flags" \
        CARGO_INCREMENTAL=0 CARGO_TARGET_DIR="$target" \
        cargo build --locked --profile "$profile" --target "$platform" \
        --package firecamp-containers
}

pack() {
    CARGO_TARGET_DIR="$target" cargo run --locked --quiet --release --package firecamp-images -- \
        "$1" "$binaries" "$2" "$created" "$revision" "${3:-}"
}

# Builds each image with the engine.
by_engine() {
    local engine=$1 registry=${2:+${2%/}/} version part
    version=$(cargo pkgid --package firecamp-containers)
    version=${version##*[#@]}
    for part in agent initcontainer stopcontainer; do
        "$engine" build --file images/Dockerfile --target "$part" \
            --build-arg "CREATED=$created" --build-arg "REVISION=$revision" \
            --build-arg "VERSION=$version" --tag "${registry}firecamp-$part:$version" .
    done
}

# Builds in another directory with another cargo home and without earlier build results.
again() {
    local there
    there=$(mktemp -d -p "$target")
    trap "rm -rf '$there'" EXIT
    mkdir "$there/source" "$there/cargo"
    git ls-files -z | tar --null --files-from=- -c | tar -x -C "$there/source"
    ln -s "${CARGO_HOME:-$HOME/.cargo}"/{registry,config.toml} "$there/cargo/" 2>/dev/null || true
    CREATED=$created REVISION=$revision CARGO_HOME="$there/cargo" CARGO_TARGET_DIR="$there/target" \
        "$there/source/scripts/images.sh" archives
    for archive in "$target"/images/*.tar; do
        cmp "$archive" "$there/target/images/$(basename "$archive")"
        sha256sum "$archive"
    done
    echo "both builds are identical"
}

case ${1:-} in
    archives) build && pack archives "$target/images" "${2:-}" ;;
    engine) by_engine "${2:?docker or podman}" "${3:-}" ;;
    reproducible) build && pack archives "$target/images" && again ;;
    root) build && pack root "${2:?where to}" ;;
    *) sed -n '2,9s/^# //p' "$0" >&2; exit 2 ;;
esac
