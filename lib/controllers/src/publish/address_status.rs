//! Tracks one address over time and derives its published status once the facts are stable.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::ids::NodeName;
use firecamp_core::record::{Pool, State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_registry::api::{AddressStatus, AttachmentState, Problem};

use crate::publish::address_debounce::Debounced;
use crate::publish::facts::AddressFact;
use crate::publish::public_reasons::AddressReason;

/// A record is published once it has been stable for this long: a restart on the same node passes
/// through several states within it.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
/// A cause is cleared once it has been absent for this long.
const LEAVE: Duration = Duration::from_secs(15);

/// An attached address that is observed neither in EC2 nor in the kernel is published after this.
const UNOBSERVED: Duration = Duration::from_secs(15);

/// The state of one address.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddressTracker {
    /// What an earlier process published, until this one publishes a status.
    before: Option<AddressStatus>,
    /// The published record, and the next one while it is not stable yet.
    shown: Option<StaticIp>,
    coming: Option<(StaticIp, Moment)>,
    causes: BTreeMap<AddressReason, Debounced>,
    in_kernel: Option<bool>,
    in_ec2: Option<bool>,
}

impl AddressTracker {
    /// Resumes from what was published last.
    pub(crate) fn resume(&mut self, published: &AddressStatus) {
        if let Some(problem) = &published.problem
            && let Some(reason) = AddressReason::named(&problem.reason)
        {
            self.causes.insert(reason, Debounced::reported(&problem.message));
        }
        self.in_kernel = self.in_kernel.or(published.in_kernel);
        self.in_ec2 = self.in_ec2.or(published.in_ec2);
        self.before = Some(published.clone());
    }

    /// Processes the current facts.
    pub(crate) fn step(
        &mut self,
        now: Moment,
        fact: &AddressFact,
        node: &NodeName,
        pools: Option<&[Pool]>,
    ) {
        let causes = causes(fact, node, pools);
        for reason in AddressReason::ALL {
            let cause = match causes.get(&reason) {
                Some(Cause::Unknown) => continue,
                Some(Cause::Is(text)) => Some(text.as_str()),
                None => None,
            };
            self.causes.entry(reason).or_default().step(now, cause, reason.patience(), LEAVE);
        }
        let attached = is_attached(&fact.record);
        let stable = |shown: Option<bool>, now: Option<bool>, wrong: bool| match (now, wrong) {
            (Some(true), false) => Some(true),
            // Not for long enough to be published.
            (Some(false), false) if attached => shown,
            (None, false) => shown,
            (Some(false), false) | (_, true) => Some(false),
        };
        let stripped = self.text(AddressReason::MissingInKernel).is_some();
        let misplaced = [AddressReason::Misplaced, AddressReason::HeldByForeignInterface];
        let misplaced = misplaced.into_iter().any(|reason| self.text(reason).is_some());
        self.in_kernel = stable(self.in_kernel, fact.in_kernel, stripped);
        self.in_ec2 = stable(self.in_ec2, fact.in_ec2, misplaced);
        self.settle(now, &fact.record);
    }

    /// An attach or a release in progress is not published unless it is stuck.
    fn settle(&mut self, now: Moment, record: &StaticIp) {
        if self.shown.as_ref() == Some(record) {
            self.coming = None;
            return;
        }
        let since = match &self.coming {
            Some((coming, since)) if coming == record => *since,
            Some(_) | None => now,
        };
        self.coming = Some((record.clone(), since));
        let stuck = [AddressReason::StuckAttaching, AddressReason::StuckReleasing];
        let stuck = stuck.into_iter().any(|reason| self.text(reason).is_some());
        let observed = self.in_kernel.is_some() && self.in_ec2.is_some();
        let needed = if is_attached(record) && !observed { UNOBSERVED } else { SETTLE };
        if (stuck || !is_under_way(record)) && now.since(since) >= needed {
            self.shown = self.coming.take().map(|(record, _)| record);
            self.before = None;
        }
    }

    /// Whether time alone may change the published status.
    pub(crate) fn is_waiting(&self) -> bool {
        self.coming.is_some() || self.causes.values().any(Debounced::is_waiting)
    }

    /// The message that is published for this reason, if any.
    pub(crate) fn text(&self, reason: AddressReason) -> Option<&str> {
        self.causes.get(&reason)?.text()
    }

    /// The worst problem.
    pub(crate) fn problem(&self) -> Option<(AddressReason, &str)> {
        AddressReason::ALL.into_iter().find_map(|reason| Some((reason, self.text(reason)?)))
    }

    /// The published record, if this process has published one.
    pub(crate) fn shown(&self) -> Option<&StaticIp> {
        self.shown.as_ref()
    }

    /// Whether EC2 has it, as published.
    pub(crate) fn in_ec2(&self) -> Option<bool> {
        self.in_ec2
    }

    /// Its published status. None for an address that was never attached, and for one that belongs
    /// to another node and has left this node's kernel.
    pub(crate) fn status(&self, node: &NodeName) -> Option<AddressStatus> {
        let Some(record) = &self.shown else { return self.before.clone() };
        let attachment = record.attachment.as_ref()?;
        if attachment.node != *node && self.text(AddressReason::LeftoverInKernel).is_none() {
            return None;
        }
        Some(AddressStatus {
            address: record.address.to_string(),
            member: record.member.to_string(),
            epoch: record.epoch.0,
            state: state(attachment.state),
            pod_uid: attachment.pod.to_string(),
            eni: attachment.eni.as_ref().map(ToString::to_string),
            in_ec2: self.in_ec2,
            in_kernel: self.in_kernel,
            in_file: None,
            problem: self.problem().map(|(reason, message)| Problem {
                reason: reason.name().to_owned(),
                message: message.to_owned(),
            }),
        })
    }
}

fn state(state: State) -> AttachmentState {
    match state {
        State::Attaching => AttachmentState::Attaching,
        State::Attached => AttachmentState::Attached,
        State::Parked => AttachmentState::Parked,
        State::Releasing => AttachmentState::Releasing,
        State::Released => AttachmentState::Released,
    }
}

fn is_attached(record: &StaticIp) -> bool {
    record.attachment.as_ref().is_some_and(|a| a.state == State::Attached)
}

fn is_under_way(record: &StaticIp) -> bool {
    record.attachment.as_ref().is_some_and(|a| match a.state {
        State::Attaching | State::Releasing => true,
        State::Attached | State::Parked | State::Released => false,
    })
}

enum Cause {
    Is(String),
    /// Not observed: the published status stays.
    Unknown,
}

/// The current problems, whether they are reported yet or not.
fn causes(
    fact: &AddressFact,
    node: &NodeName,
    pools: Option<&[Pool]>,
) -> BTreeMap<AddressReason, Cause> {
    let mut all = BTreeMap::new();
    let record = &fact.record;
    let address = record.address;
    let Some(attachment) = &record.attachment else { return all };
    if attachment.node != *node {
        if fact.in_kernel == Some(true) {
            let owner = &attachment.node;
            let text =
                format!("the kernel of {node} still has {address}, which belongs to {owner}");
            all.insert(AddressReason::LeftoverInKernel, Cause::Is(text));
        }
        return all;
    }
    if let Some(holder) = &fact.foreign {
        let text = format!(
            "EC2 shows {address} on {holder}: unassign it there, or exclude it from pool {}",
            record.pool
        );
        all.insert(AddressReason::HeldByForeignInterface, Cause::Is(text));
    }
    let mut is = |reason, text: String| drop(all.insert(reason, Cause::Is(text)));
    match attachment.state {
        State::Attaching => {
            let text = format!(
                "the attach of {address} (epoch {}) does not finish: read the log of the pod's \
                 init container",
                record.epoch
            );
            is(AddressReason::StuckAttaching, text);
        }
        State::Releasing => {
            let text = format!("the release of {address} does not finish: EC2 still has it");
            is(AddressReason::StuckReleasing, text);
        }
        State::Attached => attached(fact, &mut all),
        State::Parked | State::Released => {
            if fact.in_kernel == Some(true) {
                let text = format!("the kernel of {node} still has {address}, which is released");
                is(AddressReason::LeftoverInKernel, text);
            }
        }
    }
    if let Some((reason, message)) = &fact.failing {
        all.insert(AddressReason::OperationFailing, Cause::Is(format!("{reason}: {message}")));
    }
    match pools.map(|pools| is_offered(record, pools)) {
        Some(true) => {}
        Some(false) => {
            let text = format!("no range of pool {} contains {address}", record.pool);
            all.insert(AddressReason::OutsidePool, Cause::Is(text));
        }
        None => drop(all.insert(AddressReason::OutsidePool, Cause::Unknown)),
    }
    all
}

fn attached(fact: &AddressFact, all: &mut BTreeMap<AddressReason, Cause>) {
    let address = fact.record.address;
    let mut check = |reason, observed: Option<bool>, text: String| match observed {
        Some(true) => {}
        Some(false) => drop(all.insert(reason, Cause::Is(text))),
        None => drop(all.insert(reason, Cause::Unknown)),
    };
    let text = format!("{address}, its rule or its route is missing from the kernel");
    check(AddressReason::MissingInKernel, fact.in_kernel, text);
    let eni = fact.record.attachment.as_ref().and_then(|a| a.eni.as_ref());
    let eni = eni.map_or_else(|| "its recorded ENI".to_owned(), ToString::to_string);
    let text = format!("EC2 does not show {address} on {eni}");
    check(AddressReason::Misplaced, fact.in_ec2, text);
}

fn is_offered(record: &StaticIp, pools: &[Pool]) -> bool {
    let within = |(first, last): &(_, _)| *first <= record.address && record.address <= *last;
    let subnets = pools.iter().filter(|pool| pool.name == record.pool).flat_map(|p| &p.subnets);
    subnets.filter(|s| s.subnet == record.subnet).any(|s| s.ranges.iter().any(within))
}
