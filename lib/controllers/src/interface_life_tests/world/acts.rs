//! What happens to the small world from outside.

use std::collections::BTreeSet;

use firecamp_core::ids::{EniId, Epoch, Member};
use firecamp_core::managed_interface::{Phase, StoredInterface};
use firecamp_core::record::{Attachment, State, StaticIp};

use super::{SUBNET, World, address, agent, parsed};
use crate::leader::remove_interfaces::InterfaceRemoval;

impl World {
    /// An init container acquires the epoch of an address on the interface.
    pub(in crate::interface_life_tests) fn acquire(&mut self) {
        if let Some(eni) = self.made() {
            self.acquire_on(eni);
        }
    }

    /// The same, on an interface that was chosen before.
    pub(in crate::interface_life_tests) fn acquire_on(&mut self, eni: EniId) {
        let attachment = Attachment {
            state: State::Attaching,
            pod: parsed("pod"),
            node: parsed("n1"),
            eni: Some(eni.clone()),
            run: parsed("run"),
            served: false,
        };
        let record = StaticIp {
            address: address(),
            pool: parsed("pool"),
            subnet: parsed(SUBNET),
            cidr: parsed("10.0.1.0/24"),
            zone: parsed("us-east-1a"),
            member: Member::new("prod", "redis-0").unwrap(),
            epoch: Epoch(1),
            attachment: Some(attachment),
            reserved_on: Some(eni),
            pending_mutations: BTreeSet::new(),
        };
        self.addresses.insert(address(), record);
    }

    pub(in crate::interface_life_tests) fn hang_agent(&mut self, hangs: bool) {
        self.agent_hangs = hangs;
    }

    /// Its call takes effect, unless EC2 no longer has the interface.
    pub(in crate::interface_life_tests) fn assign(&mut self) {
        if let Some(eni) = self.made() {
            self.assign_on(&eni);
        }
    }

    /// The same, on an interface that was chosen before. The address leaves its last one.
    pub(in crate::interface_life_tests) fn assign_on(&mut self, eni: &EniId) {
        if self.enis().contains_key(eni) {
            self.change(|enis| {
                for (id, one) in enis {
                    if id == eni {
                        one.addresses.insert(address());
                    } else {
                        one.addresses.remove(&address());
                    }
                }
            });
        }
    }

    pub(in crate::interface_life_tests) fn is_attached(&self, eni: &EniId) -> bool {
        self.enis().get(eni).is_some_and(|one| one.index.is_some())
    }

    /// An init container is about to use the interface, which was attached when it chose it.
    pub(in crate::interface_life_tests) fn must_be_attached(&mut self, eni: &EniId) {
        self.detached_in_use |= !self.is_attached(eni);
    }

    /// The interface that an init container chooses now.
    pub(in crate::interface_life_tests) fn chosen(&self) -> Option<EniId> {
        let attached = self.records.values().find(|one| one.record.phase == Phase::Attached)?;
        attached.record.eni.clone().filter(|_| self.alive)
    }

    /// Whether a member has the address, or is about to get it.
    pub(in crate::interface_life_tests) fn is_held(&self) -> bool {
        let record = self.addresses.get(&address());
        record.and_then(|it| it.attachment.as_ref()).is_some_and(|it| it.state == State::Attaching)
    }

    pub(in crate::interface_life_tests) fn settle_member(&mut self) {
        self.acquire();
        self.assign();
    }

    pub(in crate::interface_life_tests) fn park_member(&mut self, reserved: bool) {
        self.reserved = reserved;
        let record = self.addresses.get_mut(&address()).unwrap();
        record.epoch = Epoch(record.epoch.0 + 1);
        record.attachment.as_mut().unwrap().state = State::Parked;
    }

    /// The member runs elsewhere: the address is on another interface.
    pub(in crate::interface_life_tests) fn move_member(&mut self) {
        let Some(record) = self.addresses.get_mut(&address()) else { return };
        let elsewhere: EniId = parsed("eni-0000dddd");
        record.attachment.as_mut().unwrap().eni = Some(elsewhere.clone());
        record.reserved_on = Some(elsewhere);
        self.change(|enis| {
            for one in enis.values_mut() {
                one.addresses.remove(&address());
            }
        });
    }

    /// EC2 detaches the interface, whose DeleteOnTermination is not set.
    pub(in crate::interface_life_tests) fn terminate(&mut self) {
        self.alive = false;
        self.change(|enis| {
            for one in enis.values_mut() {
                one.index = None;
            }
        });
    }

    pub(in crate::interface_life_tests) fn restart_agent(&mut self) {
        (self.agent, self.agent_began) = (agent(self.wanted), self.now);
    }

    pub(in crate::interface_life_tests) fn restart_leader(&mut self) {
        self.leader = InterfaceRemoval::default();
    }

    /// `spec.interfaces` is set in a pool, or in none.
    pub(in crate::interface_life_tests) fn want(&mut self, wanted: bool) {
        self.wanted = wanted;
        self.restart_agent();
    }

    /// Whether members get the interface that was made.
    pub(in crate::interface_life_tests) fn members_get_it(&self) -> bool {
        self.agent.unusable(&parsed("test")).is_empty()
    }

    pub(in crate::interface_life_tests) fn hide_node(&mut self, hidden: bool) {
        self.hidden = hidden;
    }

    /// Someone deletes the interface in EC2.
    pub(in crate::interface_life_tests) fn delete_by_hand(&mut self) {
        if let Some(eni) = self.made() {
            self.change(|enis| drop(enis.remove(&eni)));
        }
    }

    /// Someone sets the phase to Draining.
    pub(in crate::interface_life_tests) fn drain(&mut self) {
        let all: Vec<StoredInterface> = self.records.values().cloned().collect();
        for one in all {
            drop(self.update(&one.in_phase(Phase::Draining)));
        }
    }
}
