//! A member, the pods that held its address, and the client that connects to it all the time.

use std::net::Ipv4Addr;

use vpcbox::protocol::Call;

use super::assertions::Holders;
use super::client::{Attempt, Client};
use super::pod::{Pod, Started};
use super::process::Process;
use super::test_box::TestBox;

pub(crate) struct Member<'w> {
    pub(crate) test_box: &'w TestBox,
    name: String,
    holders: Holders,
    client: Option<Client>,
    address: Option<Ipv4Addr>,
}

/// A pod whose service answers.
pub(crate) struct Up {
    pub(crate) started: Started,
    pub(crate) server: Process,
}

impl<'w> Member<'w> {
    pub(crate) fn new(test_box: &'w TestBox, name: &str) -> Self {
        let holders = Holders::default();
        Self { test_box, name: name.to_owned(), holders, client: None, address: None }
    }

    pub(crate) fn pod(&self, uid: &str, node: &str) -> Pod<'w> {
        Pod::new(self.test_box, &self.name, uid, node)
    }

    /// Its address, which it has from its first start.
    #[track_caller]
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address.expect("the member has been started before")
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.client().attempts()
    }

    #[track_caller]
    pub(crate) fn client(&self) -> &Client {
        self.client.as_ref().expect("the member has been started before")
    }

    /// Records that the pod's init container has succeeded, and starts the client the first time.
    #[track_caller]
    pub(crate) fn add_holder(&mut self, pod: &Pod<'_>, started: &Started) {
        let address = *self.address.get_or_insert(started.address);
        assert_eq!(address, started.address, "a member keeps its address");
        self.holders.then(pod, started);
        self.client.get_or_insert_with(|| Client::start(self.test_box, address));
    }

    /// Runs the init container, starts the service and waits until it answers the client.
    #[track_caller]
    pub(crate) fn bring_up(&mut self, pod: &Pod<'_>) -> Up {
        let started = pod.run_init();
        self.add_holder(pod, &started);
        let server = self.start_service(pod, &started);
        Up { started, server }
    }

    /// Starts the service and waits until it answers the client.
    #[track_caller]
    pub(crate) fn start_service(&self, pod: &Pod<'_>, started: &Started) -> Process {
        let server = pod.start_service(self.address());
        self.client().wait_for_answer_of(&pod.uid, started.at_us);
        server
    }

    /// Asserts that EC2, kernel, file and record name this pod, that the address was always on an
    /// ENI of the cluster, and that only its holders answered the client.
    #[track_caller]
    pub(crate) fn assert_healthy(&self, pod: &Pod<'_>, started: &Started) {
        self.test_box.assert_settled(pod, started);
        self.test_box.assert_always_on_an_eni(self.address());
        self.assert_only_holders_answered();
    }

    #[track_caller]
    pub(crate) fn assert_only_holders_answered(&self) {
        self.holders.assert_only_holders_answered(&self.attempts());
    }

    /// The EC2 calls that name its address, after the call with this number.
    pub(crate) fn ec2_calls(&self, since: u64) -> Vec<Call> {
        self.test_box.ec2_calls(self.address(), since)
    }
}

/// Counts of EC2 calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) calls: usize,
    pub(crate) mutating: usize,
    /// Calls that moved an address from or to an ENI.
    pub(crate) moves: usize,
}

impl Cost {
    /// Counts the calls of this node, or all calls if `node` is empty.
    pub(crate) fn of(calls: &[Call], node: &str) -> Self {
        let by = |call: &&Call| node.is_empty() || call.caller == node;
        let count =
            |holds: fn(&Call) -> bool| calls.iter().filter(by).filter(|call| holds(call)).count();
        Self {
            calls: count(|_| true),
            mutating: count(|call| call.mutating),
            moves: count(|call| call.effects.iter().any(|e| e.before != e.after)),
        }
    }
}
