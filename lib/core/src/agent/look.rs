//! From what an agent's look found to what its planner is told: the same for every runner.

use std::collections::BTreeSet;

use crate::bug::{Bug, planted};
use crate::ids::{ClusterName, NodeName};
use crate::lock::{Hold, LockRecord};
use crate::outside::{KernelTarget, KernelView, PodView};
use crate::record::{State, StaticIp};
use crate::time::Moment;

use super::{Seen, Sight};

/// What one look found out about one address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Look<'a> {
    /// Its record.
    pub record: &'a StaticIp,
    /// What this node's lock has on record.
    pub lock: Option<&'a LockRecord>,
    /// An address, rule or route of ours for it is in this node's kernel.
    pub in_kernel: bool,
    /// Where it belongs in this node's kernel, and what that has of it; none if it does not
    /// belong here or could not be seen.
    pub kernel: Option<(KernelTarget, KernelView)>,
    /// The live pod of its member.
    pub pod: PodView,
    /// Whether EC2 shows it on the recorded ENI; none if that was not asked or not answered.
    pub in_place: Option<bool>,
}

/// What an agent remembers of one address from look to look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    astray: Option<Moment>,
    reasserted: Option<Moment>,
    whole: bool,
}

impl Memory {
    /// A re-assert of the address begins now.
    pub fn reasserts(&mut self, now: Moment) {
        self.reasserted = Some(now);
    }

    /// Whether EC2 was last seen to have it elsewhere.
    pub fn is_astray(&self) -> bool {
        self.astray.is_some()
    }

    /// The address is not on record any more, is no business of this node, or has come anew.
    pub fn forget(&mut self) {
        self.astray = None;
    }
}

impl Look<'_> {
    /// Whether the record says that this node holds the address.
    fn is_attached_at(&self, node: &NodeName) -> bool {
        let attachment = self.record.attachment.as_ref();
        attachment.is_some_and(|a| a.node == *node && a.state == State::Attached)
    }

    fn concerns(&self, sight: &Sight) -> bool {
        let held = self.lock.is_some_and(|last| last.hold == Hold::Held);
        let at = self.record.attachment.as_ref().map(|a| &a.node);
        let named = at.is_some_and(|node| *node == sight.node || sight.gone.contains(node));
        at.is_some() && (self.in_kernel || held || named)
    }

    /// The target, if the kernel was seen to lack something of it. Without a link nothing can be
    /// put there.
    fn lacking(&self, memory: &mut Memory) -> Option<KernelTarget> {
        let (target, view) = self.kernel.as_ref()?;
        let complete = view.is_complete();
        let told = planted(Bug::StatusIsTruth) && memory.whole;
        memory.whole |= complete;
        (view.link.is_some() && !complete && !told).then(|| target.clone())
    }
}

impl Sight {
    /// Nothing seen yet.
    pub fn new(node: NodeName, cluster: ClusterName, gone: BTreeSet<NodeName>) -> Self {
        Self { node, cluster, gone, addresses: Vec::new() }
    }

    /// Adds what a look found, if it concerns this node at all, and remembers since when EC2 has
    /// been showing the address elsewhere. An answer that is missing changes neither.
    pub fn add(&mut self, look: Look<'_>, memory: &mut Memory, now: Moment) {
        if !look.concerns(self) {
            return memory.forget();
        }
        match look.in_place {
            Some(_) | None if !look.is_attached_at(&self.node) => memory.forget(),
            Some(true) => memory.forget(),
            Some(false) => memory.astray = memory.astray.or(Some(now)),
            None => {}
        }
        let lacking = look.lacking(memory);
        self.addresses.push(Seen {
            record: look.record.clone(),
            lock: look.lock.cloned(),
            in_kernel: look.in_kernel,
            lacking,
            pod: look.pod,
            astray: memory.astray,
            reasserted: memory.reasserted,
        });
    }
}
