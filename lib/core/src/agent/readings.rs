//! Turns an agent's readings into the planner's input. Every runner of the agent uses it.

use std::collections::BTreeSet;

use crate::contract::timing;
use crate::ids::{ClusterName, NodeName};
use crate::lock_rule::{Hold, LockRecord};
use crate::ports::{KernelTarget, KernelView, PodView};
use crate::record::{State, StaticIp};
use crate::time::Moment;

use super::{Observation, ObservedAddress};

/// What the agent read about one address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct AddressReadings<'a> {
    /// Its record.
    pub record: &'a StaticIp,
    /// The record of this node's lock.
    pub lock: Option<&'a LockRecord>,
    /// This node's kernel has an address, rule or route of FireCamp for it.
    pub in_kernel: bool,
    /// The target of the address in this node's kernel, and what the kernel has of it; none if the
    /// address does not belong here or the kernel could not be read.
    pub kernel: Option<(KernelTarget, KernelView)>,
    /// The live pod of its member.
    pub pod: PodView,
    /// Whether EC2 reports it on the recorded ENI; none without an answer from EC2.
    pub in_place: Option<bool>,
}

/// What an agent remembers about one address between observations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    misplaced: Option<Moment>,
    reasserted: Option<Moment>,
}

impl Memory {
    /// A re-assert of the address starts now.
    pub fn reasserts(&mut self, now: Moment) {
        self.reasserted = Some(now);
    }

    /// Whether the next re-assert still waits for the pause after the last one, also if a list
    /// lacks the address meanwhile.
    pub fn is_pausing(&self, now: Moment) -> bool {
        self.reasserted.is_some_and(|at| now.since(at) < timing::REASSERT_PAUSE)
    }

    /// Whether EC2 last reported it elsewhere.
    pub fn is_misplaced(&self) -> bool {
        self.misplaced.is_some()
    }

    /// Forgets the address: it has no record any more, left this node, or was attached again.
    pub fn forget(&mut self) {
        self.misplaced = None;
    }
}

impl AddressReadings<'_> {
    /// Whether this node holds the address according to the record.
    fn is_attached_at(&self, node: &NodeName) -> bool {
        let attachment = self.record.attachment.as_ref();
        attachment.is_some_and(|a| a.node == *node && a.state == State::Attached)
    }

    fn concerns(&self, observation: &Observation) -> bool {
        let held = self.lock.is_some_and(|last| last.hold == Hold::Held);
        let at = self.record.attachment.as_ref().map(|a| &a.node);
        let named =
            at.is_some_and(|node| *node == observation.node || observation.gone.contains(node));
        at.is_some() && (self.in_kernel || held || named)
    }

    /// The target, if the kernel is missing a part of it. Without a link nothing can be added.
    fn missing(&self) -> Option<KernelTarget> {
        let (target, view) = self.kernel.as_ref()?;
        (view.link.is_some() && !view.is_complete()).then(|| target.clone())
    }
}

impl Observation {
    /// An observation without addresses.
    pub fn new(node: NodeName, cluster: ClusterName, gone: BTreeSet<NodeName>) -> Self {
        Self { node, cluster, gone, addresses: Vec::new() }
    }

    /// Adds an address if it concerns this node, and remembers since when EC2 has reported it
    /// elsewhere. A missing answer does not change that.
    pub fn add(&mut self, readings: AddressReadings<'_>, memory: &mut Memory, now: Moment) {
        if !readings.concerns(self) {
            return memory.forget();
        }
        match readings.in_place {
            Some(_) | None if !readings.is_attached_at(&self.node) => memory.forget(),
            Some(true) => memory.forget(),
            Some(false) => memory.misplaced = memory.misplaced.or(Some(now)),
            None => {}
        }
        self.addresses.push(ObservedAddress {
            record: readings.record.clone(),
            lock: readings.lock.cloned(),
            in_kernel: readings.in_kernel,
            missing: readings.missing(),
            pod: readings.pod,
            misplaced: memory.misplaced,
            reasserted: memory.reasserted,
        });
    }
}
