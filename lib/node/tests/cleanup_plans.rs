//! The plans of some nodes, as text: `BLESS=1` rewrites `plans.txt`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot make its node has failed"
)]

use std::fmt::Write as _;
use std::path::Path;

use firecamp_core::ids::{Epoch, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::ports::{Holder as LockHolder, SocketUse};
use firecamp_node::cleanup::{
    Address, Holder, Kernel, Lock, Observation, Plan, Route, Rule, Subject, plan,
};

const AT: [u8; 4] = [10, 0, 1, 10];
const TABLE: u32 = 20_001;

fn uid(text: &str) -> PodUid {
    PodUid::new(text).unwrap()
}

fn record(pod: &str, hold: Hold) -> Lock {
    Lock::Record(LockRecord { holder: LockHolder { pod: uid(pod), epoch: Epoch(3) }, hold })
}

fn rule(table: u32, priority: u32) -> Rule {
    Rule { source: Some(AT.into()), to: None, table, priority }
}

fn route(table: u32) -> Route {
    Route { table, to: ([0, 0, 0, 0].into(), 0), via: Some([10, 0, 1, 1].into()) }
}

/// An address on a second interface that pod `a` holds, which has ended; nothing is unknown.
fn left() -> Observation {
    let address = Address { address: AT.into(), prefix: 32, link: "eth1".to_owned() };
    let kernel = Kernel {
        addresses: vec![address],
        of_interfaces: vec![],
        rules: vec![rule(TABLE, 700)],
        routes: vec![route(TABLE)],
        looked_up: [254, 255].into(),
        locks: [(AT.into(), record("a", Hold::Held))].into(),
    };
    let sockets = [(AT.into(), Ok(SocketUse::default()))].into();
    let records = Ok([].into());
    Observation { agent: false, kernel, sockets, pods: Ok([].into()), records }
}

fn of_interface() -> Address {
    Address { address: [10, 0, 1, 4].into(), prefix: 32, link: "eth1".to_owned() }
}

fn with(change: impl FnOnce(&mut Observation)) -> Observation {
    let mut seen = left();
    change(&mut seen);
    seen
}

fn held_in_registry(seen: &mut Observation, pod: &str) {
    let holder = Holder { member: "prod/redis-0".to_owned(), pod: uid(pod) };
    seen.records = Ok([(AT.into(), holder)].into());
}

fn lock(lock: Option<Lock>) -> Observation {
    with(|seen| seen.kernel.locks = lock.map(|lock| (AT.into(), lock)).into_iter().collect())
}

fn no_api(mut seen: Observation) -> Observation {
    let why = "no route to host".to_owned();
    (seen.pods, seen.records) = (Err(why.clone()), Err(why));
    seen
}

fn of_interfaces() -> [(&'static str, Observation); 3] {
    [
        ("an interface's own address", with(|seen| seen.kernel.of_interfaces.push(of_interface()))),
        (
            "an interface's own address beside a pod that lives",
            with(|seen| {
                seen.kernel.of_interfaces.push(of_interface());
                seen.pods = Ok([(uid("a"), "prod/redis-0".into())].into());
            }),
        ),
        (
            "an interface's own address while an agent runs",
            with(|seen| {
                seen.kernel.of_interfaces.push(of_interface());
                seen.agent = true;
            }),
        ),
    ]
}

fn nodes() -> Vec<(&'static str, Observation)> {
    let in_use = SocketUse { listeners: 1, connections: 2, datagrams: 0 };
    let later = Lock::Apart("protocol 9".to_owned());
    let table = |seen: &mut Observation| {
        seen.kernel.rules = vec![rule(30_000, 700)];
        seen.kernel.routes = vec![route(254), route(30_000)];
    };
    vec![
        ("no objects", with(|seen| seen.kernel = Kernel::default())),
        ("a pod that has ended left it", left()),
        ("its pod lives", with(|seen| seen.pods = Ok([(uid("a"), "prod/redis-0".into())].into()))),
        ("another pod lives", with(|seen| seen.pods = Ok([(uid("b"), "prod/x".into())].into()))),
        ("sockets use it", with(|seen| drop(seen.sockets.insert(AT.into(), Ok(in_use))))),
        (
            "sockets are not read",
            with(|seen| drop(seen.sockets.insert(AT.into(), Err("x".into())))),
        ),
        ("sockets were not requested", with(|seen| seen.sockets.clear())),
        ("an agent runs", with(|seen| seen.agent = true)),
        ("without the API server", no_api(left())),
        ("without it, released", no_api(lock(Some(record("a", Hold::Released))))),
        ("without it, no lock", no_api(lock(None))),
        ("without it, a torn lock", no_api(lock(Some(Lock::Torn)))),
        ("no lock and no record", lock(None)),
        (
            "no lock, and a record of a pod that lives",
            with(|seen| {
                seen.kernel.locks.clear();
                seen.pods = Ok([(uid("a"), "prod/redis-0".into())].into());
                held_in_registry(seen, "a");
            }),
        ),
        (
            "no lock, and a record of a pod that is not known",
            with(|seen| {
                seen.kernel.locks.clear();
                seen.pods = Err("forbidden".into());
                held_in_registry(seen, "a");
            }),
        ),
        ("a torn lock", lock(Some(Lock::Torn))),
        ("the lock of a later version", lock(Some(later))),
        ("an address of another form", with(|seen| seen.kernel.addresses[0].prefix = 24)),
        ("a rule of another form", with(|seen| seen.kernel.rules.push(rule(TABLE, 800)))),
        ("a foreign rule", with(|seen| seen.kernel.looked_up = [TABLE].into())),
        ("other tables", with(table)),
        (
            "routes alone",
            with(|seen| (seen.kernel.addresses, seen.kernel.rules) = (vec![], vec![])),
        ),
    ]
}

fn text(Plan { steps, kept }: &Plan, into: &mut String) {
    for step in steps {
        let subject = match &step.subject {
            Subject::Address(address, _) => address.to_string(),
            Subject::Table(table) => format!("table {table}"),
            Subject::Interface(address) => format!("interface's {address}"),
        };
        for object in &step.objects {
            writeln!(into, "  {subject}: {object} is removed").unwrap();
        }
    }
    for one in kept {
        writeln!(into, "  {} stays: {} ({})", one.object, one.why, one.why.reason()).unwrap();
    }
}

#[test]
fn f099_the_plan_of_each_node_matches_its_golden_text() {
    let mut found = String::new();
    for (name, seen) in nodes().into_iter().chain(of_interfaces()) {
        let (plain, gone) = (plan(&seen, false), plan(&seen, true));
        writeln!(found, "{name}: {:?}", plain.end()).unwrap();
        text(&plain, &mut found);
        if gone != plain {
            writeln!(found, " with --members-gone: {:?}", gone.end()).unwrap();
            text(&gone, &mut found);
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cleanup_plans.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == wanted, "tests/cleanup_plans.txt is not what is planned now:\n{found}");
}
