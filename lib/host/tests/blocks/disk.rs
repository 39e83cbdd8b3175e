//! Disks backed by files, and the mount namespace that uses them.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

/// Enters its own mount namespace as the real root: only that root may mount block devices.
pub(crate) fn enter() {
    let all = fs::read_to_string("/proc/self/uid_map").expect("read the UID map");
    let real =
        nix::unistd::geteuid().is_root() && all.split_whitespace().nth(2) == Some("4294967295");
    assert!(real, "this test mounts block devices: run `make test-volumes` as the real root");
    for program in ["losetup", "addpart", "delpart", "mkfs.ext4", "mkfs.xfs"] {
        let found = ["/sbin", "/usr/sbin", "/bin", "/usr/bin"]
            .iter()
            .any(|directory| Path::new(directory).join(program).exists());
        assert!(found, "this test needs {program} (util-linux, e2fsprogs, xfsprogs)");
    }
    for device in ["/dev/loop-control", "/dev/fuse"] {
        assert!(Path::new(device).exists(), "this test needs {device} (modules loop and fuse)");
    }
    set_pdeathsig(Signal::SIGKILL).expect("set the parent-death signal");
    unshare(CloneFlags::CLONE_NEWNS).expect("enter a mount namespace");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .expect("make the mounts private");
    let options = Some("mode=0755");
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), options).expect("mount /run");
}

fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).env("PATH", "/sbin:/usr/sbin:/bin:/usr/bin");
    command
}

/// Runs a system program and returns its output.
fn run(name: &str, arguments: &[&str]) -> String {
    let done = program(name, arguments).output();
    let done = done.unwrap_or_else(|error| panic!("{name}: {error}"));
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{name} {arguments:?}: {stderr}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// A disk. Dropping it detaches its loop device and its mounts.
pub(crate) struct Disk {
    /// Its device node.
    pub(crate) node: String,
    /// Its mount points, to unmount them at the end.
    mounted: Vec<String>,
}

impl Disk {
    /// An empty disk of so many MiB.
    pub(crate) fn new(name: &str, mib: u64) -> Self {
        let path = format!("/run/{name}.img");
        fs::File::create(&path).unwrap().set_len(mib << 20).unwrap();
        let node = run("losetup", &["--find", "--show", &path]);
        Self { node, mounted: Vec::new() }
    }

    /// A disk whose only partition has an ext4 that is mounted at `point`. `addpart` adds the
    /// partition to the kernel, because the kernel may support no partition table.
    pub(crate) fn partitioned(name: &str, point: &str) -> Self {
        let mut disk = Self::new(name, 64);
        // A partition of a killed test outlives its disk.
        disk.forget_partition();
        run("addpart", &[&disk.node, "1", "2048", "65536"]);
        let part = format!("{}p1", disk.node);
        run("mkfs.ext4", &["-q", &part]);
        disk.mount(&part, "ext4", point);
        disk
    }

    fn forget_partition(&self) {
        drop(program("delpart", &[&self.node, "1"]).output());
    }

    /// A disk with this filesystem, mounted at `point`. ext4 has few inodes.
    pub(crate) fn mounted(name: &str, fstype: &str, point: &str) -> Self {
        let (mib, arguments): (u64, &[&str]) = match fstype {
            "ext4" => (32, &["-q", "-N", "256", "-m", "0"]),
            // The minimum size of XFS.
            _ => (300, &["-q"]),
        };
        let mut disk = Self::new(name, mib);
        run(&format!("mkfs.{fstype}"), &[arguments, &[&disk.node]].concat());
        let node = disk.node.clone();
        disk.mount(&node, fstype, point);
        disk
    }

    fn mount(&mut self, node: &str, fstype: &str, point: &str) {
        let options = (fstype == "ext4").then_some("errors=remount-ro");
        mount(Some(node), point, Some(fstype), MsFlags::empty(), options).unwrap();
        self.mounted.push(point.to_owned());
    }

    /// The kernel's name of the disk.
    pub(crate) fn name(&self) -> String {
        self.node.trim_start_matches("/dev/").to_owned()
    }

    /// Triggers an error in the ext4 filesystem.
    pub(crate) fn break_ext4(&self) {
        let path = format!("/sys/fs/ext4/{}/trigger_fs_error", self.name());
        fs::write(path, "triggered by a test").unwrap();
    }

    /// A sysfs that shows the disk as an NVMe device with this serial.
    pub(crate) fn as_nvme(&self, serial: &str) -> String {
        let real = format!("/sys/block/{}", self.name());
        let fake = "/run/sys/block/nvme1n1";
        fs::create_dir_all(format!("{fake}/device")).unwrap();
        for attribute in ["dev", "size", "ro"] {
            fs::copy(format!("{real}/{attribute}"), format!("{fake}/{attribute}")).unwrap();
        }
        fs::write(format!("{fake}/device/model"), "Amazon Elastic Block Store   \n").unwrap();
        fs::write(format!("{fake}/device/serial"), format!("{serial}\n")).unwrap();
        "/run/sys".to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for point in self.mounted.iter().rev() {
            // A test may have unmounted it.
            umount2(point.as_str(), MntFlags::MNT_DETACH).ok();
        }
        self.forget_partition();
        drop(program("losetup", &["--detach", &self.node]).output());
    }
}
