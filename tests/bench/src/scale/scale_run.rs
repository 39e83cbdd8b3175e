//! What the parts of a scale run share: the box, the servers, the fleet and the figures.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use firecamp_core::contract::cluster::LEASE;
use firecamp_testkit::kubernetes::Api;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use vpcbox::protocol::Call;

use super::SHORTEST;
use super::agents::Agents;
use super::control::{Control, Mode};
use super::counters::Servers;
use super::fleet::{Fleet, Node};
use super::load::{Created, good, merge, post};
use super::objects;
use super::replay::Replays;
use super::trace::Trace;
use crate::boxed::fixture::Fixture;
use crate::failure::Failure;
use crate::samples::{Samples, progress};

/// How often a long wait renews the Lease and reads the simulator's log.
const STEP: Duration = Duration::from_secs(10);
/// How often waits print progress.
const PROGRESS: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// The time between the starts of two agents.
const BETWEEN: Duration = Duration::from_millis(60);
/// Agents have settled when nobody has written anything but the Lease for so long.
const QUIET: Duration = Duration::from_mins(1);
/// Agents have asked EC2 about all that they ask after their start. A run that is too short for
/// figures of EC2 calls does not wait for it.
const FIRST_CALLS: Duration = Duration::from_mins(4);
/// The longest wait for that.
pub(super) const LONGEST: Duration = Duration::from_mins(5);
/// How long a server may refuse requests while its caches are empty.
const PATIENCE: Duration = Duration::from_mins(5);
/// Real agents that start before the Lease is renewed.
const AT_ONCE: usize = 20;

/// The job of a scale run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) fleet: Fleet,
    /// The length of the measurement at rest.
    pub(crate) minutes: u32,
    /// Leaves out the round in which lists come from etcd.
    pub(crate) cached_only: bool,
}

pub(super) struct ScaleRun {
    pub(super) plan: Plan,
    /// The directory of the servers' files.
    pub(super) dir: PathBuf,
    pub(super) fixture: Fixture,
    pub(super) control: Control,
    pub(super) api: Api,
    pub(super) created: BTreeMap<Node, Created>,
    pub(super) agents: Agents,
    pub(super) replays: Option<Replays>,
    pub(super) samples: Samples,
    /// All EC2 calls so far.
    pub(super) calls: Vec<Call>,
    last_call: u64,
    /// When a wait has last printed its progress.
    printed: Option<Instant>,
    /// How often the Lease was renewed in the name of nobody; none if an agent may take it.
    renewals: Option<u32>,
}

impl ScaleRun {
    /// Starts the servers, with all processors.
    pub(super) async fn start(plan: Plan, dir: PathBuf, fixture: Fixture) -> Result<Self, Failure> {
        let mut control = Control::prepare(&dir, &fixture.tools.vpcbox)?;
        let mode = Mode { snapshots: true, pinned: false };
        let api = control.start(&fixture, mode).await?;
        Ok(Self {
            plan,
            dir,
            fixture,
            control,
            api,
            created: BTreeMap::new(),
            agents: Agents::default(),
            replays: None,
            samples: Samples::default(),
            calls: Vec::new(),
            last_call: 0,
            printed: None,
            renewals: None,
        })
    }

    /// Starts the servers again. The API server answers 429 until it has filled the caches of
    /// custom resources.
    pub(super) async fn restart(&mut self, mode: Mode) -> Result<(), Failure> {
        self.api = self.control.start(&self.fixture, mode).await?;
        let begun = Instant::now();
        for plural in objects::CUSTOM {
            let path = format!("{}/{plural}?fieldSelector=metadata.name%3Dnone", objects::GROUP);
            while self.api.get(&path).await.map_err(Failure::new)?.code != 200 {
                if begun.elapsed() > PATIENCE {
                    return Err(Failure::new(format!("the API server does not serve {path}")));
                }
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    pub(super) fn servers(&self) -> Result<Servers, Failure> {
        Servers::new(self.api.clone(), &self.control)
    }

    /// Starts the real agents of these nodes.
    pub(super) async fn start_real(&mut self, nodes: &[Node]) -> Result<(), Failure> {
        let mut known = Vec::new();
        for node in nodes {
            known.push((*node, created(&self.created, *node)?));
        }
        self.agents.start(&mut self.fixture, &known, BETWEEN).await
    }

    /// Starts all agents, real and replayed.
    pub(super) async fn start_all(&mut self, trace: &Arc<Trace>) -> Result<(), Failure> {
        let fleet = self.plan.fleet;
        let others = self.nodes(fleet.replayed())?;
        self.replays = Some(Replays::start(others, trace, BETWEEN).await?);
        self.start_all_real().await
    }

    /// Starts all real agents.
    pub(super) async fn start_all_real(&mut self) -> Result<(), Failure> {
        for nodes in self.plan.fleet.real().collect::<Vec<_>>().chunks(AT_ONCE) {
            self.start_real(nodes).await?;
            self.keep_up().await?;
        }
        Ok(())
    }

    /// These nodes with what was created for them.
    pub(super) fn nodes(
        &self,
        nodes: impl Iterator<Item = Node>,
    ) -> Result<Vec<(Node, &Created)>, Failure> {
        nodes.map(|node| Ok((node, created(&self.created, node)?))).collect()
    }

    /// Stops all agents.
    pub(super) fn stop_all(&mut self) -> Result<(), Failure> {
        self.replays = None;
        self.agents.stop()
    }

    /// Prints the progress of a wait, unless that has just happened.
    pub(super) fn waiting(&mut self, text: &str) {
        if self.printed.is_none_or(|at| at.elapsed() >= PROGRESS) {
            self.printed = Some(Instant::now());
            progress(text);
        }
    }

    /// Waits; prints what for.
    pub(super) async fn wait(&mut self, time: Duration, what: &str) -> Result<(), Failure> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let left = end.duration_since(Instant::now());
            self.waiting(&format!("{what}: {:.0} s left", left.as_secs_f64()));
            sleep(left.min(STEP)).await;
            self.keep_up().await?;
        }
        Ok(())
    }

    /// Waits until the agents have asked EC2 for what they ask after their start, and have settled.
    pub(super) async fn settle_completely(&mut self, what: &str) -> Result<(), Failure> {
        let least = if self.plan.minutes < SHORTEST { QUIET } else { FIRST_CALLS };
        self.settle_for(what, least).await
    }

    /// Waits until the agents write nothing any more, or have had time enough.
    pub(super) async fn settle(&mut self, what: &str) -> Result<(), Failure> {
        self.settle_for(what, QUIET).await
    }

    async fn settle_for(&mut self, what: &str, least: Duration) -> Result<(), Failure> {
        let (servers, begun) = (self.servers()?, Instant::now());
        let (mut writes, mut since) = (servers.writes().await?, begun);
        let is_quiet = |since: Instant| since.elapsed() >= QUIET || begun.elapsed() >= LONGEST;
        while begun.elapsed() < least || !is_quiet(since) {
            self.waiting(&format!("{what}: no write for {} s", since.elapsed().as_secs()));
            sleep(STEP).await;
            self.keep_up().await?;
            let now = servers.writes().await?;
            if now > writes {
                (writes, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Renews the Lease, if no agent may take it, and reads the simulator's log.
    pub(super) async fn keep_up(&mut self) -> Result<(), Failure> {
        if let Some(renewals) = self.renewals {
            self.renewals = Some(renewals.saturating_add(1));
            let path = format!("{}/{LEASE}", objects::leases());
            merge(&self.api, &path, &objects::lease(renewals)).await?;
        }
        let calls = self.fixture.vpc.calls(self.last_call)?;
        self.last_call = calls.last().map_or(self.last_call, |call| call.seq);
        self.calls.extend(calls.into_iter().filter(|call| call.service == "ec2"));
        Ok(())
    }

    /// Takes the Lease in the name of nobody, so that no agent becomes the leader.
    pub(super) async fn hold_the_lease(&mut self) -> Result<(), Failure> {
        self.release_the_lease().await?;
        post(&self.api, &objects::leases(), &objects::lease(0)).await?;
        self.renewals = Some(1);
        Ok(())
    }

    /// Deletes the Lease.
    pub(super) async fn release_the_lease(&mut self) -> Result<(), Failure> {
        self.renewals = None;
        let path = format!("{}/{LEASE}", objects::leases());
        let answer = self.api.delete(&path).await.map_err(Failure::new)?;
        if answer.code == 404 { Ok(()) } else { good(&path, Ok(answer)).map(drop) }
    }

    /// The node of the leader, if there is one.
    pub(super) async fn leader(&self) -> Result<Option<Node>, Failure> {
        let path = format!("{}/{LEASE}", objects::leases());
        let lease = self.api.get(&path).await.map_err(Failure::new)?.json();
        let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str);
        let name = holder.and_then(|holder| holder.split('_').next()).unwrap_or_default();
        Ok(self.plan.fleet.real().find(|node| node.name() == name))
    }

    pub(super) fn rest(&self) -> Duration {
        Duration::from_mins(1).saturating_mul(self.plan.minutes)
    }
}

fn created(all: &BTreeMap<Node, Created>, node: Node) -> Result<&Created, Failure> {
    all.get(&node).ok_or_else(|| Failure::new(format!("{} was not created", node.name())))
}
