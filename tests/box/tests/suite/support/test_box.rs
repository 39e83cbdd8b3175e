//! A box with a file registry and a pool.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use firecamp_core::contract::env;
use firecamp_core::ids::Member;
use firecamp_core::ports::Registry;
use firecamp_core::record::{MemberRecords, StaticIp, Stored};
use firecamp_registry::{FileRegistry, Timeouts};
use firecamp_testkit::build::Binaries;
use firecamp_vpc::{Fault, FaultSpec, Selector};
use tempfile::TempDir;
use tokio::runtime::Builder;
use vpcbox::client::Client;
use vpcbox::clock::Clock;
use vpcbox::protocol::Call;
use vpcbox::testing::{Options, RunningBox};

use super::process::{OutputFiles, Process};

/// Four nodes in two zones; a client and an unrelated instance in the first zone. The instances
/// are large, so that each has capacity for many members.
const SPEC: &str = include_str!("box.toml");
const POOL: &str = include_str!("pool.yaml");

/// The tool that runs the member's service and the client.
const TOOL: &str = env!("CARGO_BIN_EXE_firecamp-box-tool");

pub(crate) const NAMESPACE: &str = "demo";

pub(crate) struct TestBox {
    running: RunningBox,
    dir: TempDir,
    clock: Clock,
    started: AtomicU32,
}

/// The binaries under test, never stale ones.
pub(crate) fn binaries() -> &'static Binaries {
    firecamp_testkit::build::binaries().unwrap_or_else(|why| panic!("{why}"))
}

/// Names of test directories begin with this prefix and the process ID.
const PREFIX: &str = "firecamp-box-";

/// Removes the directories of killed test runs, where the user may.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

impl TestBox {
    pub(crate) fn start() -> Self {
        Self::of(SPEC)
    }

    pub(crate) fn of(spec: &str) -> Self {
        Self::with_profile(spec, "fast")
    }

    /// A box with the latencies of EC2.
    pub(crate) fn realistic() -> Self {
        Self::realistic_of(SPEC)
    }

    /// The same with this spec.
    pub(crate) fn realistic_of(spec: &str) -> Self {
        Self::with_profile(spec, "realistic")
    }

    fn with_profile(spec: &str, profile: &str) -> Self {
        let arguments = vec!["--profile".to_owned(), profile.to_owned()];
        let options = Options { arguments, prefix: Vec::new() };
        let started = RunningBox::start_with(&binaries().vpcbox, spec, &options);
        let mut running = started.unwrap_or_else(|failure| {
            panic!("failed to start a box: {}; run `vpcbox doctor`", failure.chain())
        });
        sweep();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir().unwrap();
        fs::create_dir_all(dir.path().join("registry/staticippools")).unwrap();
        fs::write(dir.path().join("registry/staticippools/main.yaml"), POOL).unwrap();
        let clock = running.client().clock();
        Self { running, dir, clock, started: AtomicU32::new(0) }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// A new control connection to the box, so that any thread may call this.
    pub(crate) fn control(&self) -> Client {
        Client::attach(self.running.pid()).unwrap_or_else(|why| panic!("{}", why.chain()))
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn registry_dir(&self) -> PathBuf {
        self.path("registry")
    }

    pub(crate) fn file_registry(&self) -> String {
        format!("file://{}", self.registry_dir().display())
    }

    /// The files of the next process.
    pub(crate) fn output_files(&self, name: &str) -> OutputFiles {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        OutputFiles::new(self.dir.path(), &format!("{number:03}-{name}"))
    }

    /// A command in a node. Of the tests' environment it gets only `PATH` and the coverage file.
    pub(crate) fn command(&self, node: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.running.exec(node, program);
        command.env_clear();
        for key in ["PATH", "LLVM_PROFILE_FILE"] {
            command.envs(std::env::var_os(key).map(|value| (key, value)));
        }
        command
    }

    /// The tests' own tool, in a node or client.
    pub(crate) fn tool(&self, place: &str, words: &[&str]) -> Process {
        let mut command = self.command(place, TOOL);
        command.args(words);
        Process::start(&mut command, self.output_files(words[0]), self.clock)
    }

    /// `vpcbox probe`, in a node or client.
    pub(crate) fn probe(&self, place: &str, words: &[&str]) -> Process {
        let mut command = self.command(place, &binaries().vpcbox);
        command.arg("probe").args(words);
        Process::start(&mut command, self.output_files("probe"), self.clock)
    }

    /// Starts the agent of a node and waits until it is ready.
    #[track_caller]
    pub(crate) fn agent(&self, node: &str) -> Process {
        let mut agent = self.agent_beside(node);
        agent.wait_for_log("agent ready");
        agent
    }

    /// Starts an agent on the node with this registry.
    pub(crate) fn start_agent(&self, node: &str, registry: &str) -> Process {
        self.agent_as(node, self.command(node, &binaries().agent), registry)
    }

    /// Starts an agent by this command.
    pub(crate) fn agent_as(&self, node: &str, mut command: Command, registry: &str) -> Process {
        let files = self.output_files(&format!("agent-{node}"));
        command
            .env(env::CLUSTER, "prod")
            .env(env::NODE_NAME, node)
            .env(env::REGISTRY, registry)
            .env(env::LOG_FORMAT, "json")
            .env(env::TERMINATION_LOG, &files.termination_log);
        Process::start(&mut command, files, self.clock)
    }

    /// Starts an agent, also beside another one, without waiting until it is ready.
    pub(crate) fn agent_beside(&self, node: &str) -> Process {
        self.start_agent(node, &self.file_registry())
    }

    /// The path of the tests' own tool.
    pub(crate) fn tool_path() -> &'static Path {
        Path::new(TOOL)
    }

    /// Addresses, rules and routes of a node.
    #[track_caller]
    pub(crate) fn kernel(&self, node: &str) -> Vec<String> {
        let ended = self.tool(node, &["kernel"]).end();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        ended.out.lines().map(str::to_owned).collect()
    }

    pub(crate) fn registry(&self) -> FileRegistry {
        FileRegistry::open(self.registry_dir(), Timeouts::default()).unwrap()
    }

    pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    /// The record of an address; fails if there is none.
    #[track_caller]
    pub(crate) fn record(&self, address: Ipv4Addr) -> StaticIp {
        let read = Self::block_on(self.registry().static_ip(address)).unwrap();
        let Stored { object, .. } =
            read.unwrap_or_else(|| panic!("{address} has no StaticIP record"));
        object
    }

    /// Everything that the registry holds about a member.
    #[track_caller]
    pub(crate) fn member_records(&self, name: &str) -> MemberRecords {
        let member = Member::new(NAMESPACE, name).unwrap();
        Self::block_on(self.registry().member(&member, None)).unwrap()
    }

    /// The number of the latest call in the box's log.
    pub(crate) fn last_call(&self) -> u64 {
        self.control().calls(0).unwrap().last().map_or(0, |call| call.seq)
    }

    /// EC2 calls after this number that name the address.
    pub(crate) fn ec2_calls(&self, address: Ipv4Addr, since: u64) -> Vec<Call> {
        let name = address.to_string();
        let mut calls = self.control().calls(since).unwrap();
        calls.retain(|call| {
            call.service == "ec2" && call.parameters.values().any(|value| *value == name)
        });
        calls
    }

    /// EC2 calls of a node after this number.
    pub(crate) fn calls_of(&self, node: &str, since: u64) -> Vec<Call> {
        let mut calls = self.control().calls(since).unwrap();
        calls.retain(|call| call.service == "ec2" && call.caller == node);
        calls
    }

    /// Sets a fault and returns its ID.
    #[track_caller]
    pub(crate) fn fault(&self, fault: Fault, when: Selector) -> u64 {
        self.control()
            .fault_set(FaultSpec { fault, when })
            .unwrap_or_else(|e| panic!("{}", e.chain()))
    }
}
