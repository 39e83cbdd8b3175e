//! Assertions on a member: what the client, EC2, the kernel and the record show.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::record::State;

use super::client::Attempt;
use super::pod::{Pod, Started};
use super::test_box::TestBox;

/// The node that may answer from this time until the next pod's init container has succeeded.
#[derive(Debug, Clone)]
struct Term {
    since_us: u64,
    node: String,
}

/// The holders of the address, in order.
#[derive(Debug, Default)]
pub(crate) struct Holders(Vec<Term>);

impl Holders {
    /// Adds the pod, whose init container has succeeded.
    pub(crate) fn then(&mut self, pod: &Pod<'_>, started: &Started) {
        self.0.push(Term { since_us: started.at_us, node: pod.node.clone() });
    }

    /// Asserts that each answer came from a node that held the address at some time during the
    /// attempt. A term ends when the init container of a successor succeeds.
    #[track_caller]
    pub(crate) fn assert_only_holders_answered(&self, attempts: &[Attempt]) {
        for attempt in attempts {
            let Some((node, pod)) = &attempt.answer else { continue };
            let mut terms = self.0.iter().enumerate();
            let held = terms.any(|(at, term)| {
                let until_us = self.0.get(at + 1).map_or(u64::MAX, |next| next.since_us);
                term.node == *node && attempt.from_us < until_us && attempt.to_us > term.since_us
            });
            assert!(held, "{node} ({pod}) answered {attempt:?}, but the holders were {self:?}");
        }
    }
}

impl TestBox {
    /// Asserts that the address has been on an ENI of the cluster ever since its first assignment
    /// (K1), and that EC2 was never in an impossible state.
    #[track_caller]
    pub(crate) fn assert_always_on_an_eni(&self, address: Ipv4Addr) {
        let truth = self.control().truth().unwrap();
        assert_eq!(truth.violations, Vec::<serde_json::Value>::new());
        let ours: BTreeSet<&str> =
            truth.nodes.iter().flat_map(|n| &n.enis).map(|e| e.id.as_str()).collect();
        let record = truth.addresses.iter().find(|a| a.address == address);
        let record = record.unwrap_or_else(|| panic!("EC2 never had {address}"));
        let owners = record.history.iter().map(|past| past.eni.as_deref());
        for owner in owners.skip_while(Option::is_none) {
            assert!(owner.is_some_and(|eni| ours.contains(eni)), "{address}: {record:#?}");
        }
    }

    /// Asserts that EC2 and the router have the address on the pod's node, the kernel has it once,
    /// as a /32 with FireCamp's protocol number, the file contains it, and the record is complete.
    /// A killed process may leave a harmless pending mutation: an Assign to this ENI, or an
    /// Unassign from another one.
    #[track_caller]
    pub(crate) fn assert_settled(&self, pod: &Pod<'_>, started: &Started) {
        let address = started.address;
        let truth = self.control().address(address).unwrap().expect("EC2 knows the address");
        assert_eq!(truth.node.as_deref(), Some(pod.node.as_str()), "{truth:?}");
        assert_eq!(truth.routed_node.as_deref(), Some(pod.node.as_str()), "{truth:?}");
        let kernel = self.kernel(&pod.node);
        let text = format!("{address}/");
        let seen: Vec<&String> = kernel.iter().filter(|line| line.starts_with(&text)).collect();
        let only = seen.len() == 1
            && seen[0].starts_with(&format!("{address}/32 dev "))
            && seen[0].ends_with(" proto 201");
        assert!(only, "{seen:?} in {kernel:#?}");
        assert_eq!(pod.file(), Some(format!("{address}")), "the static-IP file");
        let record = self.record(address);
        let attachment = record.attachment.as_ref().expect("an attachment");
        assert_eq!(attachment.state, State::Attached);
        assert_eq!(attachment.pod.as_str(), pod.uid);
        assert_eq!(attachment.node.as_str(), pod.node);
        let eni = attachment.eni.as_ref().expect("an ENI");
        assert!(record.settled_on(eni), "{record:?}");
        assert_eq!(started.report["epoch"], record.epoch.0);
        let claim = self.member_records(&pod.member).claim.expect("a claim").object;
        assert_eq!(claim.address, Some(address));
    }
}
