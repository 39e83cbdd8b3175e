//! Checks that EC2, the router, the nodes' kernels, the record and the static-IP file agree about
//! the address.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use firecamp_core::record::{State, StaticIp};

use super::environment::Stage;
use super::fixture;
use crate::event::Check;
use crate::failure::Failure;
use crate::process::DEADLINE;

/// Poll interval while waiting for a state.
pub(super) const POLL: Duration = Duration::from_millis(20);

/// The expected state of the address after a step.
#[derive(Clone, Copy)]
pub(super) enum Expected<'a> {
    /// Attached to this pod on this node.
    Attached(&'a str, &'a str),
    /// Released, and still assigned to this node's ENI.
    Parked(&'a str),
    /// Released, and on no ENI; this node had it last.
    Unassigned(&'a str),
}

/// The address in all systems.
struct Observed {
    owner: Option<String>,
    routed: Option<String>,
    /// The nodes whose kernel has it.
    kernels: Vec<String>,
    record: StaticIp,
    in_file: bool,
}

/// The member's record.
pub(super) fn record(stage: &Stage) -> Result<StaticIp, Failure> {
    let record = match &stage.cluster {
        Some(cluster) => cluster.record(),
        None => stage.records.static_ip(fixture::ADDRESS)?.map(|stored| stored.object),
    };
    let missing = || Failure::Registry(format!("StaticIP {} does not exist", fixture::ADDRESS));
    record.ok_or_else(missing)
}

/// Reads all systems and compares them.
pub(super) fn agreement(stage: &mut Stage, expected: Expected<'_>) -> Result<Check, Failure> {
    let observed = observe(stage)?;
    let held = observed.agree(expected);
    Ok(Check { what: fixture::ADDRESS.to_string(), held, seen: observed.summary() })
}

fn observe(stage: &mut Stage) -> Result<Observed, Failure> {
    let record = record(stage)?;
    let truth = stage.vpc.address(fixture::ADDRESS)?;
    let file = std::fs::read_to_string(&stage.address_file).unwrap_or_default();
    let mut kernels = Vec::new();
    for node in stage.nodes().into_iter().filter(|node| !stage.dead.contains(node)) {
        if in_kernel(stage, &node)? {
            kernels.push(node);
        }
    }
    Ok(Observed {
        owner: truth.as_ref().and_then(|truth| truth.node.clone()),
        routed: truth.and_then(|truth| truth.routed_node),
        kernels,
        record,
        in_file: file.contains(&fixture::ADDRESS.to_string()),
    })
}

/// Waits until the kernel of a node, in which an agent runs, no longer has the address.
pub(super) fn withdrawn(stage: &Stage, node: &str) -> Result<(), Failure> {
    let from = stage.clock.now();
    while in_kernel(stage, node)? {
        if stage.clock.now().saturating_sub(from) > DEADLINE {
            return Err(Failure::Story(format!(
                "the agent of {node} does not withdraw the address"
            )));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// Whether the kernel of a node has the address, which is then in its table of local routes.
fn in_kernel(stage: &Stage, node: &str) -> Result<bool, Failure> {
    let failed = |source| Failure::process("read the routes of", node, source);
    let output = stage
        .vpc
        .exec(&stage.config.tools.vpcbox, node, "cat")
        .arg("/proc/net/fib_trie")
        .stdin(Stdio::null())
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(failed(std::io::Error::other(text)));
    }
    let table = String::from_utf8_lossy(&output.stdout);
    let leaf = format!("|-- {}", fixture::ADDRESS);
    Ok(table.lines().any(|line| line.trim_end().ends_with(&leaf)))
}

impl Observed {
    fn agree(&self, expected: Expected<'_>) -> bool {
        let attachment = self.record.attachment.as_ref();
        let state_is = attachment.map(|attachment| attachment.state);
        let member = &self.record.member;
        let routed_to = |node: &str| {
            self.owner.as_deref() == Some(node) && self.routed.as_deref() == Some(node)
        };
        let kernel_of = |node: &str| self.kernels.iter().any(|name| name == node);
        let ours = member.namespace() == fixture::NAMESPACE && member.name() == fixture::MEMBER;
        ours && match expected {
            Expected::Attached(pod, node) => {
                let by = attachment
                    .is_some_and(|held| held.pod.as_str() == pod && held.node.as_str() == node);
                let in_use = kernel_of(node) && self.in_file;
                by && routed_to(node) && in_use && state_is == Some(State::Attached)
            }
            Expected::Parked(node) => {
                routed_to(node) && !kernel_of(node) && state_is == Some(State::Parked)
            }
            Expected::Unassigned(node) => {
                self.owner.is_none() && !kernel_of(node) && state_is == Some(State::Released)
            }
        }
    }

    fn summary(&self) -> String {
        let Self { owner, routed, kernels, record, in_file } = self;
        let name = |node: &Option<String>| node.clone().unwrap_or_else(|| "none".to_owned());
        let kernels = if kernels.is_empty() { "none".to_owned() } else { kernels.join(" and ") };
        let state = record.attachment.as_ref().map(|attachment| attachment.state);
        let state = state.map_or_else(|| "unused".to_owned(), |s| format!("{s:?}").to_lowercase());
        format!(
            "EC2: {}, router: {}, kernel: {kernels}, record: {} epoch {} {state}, file: {}",
            name(owner),
            name(routed),
            record.member,
            record.epoch.0,
            if *in_file { "correct" } else { "wrong" },
        )
    }
}
