//! A healthy environment in which every request succeeds, unless a test changes it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::{AttachInput, UnwantedEnis};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::timing;
use firecamp_core::ids::{EniId, Epoch, Member};
use firecamp_core::node_identity::{Eni, NodeIdentity};
use firecamp_core::ports::{KernelView, Owner, OwnerEni, PodLifecycle, PodView, SocketUse};
use firecamp_core::record::{
    Attachment, Claim, MemberRecords, Pool, PoolSubnet, ReleasePolicy, State, StaticIp, Stored,
    Write,
};

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);

pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well formed identifier")
}

pub(crate) fn eni(letter: char) -> EniId {
    parsed(&format!("eni-0000000{letter}"))
}

pub(crate) fn member() -> Member {
    Member::new("demo", "redis-0").expect("a member")
}

/// EC2's answer for an address on this ENI of the cluster.
pub(crate) fn on(letter: char) -> Owner {
    Owner::Eni(OwnerEni {
        id: eni(letter),
        primary: false,
        cluster: Some("test".to_owned()),
        instance: None,
        description: String::new(),
    })
}

/// The replies to all actions.
#[derive(Debug, Clone)]
pub(crate) struct Fixture {
    pub(crate) records: MemberRecords,
    pub(crate) allocated: BTreeSet<Ipv4Addr>,
    pub(crate) pod: PodView,
    pub(crate) node: NodeIdentity,
    pub(crate) owner: Owner,
    pub(crate) view: KernelView,
    pub(crate) sockets: SocketUse,
    pub(crate) writes: Vec<Write>,
}

impl Fixture {
    /// Epoch 5 was parked on node-b's ENI `b`; pod `mine` starts on node-a, whose ENI is `a`.
    pub(crate) fn parked_elsewhere() -> Self {
        let version = || parsed("1");
        let claim = Claim {
            member: member(),
            pool: parsed("pool"),
            requested: None,
            address: Some(ADDRESS),
            set: None,
        };
        Self {
            records: MemberRecords {
                claim: Some(Stored { version: version(), object: claim }),
                static_ip: Some(Stored { version: version(), object: parked() }),
                pool: Some(pool()),
            },
            allocated: BTreeSet::new(),
            pod: PodView::Present {
                pod: parsed("mine"),
                node: Some(parsed("node-a")),
                lifecycle: PodLifecycle::Running,
                controller: None,
            },
            node: node(),
            owner: on('b'),
            view: KernelView {
                link: Some("ens5".to_owned()),
                link_up: true,
                address: true,
                tagged: true,
                routing: true,
                ..KernelView::default()
            },
            sockets: SocketUse::default(),
            writes: Vec::new(),
        }
    }

    pub(crate) fn record(&self) -> StaticIp {
        self.records.static_ip.as_ref().expect("a record").object.clone()
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(&mut StaticIp)) {
        let stored = self.records.static_ip.as_mut().expect("a record");
        change(&mut stored.object);
        stored.version = parsed(&format!("{}x", stored.version));
    }

    /// Another pod, here or elsewhere, has taken the next epoch.
    pub(crate) fn supersede(&mut self) {
        self.change(|ip| {
            ip.epoch = ip.epoch.next();
            let attachment = ip.attachment.as_mut().expect("attached");
            (attachment.pod, attachment.run) = (parsed("other"), parsed("run-other"));
            attachment.state = State::Attaching;
        });
    }

    pub(crate) fn answer(&mut self, action: &Action) -> Reply {
        let record = || self.records.static_ip.clone().map(Box::new);
        match action {
            Action::ReadMember => Reply::Member(Ok(Box::new(self.records.clone()))),
            Action::ReadRecord(_) => Reply::Record(Ok(record())),
            Action::ReadPod => Reply::Pod(Ok(self.pod.clone())),
            Action::ReadAllocated(_) => Reply::Allocated(Ok(self.allocated.clone())),
            Action::Write(write) => self.write(write),
            Action::ReadIdentity => Reply::Identity(Ok(self.node.clone())),
            Action::ReadListed(mac) => {
                let here = self.node.enis.iter().find(|eni| eni.mac == *mac);
                Reply::Listed(Ok(here.expect("an ENI of this node").listed.clone()))
            }
            Action::BeginOwner(..) => Reply::Begun,
            Action::AwaitOwner | Action::ReadOwner(..) => Reply::Owner(Ok(self.owner.clone())),
            Action::Assign { .. } | Action::Unassign { .. } => Reply::Cloud(Ok(())),
            Action::ProbeFile | Action::StageFile(_) | Action::PublishFile | Action::SyncFile => {
                Reply::File(Ok(true))
            }
            Action::AddAddress(..)
            | Action::AddRouting(..)
            | Action::NoteAssign(_)
            | Action::RemoveAddress(..)
            | Action::RemoveRouting(..) => Reply::Host(Ok(true)),
            Action::Observe(_) => Reply::Observed(Ok(self.view.clone())),
            Action::ReadSockets(_) => Reply::Sockets(Ok(self.sockets)),
            Action::AwaitStop => Reply::Stopping,
            Action::Wait(_) | Action::Done => Reply::Waited,
        }
    }

    /// A write succeeds and gets its own version.
    pub(crate) fn write(&mut self, write: &Write) -> Reply {
        self.writes.push(write.clone());
        let version = || parsed(&format!("w{}", self.writes.len()));
        match write.clone() {
            Write::CreateClaim(object) | Write::UpdateClaim(Stored { object, .. }) => {
                self.records.claim = Some(Stored { version: version(), object });
            }
            Write::CreateStaticIp(object) | Write::UpdateStaticIp(Stored { object, .. }) => {
                self.records.static_ip = Some(Stored { version: version(), object });
            }
        }
        Reply::Written(Ok(version()))
    }

    /// The metadata service lists the address on ENI `a`.
    pub(crate) fn list(&mut self) {
        self.node.enis.iter_mut().for_each(|eni| eni.listed = [ADDRESS].into());
    }
}

fn parked() -> StaticIp {
    StaticIp {
        address: ADDRESS,
        pool: parsed("pool"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: member(),
        epoch: Epoch(5),
        attachment: Some(Attachment {
            state: State::Parked,
            pod: parsed("old"),
            node: parsed("node-b"),
            eni: Some(eni('b')),
            run: parsed("run-old"),
            served: true,
        }),
        reserved_on: Some(eni('b')),
        pending_mutations: BTreeSet::new(),
    }
}

fn pool() -> Pool {
    Pool {
        name: parsed("pool"),
        release_policy: ReleasePolicy::Keep,
        orphaned: firecamp_core::record::OrphanPolicy::Report,
        resource: firecamp_core::ids::ResourceName::default(),
        subnets: vec![PoolSubnet {
            subnet: parsed("subnet-0000000a"),
            cidr: parsed("10.0.1.0/24"),
            zone: parsed("us-east-1a"),
            ranges: vec![(ADDRESS, Ipv4Addr::new(10, 0, 1, 52))],
        }],
    }
}

pub(crate) fn interface() -> Eni {
    Eni {
        id: eni('a'),
        mac: parsed("06:00:00:00:00:01"),
        device_index: 0,
        network_card: 0,
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        primary_address: Ipv4Addr::new(10, 0, 1, 10),
        listed: BTreeSet::new(),
        prefixes: 0,
    }
}

fn node() -> NodeIdentity {
    NodeIdentity {
        instance: parsed("i-0000000a"),
        instance_type: "m5.large".to_owned(),
        zone: parsed("us-east-1a"),
        region: "us-east-1".to_owned(),
        enis: vec![interface()],
    }
}

pub(crate) fn input() -> AttachInput {
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
        predecessor_grace: Duration::from_secs(30),
        looked_up: None,
    }
}
