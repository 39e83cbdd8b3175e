//! Drops all privileges, as a container runtime does for a pod of the level *restricted*.

use std::fs;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::failure::Failure;

/// The user of an injected init container.
const USER: u32 = 65532;

/// After this, the next program has no capability and cannot gain any.
pub(super) fn drop_privileges() -> Result<(), Failure> {
    let failed = |what| move |source: Errno| Failure::process(what, "this process", source);
    prctl::set_no_new_privs().map_err(failed("set no_new_privs for"))?;
    let (user, group) = (Uid::from_raw(USER), Gid::from_raw(USER));
    match setresgid(group, group, group) {
        // The box of an unprivileged user has no second user.
        Err(Errno::EINVAL) => return enter_user_namespace(),
        switched => switched.map_err(failed("switch the group of"))?,
    }
    setgroups(&[]).map_err(failed("drop the groups of"))?;
    setresuid(user, user, user).map_err(failed("switch the user of"))
}

/// A process has no capability outside of its user namespace, and loses those inside when it
/// executes a program as another user than root.
fn enter_user_namespace() -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWUSER)
        .map_err(|e| Failure::process("create a user namespace for", "this process", e))?;
    let map = format!("{USER} 0 1");
    for (name, text) in [("setgroups", "deny"), ("uid_map", &map), ("gid_map", &map)] {
        let path = format!("/proc/self/{name}");
        fs::write(&path, text).map_err(|e| Failure::file("write", path.as_ref(), e))?;
    }
    Ok(())
}
