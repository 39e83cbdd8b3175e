//! A file registry with one pool and the record of `demo/redis-0`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};

use firecamp_core::ids::{EniId, Epoch, Member, NodeName, PodUid, PoolName, RunId, SubnetId, Zone};
use firecamp_core::ports::Registry as _;
use firecamp_core::record::{
    Attachment, Claim, Pool, PoolSubnet, ReleasePolicy, State, StaticIp, Stored, Write,
};
use firecamp_registry::{FileRegistry, Timeouts};
use ipnet::Ipv4Net;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::process::Run;

/// All tests share the loopback interface, and a release checks the sockets of its address.
/// Therefore each member has a unique address.
static NEXT: AtomicU8 = AtomicU8::new(10);

fn own_address() -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 64, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The ENI that the record names.
pub(crate) const ENI: &str = "eni-0123456789abcdef0";

pub(crate) struct Records {
    /// The member's address.
    pub(crate) address: Ipv4Addr,
    cidr: Ipv4Net,
    runtime: Runtime,
    registry: FileRegistry,
    _directory: Rc<TempDir>,
}

impl Records {
    /// The process's registry with only the pool.
    pub(crate) fn with_pool(run: &Run) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let registry = FileRegistry::open(run.path("registry"), Timeouts::default()).unwrap();
        let address = own_address();
        let cidr = Ipv4Net::new(address, 24).unwrap().trunc();
        let pool = Pool {
            name: PoolName::new("main").unwrap(),
            release_policy: ReleasePolicy::Keep,
            orphaned: firecamp_core::record::OrphanPolicy::Report,
            resource: firecamp_core::ids::ResourceName::default(),
            subnets: vec![PoolSubnet {
                subnet: SubnetId::new("subnet-0a1b2c3d").unwrap(),
                cidr,
                zone: Zone::new("eu-west-1a").unwrap(),
                ranges: vec![(address, address)],
            }],
        };
        runtime.block_on(registry.create_pool(&pool)).unwrap();
        Self { address, cidr, runtime, registry, _directory: Rc::clone(&run.dir) }
    }

    /// The same, with the address attached to this pod at epoch 1.
    pub(crate) fn held_by(run: &Run, pod: &str) -> Self {
        let records = Self::with_pool(run);
        let member = Member::new("demo", "redis-0").unwrap();
        let pool = PoolName::new("main").unwrap();
        records.write(&Write::CreateClaim(Claim {
            member: member.clone(),
            pool: pool.clone(),
            requested: None,
            address: Some(records.address),
            set: None,
        }));
        records.write(&Write::CreateStaticIp(StaticIp {
            address: records.address,
            pool,
            subnet: SubnetId::new("subnet-0a1b2c3d").unwrap(),
            cidr: records.cidr,
            zone: Zone::new("eu-west-1a").unwrap(),
            member,
            epoch: Epoch(0),
            attachment: None,
            reserved_on: None,
            pending_mutations: BTreeSet::new(),
        }));
        records.attach(pod);
        records
    }

    /// Attaches the address to this pod with the next epoch.
    pub(crate) fn attach(&self, pod: &str) {
        let Stored { version, mut object } = self.read();
        object.epoch = object.epoch.next();
        object.reserved_on = Some(EniId::new(ENI).unwrap());
        object.attachment = Some(Attachment {
            state: State::Attached,
            pod: PodUid::new(pod).unwrap(),
            node: NodeName::new("node-a").unwrap(),
            eni: object.reserved_on.clone(),
            run: RunId::new("earlier").unwrap(),
            served: true,
        });
        self.write(&Write::UpdateStaticIp(Stored { version, object }));
    }

    pub(crate) fn read(&self) -> Stored<StaticIp> {
        self.runtime.block_on(self.registry.static_ip(self.address)).unwrap().unwrap()
    }

    /// The file of the record.
    pub(crate) fn file(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.registry.dir().join("staticips")).unwrap();
        let name = self.address.to_string();
        let mut files = entries.map(|entry| entry.unwrap().path());
        files.find(|file| file.to_string_lossy().contains(&name)).unwrap()
    }

    /// The number of allocated addresses.
    pub(crate) fn allocated(&self) -> usize {
        let pool = PoolName::new("main").unwrap();
        self.runtime.block_on(self.registry.allocated(&pool)).unwrap().len()
    }

    pub(crate) fn write(&self, write: &Write) {
        self.runtime.block_on(self.registry.write(write)).unwrap();
    }
}
