//! The leader of the small world, as its executor works: it reads again what it depends on.

use firecamp_core::ids::EniId;
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceAttachment, Phase, StoredInterface,
};
use firecamp_core::record::{Mutation, PendingMutation, State, StaticIp};

use super::{Crashed, DESCRIBE_LAG, Ec2Interface, INSTANCE, World, parsed};
use crate::leader::{
    Identity, InterfaceAnswer, InterfaceQuery, NodeReadiness, ObservedNode, ObservedStaticIp,
    Operation, Queries, QueryResults, View,
};

impl World {
    pub(super) fn leader_pass(&mut self) -> Result<(), Crashed> {
        let view = self.view();
        let mut queries = Queries::default();
        self.leader.ask(&view, &mut queries);
        let mut results = QueryResults::default();
        for query in queries.interfaces {
            results.interfaces.insert(query.uid().clone(), self.answer(&query));
        }
        for operation in self.leader.plan(&view, &results, self.now) {
            self.operate(&operation)?;
        }
        Ok(())
    }

    fn view(&self) -> View {
        let mut view = View::default();
        if self.alive {
            let node = ObservedNode {
                lifecycle: if self.hidden { NodeReadiness::NotReady } else { NodeReadiness::Ready },
                zone: None,
                instance: Some(parsed(INSTANCE)),
            };
            view.nodes.insert(parsed("n1"), Some(node));
        }
        let records = self.records.values().map(|one| (one.name.clone(), Some(one.clone())));
        view.interfaces = records.collect();
        let id = Identity {
            uid: firecamp_core::ids::Uid::new("ip").unwrap(),
            version: parsed("1"),
            deleting: false,
        };
        let observed = |record: &StaticIp| ObservedStaticIp {
            id: id.clone(),
            record: record.clone(),
            // Each attach and each end of one changes the spec.
            generation: 2 * record.epoch.0 + u64::from(is_parked(record)),
            finalizers: Vec::new(),
            phase: None,
            conditions: crate::leader::SeenConditions::default(),
        };
        view.addresses = self
            .addresses
            .iter()
            .map(|(at, record)| (*at, Some(Box::new(observed(record)))))
            .collect();
        view
    }

    fn answer(&self, query: &InterfaceQuery) -> InterfaceAnswer {
        match query {
            InterfaceQuery::Instance(_) => {
                InterfaceAnswer::Instance(if self.alive && !self.hidden {
                    InstanceState::Exists
                } else {
                    InstanceState::Gone
                })
            }
            InterfaceQuery::Describe(stored) => InterfaceAnswer::Described(self.describe(stored)),
        }
    }

    fn describe(&self, stored: &StoredInterface) -> Vec<DescribedInterface> {
        let wanted = |id: &EniId, one: &Ec2Interface| match &stored.record.eni {
            Some(eni) => eni == id,
            None => one.record.as_deref() == Some(stored.uid.as_str()),
        };
        let found = self.seen(DESCRIBE_LAG).iter().filter(|(id, one)| wanted(id, one));
        let shown = |(id, one): (&EniId, &Ec2Interface)| DescribedInterface {
            id: id.clone(),
            addresses: one.addresses.clone(),
            prefixes: 0,
            attachment: one.index.map(|device_index| InterfaceAttachment {
                id: "eni-attach-0000000a".to_owned(),
                instance: parsed(INSTANCE),
                device_index,
                attached: true,
            }),
            record: one.record.clone(),
            cluster_uid: None,
        };
        found.map(shown).collect()
    }

    /// As the leader's executor does: it reads again what it depends on.
    fn operate(&mut self, operation: &Operation) -> Result<(), Crashed> {
        self.boundary()?;
        match operation {
            Operation::DrainInterface(_) if self.alive && !self.hidden => {}
            Operation::DrainInterface(stored) => {
                drop(self.update(&stored.excluded()));
            }
            Operation::DetachInterface { interface, .. } => {
                let eni = interface.record.eni.clone().unwrap();
                let used = self.enis().get(&eni).is_some_and(|one| !one.addresses.is_empty());
                if !self.is_named(&eni) {
                    self.detached_in_use |= used;
                    self.change(|enis| {
                        if let Some(one) = enis.get_mut(&eni) {
                            one.index = None;
                        }
                    });
                }
            }
            Operation::DeleteInterface(stored) => self.delete(stored)?,
            Operation::Unassign { address, .. } if self.reserved => {
                self.change(|enis| {
                    for one in enis.values_mut() {
                        one.addresses.remove(address);
                    }
                });
                self.boundary()?;
                let record = self.addresses.get_mut(address).unwrap();
                let attachment = record.attachment.as_mut().unwrap();
                // The mark of an Unassign stays until the next attach.
                let mark = attachment.eni.clone().map(|eni| PendingMutation {
                    mutation: Mutation::Unassign,
                    eni,
                    run: parsed("leader"),
                });
                record.pending_mutations.extend(mark);
                record.reserved_on = None;
                (attachment.state, attachment.eni) = (State::Released, None);
            }
            Operation::Unassign { .. } => {}
            Operation::Release { .. }
            | Operation::RecordOwner { .. }
            | Operation::DeleteClaim { .. }
            | Operation::DeleteStaticIp { .. }
            | Operation::RemoveFinalizer { .. }
            | Operation::RemoveZoneGate { .. }
            | Operation::ReportZoneConflict { .. }
            | Operation::UpdateStaticIpStatus { .. }
            | Operation::ClearVolumeWait { .. }
            | Operation::UpdateClaimStatus { .. }
            | Operation::UpdatePoolStatus { .. } => panic!("not about an interface: {operation}"),
        }
        self.boundary()
    }

    fn delete(&mut self, stored: &StoredInterface) -> Result<(), Crashed> {
        let found = self.describe(stored);
        let eni = stored.record.eni.clone().or(found.first().map(|one| one.id.clone()));
        if eni.as_ref().is_some_and(|eni| self.is_named(eni)) {
            return Ok(());
        }
        if stored.record.phase != Phase::Deleting {
            drop(self.update(&stored.in_phase(Phase::Deleting)));
            return Ok(());
        }
        if let Some(eni) = eni
            && let Some(one) = self.enis().get(&eni).cloned()
        {
            if one.index.is_some() {
                // EC2 refuses to delete an attached interface.
                return Ok(());
            }
            self.lost |= !one.addresses.is_empty();
            self.change(|enis| drop(enis.remove(&eni)));
            self.boundary()?;
        }
        let same = |it: &StoredInterface| it.version == stored.version;
        if self.records.get(&stored.name).is_some_and(same) {
            self.records.remove(&stored.name);
        }
        Ok(())
    }
}

fn is_parked(record: &StaticIp) -> bool {
    record.attachment.as_ref().is_some_and(|it| it.state == State::Parked)
}
