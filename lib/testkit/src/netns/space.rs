//! Enters new namespaces.

use std::fs;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid};

use crate::netns::Net;

const HELP: &str = "this test needs user namespaces. As root: \
    sysctl -w user.max_user_namespaces=10000; on Debian also kernel.unprivileged_userns_clone=1; \
    on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0";

/// Moves this process, which must be single-threaded, into a new user, network and mount namespace,
/// as root there. `/run` is an empty tmpfs, the loopback is up, and the process dies with its
/// parent.
pub fn enter() {
    let (uid, gid) = (geteuid(), getegid());
    let spaces = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    unshare(spaces).unwrap_or_else(|errno| panic!("unshare: {errno}; {HELP}"));
    let map = |file: &str, line: &str| {
        let path = format!("/proc/self/{file}");
        fs::write(&path, line).unwrap_or_else(|error| panic!("write {path}: {error}; {HELP}"));
    };
    map("setgroups", "deny");
    map("uid_map", &format!("0 {uid} 1"));
    map("gid_map", &format!("0 {gid} 1"));
    set_pdeathsig(Signal::SIGKILL).expect("set the parent-death signal");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .expect("make the mounts private");
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))
        .expect("mount a tmpfs on /run");
    Net::current().up("lo");
}
