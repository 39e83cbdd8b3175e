//! A box whose registry is that of a cluster: a strict API server in this process, which every
//! node reaches on its loopback device.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use firecamp_apiserver::ApiServer;
use firecamp_apiserver::socket::Listening;
use firecamp_core::contract::env;
use firecamp_core::record::{Pool, ReleasePolicy, StaticIp};
use serde_json::{Value, json};

use super::pod::{Container, Pod};
use super::process::Process;
use super::world::{NAMESPACE, World, binaries};

const PORT: u16 = 6443;

/// The API server and its socket.
pub(crate) struct Cluster<'w> {
    world: &'w World,
    pub(crate) api: ApiServer,
    _listening: Listening,
}

impl<'w> Cluster<'w> {
    /// With the pool of the box.
    pub(crate) fn start(world: &'w World) -> Self {
        let api = ApiServer::default();
        api.create_pool(&pool(world));
        let listening = api.listen(&socket(world)).unwrap();
        fs::write(kubeconfig(world), firecamp_apiserver::socket::kubeconfig(PORT)).unwrap();
        Self { world, api, _listening: listening }
    }

    /// The node reaches the API server for as long as this lives.
    pub(crate) fn reach(&self, node: &str) -> Process {
        let socket = socket(self.world);
        let mut forward =
            self.world.tool(node, &["forward", &PORT.to_string(), socket.to_str().unwrap()]);
        forward.prints(firecamp_apiserver::socket::FORWARDING);
        forward
    }

    /// The API shows this pod as the member's, as it is until something else is said.
    pub(crate) fn shows(&self, pod: &Pod<'_>) {
        self.shows_with(pod, &json!({}));
    }

    /// Its deletion was asked for, half a minute before its grace period ends.
    pub(crate) fn deletes(&self, pod: &Pod<'_>) {
        self.shows_with(pod, &json!({ "deletionTimestamp": "2026-11-20T15:00:30Z" }));
    }

    fn shows_with(&self, pod: &Pod<'_>, more: &Value) {
        let mut metadata = json!({ "uid": pod.uid });
        if let (Value::Object(metadata), Value::Object(more)) = (&mut metadata, more) {
            metadata.extend(more.clone());
        }
        let object = json!({
            "metadata": metadata,
            "spec": { "nodeName": pod.node },
            "status": { "phase": "Running" },
        });
        self.api.set_pod(NAMESPACE, &pod.member, object);
    }

    /// It is not there any more, whatever runs on its node.
    pub(crate) fn forgets(&self, pod: &Pod<'_>) {
        assert!(self.api.remove("pods", Some(NAMESPACE), &pod.member), "no {}", pod.member);
    }

    /// The agent of a node, which is ready when this returns.
    #[track_caller]
    pub(crate) fn agent(&self, node: &str) -> Process {
        let mut agent = self.world.start_agent(node, &self.url());
        agent.logs("agent ready");
        agent
    }

    /// An agent of a node that kills itself at this step.
    pub(crate) fn agent_that_dies(&self, node: &str, step: &str) -> Process {
        let mut command = self.world.command(node, &binaries().agent);
        command.env(env::CRASH_AT, step);
        self.world.agent_as(node, command, &self.url())
    }

    /// What a release does in EC2, from now on.
    pub(crate) fn releases_by(&self, policy: ReleasePolicy) {
        let pool = pool(self.world);
        assert!(self.api.delete_pool(&pool));
        self.api.create_pool(&Pool { release_policy: policy, ..pool });
    }

    /// The record of an address, which must be there.
    #[track_caller]
    pub(crate) fn record(&self, address: Ipv4Addr) -> StaticIp {
        self.api.static_ip(address).unwrap_or_else(|| panic!("{address} has no record")).object
    }

    /// Where the containers find it.
    pub(crate) fn url(&self) -> String {
        format!("kubernetes://{}", kubeconfig(self.world).display())
    }

    /// The same container with this registry.
    pub(crate) fn used_by<'c>(&self, container: Container<'c>) -> Container<'c> {
        container.set(env::REGISTRY, self.url())
    }

    pub(crate) fn init<'c>(&self, pod: &Pod<'c>) -> Container<'c> {
        self.used_by(pod.init())
    }

    pub(crate) fn stop<'c>(&self, pod: &Pod<'c>, command: &str) -> Container<'c> {
        self.used_by(pod.stop(command))
    }

    /// What was asked since that number of requests: reads, patches, other writes, Events.
    pub(crate) fn asked_since(&self, number: usize) -> Asked {
        let asked = self.api.requests().split_off(number);
        let count = |begin: &str| asked.iter().filter(|asked| asked.starts_with(begin)).count();
        let events = count("POST events/");
        Asked { reads: count("GET "), writes: asked.len() - count("GET ") - events, events }
    }

    /// The Events so far, the last one last.
    pub(crate) fn events(&self) -> Vec<Value> {
        let mut events = self.api.all("events");
        events.sort_by_key(|event| event["eventTime"].as_str().map(str::to_owned));
        events
    }
}

/// How often the API server was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    pub(crate) events: usize,
}

/// The pool of the box.
pub(crate) fn pool(world: &World) -> Pool {
    world.member_records("redis-0").pool.expect("the box has one pool")
}

fn socket(world: &World) -> PathBuf {
    world.path("apiserver.sock")
}

fn kubeconfig(world: &World) -> PathBuf {
    world.path("kubeconfig")
}
