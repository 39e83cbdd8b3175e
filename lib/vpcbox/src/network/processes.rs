//! The processes of a node, found by their network or mount namespace.

use std::fs;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::Failure;

/// Maximum number of scans: each may find children that the previous one missed.
const ROUNDS: u32 = 100;
/// Those that a node has for itself, and by which its processes are found.
const SPACES: [&str; 2] = ["net", "mnt"];

/// Kills all processes in the holder's namespaces, then the holder: power off.
pub(super) fn kill_site(name: &str, holder: u32) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::kernel("end the processes of", name, e);
    let [net, mnt] = SPACES.map(|kind| fs::read_link(format!("/proc/{holder}/ns/{kind}")));
    let spaces = [net.map_err(failed)?, mnt.map_err(failed)?];
    for _ in 0..ROUNDS {
        let mut found = false;
        for pid in of_node(&spaces).map_err(failed)? {
            if u32::try_from(pid).is_ok_and(|p| p != holder) {
                found = true;
                end(pid).map_err(failed)?;
            }
        }
        if !found {
            break;
        }
    }
    end(i32::try_from(holder).unwrap_or(i32::MAX)).map_err(failed)
}

fn end(pid: i32) -> std::io::Result<()> {
    match kill(Pid::from_raw(pid), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Running processes of these namespaces, without those that end meanwhile, and without zombies,
/// which have no namespaces any more. One of a pod has another network than its node, and one that
/// enters the node joins one namespace after the other.
fn of_node(spaces: &[PathBuf; 2]) -> std::io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        let joined = |(kind, space): (&str, &PathBuf)| {
            fs::read_link(format!("/proc/{pid}/ns/{kind}")).is_ok_and(|link| link == *space)
        };
        if SPACES.into_iter().zip(spaces).any(joined) {
            pids.push(pid);
        }
    }
    Ok(pids)
}
