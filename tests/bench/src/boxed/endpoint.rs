//! An agent on each node. Init containers have no privilege and ask it for the address.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use firecamp_core::contract::{endpoint, env};
use firecamp_core::record::State;
use firecamp_demo::api_in_box::{LabelledPod, Phase, Volumes};
use firecamp_demo::process::{DEADLINE, Process};
use firecamp_registry::api::{Kind, StaticIPPoolSpec};
use serde_json::{Value, json};
use vpcbox::clock::Clock;

use super::cluster::Cluster;
use super::fixture::{Fixture, NAMESPACE, Place, READY};
use super::records;
use super::spec::{NODES, POOL, node_name};
use crate::failure::Failure;

/// What an agent logs when it listens for pods.
const LISTENS: &str = "endpoint for pods started";
/// Poll interval while an agent releases an address.
const POLL: Duration = Duration::from_millis(1);

/// The agents and their API server.
pub(crate) struct Endpoint {
    cluster: Cluster,
    _agents: Vec<Process>,
    clock: Clock,
}

impl Endpoint {
    /// Starts all agents and waits until they serve pods. The addresses of these members are
    /// parked, as in [`records::fill`].
    pub(crate) fn start(
        fixture: &mut Fixture,
        homes: impl IntoIterator<Item = (u32, String, usize)>,
    ) -> Result<Self, Failure> {
        let nodes: Vec<String> = (0..NODES).map(node_name).collect();
        let cluster = Cluster::start(fixture, &nodes)?;
        cluster.api.server.set("namespaces", (None, NAMESPACE), json!({ "metadata": {} }));
        cluster.api.server.change(StaticIPPoolSpec::PLURAL, None, POOL, |pool| {
            if let Some(spec) = pool.pointer_mut("/spec").and_then(Value::as_object_mut) {
                spec.insert("allowedNamespaces".to_owned(), json!({ "from": "All" }));
            }
        });
        records::fill(fixture, |_fixture| Ok(cluster.registry()), homes)?;
        let listen = [(env::ENDPOINT_LISTEN, endpoint::DEFAULT)];
        let mut agents = Vec::new();
        for node in &nodes {
            agents.push(fixture.start_agent(node, &cluster.url(), &listen)?);
        }
        for agent in &agents {
            agent.logged(READY)?;
            agent.logged(LISTENS)?;
        }
        Ok(Self { cluster, _agents: agents, clock: fixture.clock })
    }

    /// The volumes of a pod.
    pub(crate) fn volumes(&self, fixture: &Fixture, place: &Place) -> Result<Volumes, Failure> {
        Ok(self.cluster.api.volumes(&fixture.path(""), labelled(place))?)
    }

    /// Reports the state of a pod.
    pub(crate) fn report(&self, place: &Place, phase: Phase) {
        // No agent of these becomes the leader, as in direct mode, where none runs.
        self.cluster.renew_the_lease();
        self.cluster.api.report(labelled(place), phase);
    }

    /// Removes a pod whose containers have ended, and waits until the agent has released its
    /// address; returns how long that took.
    pub(crate) fn release(&self, place: &Place, address: &str) -> Result<u64, Failure> {
        let address: Ipv4Addr = address.parse().map_err(Failure::of("read an address"))?;
        let from_us = self.clock.now_us();
        let deadline = self.clock.now().saturating_add(DEADLINE);
        self.report(place, Phase::Gone);
        while self.clock.now() < deadline {
            let held = self.cluster.api.server.static_ip(address);
            let held = held.and_then(|stored| stored.object.attachment);
            if held.is_some_and(|held| held.state == State::Parked) {
                return Ok(self.clock.now_us().saturating_sub(from_us));
            }
            thread::sleep(POLL);
        }
        Err(Failure::new(format!("the agent of {} does not release {address}", place.node)))
    }
}

fn labelled(place: &Place) -> LabelledPod<'_> {
    let Place { member, uid, node } = place;
    LabelledPod { namespace: NAMESPACE, name: member, uid, node, pool: POOL, own: None }
}
