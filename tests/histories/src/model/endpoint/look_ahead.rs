//! An agent looks up the owner of a member's address before the pod asks.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::Reply;
use firecamp_core::attach::LookedUp;
use firecamp_core::contract::timing;
use firecamp_core::ids::Version;
use firecamp_core::time::Moment;

use crate::model::Model;
use crate::model::process::Slot;
use crate::model::queue::Event;
use crate::seed::{Purpose, SeededRng};

/// The random stream that decides whether agents look ahead, chosen so that no regression seed
/// before it (seeds/found.txt) gets another history.
const KEY: u64 = 40_033;

/// Between two attempts of an agent that stands still.
const FROZEN: Duration = Duration::from_millis(250);

const USED: &str = "endpoint: looked up ahead";

/// What an agent has looked up for a pod.
#[derive(Debug)]
pub(super) enum Ahead {
    /// The version of the record.
    Read(Slot, Version, Ipv4Addr),
    /// The owner too, which is known from that moment on.
    Known(Slot, Moment, LookedUp),
}

impl Model<'_> {
    /// Half of the histories have agents that look ahead. The kubelet starts the container while
    /// they do. The enumeration of crashes needs none: a dead agent forgets what it looked up.
    pub(in crate::model) fn plan_look_ahead(&mut self, slot: Slot) {
        let ahead = SeededRng::new(self.scenario.seed, Purpose::Shape, KEY).once_in(2);
        let attaches = self.client(slot).is_some_and(|client| client.attaches());
        if !ahead || !attaches || self.crash_injector.is_some() {
            return;
        }
        self.coverage.expect(&[USED]);
        let longest = if self.scenario.is_calm() { 300 } else { 3_000 };
        let start = self.process(slot).rng.millis(0, longest);
        let bound = self.process(slot).rng.millis(0, 100);
        if let Some(client) = self.client(slot) {
            client.start_after(start);
        }
        self.queue.push(self.now.plus(bound), Event::LookAhead(slot));
    }

    /// An agent reads the record, and then looks up the owner.
    pub(in crate::model) fn look_ahead(&mut self, slot: Slot) {
        let process = &self.processes[slot.at()];
        let node = process.spawn.node;
        if !process.alive {
            return;
        }
        let Some(agent) = self.listener(node) else { return };
        if self.processes[agent.at()].frozen {
            return self.queue.push(self.now.plus(FROZEN), Event::LookAhead(slot));
        }
        let read = self.client(slot).and_then(|client| client.ahead.take());
        let ahead = match read {
            None => self.read_ahead(slot, agent),
            Some(Ahead::Read(by, version, address)) if by == agent => {
                self.owner_ahead(slot, agent, (version, address))
            }
            Some(Ahead::Read(..) | Ahead::Known(..)) => None,
        };
        if let Some(client) = self.client(slot) {
            client.ahead = ahead;
        }
    }

    fn read_ahead(&mut self, slot: Slot, agent: Slot) -> Option<Ahead> {
        if self.cluster.api_out {
            return None;
        }
        let member = self.member_of(slot);
        let node = &self.names.node(self.processes[slot.at()].spawn.node).name;
        let stored = self.cluster.registry.member(&member, None).ok()?.static_ip?;
        if stored.object.member != member || !stored.object.last_held_elsewhere(node) {
            return None;
        }
        let answer = self.process(slot).rng.millis(1, 200);
        self.queue.push(self.now.plus(answer), Event::LookAhead(slot));
        Some(Ahead::Read(agent, stored.version, stored.object.address))
    }

    fn owner_ahead(
        &mut self,
        slot: Slot,
        agent: Slot,
        (version, address): (Version, Ipv4Addr),
    ) -> Option<Ahead> {
        let until = self.now.plus(timing::EARLY_LOOK_UP);
        let (after, reply) = self.describe_owner(slot, address);
        let Reply::Owner(Ok(owner)) = reply else { return None };
        Some(Ahead::Known(agent, self.now.plus(after), LookedUp { version, owner, until }))
    }

    /// What the agent that runs this attach has looked up for its client, once.
    pub(super) fn looked_up(&mut self, run: Slot, client: Option<Slot>) -> Option<LookedUp> {
        let (now, agent) = (self.now, self.processes[run.at()].agent);
        match self.client(client?)?.ahead.take()? {
            Ahead::Known(by, from, found)
                if Some(by) == agent && from <= now && now < found.until =>
            {
                self.coverage.hit(USED);
                self.process(run).ec2_calls += 1;
                Some(found)
            }
            Ahead::Read(..) | Ahead::Known(..) => None,
        }
    }
}
