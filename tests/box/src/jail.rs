//! Runs programs in a restricted mount namespace: with another root, or a read-only directory.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::pivot_root;

/// File systems of the kernel that every container has besides its image.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Makes `dir` the root and executes the program, which is a path in it. `FIRECAMP_TEST_MOUNTS`
/// lists the pod's directories, separated by colons; each is mounted at its own path.
pub(crate) fn run(dir: &Path, program: &[&str]) -> io::Result<()> {
    let Some((path, arguments)) = program.split_first() else {
        return Err(io::Error::other("no program was given"));
    };
    unshare(CloneFlags::CLONE_NEWNS)?;
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    bind_to_itself(dir, bind)?;
    let mounts = std::env::var("FIRECAMP_TEST_MOUNTS").unwrap_or_default();
    let pod = mounts.split(':').filter(|path| !path.is_empty());
    for source in KERNEL.into_iter().chain(pod) {
        let target = below(dir, source);
        fs::create_dir_all(&target)?;
        mount(Some(source), &target, None::<&str>, bind, None::<&str>)?;
    }
    std::env::set_current_dir(dir)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    std::env::set_current_dir("/")?;
    Err(Command::new(path).args(arguments).env_remove("FIRECAMP_TEST_MOUNTS").exec())
}

/// Executes the program with `dir` mounted read-only.
pub(crate) fn read_only(dir: &Path, program: &[&str]) -> io::Result<()> {
    let Some((path, arguments)) = program.split_first() else {
        return Err(io::Error::other("no program was given"));
    };
    unshare(CloneFlags::CLONE_NEWNS)?;
    bind_to_itself(dir, MsFlags::MS_BIND)?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    // In a user namespace a remount must keep the flags that the original mount locks.
    let locked = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(None::<&str>, dir, None::<&str>, flags, None::<&str>)
        .or_else(|_error| mount(None::<&str>, dir, None::<&str>, flags | locked, None::<&str>))?;
    Err(Command::new(path).args(arguments).exec())
}

/// Bind-mounts the directory on itself: pivot_root requires a mount point.
fn bind_to_itself(dir: &Path, bind: MsFlags) -> io::Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    mount(Some(dir), dir, None::<&str>, bind, None::<&str>)?;
    Ok(())
}

fn below(dir: &Path, path: &str) -> PathBuf {
    dir.join(path.trim_start_matches('/'))
}
