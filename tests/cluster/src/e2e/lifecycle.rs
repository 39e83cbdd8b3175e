//! Start and removal of the cluster itself.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::processes::processes_with;
use super::test_cluster::{TestCluster, ensure};
use crate::cli::start_cluster;
use crate::home::Home;
use crate::install::{Admin, nodes_ready, until};
use crate::topology::Layout;
use crate::{Outcome, cgroup, failed, up};

/// Runs beside the shared cluster, which must not be affected.
pub(super) async fn clusterbox_down_removes_everything_of_a_killed_cluster(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let first = &cluster.running.home;
    let home = first.sibling("crash")?;
    let running = start_cluster(&home, Layout::OneSubnet, false)?;
    let outcome = killed(&home, running.vpcbox).await;
    up::down(&home)?;
    outcome?;
    until("the processes of the killed cluster are dead", || async {
        ensure(processes(&home).is_empty(), || format!("processes remain: {:?}", processes(&home)))
    })
    .await?;
    let left = cgroup::with_prefix(&home.cgroups());
    ensure(left.is_empty(), || format!("cgroups remain: {left:?}"))?;
    ensure(!home.dir().exists(), || "its directory remains".to_owned())?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(failed("mounts"))?;
    ensure(!home.is_named_in(&mounts), || format!("mounts remain: {mounts}"))?;
    ensure(up::running(first).is_some(), || "the shared cluster is gone".to_owned())?;
    nodes_ready(&cluster.admin).await
}

async fn killed(home: &Home, vpcbox: u32) -> Outcome {
    let admin = Admin::of(&up::Running::find(home)?).await?;
    nodes_ready(&admin).await?;
    ensure(processes(home).len() > 10, || "the cluster has 10 processes or fewer".to_owned())?;
    let pid = Pid::from_raw(i32::try_from(vpcbox).map_err(failed("a process ID"))?);
    kill(pid, Signal::SIGKILL).map_err(failed("kill the box"))
}

/// The processes whose command names the cluster's directory.
fn processes(home: &Home) -> Vec<Pid> {
    processes_with("cmdline", |line| home.is_named_in(line))
}
