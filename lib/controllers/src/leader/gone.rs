//! Nodes that are gone: who releases what their agents cannot release any more.
//!
//! The holder of an address is a machine and an ENI, not a Node object. So an address whose pod
//! is gone or terminal is released from elsewhere if its node does not report to be ready, or has
//! no Node object, in two passes and after a time that EC2 decides: short where no machine has
//! the address on the recorded ENI any more, or where the node is declared out of service; long
//! where a machine still has it. A dead Node object never blocks, a missing one proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::agent::{Duty as Errand, Seen, Sight, plan};
use firecamp_core::ids::{Epoch, NodeName};
use firecamp_core::outside::PodView;
use firecamp_core::time::Moment;

use crate::leader::planner::{Duty, Site};
use crate::leader::reclaim::orphan;
use crate::leader::suspects::Suspects;
use crate::leader::timing;
use crate::leader::turns::Turns;
use crate::leader::view::{AddressSeen, Answers, NodeLife, Questions, View};

/// Why a node counts as gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Gone {
    /// EC2 shows no machine that has the address on the recorded ENI.
    NoMachine,
    /// It is declared out of service.
    OutOfService,
    /// It has not answered for long, though a machine still has the address.
    Silent,
    /// It may well be there, and cannot release an address whose claim is gone.
    NoClaim,
}

/// What makes an address of a node that does not answer a suspect.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    epoch: Epoch,
    node: NodeName,
    held: bool,
    claimed: bool,
}

/// EC2 is asked about so many addresses in a pass. Those of pods that stay on record for as long as
/// their node does not answer must not keep others from being asked about.
const ASKED_AT_ONCE: usize = 20;

#[derive(Debug, Clone, Default)]
pub(crate) struct Nodes {
    suspects: Suspects<Ipv4Addr, Case>,
    turns: Turns<Ipv4Addr>,
}

/// The addresses that are held and that nobody else can release: their node does not answer, or
/// their claim is gone. The agent's own node answers.
fn stuck<'a>(
    view: &'a View,
    site: &'a Site,
) -> impl Iterator<Item = (&'a Ipv4Addr, &'a AddressSeen, &'a NodeName)> {
    view.readable().filter_map(|(address, seen)| {
        let node = &seen.record.attachment.as_ref()?.node;
        let answers = match view.nodes.get(node).map(|_known| view.life(node)) {
            Some(Some(NodeLife::Ready) | None) => true,
            Some(Some(NodeLife::NotReady | NodeLife::OutOfService)) | None => *node == site.node,
        };
        let stuck = !answers || !is_claimed(view, seen);
        (seen.is_held() && stuck).then_some((address, seen, node))
    })
}

fn is_claimed(view: &View, seen: &AddressSeen) -> bool {
    orphan(view, seen.record.address, &seen.record.member) != Some(true)
}

/// The release that the core's planner would have for it, if its node is gone.
fn release(seen: &AddressSeen, pod: PodView, site: &Site, now: Moment) -> Option<Errand> {
    let node = seen.record.attachment.as_ref()?.node.clone();
    let mut sight = Sight::new(site.node.clone(), site.cluster.clone(), BTreeSet::from([node]));
    sight.addresses.push(Seen {
        record: seen.record.clone(),
        lock: None,
        in_kernel: false,
        lacking: None,
        pod,
        astray: None,
        reasserted: None,
    });
    plan(&sight, now).pop()
}

impl Nodes {
    pub(crate) fn ask(&mut self, view: &View, site: &Site, questions: &mut Questions) {
        let stuck: BTreeMap<_, _> = stuck(view, site).map(|(at, seen, _)| (at, seen)).collect();
        for address in self.turns.take(stuck.keys().copied().collect(), ASKED_AT_ONCE) {
            let member = stuck.get(address).map(|seen| seen.record.member.clone());
            questions.pods.extend(member);
            questions.owners.push(*address);
        }
    }

    pub(crate) fn plan(
        &mut self,
        view: &View,
        site: &Site,
        answers: &Answers,
        now: Moment,
    ) -> Vec<Duty> {
        self.turns.cut_short(&answers.unasked_owners);
        let (mut found, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        let mut releases = BTreeMap::new();
        for (address, seen, node) in stuck(view, site) {
            let pod = answers.pods.get(&seen.record.member);
            let (Some(pod), Some(held)) = (pod, answers.held.get(address)) else {
                unknown.insert(*address);
                continue;
            };
            if let Some(errand) = release(seen, pod.view.clone(), site, now) {
                releases.insert(*address, errand);
                let (epoch, node) = (seen.record.epoch, node.clone());
                let claimed = is_claimed(view, seen);
                found.insert(*address, Case { epoch, node, held: *held, claimed });
            }
        }
        self.suspects.pass(found, &unknown, now);
        let why = |case: &Case| match (case.held, view.life(&case.node)) {
            _ if !case.claimed => Gone::NoClaim,
            (false, _) => Gone::NoMachine,
            (true, Some(NodeLife::OutOfService)) => Gone::OutOfService,
            (true, Some(NodeLife::Ready | NodeLife::NotReady) | None) => Gone::Silent,
        };
        let grace = |_: &Ipv4Addr, case: &Case| match why(case) {
            Gone::NoMachine | Gone::OutOfService | Gone::NoClaim => timing::NODE_GRACE,
            Gone::Silent => timing::MACHINE_GRACE,
        };
        let due = self.suspects.due(now, grace);
        due.filter_map(|(address, case)| {
            let errand = releases.remove(address)?;
            Some(Duty::Release { address: *address, errand, why: why(case) })
        })
        .collect()
    }
}
