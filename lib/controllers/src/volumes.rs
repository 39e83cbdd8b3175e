//! How an agent observes the volumes of its own node: when it reads the node and Kubernetes, and
//! what it reports.
//!
//! * [`Event`]: ticks, changes, and the results of the reads.
//! * [`VolumesController`]: the state machine. `firecamp_node::volumes` has its parts: the
//!   [`Tracker`], which turns observations into a table, and the [`Pace`] of the reads of
//!   Kubernetes.
//! * [`Effect`]: one read at a time, or the wait for the next change; and the report.
//!
//! Guarantees: the first observation continues from the status that an earlier process published,
//! so that a restart changes nothing. One read of the node covers all changes within
//! [`NODE_PAUSE`]. Assumptions: each read, and each wait for a change, ends with its event.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::VolumeId;
use firecamp_core::time::Moment;
use firecamp_node::volumes::intervals::{EARLIER_WITHIN, NODE_EVERY, NODE_PAUSE, Pace};
use firecamp_node::volumes::observation::{CloudView, ClusterView, NodeView, Observation};
use firecamp_node::volumes::path::KUBELET;
use firecamp_node::volumes::{Change, PodVolumes, Reason, Recheck, Table, Tracker, VolumesFailure};

use crate::Controller;

/// What happens to the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A tick, and the volumes that an earlier process published, once they are known.
    Tick(Option<Table>),
    /// The node was read.
    NodeRead(NodeRead),
    /// Kubernetes was read.
    ClusterRead(Result<ClusterView, RegistryFailure>),
    /// The wait for a change has ended.
    Changed(Result<Change, VolumesFailure>),
}

/// The result of a read of the node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeRead {
    /// The kernel's view, without the parts that could not be read.
    pub node: NodeView,
    /// The first failure, if a part could not be read.
    pub failure: Option<VolumesFailure>,
    /// EC2's view, if there is a new one.
    pub cloud: Option<CloudView>,
}

/// What the controller wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Read the node's volumes, and take EC2's latest view.
    ReadNode,
    /// Read Kubernetes' view of the volumes.
    ReadCluster,
    /// Wait for a change of the node, at most for [`NODE_EVERY`].
    AwaitChange,
    /// Report the volumes.
    Report(VolumesReport),
}

/// What is known of the volumes after an observation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumesReport {
    /// The table.
    pub table: Table,
    /// The pods that claim volumes, if Kubernetes was read.
    pub pods: Option<Vec<PodVolumes>>,
    /// How soon EC2 should be asked again.
    pub recheck: Recheck,
    /// The volumes that pods of this node lack and EC2 does not show here.
    pub lacked: BTreeSet<VolumeId>,
    /// For how long the oldest problem of each reason has lasted, reported or not.
    pub ages: BTreeMap<Reason, Duration>,
    /// How many volumes the EBS CSI driver offers on this node, if known.
    pub offered: Option<u32>,
}

/// The controller of a node's volumes.
#[derive(Debug)]
pub struct VolumesController {
    /// None until the published status is known, or no longer awaited.
    tracker: Option<Tracker>,
    pace: Pace,
    /// Whether there is a Kubernetes API to read from.
    online: bool,
    began: Option<Moment>,
    /// The next read of the node; none while something runs that leads to it.
    next_read: Option<Moment>,
    /// The node as it was read, while Kubernetes is read.
    node: Option<NodeRead>,
}

impl VolumesController {
    /// Without a Kubernetes API (`online`), nothing was published and nothing is read from it.
    pub fn new(online: bool) -> Self {
        let next_read = Some(Moment::default());
        let pace = Pace::default();
        Self { tracker: None, pace, online, began: None, next_read, node: None }
    }

    /// Reads the node, once the tracker exists.
    fn tick(&mut self, published: Option<&Table>, now: Moment) -> Vec<Effect> {
        let began = *self.began.get_or_insert(now);
        if self.tracker.is_none() {
            let awaits = self.online && now.since(began) < EARLIER_WITHIN;
            self.tracker = match published {
                Some(table) if self.online => Some(Tracker::resume(KUBELET, table)),
                Some(_) | None if awaits => None,
                Some(_) | None => Some(Tracker::new(KUBELET)),
            };
        }
        let begins = self.tracker.is_some();
        self.next_read = (!begins).then(|| now.plus(NODE_PAUSE));
        if begins { vec![Effect::ReadNode] } else { Vec::new() }
    }

    /// Kubernetes is read after the node, if it is due.
    fn node_read(&mut self, read: NodeRead, now: Moment) -> Vec<Effect> {
        let pending = self.tracker.as_ref().is_some_and(Tracker::is_pending);
        if self.online && self.pace.asks_cluster(now, pending, read.cloud.is_some()) {
            self.node = Some(read);
            return vec![Effect::ReadCluster];
        }
        self.observe(read, None, now)
    }

    fn observe(
        &mut self,
        NodeRead { node, cloud, .. }: NodeRead,
        cluster: Option<ClusterView>,
        now: Moment,
    ) -> Vec<Effect> {
        let Some(tracker) = &mut self.tracker else { return Vec::new() };
        let table = tracker.step(now, Observation { cloud, node, cluster });
        let mut ages: BTreeMap<Reason, Duration> = BTreeMap::new();
        for (_, reason, lasted) in tracker.lasting(now) {
            let oldest = ages.entry(reason).or_default();
            *oldest = (*oldest).max(lasted);
        }
        let report = VolumesReport {
            table,
            pods: tracker.pods().map(<[_]>::to_vec),
            recheck: tracker.recheck(),
            lacked: tracker.lacked().clone(),
            ages,
            offered: tracker.offered(),
        };
        vec![Effect::Report(report), Effect::AwaitChange]
    }

    fn changed(&mut self, change: &Result<Change, VolumesFailure>, now: Moment) -> Vec<Effect> {
        let pause = match change {
            Ok(Change::Nothing) => return vec![Effect::ReadNode],
            Ok(Change::Mounts | Change::Devices) => {
                self.pace.moved();
                NODE_PAUSE
            }
            // Without notifications the node is still read.
            Err(_) => NODE_EVERY + NODE_PAUSE,
        };
        self.next_read = Some(now.plus(pause));
        Vec::new()
    }
}

impl Controller for VolumesController {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        match event {
            Event::Tick(published) => self.tick(published.as_ref(), now),
            Event::NodeRead(read) => self.node_read(read, now),
            Event::ClusterRead(read) => {
                self.pace.answered(read.is_ok());
                let node = self.node.take();
                node.map_or_else(Vec::new, |node| self.observe(node, read.ok(), now))
            }
            Event::Changed(change) => self.changed(&change, now),
        }
    }

    fn next_tick(&self) -> Option<Moment> {
        self.next_read
    }

    fn stop(&mut self, _now: Moment) -> Vec<Effect> {
        Vec::new()
    }

    /// It only reads, so nothing must end before the process does.
    fn is_idle(&self) -> bool {
        true
    }
}
