//! Directories, sample records and random records for the tests.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use firecamp_core::allocate::is_assignable;
use firecamp_core::ids::{
    EniId, Epoch, Member, NodeName, PodUid, PoolName, RunId, SetName, SubnetId, Zone,
};
use firecamp_core::ports::Registry;
use firecamp_core::record::{
    Attachment, Claim, Mutation, PendingMutation, Pool, PoolSubnet, ReleasePolicy, State, StaticIp,
    Stored, Write,
};
use firecamp_registry::conformance;
use firecamp_registry::{FileRegistry, Timeouts};
use ipnet::Ipv4Net;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// The address that most tests use.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 20);

/// A temporary file registry with the sample pool `a`.
pub(crate) struct Bench {
    pub(crate) registry: FileRegistry,
    pub(crate) pool: Pool,
    dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let registry = FileRegistry::open(dir.path(), Timeouts::default()).unwrap();
        let pool = conformance::pool("a", &[1]).unwrap();
        registry.create_pool(&pool).await.unwrap();
        Self { registry, pool, dir }
    }

    /// With [`ADDRESS`] attached to `prod/redis-0` with epoch 3.
    pub(crate) async fn with_address() -> (Self, Stored<StaticIp>) {
        let bench = Self::new().await;
        let object = bench.attached(3);
        let version = bench.registry.write(&Write::CreateStaticIp(object.clone())).await.unwrap();
        (bench, Stored { version, object })
    }

    pub(crate) fn attached(&self, epoch: u64) -> StaticIp {
        let member = conformance::member(0).unwrap();
        let ip = conformance::static_ip(ADDRESS, &member, &self.pool).unwrap();
        conformance::attached(&ip, epoch).unwrap()
    }

    pub(crate) fn claim(&self) -> Claim {
        let member = conformance::member(0).unwrap();
        Claim { address: Some(ADDRESS), ..conformance::claim(&member, &self.pool) }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub(crate) fn ip_file(&self) -> PathBuf {
        self.path("staticips/10.1.0.20.yaml")
    }
}

/// A proptest configuration that stores the seeds of failures in the repository.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/registry/regressions.txt");
    let failure_persistence = Some(Box::new(FileFailurePersistence::Direct(seeds)) as Box<_>);
    let default = ProptestConfig::default();
    // PROPTEST_CASES, whose default is 256, scales them all.
    let cases = (cases * default.cases).div_ceil(256);
    ProptestConfig { cases, failure_persistence, ..default }
}

/// Names that YAML could parse as another type, and ordinary ones.
fn label() -> impl Strategy<Value = String> {
    let odd = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "123", "0x1f", "1e5"];
    let more = ["0o17", "017", "12-12-12", "2026-11-20", "a", "0", "inf", "nan"];
    prop_oneof![
        prop::sample::select([odd.as_slice(), more.as_slice()].concat()).prop_map(str::to_owned),
        "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
    ]
}

/// RFC 1123 subdomains.
fn subdomain() -> impl Strategy<Value = String> {
    prop::collection::vec(label(), 1..4).prop_map(|labels| labels.join("."))
}

/// Texts of letters, digits, `-`, `_` and `.`, odd ones included.
fn token(max: usize) -> impl Strategy<Value = String> {
    prop_oneof![
        label(),
        Just("-".to_owned()),
        Just("...".to_owned()),
        Just("---".to_owned()),
        Just("1_000".to_owned()),
        Just(".inf".to_owned()),
        Just("_".to_owned()),
        prop::collection::vec(prop::char::ranges(TOKEN.into()), 1..=max)
            .prop_map(|chars| chars.into_iter().collect()),
    ]
}

const TOKEN: &[std::ops::RangeInclusive<char>] =
    &['a'..='z', 'A'..='Z', '0'..='9', '-'..='.', '_'..='_'];

fn hex_id(prefix: &'static str) -> impl Strategy<Value = String> {
    prop_oneof!["[0-9a-f]{8}", "[0-9a-f]{17}"].prop_map(move |hex| format!("{prefix}-{hex}"))
}

pub(crate) fn members() -> impl Strategy<Value = Member> {
    (label(), subdomain()).prop_map(|(namespace, name)| Member::new(&namespace, &name).unwrap())
}

fn pool_names() -> impl Strategy<Value = PoolName> {
    subdomain().prop_map(|name| PoolName::new(&name).unwrap())
}

fn enis() -> impl Strategy<Value = EniId> {
    hex_id("eni").prop_map(|id| EniId::new(&id).unwrap())
}

fn runs() -> impl Strategy<Value = RunId> {
    token(64).prop_map(|id| RunId::new(&id).unwrap())
}

fn cidrs() -> impl Strategy<Value = Ipv4Net> {
    (any::<u32>(), 16_u8..=28)
        .prop_map(|(bits, length)| Ipv4Net::new(Ipv4Addr::from(bits), length).unwrap().trunc())
}

/// A CIDR block and an assignable address in it.
fn places() -> impl Strategy<Value = (Ipv4Net, Ipv4Addr)> {
    (cidrs(), any::<prop::sample::Index>()).prop_map(|(cidr, index)| {
        let first = u32::from(cidr.network()) + 4;
        let count = usize::try_from(u32::from(cidr.broadcast()) - first).unwrap();
        let address = Ipv4Addr::from(first + u32::try_from(index.index(count)).unwrap());
        assert!(is_assignable(cidr, address));
        (cidr, address)
    })
}

fn states() -> impl Strategy<Value = (State, bool)> {
    prop::sample::select(vec![
        (State::Attaching, true),
        (State::Attached, true),
        (State::Parked, true),
        (State::Releasing, false),
        (State::Released, false),
    ])
}

fn attachments() -> impl Strategy<Value = Attachment> {
    (states(), token(128), subdomain(), enis(), runs()).prop_map(
        |((state, with_eni), pod, node, eni, run)| Attachment {
            state,
            pod: PodUid::new(&pod).unwrap(),
            node: NodeName::new(&node).unwrap(),
            eni: with_eni.then_some(eni),
            run,
            served: with_eni,
        },
    )
}

fn pending_mutations() -> impl Strategy<Value = BTreeSet<PendingMutation>> {
    let mutations = prop::sample::select(vec![Mutation::Assign, Mutation::Unassign]);
    let pending = (mutations, enis(), runs()).prop_map(|(mutation, eni, run)| PendingMutation {
        mutation,
        eni,
        run,
    });
    prop::collection::btree_set(pending, 0..5)
}

fn zones() -> impl Strategy<Value = Zone> {
    token(64).prop_map(|zone| Zone::new(&zone).unwrap())
}

fn subnets() -> impl Strategy<Value = SubnetId> {
    hex_id("subnet").prop_map(|id| SubnetId::new(&id).unwrap())
}

/// All valid static IPs.
pub(crate) fn static_ips() -> impl Strategy<Value = StaticIp> {
    let fixed = (places(), pool_names(), subnets(), zones(), members());
    let epoch =
        prop_oneof![1_u64..1000, Just(u64::from(u32::MAX) + 1), Just(i64::MAX.unsigned_abs())];
    let moving =
        (epoch, prop::option::of(attachments()), prop::option::of(enis()), pending_mutations());
    (fixed, moving).prop_map(|(fixed, (epoch, attachment, reserved_on, pending_mutations))| {
        let ((cidr, address), pool, subnet, zone, member) = fixed;
        let epoch = Epoch(epoch);
        StaticIp {
            address,
            pool,
            subnet,
            cidr,
            zone,
            member,
            epoch,
            attachment,
            reserved_on,
            pending_mutations,
        }
    })
}

/// All valid claims.
pub(crate) fn claims() -> impl Strategy<Value = Claim> {
    let address = || prop::option::of(any::<u32>().prop_map(Ipv4Addr::from));
    let set = prop::option::of(subdomain().prop_map(|name| SetName::new(&name).unwrap()));
    (members(), pool_names(), address(), address(), set).prop_map(
        |(member, pool, requested, address, set)| Claim { member, pool, requested, address, set },
    )
}

/// Pools with up to 4 subnets, each with disjoint ranges.
pub(crate) fn pools() -> impl Strategy<Value = Pool> {
    let policies = prop::sample::select(vec![ReleasePolicy::Keep, ReleasePolicy::Unassign]);
    let steps = prop::collection::vec((1_u32..4, 0_u32..6), 1..8);
    let entry = (zones(), 20_u8..=24, steps);
    let entries = prop::collection::vec(entry, 1..5);
    let resources = prop::sample::select(vec!["firecamp.io/static-ip", "firecamp.io/static-ip-b"]);
    let all = (pool_names(), policies, resources, entries);
    all.prop_map(|(name, release_policy, resource, entries)| {
        let subnets = entries.into_iter().zip(0_u8..);
        let subnets = subnets.map(|((zone, length, steps), index)| PoolSubnet {
            subnet: SubnetId::new(&format!("subnet-{index:08x}")).unwrap(),
            cidr: Ipv4Net::new(Ipv4Addr::new(172, 16 + index, 0, 0), length).unwrap(),
            zone,
            ranges: ranges(u32::from(Ipv4Addr::new(172, 16 + index, 0, 3)), &steps),
        });
        let orphaned = firecamp_core::record::OrphanPolicy::Report;
        let resource = resource.parse().unwrap();
        Pool { name, release_policy, orphaned, resource, subnets: subnets.collect() }
    })
}

fn ranges(base: u32, steps: &[(u32, u32)]) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let mut next = base;
    let range = |(gap, length): &(u32, u32)| {
        let start = next + gap;
        next = start + length;
        (start.into(), next.into())
    };
    steps.iter().map(range).collect()
}
