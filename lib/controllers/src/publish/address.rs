//! What is shown of one address: facts over time, until they have settled.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::ids::NodeName;
use firecamp_core::record::{Pool, State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_registry::api::{AddressStatus, AttachmentState, Problem};

use crate::publish::facts::AddressFact;
use crate::publish::reason::AddressReason;
use crate::publish::steady::Lasting;

/// For so long a record must stand before it is shown: a restart on the same node passes through
/// several states within it.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
/// A cause must have been gone for so long.
const LEAVE: Duration = Duration::from_secs(15);

/// For so long an attached address is not shown while nobody has seen it in EC2 or in the kernel.
const UNSEEN: Duration = Duration::from_secs(15);

/// What is remembered of one address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// What an earlier process published, until this one shows something itself.
    before: Option<AddressStatus>,
    /// The record that is shown, once one is, and the one that may be soon.
    shown: Option<StaticIp>,
    coming: Option<(StaticIp, Moment)>,
    causes: BTreeMap<AddressReason, Lasting>,
    in_kernel: Option<bool>,
    in_ec2: Option<bool>,
}

impl Memory {
    /// Goes on from what was published last.
    pub(crate) fn resume(&mut self, published: &AddressStatus) {
        if let Some(problem) = &published.problem
            && let Some(reason) = AddressReason::named(&problem.reason)
        {
            self.causes.insert(reason, Lasting::reported(&problem.message));
        }
        self.in_kernel = self.in_kernel.or(published.in_kernel);
        self.in_ec2 = self.in_ec2.or(published.in_ec2);
        self.before = Some(published.clone());
    }

    /// Takes in what is known now.
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
        let believed = |shown: Option<bool>, seen: Option<bool>, wrong: bool| match (seen, wrong) {
            (Some(true), false) => Some(true),
            // Not for long enough to be told.
            (Some(false), false) if attached => shown,
            (None, false) => shown,
            (Some(false), false) | (_, true) => Some(false),
        };
        let stripped = self.text(AddressReason::NotConfigured).is_some();
        let astray = [AddressReason::NotOnEni, AddressReason::HeldByOther];
        let astray = astray.into_iter().any(|reason| self.text(reason).is_some());
        self.in_kernel = believed(self.in_kernel, fact.in_kernel, stripped);
        self.in_ec2 = believed(self.in_ec2, fact.in_ec2, astray);
        self.settle(now, &fact.record);
    }

    /// An attach or a release that is under way is not shown unless it is stuck.
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
        let seen = self.in_kernel.is_some() && self.in_ec2.is_some();
        let needed = if is_attached(record) && !seen { UNSEEN } else { SETTLE };
        if (stuck || !is_under_way(record)) && now.since(since) >= needed {
            self.shown = self.coming.take().map(|(record, _)| record);
            self.before = None;
        }
    }

    /// Time alone may change what is shown.
    pub(crate) fn is_waiting(&self) -> bool {
        self.coming.is_some() || self.causes.values().any(Lasting::is_waiting)
    }

    /// What is said for this reason, if anything is.
    pub(crate) fn text(&self, reason: AddressReason) -> Option<&str> {
        self.causes.get(&reason)?.text()
    }

    /// The worst of what is wrong.
    pub(crate) fn problem(&self) -> Option<(AddressReason, &str)> {
        AddressReason::ALL.into_iter().find_map(|reason| Some((reason, self.text(reason)?)))
    }

    /// The record that is shown, if this process shows one by now.
    pub(crate) fn shown(&self) -> Option<&StaticIp> {
        self.shown.as_ref()
    }

    /// Whether EC2 has it, as far as is told.
    pub(crate) fn in_ec2(&self) -> Option<bool> {
        self.in_ec2
    }

    /// Its row. None of an address that was never attached, and of one that belongs on another
    /// node and has left this one's kernel.
    pub(crate) fn row(&self, node: &NodeName) -> Option<AddressStatus> {
        let Some(record) = &self.shown else { return self.before.clone() };
        let attachment = record.attachment.as_ref()?;
        if attachment.node != *node && self.text(AddressReason::LeftInKernel).is_none() {
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
    /// Neither seen nor seen to be absent: what was said stands.
    Unknown,
}

/// What is wrong at this moment, whether it is reported yet or not.
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
            let text = format!("{address} belongs on {} now", attachment.node);
            all.insert(AddressReason::LeftInKernel, Cause::Is(text));
        }
        return all;
    }
    if let Some(holder) = &fact.foreign {
        let text = format!("EC2 has {address} on {holder}");
        all.insert(AddressReason::HeldByOther, Cause::Is(text));
    }
    let mut is = |reason, text: String| drop(all.insert(reason, Cause::Is(text)));
    match attachment.state {
        State::Attaching => {
            let text = format!("the attach of epoch {} does not end", record.epoch);
            is(AddressReason::StuckAttaching, text);
        }
        State::Releasing => {
            let text = format!("EC2 is to give {address} up and has not yet");
            is(AddressReason::StuckReleasing, text);
        }
        State::Attached => attached(fact, &mut all),
        State::Parked | State::Released => {
            if fact.in_kernel == Some(true) {
                let text = format!("{address} is still in the kernel of {node}");
                is(AddressReason::LeftInKernel, text);
            }
        }
    }
    if let Some((reason, message)) = &fact.failing {
        all.insert(AddressReason::ErrandFailing, Cause::Is(format!("{reason}: {message}")));
    }
    match pools.map(|pools| is_offered(record, pools)) {
        Some(true) => {}
        Some(false) => {
            let text = format!("pool {} does not hand {address} out", record.pool);
            all.insert(AddressReason::OutsidePool, Cause::Is(text));
        }
        None => drop(all.insert(AddressReason::OutsidePool, Cause::Unknown)),
    }
    all
}

fn attached(fact: &AddressFact, all: &mut BTreeMap<AddressReason, Cause>) {
    let address = fact.record.address;
    let mut seen = |reason, seen: Option<bool>, text: String| match seen {
        Some(true) => {}
        Some(false) => drop(all.insert(reason, Cause::Is(text))),
        None => drop(all.insert(reason, Cause::Unknown)),
    };
    let text = format!("the kernel lacks {address} or its rule or route");
    seen(AddressReason::NotConfigured, fact.in_kernel, text);
    let eni = fact.record.attachment.as_ref().and_then(|a| a.eni.as_ref());
    let eni = eni.map_or_else(|| "its ENI".to_owned(), ToString::to_string);
    let text = format!("EC2 does not show {address} on {eni}");
    seen(AddressReason::NotOnEni, fact.in_ec2, text);
}

fn is_offered(record: &StaticIp, pools: &[Pool]) -> bool {
    let within = |(first, last): &(_, _)| *first <= record.address && record.address <= *last;
    let subnets = pools.iter().filter(|pool| pool.name == record.pool).flat_map(|p| &p.subnets);
    subnets.filter(|s| s.subnet == record.subnet).any(|s| s.ranges.iter().any(within))
}
