//! A worker's root file system: an overlay of the machine's. All writes are discarded when the
//! worker ends, except those to its disk.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};

use crate::dns::RESOLVER;
use crate::home::Home;
use crate::{Outcome, failed};

/// Where the worker's root is assembled; this directory exists on every machine.
const BUILD: &str = "/mnt";
/// The machine's devices that a worker has.
const DEVICES: [&str; 7] = ["null", "zero", "full", "random", "urandom", "tty", "kmsg"];

/// Changes the root of this process, which has its own mount and PID namespaces.
pub(crate) fn enter(home: &Home, worker: &str, more: &[&Path]) -> Outcome {
    attach(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, "")?;
    let cgroups = File::open("/sys/fs/cgroup").map_err(failed("/sys/fs/cgroup"))?;
    let build = Path::new(BUILD);
    attach(Some("worker"), build, Some("tmpfs"), MsFlags::empty(), "")?;
    let root = build.join("root");
    for name in ["root", "upper", "work"] {
        make(&build.join(name))?;
    }
    // The overlay does not contain file systems mounted below /; the worker gets only these.
    let layers = format!("lowerdir=/,upperdir={BUILD}/upper,workdir={BUILD}/work");
    attach(Some("worker"), &root, Some("overlay"), MsFlags::empty(), &layers)?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    attach(Some("worker"), &root.join("proc"), Some("proc"), quiet, "")?;
    attach(Some("worker"), &root.join("sys"), Some("sysfs"), quiet, "")?;
    let from = format!("/proc/self/fd/{}", cgroups.as_raw_fd());
    let below = MsFlags::MS_BIND | MsFlags::MS_REC;
    attach(Some(&from), &root.join("sys/fs/cgroup"), None, below, "")?;
    devices(&root.join("dev"))?;
    attach(Some("worker"), &root.join("run"), Some("tmpfs"), quiet, "")?;
    attach(Some("worker"), &root.join("tmp"), Some("tmpfs"), quiet, "")?;
    for dir in [home.dir().as_path()].iter().chain(more) {
        bind(dir, &inside(&root, dir))?;
    }
    let disk = home.worker(worker).join("kubelet");
    make(&disk)?;
    let kubelet = root.join("var/lib/kubelet");
    bind(&disk, &kubelet)?;
    resolver(&root)?;
    switch(&root)?;
    // Mounts for pods must propagate to pods with mountPropagation.
    for dir in ["/var/lib/kubelet", "/run"] {
        attach(None, Path::new(dir), None, MsFlags::MS_SHARED, "")?;
    }
    Ok(())
}

/// A worker asks the resolver of its VPC, whatever the machine does.
fn resolver(root: &Path) -> Outcome {
    let file = root.join("etc/resolv.conf");
    // It may be a link to what the worker does not have.
    if file.symlink_metadata().is_ok() {
        fs::remove_file(&file).map_err(failed(file.display()))?;
    }
    fs::write(&file, format!("nameserver {RESOLVER}\n")).map_err(failed(file.display()))
}

fn devices(dir: &Path) -> Outcome {
    let plain = MsFlags::MS_NOSUID;
    attach(Some("worker"), dir, Some("tmpfs"), plain, "mode=755")?;
    for name in DEVICES {
        let place = dir.join(name);
        File::create(&place).map_err(failed(place.display()))?;
        attach(Some(&format!("/dev/{name}")), &place, None, MsFlags::MS_BIND, "")?;
    }
    for (name, kind, options) in
        [("pts", "devpts", "newinstance,ptmxmode=0666,mode=620"), ("shm", "tmpfs", "mode=1777")]
    {
        make(&dir.join(name))?;
        attach(Some("worker"), &dir.join(name), Some(kind), plain, options)?;
    }
    for (name, to) in [("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd")] {
        std::os::unix::fs::symlink(to, dir.join(name)).map_err(failed(name))?;
    }
    Ok(())
}

/// Replaces the old root by the new one and detaches the old one.
fn switch(root: &Path) -> Outcome {
    let old = root.join("mnt");
    pivot_root(root, &old).map_err(failed("change the root"))?;
    chdir("/").map_err(failed("go to the new root"))?;
    umount2("/mnt", MntFlags::MNT_DETACH).map_err(failed("leave the old root"))
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn bind(from: &Path, to: &Path) -> Outcome {
    make(to)?;
    let from = from.display().to_string();
    attach(Some(&from), to, None, MsFlags::MS_BIND | MsFlags::MS_REC, "")
}

fn make(dir: &Path) -> Outcome {
    fs::create_dir_all(dir).map_err(failed(dir.display()))
}

fn attach(
    from: Option<&str>,
    to: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    options: &str,
) -> Outcome {
    let what = format!("mount {} on {}", kind.or(from).unwrap_or("nothing new"), to.display());
    mount(from, to, kind, flags, Some(options).filter(|text| !text.is_empty()))
        .map_err(failed(what))
}
