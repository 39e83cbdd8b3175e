#!/usr/bin/env bash
# Runs a command in this checkout as an unprivileged user, on a machine where you are root:
#
#     scripts/as-user.sh COMMAND [ARGUMENT...]
#
# An unprivileged user just gets the command run. For root the script creates a mount namespace in
# which the checkout and the target directory are overlays at the same paths: the user owns their
# content, and no write reaches the originals. The toolchain and the registry cache are mounted
# read-only. So cargo reuses existing build results and builds the missing ones as the user. The
# command runs with the user's ID, without capabilities or a way to gain them, with its own home and
# without root's environment. Everything disappears with the namespace.
set -euo pipefail

readonly user=65534
readonly places=/var/tmp/firecamp-as-user

say() { printf 'as-user: %s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }

# Removes the directories of earlier runs that were killed.
sweep() {
    local place
    for place in "$places".*; do
        [[ -d $place ]] || continue
        kill -0 "${place##*.}" 2>/dev/null || rm -rf "$place"
    done
}

# Mounts an overlay of DIRECTORY at the same path, owned by the user.
own() {
    local directory=$1 layer=$2
    mkdir -p "$layer/upper" "$layer/work" "$layer/lower" "$layer/shown"
    mount --bind "$directory" "$layer/lower"
    local options="lowerdir=$layer/lower,upperdir=$layer/upper,workdir=$layer/work"
    if mount -t overlay overlay -o "$options,metacopy=on" "$layer/shown" 2>/dev/null; then
        chown -R "$user:$user" "$layer/shown"
    else
        say "no overlay here, so $directory is copied"
        cp -a "$directory/." "$layer/upper/"
        chown -R "$user:$user" "$layer/upper"
        mount --bind "$layer/upper" "$layer/shown"
    fi
}

# Whether the user has access to the path of DIRECTORY.
reachable() {
    setpriv --reuid "$user" --regid "$user" --clear-groups test -x "$1"
}

# In this mount namespace, replaces a home that others cannot enter by an empty one.
open_homes() {
    local directory
    for directory in "$@"; do
        reachable "$directory" && continue
        case $directory/ in
            "$HOME"/*) mount -t tmpfs -o mode=0755 tmpfs "$HOME" && return ;;
            *) fail "$directory is not accessible to other users: move it or open its parents" ;;
        esac
    done
}

inside() {
    local place=$1 root=$2 target=$3 cargo=$4 sysroot=$5
    shift 5
    own "$root" "$place/checkout"
    mkdir -p "$place/registry"
    mount --bind "$cargo/registry" "$place/registry"
    [[ $target/ == "$root"/* ]] || own "$target" "$place/target"
    mkdir -p "$place/toolchain" "$place/home"
    mount --bind "$sysroot" "$place/toolchain"
    chown "$user:$user" "$place/home"
    cd /
    open_homes "$root" "$target" "$cargo" "$sysroot"
    mkdir -p "$root" "$target" "$cargo" "$sysroot"
    mount -t tmpfs -o mode=0755,uid=$user,gid=$user tmpfs "$cargo"
    mkdir "$cargo/registry"
    mount --bind "$place/checkout/shown" "$root"
    mount --bind -o ro "$place/registry" "$cargo/registry"
    [[ $target/ == "$root"/* ]] || mount --bind "$place/target/shown" "$target"
    mount --bind "$place/toolchain" "$sysroot"
    cd "$root"
    local environment=(PATH="$sysroot/bin:/usr/local/bin:/usr/bin:/bin" HOME="$place/home"
        USER=nobody LANG=C.UTF-8 TERM="${TERM:-dumb}" CARGO_HOME="$cargo" CARGO_NET_OFFLINE=true
        CARGO_TARGET_DIR="$target")
    # Other values of these variables would make cargo rebuild everything.
    local name
    for name in CARGO_INCREMENTAL CARGO_PROFILE_DEV_DEBUG CARGO_TERM_COLOR RUST_BACKTRACE \
        RUSTFLAGS; do
        [[ -z ${!name+set} ]] || environment+=("$name=${!name}")
    done
    exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs \
        --inh-caps=-all --bounding-set=-all -- \
        env -i "${environment[@]}" "$@"
}

main() {
    [[ $# -gt 0 ]] || fail "usage: as-user.sh COMMAND [ARGUMENT...]"
    local root
    root=$(cd "$(dirname "$0")/.." && pwd -P)
    cd "$root"
    if [[ $(id -u) -ne 0 ]]; then
        exec "$@"
    fi
    cargo fetch --locked --quiet
    sweep
    local place=$places.$$
    mkdir -m 0755 "$place"
    # shellcheck disable=SC2064
    trap "rm -rf '$place'" EXIT
    local target=${CARGO_TARGET_DIR:-$root/target} sysroot
    sysroot=$(rustc --print sysroot)
    mkdir -p "$target"
    unshare --mount --propagation private --fork --kill-child -- \
        bash "$0" --inside "$place" "$root" "$(realpath "$target")" \
        "$(realpath "${CARGO_HOME:-$HOME/.cargo}")" "$(realpath "$sysroot")" "$@"
}

if [[ ${1:-} == --inside ]]; then
    shift
    inside "$@"
else
    main "$@"
fi
