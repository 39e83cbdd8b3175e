//! The agents of the nodes: started and ended as a DaemonSet does it.

use std::collections::BTreeMap;

use firecamp_core::contract::env;
use nix::sys::signal::Signal;

use super::stage::Stage;
use super::world;
use crate::failure::Failure;
use crate::process::Process;

/// What an agent logs when it has looked at everything once.
const READY: &str = "The agent is ready";

/// The agents by their nodes.
#[derive(Default)]
pub(super) struct Agents(BTreeMap<String, Process>);

impl Agents {
    /// One on each node.
    pub(super) fn start_all(stage: &mut Stage) -> Result<Self, Failure> {
        let mut agents = Self::default();
        for node in stage.nodes() {
            agents.start(stage, &node)?;
        }
        Ok(agents)
    }

    /// Starts the agent of a node and waits until it is ready.
    pub(super) fn start(&mut self, stage: &mut Stage, node: &str) -> Result<(), Failure> {
        let traces = stage.traces(&format!("agent-{node}"));
        let mut command = stage.in_node(node, &traces, &stage.orders.tools.agent);
        command
            .env(env::CLUSTER, world::CLUSTER)
            .env(env::NODE_NAME, node)
            .env(env::REGISTRY, stage.registry_url())
            .env(env::LOG_FORMAT, "json")
            .env(env::TERMINATION_LOG, traces.last_words());
        let name = format!("the agent of {node}");
        let process = Process::start(&name, &mut command, traces, stage.clock)?;
        process.logged(READY)?;
        self.0.insert(node.to_owned(), process);
        Ok(())
    }

    /// SIGTERM, and a good end; how long that took.
    pub(super) fn stop(&mut self, node: &str) -> Result<u64, Failure> {
        let agent = self.take(node)?;
        let from_us = agent.signal(Signal::SIGTERM)?;
        let ended = agent.wait()?;
        if ended.exit != Some(0) {
            return Err(agent.failed(&format!("ended with {:?}", ended.exit)));
        }
        Ok(ended.to_us.saturating_sub(from_us))
    }

    /// Its node has died, and it with it.
    pub(super) fn is_gone(&mut self, node: &str) -> Result<(), Failure> {
        self.take(node)?.killed().map(drop)
    }

    fn take(&mut self, node: &str) -> Result<Process, Failure> {
        let missing = || Failure::Story(format!("no agent runs on {node}"));
        self.0.remove(node).ok_or_else(missing)
    }
}
