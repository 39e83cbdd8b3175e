//! A node on which nothing runs for a while, and then everything goes on: kubelet, containerd,
//! agent, members, their shims, and what each of them had in its mind.

use std::collections::BTreeSet;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::{Stat, all_processes};

use crate::e2e::scene::{Scene, ensure};
use crate::install::until;
use crate::{Outcome, failed};

/// Who runs while others are stopped may start more of them, but not so often.
const ROUNDS: u32 = 50;

/// A process: its own number, its parent's, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct One {
    pid: i32,
    parent: i32,
    state: char,
}

impl One {
    /// It does nothing before somebody lets it, or never again.
    fn rests(self) -> bool {
        matches!(self.state, 'T' | 'Z' | 'X')
    }
}

impl From<Stat> for One {
    fn from(stat: Stat) -> Self {
        Self { pid: stat.pid, parent: stat.ppid, state: stat.state }
    }
}

/// The process, and all that it or those have started: the first process of a node's own process
/// namespace gets those whose parents have ended.
fn family(all: &[One], first: i32) -> Vec<One> {
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

impl Scene<'_> {
    /// All processes of a node.
    fn all_of(&self, node: &str) -> Outcome<Vec<One>> {
        let first = self.running.first_process(node)?;
        let all = all_processes().map_err(failed("the processes"))?;
        // Who has ended meanwhile has no state.
        let all: Vec<One> =
            all.flatten().filter_map(|one| one.stat().ok()).map(One::from).collect();
        Ok(family(&all, first))
    }

    /// Stops all processes of a node, also those that are started meanwhile.
    pub(super) async fn freeze(&self, node: &str) -> Outcome {
        let mut stopped = BTreeSet::new();
        for _ in 0..ROUNDS {
            let all = self.all_of(node)?;
            let new: Vec<i32> =
                all.iter().map(|one| one.pid).filter(|pid| !stopped.contains(pid)).collect();
            if new.is_empty() {
                let looks = || std::future::ready(self.is_frozen(node));
                return until(&format!("all of {node} is frozen"), looks).await;
            }
            for pid in new {
                order(pid, Signal::SIGSTOP)?;
                stopped.insert(pid);
            }
        }
        Err(format!("{node} starts processes faster than they can be stopped"))
    }

    /// Whether no process of a node runs, of which there are some.
    pub(super) fn is_frozen(&self, node: &str) -> Outcome {
        let all = self.all_of(node)?;
        ensure(all.len() > 3, || format!("{node} has hardly a process: {all:?}"))?;
        let awake: Vec<One> = all.into_iter().filter(|one| !one.rests()).collect();
        ensure(awake.is_empty(), || format!("they are awake: {awake:?}"))
    }

    /// Lets all processes of a node go on.
    pub(super) fn thaw(&self, node: &str) -> Outcome {
        self.all_of(node)?.into_iter().try_for_each(|one| order(one.pid, Signal::SIGCONT))
    }
}

/// Sends a signal to a process, which may have ended.
fn order(pid: i32, signal: Signal) -> Outcome {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(wrong) => Err(format!("{signal} to process {pid}: {wrong}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(pid: i32, parent: i32) -> One {
        One { pid, parent, state: 'S' }
    }

    #[test]
    fn a_node_has_the_descendants_of_its_first_process_and_nobody_else() {
        // Numbers are used again, so a child may have a lower one than its parent.
        let all = [one(1, 0), one(40, 1), one(7, 40), one(50, 7), one(41, 1), one(8, 41)];
        let pids: Vec<i32> = family(&all, 40).iter().map(|one| one.pid).collect();
        assert_eq!(pids, [40, 7, 50]);
        assert_eq!(family(&all, 99), []);
    }

    #[test]
    fn only_what_is_stopped_or_dead_rests() {
        for (state, rests) in [('T', true), ('Z', true), ('S', false), ('R', false), ('D', false)] {
            assert_eq!(One { state, ..one(2, 1) }.rests(), rests, "{state}");
        }
    }
}
