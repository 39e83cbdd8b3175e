//! Random requests, edits by hand and reopenings: the file registry, the in-memory registry and a
//! simple model agree on every result.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;

use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, Version};
use firecamp_core::ports::Registry;
use firecamp_core::record::{Claim, Pool, StaticIp, Stored, Write};
use firecamp_registry::{FileRegistry, MemoryRegistry, Timeouts, conformance};
use proptest::prelude::*;

use super::support::config;

/// The version that a write names.
#[derive(Debug, Clone, Copy)]
enum Basis {
    /// The stored version.
    Current,
    /// The previous version.
    Stale,
}

#[derive(Debug, Clone)]
enum Op {
    CreateClaim { member: u32 },
    Bind { member: u32, address: Option<u8>, basis: Basis },
    CreateIp { address: u8, member: u32 },
    Take { address: u8, epoch: u64, member: u32, basis: Basis },
    Comment { address: u8 },
    DeleteIp { address: u8 },
    Reopen,
}

fn ops() -> impl Strategy<Value = Op> {
    let member = || 0_u32..3;
    // Two inside the ranges, one outside them, one that AWS reserves.
    let address = || prop::sample::select(vec![16_u8, 17, 99, 2]);
    let basis = || prop_oneof![4 => Just(Basis::Current), 1 => Just(Basis::Stale)];
    prop_oneof![
        2 => member().prop_map(|member| Op::CreateClaim { member }),
        3 => (member(), prop::option::of(address()), basis())
            .prop_map(|(member, address, basis)| Op::Bind { member, address, basis }),
        3 => (address(), member()).prop_map(|(address, member)| Op::CreateIp { address, member }),
        6 => (address(), 0_u64..6, member(), basis()).prop_map(
            |(address, epoch, member, basis)| Op::Take { address, epoch, member, basis }),
        1 => address().prop_map(|address| Op::Comment { address }),
        1 => address().prop_map(|address| Op::DeleteIp { address }),
        1 => Just(Op::Reopen),
    ]
}

/// An object, and its versions in each registry, oldest first.
#[derive(Debug, Clone)]
struct Known<T> {
    object: T,
    versions: Vec<[Version; 2]>,
}

struct Fixture {
    dir: tempfile::TempDir,
    file: FileRegistry,
    memory: MemoryRegistry,
    pool: Pool,
    claims: BTreeMap<Member, Known<Claim>>,
    ips: BTreeMap<Ipv4Addr, Known<StaticIp>>,
}

fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, last)
}

fn kind<T>(answer: &Result<T, RegistryFailure>) -> Option<RegistryKind> {
    answer.as_ref().err().map(|failure| failure.kind)
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pool = conformance::pool("a", &[1]).unwrap();
        let file = FileRegistry::open(dir.path(), Timeouts::default()).unwrap();
        file.create_pool(&pool).await.unwrap();
        let memory = MemoryRegistry::with_pools([pool.clone()]);
        Self { dir, file, memory, pool, claims: BTreeMap::new(), ips: BTreeMap::new() }
    }

    /// Sends one write to both; they must agree with the model's answer.
    async fn write(&self, writes: [Write; 2], wanted: Option<RegistryKind>) -> Vec<[Version; 2]> {
        let [to_file, to_memory] = &writes;
        let file = self.file.write(to_file).await;
        let memory = self.memory.write(to_memory).await;
        assert_eq!([kind(&file), kind(&memory)], [wanted, wanted], "{to_file:?}: {file:?}");
        file.ok().zip(memory.ok()).map(|(file, memory)| [file, memory]).into_iter().collect()
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::CreateClaim { member } => self.create_claim(member).await,
            Op::Bind { member, address, basis } => self.bind(member, address, basis).await,
            Op::CreateIp { address, member } => self.create_ip(at(address), member).await,
            Op::Take { address, epoch, member, basis } => {
                self.take(at(address), epoch, member, basis).await;
            }
            Op::Comment { address } => self.comment(at(address)).await,
            Op::DeleteIp { address } => self.delete_ip(at(address)),
            Op::Reopen => {
                self.file = FileRegistry::open(self.dir.path(), Timeouts::default()).unwrap();
            }
        }
    }

    async fn create_claim(&mut self, member: u32) {
        let object = conformance::claim(&conformance::member(member).unwrap(), &self.pool);
        let wanted =
            self.claims.contains_key(&object.member).then_some(RegistryKind::AlreadyExists);
        let write = Write::CreateClaim(object.clone());
        let versions = self.write([write.clone(), write], wanted).await;
        if !versions.is_empty() {
            self.claims.insert(object.member.clone(), Known { object, versions });
        }
    }

    async fn bind(&mut self, member: u32, address: Option<u8>, basis: Basis) {
        let member = conformance::member(member).unwrap();
        let address = address.map(at);
        let object = Claim { address, ..conformance::claim(&member, &self.pool) };
        let known = self.claims.get(&member).map(|known| known.versions.as_slice());
        let (versions, wanted) = basis_of(known, basis);
        let writes =
            versions.map(|version| Write::UpdateClaim(Stored { version, object: object.clone() }));
        let new = self.write(writes, wanted).await;
        if let Some(known) = self.claims.get_mut(&member).filter(|_| !new.is_empty()) {
            known.object = object;
            known.versions.extend(new);
        }
    }

    async fn create_ip(&mut self, address: Ipv4Addr, member: u32) {
        let member = conformance::member(member).unwrap();
        let object = conformance::static_ip(address, &member, &self.pool).unwrap();
        let wanted = if address.octets()[3] < 4 {
            Some(RegistryKind::Refused)
        } else {
            self.ips.contains_key(&address).then_some(RegistryKind::AlreadyExists)
        };
        let write = Write::CreateStaticIp(object.clone());
        let versions = self.write([write.clone(), write], wanted).await;
        if !versions.is_empty() {
            self.ips.insert(address, Known { object, versions });
        }
    }

    async fn take(&mut self, address: Ipv4Addr, epoch: u64, member: u32, basis: Basis) {
        let member = conformance::member(member).unwrap();
        let bare = conformance::static_ip(address, &member, &self.pool).unwrap();
        let object = conformance::attached(&bare, epoch).unwrap();
        let known = self.ips.get(&address);
        let (versions, mut wanted) = basis_of(known.map(|known| known.versions.as_slice()), basis);
        let shrinks = known.is_some_and(|known| object.epoch < known.object.epoch);
        let stolen = known.is_some_and(|known| object.member != known.object.member);
        if epoch == 0 || address.octets()[3] < 4 {
            wanted = Some(RegistryKind::Refused);
        } else if shrinks || stolen {
            wanted = wanted.or(Some(RegistryKind::Refused));
        }
        let writes = versions
            .map(|version| Write::UpdateStaticIp(Stored { version, object: object.clone() }));
        let new = self.write(writes, wanted).await;
        if let Some(known) = self.ips.get_mut(&address).filter(|_| !new.is_empty()) {
            known.object = object;
            known.versions.extend(new);
        }
    }

    /// An edit by hand that changes only a comment, which also creates a new version.
    async fn comment(&mut self, address: Ipv4Addr) {
        let Some(known) = self.ips.get_mut(&address) else { return };
        let path = self.dir.path().join(format!("staticips/{address}.yaml"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("# edit {}\n{text}", known.versions.len())).unwrap();
        let read = self.file.static_ip(address).await.unwrap().unwrap();
        let write = Stored {
            version: known.versions.last().unwrap()[1].clone(),
            object: known.object.clone(),
        };
        let memory = self.memory.write(&Write::UpdateStaticIp(write)).await.unwrap();
        known.versions.push([read.version, memory]);
    }

    fn delete_ip(&mut self, address: Ipv4Addr) {
        if self.ips.remove(&address).is_none() {
            return;
        }
        fs::remove_file(self.dir.path().join(format!("staticips/{address}.yaml"))).unwrap();
        let mut snapshot = self.memory.snapshot();
        snapshot.static_ips.remove(&address).unwrap();
        self.memory.restore(snapshot);
    }

    /// Checks that all reads match the model.
    async fn check(&self) {
        for index in 0..3 {
            let member = conformance::member(index).unwrap();
            let known = self.claims.get(&member);
            let address = known.and_then(|known| known.object.address);
            let ip = address.and_then(|address| self.ips.get(&address));
            let reads = [
                self.file.member(&member, None).await.unwrap(),
                self.memory.member(&member, None).await.unwrap(),
            ];
            for (which, read) in reads.into_iter().enumerate() {
                assert_eq!(read.claim, known.map(|known| stored(known, which)));
                assert_eq!(read.static_ip, ip.map(|known| stored(known, which)));
                assert_eq!(read.pool.as_ref(), Some(&self.pool));
            }
        }
        let taken: BTreeSet<Ipv4Addr> =
            self.ips.keys().copied().filter(|address| address.octets()[3] < 32).collect();
        assert_eq!(self.file.allocated(&self.pool.name).await.unwrap(), taken);
        assert_eq!(self.memory.allocated(&self.pool.name).await.unwrap(), taken);
    }
}

fn stored<T: Clone>(known: &Known<T>, which: usize) -> Stored<T> {
    let version = known.versions.last().unwrap()[which].clone();
    Stored { version, object: known.object.clone() }
}

/// The versions that a write names, and the failure that they must cause.
fn basis_of(known: Option<&[[Version; 2]]>, basis: Basis) -> ([Version; 2], Option<RegistryKind>) {
    let orphaned = Version::new("0-0").unwrap();
    let orphaned = [orphaned.clone(), orphaned];
    let Some(versions) = known else { return (orphaned, Some(RegistryKind::NotFound)) };
    match (basis, versions) {
        (Basis::Current, [.., current]) => (current.clone(), None),
        (Basis::Stale, [.., before, _]) => (before.clone(), Some(RegistryKind::Conflict)),
        (Basis::Stale, _) | (Basis::Current, []) => (orphaned, Some(RegistryKind::Conflict)),
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn both_registries_agree_with_the_model(ops in prop::collection::vec(ops(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut fixture = Fixture::new().await;
            for op in ops {
                fixture.apply(op).await;
                fixture.check().await;
            }
        });
    }
}
