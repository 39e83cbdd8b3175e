//! A member through its lives: who held its address, and the client that never stops dialling.

use std::net::Ipv4Addr;

use vpcbox::protocol::Call;

use super::client::{Attempt, Client};
use super::pod::{Pod, Started};
use super::process::Process;
use super::story::Holders;
use super::world::World;

pub(crate) struct Member<'w> {
    pub(crate) world: &'w World,
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
    pub(crate) fn new(world: &'w World, name: &str) -> Self {
        let holders = Holders::default();
        Self { world, name: name.to_owned(), holders, client: None, address: None }
    }

    pub(crate) fn pod(&self, uid: &str, node: &str) -> Pod<'w> {
        Pod::new(self.world, &self.name, uid, node)
    }

    /// Its address, which it has had since its first start.
    #[track_caller]
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address.expect("the member has been started")
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.client().attempts()
    }

    #[track_caller]
    pub(crate) fn client(&self) -> &Client {
        self.client.as_ref().expect("the member has been started")
    }

    /// Notes that a pod's init container has succeeded.
    #[track_caller]
    pub(crate) fn is_held_by(&mut self, pod: &Pod<'_>, started: &Started) {
        let address = *self.address.get_or_insert(started.address);
        assert_eq!(address, started.address, "a member keeps its address");
        self.holders.then(pod, started);
        self.client.get_or_insert_with(|| Client::dials(self.world, address));
    }

    /// The init container succeeds, the service starts, and the client is answered by it.
    #[track_caller]
    pub(crate) fn comes_up(&mut self, pod: &Pod<'_>) -> Up {
        let started = pod.starts();
        self.is_held_by(pod, &started);
        let server = self.serves(pod, &started);
        Up { started, server }
    }

    /// The service starts, and the client is answered by it.
    #[track_caller]
    pub(crate) fn serves(&self, pod: &Pod<'_>, started: &Started) -> Process {
        let server = pod.serves(self.address());
        self.client().is_answered_by(&pod.uid, started.at_us);
        server
    }

    /// The pod works and is the only one that does; the address was never lost, and the client
    /// never reached a node that did not hold it.
    #[track_caller]
    pub(crate) fn is_well(&self, pod: &Pod<'_>, started: &Started) {
        self.world.is_settled(pod, started);
        self.world.was_never_lost(self.address());
        self.only_holders_answered();
    }

    #[track_caller]
    pub(crate) fn only_holders_answered(&self) {
        self.holders.alone_answered(&self.attempts());
    }

    /// The calls to EC2 that name its address, after that number.
    pub(crate) fn ec2(&self, since: u64) -> Vec<Call> {
        self.world.ec2(self.address(), since)
    }
}

/// What calls cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) calls: usize,
    pub(crate) mutating: usize,
    /// How often the address changed hands.
    pub(crate) moves: usize,
}

impl Cost {
    /// Of those calls that this node made; of all, if it is empty.
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
