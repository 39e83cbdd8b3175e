//! Freezes a node: stops all of its processes (kubelet, containerd, shims, agent, members) and
//! continues them later with the state that they had.

use std::collections::BTreeSet;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::{Stat, all_processes};

use crate::e2e::test_cluster::{TestCluster, ensure};
use crate::install::until;
use crate::{Outcome, failed};

/// Processes that still run can start new ones, but not in so many rounds.
const ROUNDS: u32 = 50;

/// A process: its ID, its parent's ID, and its state letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    state: char,
}

impl Process {
    /// Whether it is stopped or dead.
    fn is_halted(self) -> bool {
        matches!(self.state, 'T' | 'Z' | 'X')
    }
}

impl From<Stat> for Process {
    fn from(stat: Stat) -> Self {
        Self { pid: stat.pid, parent: stat.ppid, state: stat.state }
    }
}

/// The process and all its descendants. Orphans become children of the init process of the node's
/// PID namespace.
fn descendants(all: &[Process], first: i32) -> Vec<Process> {
    let mut known = BTreeSet::from([first]);
    loop {
        let children = all.iter().filter(|one| known.contains(&one.parent));
        let grown: BTreeSet<i32> = children.map(|one| one.pid).chain(known.clone()).collect();
        if grown.len() == known.len() {
            break;
        }
        known = grown;
    }
    all.iter().filter(|one| known.contains(&one.pid)).copied().collect()
}

impl TestCluster<'_> {
    /// All processes of a node.
    fn node_processes(&self, node: &str) -> Outcome<Vec<Process>> {
        let first = self.running.init_process(node)?;
        let all = all_processes().map_err(failed("list processes"))?;
        // A process that has exited meanwhile has no state.
        let all: Vec<Process> =
            all.flatten().filter_map(|one| one.stat().ok()).map(Process::from).collect();
        Ok(descendants(&all, first))
    }

    /// Stops all processes of a node, including those started meanwhile.
    pub(super) async fn freeze(&self, node: &str) -> Outcome {
        let mut stopped = BTreeSet::new();
        for _ in 0..ROUNDS {
            let all = self.node_processes(node)?;
            let new: Vec<i32> =
                all.iter().map(|one| one.pid).filter(|pid| !stopped.contains(pid)).collect();
            if new.is_empty() {
                let check = || std::future::ready(self.is_frozen(node));
                return until(&format!("all processes of {node} are stopped"), check).await;
            }
            for pid in new {
                signal_if_alive(pid, Signal::SIGSTOP)?;
                stopped.insert(pid);
            }
        }
        Err(format!("{node} starts processes faster than they can be stopped"))
    }

    /// Checks that a node has processes and that none of them runs.
    pub(super) fn is_frozen(&self, node: &str) -> Outcome {
        let all = self.node_processes(node)?;
        ensure(all.len() > 3, || format!("{node} has too few processes: {all:?}"))?;
        let running: Vec<Process> = all.into_iter().filter(|one| !one.is_halted()).collect();
        ensure(running.is_empty(), || format!("processes of {node} run: {running:?}"))
    }

    /// Continues all processes of a node.
    pub(super) fn thaw(&self, node: &str) -> Outcome {
        self.node_processes(node)?
            .into_iter()
            .try_for_each(|one| signal_if_alive(one.pid, Signal::SIGCONT))
    }
}

/// Sends a signal to a process that may have exited.
fn signal_if_alive(pid: i32, signal: Signal) -> Outcome {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(format!("send {signal} to process {pid}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        Process { pid, parent, state: 'S' }
    }

    #[test]
    fn a_node_consists_of_its_init_process_and_its_descendants() {
        // Process IDs are reused, so a child may have a lower one than its parent.
        let all = [
            process(1, 0),
            process(40, 1),
            process(7, 40),
            process(50, 7),
            process(41, 1),
            process(8, 41),
        ];
        let pids: Vec<i32> = descendants(&all, 40).iter().map(|one| one.pid).collect();
        assert_eq!(pids, [40, 7, 50]);
        assert_eq!(descendants(&all, 99), []);
    }

    #[test]
    fn only_stopped_and_dead_processes_are_halted() {
        for (state, is_halted) in
            [('T', true), ('Z', true), ('S', false), ('R', false), ('D', false)]
        {
            assert_eq!(Process { state, ..process(2, 1) }.is_halted(), is_halted, "{state}");
        }
    }
}
