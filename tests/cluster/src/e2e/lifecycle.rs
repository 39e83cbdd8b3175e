//! The cluster itself.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ports::processes_with;
use super::scene::{Scene, ensure};
use crate::cli::make;
use crate::home::Home;
use crate::install::{Admin, nodes_ready, until};
use crate::topology::Layout;
use crate::{Outcome, cgroup, failed, up};

/// Beside the one of the other scenarios, which goes on.
pub(super) async fn a_cluster_that_is_killed_leaves_nothing_once_it_is_taken_down(
    scene: &Scene<'_>,
) -> Outcome {
    let first = &scene.running.home;
    let home = first.beside("crash")?;
    let running = make(&home, Layout::OneSubnet, false)?;
    let outcome = killed(&home, running.vpcbox).await;
    up::down(&home)?;
    outcome?;
    until("its processes are dead", || async {
        ensure(processes(&home).is_empty(), || "it still has processes".to_owned())
    })
    .await?;
    let left = cgroup::branches(&home.cgroups());
    ensure(left.is_empty(), || format!("cgroups are left: {left:?}"))?;
    ensure(!home.dir().exists(), || "its directory is left".to_owned())?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(failed("mounts"))?;
    ensure(!home.is_in(&mounts), || format!("mounts are left: {mounts}"))?;
    ensure(up::running(first).is_some(), || "the other cluster is gone".to_owned())?;
    nodes_ready(&scene.admin).await
}

async fn killed(home: &Home, vpcbox: u32) -> Outcome {
    let admin = Admin::of(&up::Running::find(home)?).await?;
    nodes_ready(&admin).await?;
    ensure(processes(home).len() > 10, || "it has no processes to speak of".to_owned())?;
    let pid = Pid::from_raw(i32::try_from(vpcbox).map_err(failed("a process id"))?);
    kill(pid, Signal::SIGKILL).map_err(failed("kill the box"))
}

/// The processes whose command names the cluster's directory.
fn processes(home: &Home) -> Vec<Pid> {
    processes_with("cmdline", |line| home.is_in(line))
}
