//! A box with the Kubernetes registry: a strict API server in this process, which the nodes reach
//! at their loopback device.

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
use super::test_box::{NAMESPACE, TestBox, binaries};

const PORT: u16 = 6443;

/// The API server and its Unix socket.
pub(crate) struct Cluster<'w> {
    test_box: &'w TestBox,
    pub(crate) api: ApiServer,
    _listening: Listening,
}

impl<'w> Cluster<'w> {
    /// Starts the API server with the pool of the box.
    pub(crate) fn start(test_box: &'w TestBox) -> Self {
        let api = ApiServer::default();
        api.create_pool(&pool(test_box));
        let listening = api.listen(&socket(test_box)).unwrap();
        fs::write(kubeconfig(test_box), firecamp_apiserver::socket::kubeconfig(PORT)).unwrap();
        Self { test_box, api, _listening: listening }
    }

    pub(crate) fn test_box(&self) -> &'w TestBox {
        self.test_box
    }

    /// Forwards a port of the node's loopback device to the API server until the value is dropped.
    pub(crate) fn connect(&self, node: &str) -> Process {
        let socket = socket(self.test_box);
        let mut forward =
            self.test_box.tool(node, &["forward", &PORT.to_string(), socket.to_str().unwrap()]);
        forward.wait_for_output(firecamp_apiserver::socket::FORWARDING);
        forward
    }

    /// Creates or replaces the member's Pod object by this running pod.
    pub(crate) fn set_pod(&self, pod: &Pod<'_>) {
        self.set_pod_with(pod, &json!({}));
    }

    /// Marks the Pod object as terminating.
    pub(crate) fn terminate_pod(&self, pod: &Pod<'_>) {
        self.set_pod_with(pod, &json!({ "deletionTimestamp": "2026-11-20T15:00:30Z" }));
    }

    fn set_pod_with(&self, pod: &Pod<'_>, more: &Value) {
        let mut metadata = json!({ "uid": pod.uid });
        if let (Value::Object(metadata), Value::Object(more)) = (&mut metadata, more) {
            metadata.extend(more.clone());
        }
        let object = json!({
            "metadata": metadata,
            "spec": { "nodeName": pod.node, "hostNetwork": true },
            "status": { "phase": "Running" },
        });
        self.api.set_pod(NAMESPACE, &pod.member, object);
    }

    /// Removes the Pod object, as a forced deletion does; the pod's processes keep running.
    pub(crate) fn remove_pod(&self, pod: &Pod<'_>) {
        assert!(self.api.remove("pods", Some(NAMESPACE), &pod.member), "no {}", pod.member);
    }

    /// Starts the agent of a node and waits until it is ready.
    #[track_caller]
    pub(crate) fn agent(&self, node: &str) -> Process {
        let mut agent = self.test_box.start_agent(node, &self.url());
        agent.wait_for_log("agent ready");
        agent
    }

    /// Starts an agent that kills itself at this step.
    pub(crate) fn agent_that_crashes_at(&self, node: &str, step: &str) -> Process {
        let mut command = self.test_box.command(node, &binaries().agent);
        command.env(env::CRASH_AT, step);
        self.test_box.agent_as(node, command, &self.url())
    }

    /// Sets the release policy of the pool.
    pub(crate) fn set_release_policy(&self, policy: ReleasePolicy) {
        let pool = pool(self.test_box);
        assert!(self.api.delete_pool(&pool));
        self.api.create_pool(&Pool { release_policy: policy, ..pool });
    }

    /// The record of an address; fails if there is none.
    #[track_caller]
    pub(crate) fn record(&self, address: Ipv4Addr) -> StaticIp {
        self.api
            .static_ip(address)
            .unwrap_or_else(|| panic!("{address} has no StaticIP record"))
            .object
    }

    /// The registry URL for containers and agents.
    pub(crate) fn url(&self) -> String {
        format!("kubernetes://{}", kubeconfig(self.test_box).display())
    }

    /// Configures the container to use this registry.
    pub(crate) fn with_registry<'c>(&self, container: Container<'c>) -> Container<'c> {
        container.set(env::REGISTRY, self.url())
    }

    pub(crate) fn init<'c>(&self, pod: &Pod<'c>) -> Container<'c> {
        self.with_registry(pod.init())
    }

    pub(crate) fn stop<'c>(&self, pod: &Pod<'c>, command: &str) -> Container<'c> {
        self.with_registry(pod.stop(command))
    }

    /// The requests after the first `number`, counted by kind.
    pub(crate) fn requests_since(&self, number: usize) -> RequestCounts {
        let requests = self.api.requests().split_off(number);
        let count = |prefix: &str| requests.iter().filter(|it| it.starts_with(prefix)).count();
        let events = count("POST events/");
        RequestCounts {
            reads: count("GET "),
            writes: requests.len() - count("GET ") - events,
            events,
        }
    }

    /// All Events, oldest first.
    pub(crate) fn events(&self) -> Vec<Value> {
        let mut events = self.api.all("events");
        events.sort_by_key(|event| event["eventTime"].as_str().map(str::to_owned));
        events
    }
}

/// Requests to the API server, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestCounts {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    pub(crate) events: usize,
}

/// The pool of the box.
pub(crate) fn pool(test_box: &TestBox) -> Pool {
    test_box.member_records("redis-0").pool.expect("the box has one pool")
}

fn socket(test_box: &TestBox) -> PathBuf {
    test_box.path("apiserver.sock")
}

fn kubeconfig(test_box: &TestBox) -> PathBuf {
    test_box.path("kubeconfig")
}
