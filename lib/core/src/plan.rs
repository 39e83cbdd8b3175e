//! What a machine would do in a given state of the outside systems: the dry run and the golden
//! plans.
//!
//! It drives the machine itself, not a copy of its rules: it answers reads from a snapshot,
//! assumes that every change succeeds, and lists the changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::action::{Action, Delay, Reply};
use crate::failure::{Effect, RegistryFailure, RegistryKind};
use crate::ids::{SubnetId, Version};
use crate::machine::{Machine, Outcome};
use crate::node_identity::NodeIdentity;
use crate::ports::{KernelTarget, KernelView, Owner, PodView, SocketUse};
use crate::record::{MemberRecords, StaticIp, Stored, Write};
use crate::time::Moment;

/// The input of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanInput {
    /// The member's records.
    pub records: MemberRecords,
    /// The allocated addresses of the pool.
    pub allocated: BTreeSet<Ipv4Addr>,
    /// The member's live pod.
    pub pod: PodView,
    /// This instance.
    pub node: NodeIdentity,
    /// The owners that EC2 reports for the addresses that were looked up so far.
    pub owners: BTreeMap<Ipv4Addr, Owner>,
    /// What the kernel has of the address, once it was read.
    pub kernel: Option<KernelView>,
    /// The sockets that use the address, once they were counted.
    pub sockets: Option<SocketUse>,
}

/// An input that the plan still needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The owner of this address in this subnet.
    Owner(Ipv4Addr, SubnetId),
    /// What the kernel has of this target.
    Kernel(KernelTarget),
    /// The sockets that use this address.
    Sockets(Ipv4Addr),
    /// The machine did not end: a bug.
    End,
}

/// What would happen, in this order, and the outcome if every change succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The changes and waits.
    pub steps: Vec<Action>,
    /// The outcome.
    pub outcome: Outcome,
}

/// The maximum number of actions in a plan, in case a machine never ends.
const LIMIT: usize = 10_000;

/// Drives the machine to its end with these inputs, or returns the input that is missing.
pub fn plan(mut machine: impl Machine, input: &PlanInput) -> Result<Plan, Missing> {
    let (now, begun) = (Moment::default(), None);
    let mut input = Imagined { input: input.clone(), now, begun, changed: false };
    let mut steps = Vec::new();
    for _ in 0..LIMIT {
        let action = machine.action();
        if let Some(outcome) = machine.outcome() {
            return Ok(Plan { steps, outcome: outcome.clone() });
        }
        let (reply, change) = input.answer(&action)?;
        let step = step(action);
        if change && steps.last() != Some(&step) {
            steps.push(step);
        }
        machine.reply(reply, input.now);
    }
    Err(Missing::End)
}

/// Waits for the same reason are one step, whatever is left until the deadline.
fn step(action: Action) -> Action {
    let Action::Wait(delay) = action else { return action };
    let length = delay.longest();
    Action::Wait(Delay { length, limit: length, ..delay })
}

struct Imagined {
    input: PlanInput,
    now: Moment,
    begun: Option<(Ipv4Addr, SubnetId)>,
    changed: bool,
}

impl Imagined {
    /// The reply to an action, and whether the action is part of the plan.
    fn answer(&mut self, action: &Action) -> Result<(Reply, bool), Missing> {
        let input = &mut self.input;
        Ok(match action {
            Action::ReadMember => (Reply::Member(Ok(Box::new(input.records.clone()))), false),
            Action::ReadRecord(address) => {
                let found = input.records.static_ip.clone();
                let found = found.filter(|s| s.object.address == *address).map(Box::new);
                (Reply::Record(Ok(found)), false)
            }
            Action::ReadPod => (Reply::Pod(Ok(input.pod.clone())), false),
            Action::ReadAllocated(_) => (Reply::Allocated(Ok(input.allocated.clone())), false),
            Action::Write(write) => (self.write(write)?, true),
            Action::ReadIdentity => (Reply::Identity(Ok(input.node.clone())), false),
            Action::ReadListed(mac) => {
                let eni = input.node.enis.iter().find(|e| e.mac == *mac);
                let listed = eni.map(|e| e.listed.clone()).unwrap_or_default();
                (Reply::Listed(Ok(listed)), false)
            }
            Action::BeginOwner(address, subnet) => {
                self.begun = Some((*address, subnet.clone()));
                (Reply::Begun, false)
            }
            Action::AwaitOwner => {
                let (address, subnet) = self.begun.clone().ok_or(Missing::End)?;
                (Reply::Owner(Ok(input.owner(address, &subnet)?)), false)
            }
            Action::ReadOwner(address, subnet) => {
                (Reply::Owner(Ok(input.owner(*address, subnet)?)), false)
            }
            Action::Assign { eni, address, .. } => {
                input.assign(eni, *address);
                (Reply::Cloud(Ok(())), true)
            }
            Action::Unassign { address, .. } => {
                input.owners.insert(*address, Owner::Unassigned);
                (Reply::Cloud(Ok(())), true)
            }
            Action::ProbeFile => (Reply::File(Ok(true)), false),
            Action::StageFile(_) | Action::PublishFile | Action::SyncFile => {
                (Reply::File(Ok(true)), true)
            }
            Action::NoteAssign(_) => (Reply::Host(Ok(true)), false),
            Action::AddAddress(..) | Action::AddRouting(..) => {
                self.changed = true;
                (Reply::Host(Ok(true)), true)
            }
            Action::RemoveAddress(..) | Action::RemoveRouting(..) => (Reply::Host(Ok(true)), true),
            Action::Observe(target) => (Reply::Observed(Ok(self.kernel(target)?)), false),
            Action::ReadSockets(address) => {
                let used = input.sockets.ok_or(Missing::Sockets(*address))?;
                (Reply::Sockets(Ok(used)), false)
            }
            Action::Wait(delay) => {
                self.now = self.now.plus(delay.longest().max(Duration::from_millis(1)));
                (Reply::Waited, true)
            }
            Action::AwaitStop => (Reply::Stopping, false),
            Action::Done => (Reply::Waited, false),
        })
    }

    /// The kernel after the changes so far.
    fn kernel(&self, target: &KernelTarget) -> Result<KernelView, Missing> {
        let observed = self.input.kernel.clone();
        let observed = observed.ok_or_else(|| Missing::Kernel(target.clone()))?;
        Ok(if self.changed {
            KernelView { link_up: true, address: true, tagged: true, routing: true, ..observed }
        } else {
            observed
        })
    }

    fn write(&mut self, write: &Write) -> Result<Reply, Missing> {
        let version = Version::new("planned").map_err(|_never| Missing::End)?;
        match write {
            Write::CreateClaim(object) => {
                let object = object.clone();
                self.input.records.claim = Some(Stored { version: version.clone(), object });
            }
            Write::UpdateClaim(stored) => {
                let object = stored.object.clone();
                self.input.records.claim = Some(Stored { version: version.clone(), object });
            }
            Write::CreateStaticIp(object) if self.input.allocated.contains(&object.address) => {
                return Ok(exists(object));
            }
            Write::CreateStaticIp(object) | Write::UpdateStaticIp(Stored { object, .. }) => {
                let object = object.clone();
                self.input.records.static_ip = Some(Stored { version: version.clone(), object });
            }
        }
        Ok(Reply::Written(Ok(version)))
    }
}

fn exists(object: &StaticIp) -> Reply {
    Reply::Written(Err(RegistryFailure {
        kind: RegistryKind::AlreadyExists,
        effect: Effect::None,
        detail: format!("StaticIP {} exists already", object.address),
    }))
}

impl PlanInput {
    fn owner(&self, address: Ipv4Addr, subnet: &SubnetId) -> Result<Owner, Missing> {
        let known = self.owners.get(&address).cloned();
        known.ok_or_else(|| Missing::Owner(address, subnet.clone()))
    }

    fn assign(&mut self, eni: &crate::ids::EniId, address: Ipv4Addr) {
        if let Some(here) = self.node.enis.iter_mut().find(|e| e.id == *eni) {
            here.listed.insert(address);
        }
        let owner = Owner::Eni(crate::ports::OwnerEni {
            id: eni.clone(),
            primary: false,
            cluster: None,
            instance: Some(self.node.instance.clone()),
            description: String::new(),
        });
        self.owners.insert(address, owner);
    }
}
