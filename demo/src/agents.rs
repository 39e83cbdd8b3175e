//! The agents of the nodes, started and stopped like by a DaemonSet.

use std::collections::BTreeMap;

use firecamp_core::contract::{endpoint, env};
use nix::sys::signal::Signal;

use super::environment::Stage;
use super::fixture;
use crate::failure::Failure;
use crate::process::Process;

/// What an agent logs after its first full pass.
const READY: &str = "agent ready";
/// What it logs when it listens for pods.
const LISTENS: &str = "endpoint for pods started";

/// The agents by node.
#[derive(Default)]
pub(super) struct Agents(BTreeMap<String, Process>);

impl Agents {
    /// Starts an agent on each node.
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
        let mut command = stage.in_node(node, &traces, &stage.config.tools.agent);
        command
            .env(env::CLUSTER, fixture::CLUSTER)
            .env(env::NODE_NAME, node)
            .env(env::REGISTRY, stage.registry_url())
            .env(env::LOG_FORMAT, "json")
            .env(env::TERMINATION_LOG, traces.termination_message());
        if stage.cluster.is_some() {
            command.env(env::ENDPOINT_LISTEN, endpoint::DEFAULT);
            command.env(env::CLUSTER_CIDRS, fixture::CLUSTER_CIDRS);
        }
        let name = format!("the agent of {node}");
        let process = Process::start(&name, &mut command, traces, stage.clock)?;
        process.logged(READY)?;
        if stage.cluster.is_some() {
            process.logged(LISTENS)?;
        }
        self.0.insert(node.to_owned(), process);
        Ok(())
    }

    /// Sends SIGTERM and waits for exit code 0; returns how long that took.
    pub(super) fn stop(&mut self, node: &str) -> Result<u64, Failure> {
        let agent = self.take(node)?;
        let from_us = agent.signal(Signal::SIGTERM)?;
        let ended = agent.wait()?;
        if ended.exit != Some(0) {
            return Err(agent.failed(&format!("ended with {:?}", ended.exit)));
        }
        Ok(ended.to_us.saturating_sub(from_us))
    }

    /// Stops all agents.
    pub(super) fn stop_all(&mut self) -> Result<(), Failure> {
        let nodes: Vec<_> = self.0.keys().cloned().collect();
        nodes.iter().try_for_each(|node| self.stop(node).map(drop))
    }

    /// Waits for the death of the agent with its node.
    pub(super) fn is_gone(&mut self, node: &str) -> Result<(), Failure> {
        self.take(node)?.killed().map(drop)
    }

    fn take(&mut self, node: &str) -> Result<Process, Failure> {
        let missing = || Failure::Story(format!("no agent runs on {node}"));
        self.0.remove(node).ok_or_else(missing)
    }
}
