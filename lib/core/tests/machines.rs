//! The machines under replies that no world would give in this order: whatever they are told,
//! they end in time, never panic, and name no dangerous action without what must precede it.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::contract::timing;
use firecamp_core::failure::{
    CloudFailure, CloudKind, Effect, FileFailure, HostFailure, HostKind, RegistryFailure,
    RegistryKind,
};
use firecamp_core::ids::{EniId, Epoch, Member, RunId};
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::node::{Eni, EniRule, NodeIdentity};
use firecamp_core::outside::{KernelView, Owner, OwnerEni, PodView, SocketScope, SocketUse};
use firecamp_core::record::{
    Attachment, Claim, Mark, MemberRecords, Mutation, Pool, PoolSubnet, ReleasePolicy, State,
    StaticIp, Stored, Write,
};
use firecamp_core::release::{Release, ReleaseInput};
use firecamp_core::time::Moment;
use proptest::prelude::*;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well formed identifier")
}

fn eni_id(number: u8) -> EniId {
    parsed(&format!("eni-000000{number:02x}"))
}

/// A stream of choices, endless: the bytes of the case over and over.
#[derive(Debug, Clone)]
struct Choices {
    bytes: Vec<u8>,
    next: usize,
}

impl Choices {
    fn byte(&mut self) -> u8 {
        self.next += 1;
        let at = self.next % self.bytes.len();
        self.bytes[at]
            .wrapping_add(u8::try_from(self.next / self.bytes.len() % 251).expect("small"))
    }

    fn one_in(&mut self, n: u8) -> bool {
        self.byte().is_multiple_of(n)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()].clone()
    }
}

/// The registry's one record, and what the test knows of the run's doings.
#[derive(Debug)]
struct Chaos {
    choices: Choices,
    now: Moment,
    version: u32,
    record: Option<StaticIp>,
    claim: Option<Claim>,
    /// When the read or write that last confirmed the epoch was asked for.
    authority: Option<Moment>,
    /// An Assign was sent under the current authority.
    used: bool,
    assigned: bool,
    here: bool,
    owner: Option<Owner>,
    observed: bool,
    completed: bool,
    released: bool,
}

impl Chaos {
    fn new(bytes: Vec<u8>) -> Self {
        let mut choices = Choices { bytes, next: 0 };
        let record = (!choices.one_in(4)).then(|| record(&mut choices));
        let claim = record.as_ref().map(|_| claim());
        Self {
            choices,
            now: Moment::default(),
            version: 1,
            record,
            claim,
            authority: None,
            used: false,
            assigned: false,
            here: false,
            owner: None,
            observed: false,
            completed: false,
            released: false,
        }
    }

    fn version(&self) -> firecamp_core::ids::Version {
        parsed(&self.version.to_string())
    }

    fn stored(&self) -> Option<Stored<StaticIp>> {
        self.record.clone().map(|object| Stored { version: self.version(), object })
    }

    /// Somebody else changes the record now and then: marks, or a higher epoch.
    fn meddle(&mut self) {
        if !self.choices.one_in(40) {
            return;
        }
        let supersede = self.choices.one_in(2);
        let Some(record) = &mut self.record else { return };
        if supersede {
            record.epoch = record.epoch.next();
            record.attachment = Some(attachment(State::Attaching, "other", 7, "run-other"));
        } else {
            let (mutation, run) = (Mutation::Assign, parsed("agent"));
            record.unsettled.insert(Mark { mutation, eni: eni_id(9), run });
        }
        self.version += 1;
    }

    fn registry_failure(&mut self) -> RegistryFailure {
        let kinds = [RegistryKind::Unavailable, RegistryKind::Unavailable, RegistryKind::Conflict];
        let effects = [Effect::None, Effect::Unknown];
        RegistryFailure {
            kind: self.choices.pick(&kinds),
            effect: self.choices.pick(&effects),
            detail: "chaos".to_owned(),
        }
    }

    fn cloud_failure(&mut self) -> CloudFailure {
        let kinds = [
            CloudKind::HeldElsewhere,
            CloudKind::CapacityExceeded,
            CloudKind::Throttled,
            CloudKind::Transient,
            CloudKind::Transient,
            CloudKind::Gone,
            CloudKind::NotOurs,
            CloudKind::Unknown,
        ];
        let kind = self.choices.pick(&kinds);
        let unknown = kind == CloudKind::Transient && self.choices.one_in(2);
        let effect = if unknown { Effect::Unknown } else { Effect::None };
        CloudFailure { kind, effect, detail: "chaos".to_owned() }
    }

    fn owner(&mut self) -> Owner {
        if self.here && !self.choices.one_in(4) {
            return owner(1, None, false);
        }
        let owners = [
            Owner::Nobody,
            owner(1, Some("test"), false),
            owner(2, Some("test"), false),
            owner(3, None, false),
            owner(4, Some("other"), false),
            owner(2, Some("test"), true),
        ];
        self.choices.pick(&owners)
    }
}

fn owner(eni: u8, cluster: Option<&str>, primary: bool) -> Owner {
    Owner::Eni(OwnerEni {
        id: eni_id(eni),
        primary,
        cluster: cluster.map(str::to_owned),
        instance: None,
        description: String::new(),
    })
}

fn attachment(state: State, pod: &str, eni: u8, run: &str) -> Attachment {
    let gone = matches!(state, State::Releasing | State::Released);
    Attachment {
        state,
        pod: parsed(pod),
        node: parsed(if eni == 1 { "node-a" } else { "node-b" }),
        eni: (!gone).then(|| eni_id(eni)),
        run: parsed(run),
        served: false,
    }
}

fn record(choices: &mut Choices) -> StaticIp {
    let states =
        [State::Attaching, State::Attached, State::Parked, State::Releasing, State::Released];
    let (state, eni) = (choices.pick(&states), choices.pick(&[1, 2]));
    let pod = choices.pick(&["mine", "old"]);
    let mut unsettled = BTreeSet::new();
    for eni in [1, 2] {
        for mutation in [Mutation::Assign, Mutation::Unassign] {
            if choices.one_in(5) {
                unsettled.insert(Mark { mutation, eni: eni_id(eni), run: parsed("run-before") });
            }
        }
    }
    StaticIp {
        address: ADDRESS,
        pool: parsed("pool"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: member(),
        epoch: Epoch(3),
        attachment: Some(attachment(state, pod, eni, "run-before")),
        reserved_on: Some(eni_id(choices.pick(&[1, 2]))),
        unsettled,
    }
}

fn member() -> Member {
    Member::new("demo", "redis-0").expect("a member")
}

fn claim() -> Claim {
    Claim { member: member(), pool: parsed("pool"), requested: None, address: Some(ADDRESS) }
}

fn pool() -> Pool {
    Pool {
        name: parsed("pool"),
        release_policy: ReleasePolicy::Keep,
        subnets: vec![PoolSubnet {
            subnet: parsed("subnet-0000000a"),
            cidr: parsed("10.0.1.0/24"),
            zone: parsed("us-east-1a"),
            ranges: vec![(ADDRESS, ADDRESS)],
        }],
    }
}

fn node(listed: bool) -> NodeIdentity {
    NodeIdentity {
        instance: parsed("i-0000000a"),
        instance_type: "m5.large".to_owned(),
        zone: parsed("us-east-1a"),
        region: "us-east-1".to_owned(),
        enis: vec![Eni {
            id: eni_id(1),
            mac: parsed("06:00:00:00:00:01"),
            device_index: 0,
            network_card: 0,
            subnet: parsed("subnet-0000000a"),
            cidr: parsed("10.0.1.0/24"),
            primary_address: Ipv4Addr::new(10, 0, 1, 10),
            listed: listed.then_some(ADDRESS).into_iter().collect(),
            prefixes: 0,
        }],
    }
}

impl Chaos {
    fn holds(&self) -> bool {
        let run: RunId = parsed("run-now");
        self.record.as_ref().and_then(|r| r.attachment.as_ref()).is_some_and(|a| a.run == run)
    }

    /// Answers an action, mostly well, and checks that it may be named at all.
    fn answer(&mut self, action: &Action) -> Reply {
        self.meddle();
        let asked = self.now;
        let took = Duration::from_millis(u64::from(self.choices.pick(&[0_u16, 1, 20, 400, 2_500])));
        self.check(action);
        let well = !self.choices.one_in(6);
        let reply = if well { self.well(action, asked) } else { self.ill(action) };
        self.now = self.now.plus(took);
        reply
    }

    fn check(&mut self, action: &Action) {
        if let Action::Assign { eni, force, not_after, .. } = action {
            assert_eq!(*eni, eni_id(1), "assigned to a foreign ENI");
            let authority = self.authority.expect("an Assign without any authority");
            let last = authority.plus(timing::CALL_BOUND);
            assert!(*not_after <= last, "an Assign may land after T");
            assert!(!self.used, "a repeat under an authority that was used");
            self.used = true;
            if *force {
                let seen = self.owner.clone().expect("force without a look-up");
                let Owner::Eni(holder) = seen else { unreachable!("force against nobody") };
                assert!(!holder.primary, "force against a primary address");
                let tagged = holder.cluster.as_deref() == Some("test");
                let recorded = [eni_id(1), eni_id(2), eni_id(7), eni_id(9)].contains(&holder.id);
                assert!(tagged || recorded, "theft from {holder:?}");
            }
        }
        if let Action::AddAddress(..) = action {
            assert!(self.authority.is_some(), "a kernel write without an epoch of its own");
        }
        if let Action::StageFile(_) = action {
            assert!(self.observed, "the file before the kernel was read back");
        }
        if let Action::RemoveAddress(..) = action {
            assert!(self.released || self.authority.is_some(), "a removal without a check");
        }
    }

    fn ill(&mut self, action: &Action) -> Reply {
        let host = HostFailure {
            kind: self.choices.pick(&[HostKind::Busy, HostKind::NoLink, HostKind::Superseded]),
            detail: "chaos".to_owned(),
        };
        match action {
            Action::ReadMember => Reply::Member(Err(self.registry_failure())),
            Action::ReadRecord(_) => Reply::Record(Err(self.registry_failure())),
            Action::ReadPod => Reply::Pod(Err(self.registry_failure())),
            Action::ReadAllocated(_) => Reply::Allocated(Err(self.registry_failure())),
            Action::Write(_) => {
                let failure = self.registry_failure();
                Reply::Written(Err(failure))
            }
            Action::ReadIdentity => Reply::Identity(Err(self.cloud_failure())),
            Action::ReadListed(_) => Reply::Listed(Err(self.cloud_failure())),
            Action::AwaitOwner | Action::ReadOwner(..) => Reply::Owner(Err(self.cloud_failure())),
            Action::Assign { .. } => {
                let failure = self.cloud_failure();
                self.here = failure.effect == Effect::Unknown && self.choices.one_in(2);
                Reply::Cloud(Err(failure))
            }
            Action::Unassign { .. } => Reply::Cloud(Err(self.cloud_failure())),
            Action::ProbeFile | Action::StageFile(_) | Action::PublishFile | Action::SyncFile => {
                Reply::File(Err(FileFailure { detail: "chaos".to_owned() }))
            }
            Action::AddAddress(..)
            | Action::AddRouting(..)
            | Action::RemoveAddress(..)
            | Action::RemoveRouting(..) => Reply::Host(Err(host)),
            Action::Observe(_) => Reply::Observed(Err(host)),
            Action::ReadSockets(_) => Reply::Sockets(Err(host)),
            Action::BeginOwner(..) => Reply::Begun,
            Action::Wait(delay) => self.wait(delay.length),
            Action::AwaitStop => Reply::Stopping,
            Action::Done => Reply::Waited,
        }
    }

    fn wait(&mut self, length: Duration) -> Reply {
        self.now = self.now.plus(length.max(Duration::from_millis(1)));
        Reply::Waited
    }

    fn well(&mut self, action: &Action, asked: Moment) -> Reply {
        match action {
            Action::ReadMember => Reply::Member(Ok(Box::new(MemberRecords {
                claim: self.claim.clone().map(|object| Stored { version: parsed("1"), object }),
                static_ip: self.stored(),
                pool: Some(pool()),
            }))),
            Action::ReadRecord(_) => {
                if self.holds() {
                    (self.authority, self.used) = (Some(asked), false);
                }
                self.released = true;
                Reply::Record(Ok(self.stored().map(Box::new)))
            }
            Action::ReadPod => Reply::Pod(Ok(PodView::Vouched)),
            Action::ReadAllocated(_) => Reply::Allocated(Ok(BTreeSet::new())),
            Action::Write(write) => self.write(write, asked),
            Action::ReadIdentity => {
                let listed = self.choices.one_in(3);
                Reply::Identity(Ok(node(listed)))
            }
            Action::ReadListed(_) => {
                let listed = self.here && !self.choices.one_in(3);
                Reply::Listed(Ok(listed.then_some(ADDRESS).into_iter().collect()))
            }
            Action::AwaitOwner | Action::ReadOwner(..) => {
                let seen = self.owner();
                self.owner = Some(seen.clone());
                Reply::Owner(Ok(seen))
            }
            Action::Assign { .. } => {
                (self.assigned, self.here) = (true, true);
                Reply::Cloud(Ok(()))
            }
            Action::Unassign { .. } => Reply::Cloud(Ok(())),
            Action::ProbeFile | Action::StageFile(_) | Action::PublishFile | Action::SyncFile => {
                Reply::File(Ok(self.choices.one_in(2)))
            }
            Action::AddAddress(..)
            | Action::AddRouting(..)
            | Action::RemoveAddress(..)
            | Action::RemoveRouting(..) => Reply::Host(Ok(true)),
            Action::Observe(_) => Reply::Observed(Ok(self.view())),
            Action::ReadSockets(_) => {
                let connections = u32::from(self.choices.one_in(3));
                Reply::Sockets(Ok(SocketUse { connections, ..SocketUse::default() }))
            }
            Action::BeginOwner(..) | Action::Wait(_) | Action::AwaitStop | Action::Done => {
                self.ill(action)
            }
        }
    }

    fn view(&mut self) -> KernelView {
        self.observed = !self.choices.one_in(5);
        KernelView {
            link: Some("ens5".to_owned()),
            link_up: true,
            address: self.observed,
            tagged: true,
            routing: true,
            recorded: self.choices.one_in(4).then_some(Epoch(5)),
        }
    }

    /// A compare-and-swap that is refused where the version is old, and may lose its answer.
    fn write(&mut self, write: &Write, asked: Moment) -> Reply {
        let conflict = |kind| {
            let (effect, detail) = (Effect::None, "chaos".to_owned());
            Reply::Written(Err(RegistryFailure { kind, effect, detail }))
        };
        match write {
            Write::CreateClaim(new) => self.claim = Some(new.clone()),
            Write::UpdateClaim(new) => self.claim = Some(new.object.clone()),
            Write::CreateStaticIp(_) if self.record.is_some() => {
                return conflict(RegistryKind::AlreadyExists);
            }
            Write::CreateStaticIp(new) => self.record = Some(new.clone()),
            Write::UpdateStaticIp(new) => {
                if new.version != self.version() {
                    return conflict(RegistryKind::Conflict);
                }
                let before = self.record.as_ref().map_or(Epoch(0), |r| r.epoch);
                assert!(new.object.epoch >= before, "an epoch shrinks");
                self.completed = new.object.attachment.as_ref().is_some_and(|a| {
                    a.state == State::Attached && a.run == parsed::<RunId>("run-now")
                });
                self.record = Some(new.object.clone());
            }
        }
        self.version += 1;
        if self.holds() {
            (self.authority, self.used) = (Some(asked), false);
        }
        if self.choices.one_in(8) {
            let (kind, effect) = (RegistryKind::Unavailable, Effect::Unknown);
            let detail = "the answer is lost".to_owned();
            return Reply::Written(Err(RegistryFailure { kind, effect, detail }));
        }
        Reply::Written(Ok(self.version()))
    }
}

fn drive(machine: &mut impl Machine, chaos: &mut Chaos) -> Outcome {
    for _ in 0..20_000 {
        let action = machine.action();
        assert_eq!(action, machine.action(), "asking twice gives another answer");
        if let Some(outcome) = machine.outcome() {
            assert_eq!(action, Action::Done);
            return outcome.clone();
        }
        let reply = chaos.answer(&action);
        machine.reply(reply, chaos.now);
    }
    unreachable!("no end after 20,000 actions")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn an_attach_names_nothing_dangerous_whatever_it_is_told(
        bytes in prop::collection::vec(any::<u8>(), 8..200)
    ) {
        let mut chaos = Chaos::new(bytes);
        let input = AttachInput {
            member: member(),
            pod: parsed("mine"),
            node: parsed("node-a"),
            cluster: parsed("test"),
            pool: None,
            rule: EniRule::Auto,
            run: parsed("run-now"),
            deadline: timing::ATTACH_DEADLINE,
            predecessor_grace: timing::PREDECESSOR_GRACE,
        };
        let mut machine = Attach::new(input, chaos.now);
        let outcome = drive(&mut machine, &mut chaos);
        let slack = Duration::from_secs(30);
        prop_assert!(chaos.now.0 <= timing::ATTACH_DEADLINE + slack, "too late: {:?}", chaos.now);
        if let Outcome::Attached(done) = outcome {
            prop_assert!(chaos.completed, "success without a completion");
            prop_assert!(chaos.observed, "success without a look at the kernel");
            prop_assert_eq!(done.eni, eni_id(1));
        }
    }

    #[test]
    fn a_release_names_nothing_dangerous_whatever_it_is_told(
        bytes in prop::collection::vec(any::<u8>(), 8..200),
        unassign in any::<bool>(),
    ) {
        let mut chaos = Chaos::new(bytes);
        let before = chaos.record.clone();
        let input = ReleaseInput {
            member: member(),
            pod: parsed("mine"),
            run: parsed("run-now"),
            unassign,
            await_stop: false,
            scope: SocketScope::All,
            drain: timing::DRAIN,
            grace: Duration::from_secs(30),
        };
        let mut machine = Release::new(input, chaos.now);
        let outcome = drive(&mut machine, &mut chaos);
        prop_assert!(chaos.now.0 <= Duration::from_secs(75), "too late: {:?}", chaos.now);
        let mine = |r: &StaticIp| r.held_by(&parsed("mine"), r.epoch);
        if before.as_ref().is_some_and(|r| !mine(r)) && chaos.version == 1 {
            let changed = chaos.record != before;
            prop_assert!(!changed, "another's record was changed: {outcome:?}");
        }
    }
}
