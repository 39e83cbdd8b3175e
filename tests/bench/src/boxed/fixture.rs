//! The fixture of a benchmark in a box: the box, the registry directory, the client.

use std::path::{Path, PathBuf};
use std::process::Command;

use firecamp_core::contract::{ALLOCATOR, env, path};
use firecamp_demo::event::Call;
use firecamp_demo::observe_client::Watch;
use firecamp_demo::process::{Process, Traces};
use nix::sys::signal::Signal;
use vpcbox::client::Client;
use vpcbox::clock::Clock;

use super::endpoint::Endpoint;
use super::job::{Job, Tools};
use super::spec;
use crate::failure::Failure;

/// The client's interval between attempts, and the timeout of an attempt.
const INTERVAL_MS: u64 = 10;
const TIMEOUT_MS: u64 = 200;
/// The members' port.
pub(crate) const PORT: u16 = 6379;
/// The log message of an agent that has completed its first resync.
pub(crate) const READY: &str = "agent ready";
/// The members' namespace.
pub(crate) const NAMESPACE: &str = "bench";

/// The fixture.
pub(crate) struct Fixture {
    pub(crate) tools: Tools,
    pub(crate) baseline: Option<(PathBuf, PathBuf)>,
    pub(crate) vpc: Client,
    pub(crate) clock: Clock,
    /// The agents that init containers ask; none in direct mode.
    pub(crate) endpoint: Option<Endpoint>,
    dir: PathBuf,
    started: u32,
}

/// A client that connects to one address until it is stopped.
pub(crate) struct RunningClient {
    process: Process,
    pub(crate) watch: Watch,
}

impl RunningClient {
    /// Stops the client.
    pub(crate) fn stop(self) -> Result<(), Failure> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait()?;
        Ok(())
    }
}

/// A pod of a member on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) member: String,
    pub(crate) uid: String,
    pub(crate) node: String,
}

impl Fixture {
    pub(crate) fn set_up(job: Job) -> Result<Self, Failure> {
        let socket = std::env::var_os("VPCBOX_SOCKET").map(PathBuf::from);
        let socket = socket.ok_or_else(|| {
            Failure::new("VPCBOX_SOCKET is not set: this command runs only inside a box")
        })?;
        let vpc = Client::connect(&socket)?;
        let clock = vpc.clock();
        // A tmpfs that all nodes of the box share; it ends with the box.
        let dir = socket.parent().unwrap_or(Path::new("/")).join("bench");
        for name in ["registry/staticippools", "volume", "log"] {
            let dir = dir.join(name);
            std::fs::create_dir_all(&dir).map_err(Failure::of(dir.display()))?;
        }
        let pool = dir.join("registry/staticippools/bench.yaml");
        std::fs::write(&pool, spec::POOL_YAML).map_err(Failure::of(pool.display()))?;
        let Job { what: _, tools, baseline } = job;
        Ok(Self { tools, baseline, vpc, clock, endpoint: None, dir, started: 0 })
    }

    pub(crate) fn registry_dir(&self) -> PathBuf {
        self.dir.join("registry")
    }

    /// A file of the benchmark, which all nodes see.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The files of a process, numbered in the order of starts.
    pub(crate) fn traces(&mut self, name: &str) -> Traces {
        self.started = self.started.saturating_add(1);
        let log = self.dir.join("log").join(format!("{:04}-{name}.log", self.started));
        let mark = log.with_extension("began");
        Traces { log, mark }
    }

    /// A command of this program in a node, with only `PATH` of the user's environment.
    pub(crate) fn in_node(&self, node: &str, words: &[&str]) -> Command {
        let mut command = self.vpc.exec(&self.tools.vpcbox, node, &self.tools.bench);
        command.env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.args(words);
        command
    }

    /// A command in a node that records the time of its start.
    pub(crate) fn marked(&self, node: &str, traces: &Traces, program: &Path) -> Command {
        let mut command = self.in_node(node, &["firecamp", "member-start", "--mark"]);
        command.arg(&traces.mark).arg("--").arg(program);
        command
    }

    /// A helper program of the demo that records the time of its start.
    pub(crate) fn small(&self, node: &str, traces: &Traces, words: &[&str]) -> Command {
        let mut command = self.marked(node, traces, &self.tools.bench);
        command.arg("firecamp").args(words);
        command
    }

    /// A command in a node that prints its resource usage.
    pub(crate) fn timed(&self, node: &str, program: &Path) -> Command {
        let mut command = self.in_node(node, &["timed", "--"]);
        command.arg(program);
        command
    }

    /// Starts the agent of a node, with the DaemonSet's allocator.
    pub(crate) fn start_agent(
        &mut self,
        node: &str,
        registry: &str,
        variables: &[(&str, &str)],
    ) -> Result<Process, Failure> {
        let traces = self.traces("agent");
        let mut command = self.marked(node, &traces, &self.tools.agent);
        command
            .env(ALLOCATOR.0, ALLOCATOR.1)
            .env(env::CLUSTER, spec::CLUSTER)
            .env(env::NODE_NAME, node)
            .env(env::REGISTRY, registry)
            .env(env::LOG_FORMAT, "json")
            .env(env::TERMINATION_LOG, traces.termination_message())
            .envs(variables.iter().copied());
        Ok(Process::start("the agent", &mut command, traces, self.clock)?)
    }

    /// The environment of a member's container, as in a pod template.
    pub(crate) fn environment(&self, place: &Place, traces: &Traces) -> Vec<(String, String)> {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let registry = format!("file://{}", self.registry_dir().display());
        let conf_dir = self.dir.join("volume").join(&place.member).join("conf");
        vec![
            set(env::CLUSTER, spec::CLUSTER),
            set(env::SERVICE_NAME, "redis"),
            set(env::POD_NAME, &place.member),
            set(env::K8S_NAMESPACE, NAMESPACE),
            set(env::POD_UID, &place.uid),
            set(env::NODE_NAME, &place.node),
            set(env::REGISTRY, &registry),
            set(env::LOG_FORMAT, "json"),
            set(env::TERMINATION_LOG, &traces.termination_message().display().to_string()),
            set(env::CONF_DIR, &conf_dir.display().to_string()),
            set(env::POOL, spec::POOL),
        ]
    }

    /// Creates the directory of a member's volume.
    pub(crate) fn make_volume(&self, member: &str) -> Result<(), Failure> {
        let dir = self.dir.join("volume").join(member);
        std::fs::create_dir_all(&dir).map_err(Failure::of(dir.display()))
    }

    /// The static-IP file of a member.
    pub(crate) fn static_ip_file(&self, member: &str) -> PathBuf {
        self.dir.join("volume").join(member).join("conf").join(path::STATIC_IP_FILE)
    }

    /// Starts a client.
    pub(crate) fn dial(&mut self, address: &str) -> Result<RunningClient, Failure> {
        let traces = self.traces("client");
        let origin = self.clock.origin_ns().to_string();
        let (port, every) = (PORT.to_string(), INTERVAL_MS.to_string());
        let patience = TIMEOUT_MS.to_string();
        let words = ["member-client", "--address", address, "--port", &port, "--every-ms", &every];
        let mut command = self.small(spec::CLIENT, &traces, &words);
        command.args(["--patience-ms", &patience, "--origin-ns", &origin]);
        let mut process = Process::start("the client", &mut command, traces, self.clock)?;
        let Some(out) = process.output() else {
            return Err(Failure::new("the client has no standard output"));
        };
        Ok(RunningClient { process, watch: Watch::start(out, Vec::new(), |_strip| ()) })
    }

    /// The number of the latest call in the box's log.
    pub(crate) fn last_call(&mut self) -> Result<u64, Failure> {
        Ok(self.vpc.calls(0)?.last().map_or(0, |call| call.seq))
    }

    /// The EC2 calls after the call with this number.
    pub(crate) fn ec2_calls(&mut self, since: u64) -> Result<Vec<Call>, Failure> {
        let calls = self.vpc.calls(since)?;
        Ok(calls.iter().filter(|call| call.service == "ec2").map(Call::from).collect())
    }

    /// The same for one member. An agent also makes calls for itself; those for the member have its
    /// address.
    pub(crate) fn calls_for(&mut self, since: u64, address: &str) -> Result<Vec<Call>, Failure> {
        if self.endpoint.is_none() {
            return self.ec2_calls(since);
        }
        let mut calls = self.vpc.calls(since)?;
        calls.retain(|call| call.parameters.values().any(|value| value == address));
        Ok(calls.iter().filter(|call| call.service == "ec2").map(Call::from).collect())
    }
}
