//! The environment of the steps: the box, the observed client, the records, and the history.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use firecamp_core::contract::{env, path};
use vpcbox::client::Client;
use vpcbox::clock::Clock;
use vpcbox::protocol::Truth;
use vpcbox::vpc::Act;

use super::cluster::Cluster;
use super::config::DemoConfig;
use super::fixture;
use super::records::Records;
use crate::event::{Call, Event, Place, Ran};
use crate::failure::Failure;
use crate::observe_client::Watch;
use crate::process::{Process, Traces};
use crate::render::Sink;

/// The interval between attempts of the client, and the timeout of an attempt. The timeout is below
/// the kernel's first retransmission of a SYN after 1 s, so that no attempt hides an outage.
pub(crate) const EVERY_MS: u64 = 10;
const PATIENCE_MS: u64 = 900;

/// The environment of a demo.
pub(crate) struct Stage {
    pub(crate) config: DemoConfig,
    pub(crate) vpc: Client,
    pub(crate) clock: Clock,
    pub(crate) dir: PathBuf,
    pub(crate) records: Records,
    /// The cluster that replaces the file registry in the last steps.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) watch: Watch,
    pub(crate) places: Vec<Place>,
    pub(crate) spans: Vec<Ran>,
    pub(crate) step: u8,
    /// Where the member reads its address.
    pub(crate) address_file: PathBuf,
    /// The nodes without power.
    pub(crate) dead: BTreeSet<String>,
    sink: Arc<Mutex<Sink>>,
    started: u32,
    pods: u32,
    _client: Process,
}

impl Stage {
    /// Sets up the demo in the box of this socket.
    pub(crate) fn set_up(
        config: DemoConfig,
        socket: &Path,
        sink: Arc<Mutex<Sink>>,
    ) -> Result<Self, Failure> {
        let mut vpc = Client::connect(socket)?;
        let clock = vpc.clock();
        // A tmpfs of the box that all its nodes share; it disappears with the box.
        let dir = socket.parent().unwrap_or(Path::new("/")).join("demo");
        for name in ["registry", "volume", "log"] {
            let dir = dir.join(name);
            std::fs::create_dir_all(&dir).map_err(|e| Failure::file("create", &dir, e))?;
        }
        let records = Records::create(&dir.join("registry"))?;
        let truth = vpc.truth()?;
        let places = places(&truth);
        let names = truth.nodes.iter().map(|node| node.name.clone()).collect();
        let mut client = start_client(&config, &vpc, &dir)?;
        let Some(out) = client.output() else { return Err(client.failed("has no output")) };
        let drawn = Arc::clone(&sink);
        let watch = Watch::start(out, names, move |strip| {
            let mut sink = drawn.lock().unwrap_or_else(PoisonError::into_inner);
            // Progress output is optional.
            sink.show(strip).ok();
        });
        Ok(Self {
            config,
            vpc,
            clock,
            dir,
            records,
            cluster: None,
            watch,
            places,
            spans: Vec::new(),
            step: 0,
            address_file: PathBuf::new(),
            dead: BTreeSet::new(),
            sink,
            started: 0,
            pods: 0,
            _client: client,
        })
    }

    /// Reports an event.
    pub(crate) fn report(&self, event: Event) -> Result<(), Failure> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.report(event).map_err(Failure::Output)
    }

    /// Reports a note.
    pub(crate) fn note(&self, text: impl Into<String>) -> Result<(), Failure> {
        self.report(Event::Note { at_us: self.clock.now_us(), step: self.step, text: text.into() })
    }

    /// Stores and reports a process of a pod.
    pub(crate) fn span(&mut self, ran: Ran) -> Result<(), Failure> {
        self.spans.push(ran.clone());
        self.report(Event::Ran(ran))
    }

    /// The UID of the next pod.
    pub(crate) fn next_pod(&mut self) -> String {
        self.pods = self.pods.saturating_add(1);
        format!("pod-{}", self.pods)
    }

    /// The newest pod's address in a network of its own.
    pub(crate) fn pod_address(&self) -> Ipv4Addr {
        let [a, b, c, d] = fixture::PODS.octets();
        Ipv4Addr::new(a, b, c, d.saturating_add(u8::try_from(self.pods).unwrap_or(u8::MAX)))
    }

    /// The node names, in the order of their letters in strips.
    pub(crate) fn nodes(&self) -> Vec<String> {
        self.places.iter().map(|place| place.name.clone()).collect()
    }

    /// The files for a process, numbered in start order.
    pub(crate) fn traces(&mut self, name: &str) -> Traces {
        self.started = self.started.saturating_add(1);
        traces(&self.dir, self.started, name)
    }

    /// A command on a node, without the user's environment.
    pub(crate) fn in_node(&self, node: &str, traces: &Traces, program: &Path) -> Command {
        in_place(&self.config, &self.vpc, (node, traces), (program, &[]))
    }

    /// The same in the network of a pod, for a program without any privilege.
    pub(crate) fn unprivileged(
        &self,
        (pod, node): (&str, &str),
        traces: &Traces,
        program: &Path,
    ) -> Command {
        let place = format!("{node}/{pod}");
        in_place(&self.config, &self.vpc, (&place, traces), (program, &["--unprivileged"]))
    }

    /// A command of a container of this pod, like in the member's pod template.
    pub(crate) fn container(
        &self,
        (pod, node): (&str, &str),
        traces: &Traces,
        program: &Path,
    ) -> Command {
        let mut command = self.in_node(node, traces, program);
        command
            .env(env::CLUSTER, fixture::CLUSTER)
            .env(env::SERVICE_NAME, fixture::SERVICE)
            .env(env::POD_NAME, fixture::MEMBER)
            .env(env::K8S_NAMESPACE, fixture::NAMESPACE)
            .env(env::POD_UID, pod)
            .env(env::NODE_NAME, node)
            .env(env::REGISTRY, self.registry_url())
            .env(env::LOG_FORMAT, "json")
            .env(env::TERMINATION_LOG, traces.termination_message());
        command
    }

    /// The registry URL for containers and agents.
    pub(crate) fn registry_url(&self) -> String {
        let files = || format!("file://{}", self.dir.join("registry").display());
        self.cluster.as_ref().map_or_else(files, Cluster::url)
    }

    /// The cluster of the last steps.
    pub(crate) fn cluster(&self) -> Result<&Cluster, Failure> {
        self.cluster.as_ref().ok_or_else(|| Failure::Story("there is no cluster yet".to_owned()))
    }

    /// Turns the power of a node off or on.
    pub(crate) fn power(&mut self, node: &str, on: bool) -> Result<(), Failure> {
        let name = node.to_owned();
        if on {
            self.vpc.act(Act::Start { node: name })?;
            self.dead.remove(node);
        } else {
            self.vpc.act(Act::Stop { node: name.clone() })?;
            self.dead.insert(name);
        }
        Ok(())
    }

    /// Removes the member's address from a node's kernel; returns how long it was missing.
    pub(crate) fn strip(&mut self, node: &str) -> Result<u64, Failure> {
        let traces = self.traces(&format!("strip-{node}"));
        let mut command = self.in_node(node, &traces, &self.config.tools.vpcbox);
        command.args(["probe", "strip", &fixture::ADDRESS.to_string()]);
        let failed = |why: String| {
            Failure::Story(format!("remove {} from the kernel of {node}: {why}", fixture::ADDRESS))
        };
        let output = command.stdin(Stdio::null()).output().map_err(|e| failed(e.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let away = text.trim().strip_prefix("restored after ").and_then(|us| us.parse().ok());
        away.ok_or_else(|| failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// The directory of the static-IP file, on the volume that moves with the member.
    pub(crate) fn conf_dir(&self) -> PathBuf {
        self.dir.join("volume").join("conf")
    }

    /// The static-IP file.
    pub(crate) fn static_ip_file(&self) -> PathBuf {
        self.conf_dir().join(path::STATIC_IP_FILE)
    }

    /// The number of the last call.
    pub(crate) fn last_call(&mut self) -> Result<u64, Failure> {
        Ok(self.vpc.calls(0)?.last().map_or(0, |call| call.seq))
    }

    /// The EC2 calls after this one.
    pub(crate) fn ec2_calls(&mut self, since: u64) -> Result<Vec<Call>, Failure> {
        let calls = self.vpc.calls(since)?;
        Ok(calls.iter().filter(|call| call.service == "ec2").map(Call::from).collect())
    }
}

fn traces(dir: &Path, number: u32, name: &str) -> Traces {
    let log = dir.join("log").join(format!("{number:02}-{name}.log"));
    let mark = log.with_extension("began");
    Traces { log, mark }
}

fn places(truth: &Truth) -> Vec<Place> {
    let primary = |node: &vpcbox::protocol::Node| node.enis.first().map(|eni| eni.primary);
    let nodes = truth.nodes.iter();
    nodes.filter_map(|node| Some(fixture::place(&node.name, &node.zone, primary(node)?))).collect()
}

/// The variables of the user's environment that programs in the box get: for finding programs, and
/// for coverage tools.
const KEPT: [&str; 2] = ["PATH", "LLVM_PROFILE_FILE"];

fn in_place(
    config: &DemoConfig,
    vpc: &Client,
    (node, traces): (&str, &Traces),
    (program, flags): (&Path, &[&str]),
) -> Command {
    let tools = &config.tools;
    let mut command = vpc.exec(&tools.vpcbox, node, &tools.demo);
    command.env_clear();
    for key in KEPT {
        if let Some(value) = std::env::var_os(key) {
            command.env(key, value);
        }
    }
    command.arg("member-start").args(flags).arg("--mark").arg(&traces.mark);
    command.arg("--").arg(program);
    command
}

fn start_client(config: &DemoConfig, vpc: &Client, dir: &Path) -> Result<Process, Failure> {
    let traces = traces(dir, 0, "client");
    let clock = vpc.clock();
    let program = config.tools.demo.as_path();
    let mut command = in_place(config, vpc, (fixture::CLIENT, &traces), (program, &[]));
    command
        .args(["member-client", "--address", &fixture::ADDRESS.to_string()])
        .args(["--port", &fixture::PORT.to_string()])
        .args(["--every-ms", &EVERY_MS.to_string(), "--patience-ms", &PATIENCE_MS.to_string()])
        .args(["--origin-ns", &clock.origin_ns().to_string()]);
    Process::start("the client", &mut command, traces, clock)
}
