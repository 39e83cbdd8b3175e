//! Creates and joins namespaces and mounts. Everything here must be called while the process has
//! one thread.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, getegid, geteuid, setgid, setuid};

use crate::failure::Failure;
use crate::protocol::Place;

/// Directory of the box's own files, on a tmpfs of its private mount namespace.
pub(crate) const BOX_DIR: &str = "/run/vpcbox";
/// The admin socket, the same path in every box and every node of it.
pub(crate) const SOCKET: &str = "/run/vpcbox/admin.sock";

/// The namespaces of a box. The PID namespace applies to children, not to the caller.
fn box_flags() -> CloneFlags {
    CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
}

/// Moves this process into the namespaces of a new box. Root keeps its user namespace if the kernel
/// allows it, so that files of other users stay readable; other users become root of a new user
/// namespace.
pub(crate) fn enter_new_box() -> Result<(), Failure> {
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() && unshare(box_flags()).is_ok() {
        return Ok(());
    }
    unshare(box_flags() | CloneFlags::CLONE_NEWUSER)
        .map_err(|e| Failure::kernel("create", "the namespaces of the box", e))?;
    map_ids(uid, gid)
}

/// Makes the caller root of its own user namespace.
fn map_ids(uid: Uid, gid: Gid) -> Result<(), Failure> {
    let write = |path: &str, text: String| {
        fs::write(path, text).map_err(|e| Failure::kernel("write", path, e))
    };
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// Moves this process into new network, mount and UTS namespaces of a node.
pub(crate) fn enter_new_node() -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
        .map_err(|e| Failure::kernel("create", "the namespaces of a node", e))
}

/// Joins the box whose `vpcbox run` has this process ID. The PID namespace takes effect only for
/// children.
pub(crate) fn join_box(outer: i32) -> Result<(), Failure> {
    let cwd = std::env::current_dir();
    let user = format!("/proc/{outer}/ns/user");
    if !same_namespace(&user, "/proc/self/ns/user") {
        join(&user, CloneFlags::CLONE_NEWUSER)?;
        // Root that joins another user's box is not root in there, and would lose all capabilities
        // at the next exec.
        setgid(Gid::from_raw(0))
            .and_then(|()| setuid(Uid::from_raw(0)))
            .map_err(|e| Failure::kernel("become root in the user namespace of", "the box", e))?;
    }
    // Opened before the new mount namespace changes /proc.
    let kinds = [
        ("net", CloneFlags::CLONE_NEWNET),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("pid_for_children", CloneFlags::CLONE_NEWPID),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    let mut files = Vec::new();
    for (name, flag) in kinds {
        let path = format!("/proc/{outer}/ns/{name}");
        let file = File::open(&path).map_err(|e| Failure::kernel("open", &path, e))?;
        files.push((path, file, flag));
    }
    for (path, file, flag) in files {
        setns(&file, flag).map_err(|e| Failure::kernel("join", path, e))?;
    }
    go_back_to(cwd);
    Ok(())
}

/// After joining a mount namespace the working directory is its `/`. A directory that does not
/// exist there (below /run), or that the user may not enter, is not an error.
fn go_back_to(cwd: std::io::Result<PathBuf>) {
    if let Ok(cwd) = cwd
        && std::env::set_current_dir(&cwd).is_err()
    {
        tracing::warn!(directory = %cwd.display(), "directory not found in the box, starting in /");
    }
}

/// Joins the network, UTS and mount namespaces of a node, and returns to the caller's working
/// directory.
pub(crate) fn join_node(place: &Place) -> Result<(), Failure> {
    let cwd = std::env::current_dir();
    let holder = place.holder;
    let net = format!("/proc/{holder}/ns/net");
    let uts = format!("/proc/{holder}/ns/uts");
    let mnt = format!("/proc/{holder}/ns/mnt");
    // Outside of the box the same process ID belongs to another process.
    if !fs::read_link(&net).is_ok_and(|link| link == Path::new(&place.network)) {
        return Err(Failure::Unreachable {
            socket: SOCKET.to_owned(),
            source: std::io::Error::other("this process is outside of the box"),
        });
    }
    join(&net, CloneFlags::CLONE_NEWNET)?;
    join(&uts, CloneFlags::CLONE_NEWUTS)?;
    join(&mnt, CloneFlags::CLONE_NEWNS)?;
    go_back_to(cwd);
    Ok(())
}

fn join(path: &str, flag: CloneFlags) -> Result<(), Failure> {
    let file = File::open(path).map_err(|e| Failure::kernel("open", path, e))?;
    setns(&file, flag).map_err(|e| Failure::kernel("join", path, e))
}

fn same_namespace(left: &str, right: &str) -> bool {
    matches!((fs::read_link(left), fs::read_link(right)), (Ok(a), Ok(b)) if a == b)
}

/// Makes all mounts below invisible outside of this mount namespace.
pub(crate) fn make_mounts_private() -> Result<(), Failure> {
    mount_one(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE)
}

/// Mounts the box's /proc, and a tmpfs on /run with the box's own directory.
pub(crate) fn mount_box() -> Result<(), Failure> {
    make_mounts_private()?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount_one(Some("vpcbox"), "/proc", Some("proc"), quiet)?;
    mount_one(Some("vpcbox"), "/run", Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV)?;
    fs::create_dir(BOX_DIR).map_err(|e| Failure::kernel("create", BOX_DIR, e))
}

/// Mounts a node's own /run, /sys and, if the machine has one, /data. The box's directory stays
/// reachable, so that a program in a node can query the box.
pub(crate) fn mount_node() -> Result<(), Failure> {
    make_mounts_private()?;
    let box_dir = File::open(BOX_DIR).map_err(|e| Failure::kernel("open", BOX_DIR, e))?;
    let tmpfs = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount_one(Some("vpcbox"), "/run", Some("tmpfs"), tmpfs)?;
    fs::create_dir(BOX_DIR).map_err(|e| Failure::kernel("create", BOX_DIR, e))?;
    let from = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&box_dir));
    mount_one(Some(&from), BOX_DIR, None, MsFlags::MS_BIND)?;
    if Path::new("/data").is_dir() {
        mount_one(Some("vpcbox"), "/data", Some("tmpfs"), tmpfs)?;
    }
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount_one(Some("vpcbox"), "/sys", Some("sysfs"), quiet)
}

fn mount_one(
    source: Option<&str>,
    target: &str,
    kind: Option<&str>,
    flags: MsFlags,
) -> Result<(), Failure> {
    mount(source.map(OsStr::new), target, kind, flags, None::<&str>)
        .map_err(|e| Failure::kernel("mount", format!("{} on {target}", kind.unwrap_or("none")), e))
}
