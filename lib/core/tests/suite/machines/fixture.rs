//! The inputs of machines, a record, a node and a stream of random choices.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::Operation;
use firecamp_core::attach::{AttachInput, UnwantedEnis};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{EniId, Epoch, Member};
use firecamp_core::node_identity::{Eni, NodeIdentity};
use firecamp_core::ports::{Holder, KernelTarget, Owner, OwnerEni, SocketScope};
use firecamp_core::record::{
    Attachment, Claim, Mutation, PendingMutation, Pool, PoolSubnet, ReleasePolicy, State, StaticIp,
    Stored,
};
use firecamp_core::release::{ReleaseInput, Releaser};
use firecamp_core::time::Moment;

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);

pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well formed identifier")
}

pub(crate) fn eni_id(number: u8) -> EniId {
    parsed(&format!("eni-000000{number:02x}"))
}

/// An endless stream of choices: the bytes of the case, repeated.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) bytes: Vec<u8>,
    pub(crate) next: usize,
}

impl Choices {
    pub(crate) fn byte(&mut self) -> u8 {
        self.next += 1;
        let at = self.next % self.bytes.len();
        self.bytes[at]
            .wrapping_add(u8::try_from(self.next / self.bytes.len() % 251).expect("small"))
    }

    pub(crate) fn one_in(&mut self, n: u8) -> bool {
        self.byte().is_multiple_of(n)
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()].clone()
    }
}

/// The registry's one record, and what the test knows of the run.
#[derive(Debug, Clone)]
pub(crate) struct ChaosSystems {
    pub(crate) choices: Choices,
    pub(crate) now: Moment,
    pub(crate) version: u32,
    pub(crate) record: Option<StaticIp>,
    pub(crate) claim: Option<Claim>,
    /// When the read or write that last confirmed the epoch was requested.
    pub(crate) authority: Option<Moment>,
    /// An Assign was sent under the current authority.
    pub(crate) used: bool,
    pub(crate) assigned: bool,
    pub(crate) here: bool,
    pub(crate) owner: Option<Owner>,
    pub(crate) observed: bool,
    pub(crate) completed: bool,
    pub(crate) released: bool,
    /// An operation of the agent: its authority is its pending mutation, not an epoch of its own.
    pub(crate) execution: bool,
    /// How many writes the machine requested.
    pub(crate) writes: u32,
}

impl ChaosSystems {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
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
            execution: false,
            writes: 0,
        }
    }

    pub(crate) fn version(&self) -> firecamp_core::ids::Version {
        parsed(&self.version.to_string())
    }

    pub(crate) fn stored(&self) -> Option<Stored<StaticIp>> {
        self.record.clone().map(|object| Stored { version: self.version(), object })
    }

    /// Another process sometimes changes the record: a pending mutation, or a higher epoch.
    pub(crate) fn meddle(&mut self) {
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
            record.pending_mutations.insert(PendingMutation { mutation, eni: eni_id(9), run });
        }
        self.version += 1;
    }

    pub(crate) fn registry_failure(&mut self) -> RegistryFailure {
        let kinds = [
            RegistryKind::Unavailable,
            RegistryKind::Unavailable,
            RegistryKind::Conflict,
            RegistryKind::Conflict,
            RegistryKind::NotFound,
            RegistryKind::Invalid,
            RegistryKind::Refused,
        ];
        let effects = [Effect::None, Effect::Unknown];
        RegistryFailure {
            kind: self.choices.pick(&kinds),
            effect: self.choices.pick(&effects),
            detail: "chaos".to_owned(),
        }
    }

    pub(crate) fn cloud_failure(&mut self) -> CloudFailure {
        let kinds = [
            CloudKind::HeldElsewhere,
            CloudKind::CapacityExceeded,
            CloudKind::Throttled,
            CloudKind::Transient,
            CloudKind::Transient,
            CloudKind::NotFound,
            CloudKind::NotOnInterface,
            CloudKind::BadAddress,
            CloudKind::SubnetExhausted,
            CloudKind::Auth,
            CloudKind::Unknown,
        ];
        let kind = self.choices.pick(&kinds);
        let unknown = kind == CloudKind::Transient && self.choices.one_in(2);
        let effect = if unknown { Effect::Unknown } else { Effect::None };
        CloudFailure { kind, effect, detail: "chaos".to_owned() }
    }

    pub(crate) fn owner(&mut self) -> Owner {
        if self.here && !self.choices.one_in(4) {
            return owner(1, None, false);
        }
        let owners = [
            Owner::Unassigned,
            owner(1, Some("test"), false),
            owner(2, Some("test"), false),
            owner(3, None, false),
            owner(4, Some("other"), false),
            owner(2, Some("test"), true),
        ];
        self.choices.pick(&owners)
    }
}

pub(crate) fn owner(eni: u8, cluster: Option<&str>, primary: bool) -> Owner {
    Owner::Eni(OwnerEni {
        id: eni_id(eni),
        primary,
        cluster: cluster.map(str::to_owned),
        instance: None,
        description: String::new(),
    })
}

pub(crate) fn attachment(state: State, pod: &str, eni: u8, run: &str) -> Attachment {
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

pub(crate) fn record(choices: &mut Choices) -> StaticIp {
    let states =
        [State::Attaching, State::Attached, State::Parked, State::Releasing, State::Released];
    let (state, eni) = (choices.pick(&states), choices.pick(&[1, 2]));
    let pod = choices.pick(&["mine", "old"]);
    let mut pending_mutations = BTreeSet::new();
    for eni in [1, 2] {
        for mutation in [Mutation::Assign, Mutation::Unassign] {
            if choices.one_in(5) {
                pending_mutations.insert(PendingMutation {
                    mutation,
                    eni: eni_id(eni),
                    run: parsed("run-before"),
                });
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
        pending_mutations,
    }
}

pub(crate) fn member() -> Member {
    Member::new("demo", "redis-0").expect("a member")
}

pub(crate) fn claim() -> Claim {
    Claim {
        member: member(),
        pool: parsed("pool"),
        requested: None,
        address: Some(ADDRESS),
        set: None,
    }
}

pub(crate) fn pool() -> Pool {
    Pool {
        name: parsed("pool"),
        release_policy: ReleasePolicy::Keep,
        orphaned: firecamp_core::record::OrphanPolicy::Report,
        resource: firecamp_core::ids::ResourceName::default(),
        subnets: vec![PoolSubnet {
            subnet: parsed("subnet-0000000a"),
            cidr: parsed("10.0.1.0/24"),
            zone: parsed("us-east-1a"),
            ranges: vec![(ADDRESS, ADDRESS)],
        }],
    }
}

pub(crate) fn node(listed: bool) -> NodeIdentity {
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

pub(crate) fn attach_input() -> AttachInput {
    AttachInput {
        member: member(),
        pod: parsed("mine"),
        node: parsed("node-a"),
        cluster: parsed("test"),
        pool: None,
        pool_is_approved: false,
        rule: EniRule::Auto,
        unwanted: UnwantedEnis::default(),
        metadata_poll: timing::METADATA_POLL,
        run: parsed("run-now"),
        deadline: timing::ATTACH_DEADLINE,
        predecessor_grace: timing::PREDECESSOR_GRACE,
        looked_up: None,
    }
}

pub(crate) fn release_input(unassign: bool, await_stop: bool) -> ReleaseInput {
    ReleaseInput {
        member: member(),
        pod: parsed("mine"),
        run: parsed("run-now"),
        unassign,
        await_stop,
        by: Releaser::Stop,
        scope: SocketScope::All,
        drain: timing::DRAIN,
        grace: Duration::from_secs(30),
    }
}

/// The operation of this number, below 6.
pub(crate) fn operation(which: u8) -> Operation {
    let holder = || Holder { pod: parsed("mine"), epoch: Epoch(3) };
    match which {
        0 => Operation::Withdraw { address: ADDRESS, holder: holder() },
        1 => Operation::Release { member: member(), pod: parsed("mine"), by: Releaser::Agent },
        2 => Operation::Reassert { address: ADDRESS, epoch: Epoch(3), eni: eni_id(1) },
        3 => {
            let mac = parsed("06:00:00:00:00:01");
            let target = KernelTarget { address: ADDRESS, mac, routing: None };
            Operation::Restore { target, holder: holder() }
        }
        4 => Operation::Collect { address: ADDRESS, holder: holder() },
        _ => Operation::Evict { address: ADDRESS, member: member(), pod: parsed("mine") },
    }
}
