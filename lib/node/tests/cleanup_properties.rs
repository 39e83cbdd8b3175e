//! Properties of the plan of any node.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its node has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::contract::exit::Cleaned;
use firecamp_core::ids::{Epoch, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::ports::{Holder as LockHolder, SocketUse};
use firecamp_node::cleanup::{
    Address, Holder, Kernel, Known, Lock, Object, Observation, Plan, Route, Rule, Subject, plan,
};
use ipnet::Ipv4Net;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

fn address() -> impl Strategy<Value = Ipv4Addr> {
    (1..5_u8).prop_map(|last| Ipv4Addr::new(10, 0, 1, last))
}

fn pod() -> impl Strategy<Value = PodUid> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(|text| PodUid::new(text).unwrap())
}

fn table() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![254, 19_999, 20_000, 20_001, 29_999, 30_000])
}

/// Rules of any form, and the three of this version, which chance alone meets too rarely.
fn rule() -> impl Strategy<Value = Rule> {
    let whole = || address().prop_map(Ipv4Net::from);
    let range = || Just("10.96.0.0/12".parse::<Ipv4Net>().unwrap());
    let source = prop::option::weighted(0.9, address());
    let to = prop::option::weighted(0.3, prop_oneof![whole(), range()]);
    let any = (source, to, table(), prop::sample::select(vec![700, 690, 695, 800]));
    let of_member = (address().prop_map(Some), Just(None), table(), Just(700));
    let delivery = (Just(None), whole().prop_map(Some), Just(254), Just(690));
    let cluster = (address().prop_map(Some), range().prop_map(Some), Just(254), Just(695));
    let all = prop_oneof![2 => any, 2 => of_member, 1 => delivery, 1 => cluster];
    all.prop_map(|(source, to, table, priority)| Rule { source, to, table, priority })
}

/// Default routes of any table, and routes to an address in a pod's own network.
fn route() -> impl Strategy<Value = Route> {
    let default =
        table().prop_map(|table| Route { table, to: (Ipv4Addr::UNSPECIFIED, 0), via: None });
    let to_pod = address().prop_map(|at| Route { table: 254, to: (at, 32), via: None });
    prop_oneof![3 => default, 1 => to_pod]
}

fn lock() -> impl Strategy<Value = Lock> {
    let record = (pod(), any::<bool>()).prop_map(|(pod, held)| {
        let hold = if held { Hold::Held } else { Hold::Released };
        Lock::Record(LockRecord { holder: LockHolder { pod, epoch: Epoch(1) }, hold })
    });
    prop_oneof![4 => record, 1 => Just(Lock::Torn), 1 => Just(Lock::Apart(String::new()))]
}

/// The own address of an interface.
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 9);

fn kernel() -> impl Strategy<Value = Kernel> {
    let prefix = prop::sample::select(vec![32, 32, 32, 24]);
    let link = || "eth1".to_owned();
    let addresses = btree_set((address(), prefix), 0..5).prop_map(move |all| {
        let one = |(address, prefix)| Address { address, prefix, link: link() };
        all.into_iter().map(one).collect()
    });
    let rules = btree_set(rule(), 0..5).prop_map(|all| all.into_iter().collect());
    let routes = btree_set(route(), 0..4).prop_map(|all| all.into_iter().collect());
    let own = Address { address: OWN, prefix: 32, link: link() };
    let interfaces = prop::sample::select(vec![vec![], vec![own]]);
    let addresses = (addresses, interfaces);
    let parts =
        (addresses, rules, routes, btree_set(table(), 0..2), btree_map(address(), lock(), 0..5));
    parts.prop_map(|((addresses, of_interfaces), rules, routes, looked_up, locks)| Kernel {
        addresses,
        of_interfaces,
        rules,
        routes,
        looked_up,
        locks,
    })
}

fn known<T: std::fmt::Debug + Clone>(
    of: impl Strategy<Value = T>,
) -> impl Strategy<Value = Known<T>> {
    prop_oneof![4 => of.prop_map(Ok), 1 => Just(Err("not read".to_owned()))]
}

fn sockets() -> impl Strategy<Value = SocketUse> {
    let count = || prop::sample::select(vec![0, 0, 0, 0, 1]);
    (count(), count(), count()).prop_map(|(listeners, connections, datagrams)| SocketUse {
        listeners,
        connections,
        datagrams,
    })
}

fn observation() -> impl Strategy<Value = Observation> {
    let pods = vec(pod(), 0..3)
        .prop_map(|all| all.into_iter().map(|uid| (uid, "prod/x".to_owned())).collect());
    let holder = pod().prop_map(|pod| Holder { member: "prod/x".to_owned(), pod });
    let records = known(btree_map(address(), holder, 0..4));
    let sockets = btree_map(address(), known(sockets()), 0..5);
    let agent = prop::bool::weighted(0.1);
    (agent, kernel(), sockets, known(pods), records).prop_map(
        |(agent, kernel, sockets, pods, records)| Observation {
            agent,
            kernel,
            sockets,
            pods,
            records,
        },
    )
}

fn goes(plan: &Plan) -> BTreeSet<&Object> {
    plan.steps.iter().flat_map(|step| &step.objects).collect()
}

fn without(seen: &Observation, plan: &Plan) -> Observation {
    let (gone, mut left) = (goes(plan), seen.clone());
    left.kernel.addresses.retain(|one| !gone.contains(&Object::Address(one.clone())));
    let here = |one: &Address| !gone.contains(&Object::Address(one.clone()));
    left.kernel.of_interfaces.retain(here);
    left.kernel.rules.retain(|one| !gone.contains(&Object::Rule(*one)));
    left.kernel.routes.retain(|one| !gone.contains(&Object::Route(*one)));
    left
}

fn lives(seen: &Observation, at: Ipv4Addr) -> bool {
    let nobody = BTreeMap::new();
    let pods = seen.pods.as_ref().unwrap_or(&nobody);
    let recorded = seen.records.as_ref().ok().and_then(|all| all.get(&at)).map(|one| &one.pod);
    let locked = match seen.kernel.locks.get(&at) {
        Some(Lock::Record(record)) => Some(&record.holder.pod),
        Some(Lock::Torn | Lock::Apart(_)) | None => None,
    };
    recorded.into_iter().chain(locked).any(|uid| pods.contains_key(uid))
}

proptest! {
    #[test]
    fn f099_nothing_in_use_is_removed_whatever_the_user_states(seen in observation(), gone: bool) {
        let Plan { steps, kept } = plan(&seen, gone);
        for step in steps {
            prop_assert!(!seen.agent);
            match step.subject {
                Subject::Address(at, lock) => {
                    prop_assert_eq!(seen.sockets.get(&at), Some(&Ok(SocketUse::default())));
                    prop_assert!(!lives(&seen, at));
                    prop_assert!(!matches!(&lock, Some(Lock::Apart(_))));
                    prop_assert_eq!(lock.as_ref(), seen.kernel.locks.get(&at));
                }
                Subject::Table(table) => prop_assert!(!seen.kernel.looked_up.contains(&table)),
                Subject::Interface(at) => prop_assert!(at == OWN && kept.is_empty()),
            }
        }
    }

    #[test]
    fn f099_unknown_use_keeps_objects_unless_members_are_gone(seen in observation()) {
        for step in plan(&seen, false).steps {
            let Subject::Address(at, lock) = step.subject else { continue };
            let released = matches!(&lock, Some(Lock::Record(it)) if it.hold == Hold::Released);
            let held = matches!(&lock, Some(Lock::Record(it)) if it.hold == Hold::Held);
            prop_assert!(released || (held && seen.pods.is_ok()), "{at}: {lock:?}");
        }
    }

    #[test]
    fn f099_each_own_object_is_removed_or_kept_and_unknown_forms_are_kept(
        seen in observation(), gone: bool,
    ) {
        let plan = plan(&seen, gone);
        let kept: BTreeSet<&Object> = plan.kept.iter().map(|one| &one.object).collect();
        let goes = goes(&plan);
        prop_assert!(goes.is_disjoint(&kept));
        let Kernel { addresses, rules, routes, .. } = &seen.kernel;
        let known = |object: &Object| match object {
            Object::Address(one) => one.prefix == 32,
            Object::Rule(one) => is_of_this_version(one),
            Object::Route(one) => ours(one.table) || (one.table == 254 && one.to.1 == 32),
        };
        let ours = addresses.iter().cloned().map(Object::Address);
        let ours = ours.chain(rules.iter().copied().map(Object::Rule));
        for object in ours.chain(routes.iter().copied().map(Object::Route)) {
            prop_assert!(goes.contains(&object) != kept.contains(&object), "{object}");
            prop_assert!(known(&object) || kept.contains(&object), "{object}");
        }
        prop_assert_eq!(plan.kept.is_empty(), plan.end() == Cleaned::All);
    }

    #[test]
    fn f099_a_second_run_removes_nothing_and_keeps_the_same(seen in observation(), gone: bool) {
        let first = plan(&seen, gone);
        let second = plan(&without(&seen, &first), gone);
        prop_assert_eq!(&second.steps, &[]);
        prop_assert_eq!(second.kept, first.kept);
    }

    #[test]
    fn f099_a_route_stays_while_a_rule_looks_up_its_table(seen in observation(), gone: bool) {
        let left = without(&seen, &plan(&seen, gone));
        // The main table is the node's; a pod's route in it goes with its address.
        for rule in left.kernel.rules.iter().filter(|one| one.table != 254) {
            let of = |routes: &[Route]| routes.iter().filter(|one| one.table == rule.table).count();
            prop_assert_eq!(of(&left.kernel.routes), of(&seen.kernel.routes));
        }
    }

    #[test]
    fn f099_members_gone_only_adds_removals(seen in observation()) {
        let (plain, more) = (plan(&seen, false), plan(&seen, true));
        prop_assert!(goes(&plain).is_subset(&goes(&more)));
    }
}

fn ours(table: u32) -> bool {
    (20_000..30_000).contains(&table)
}

/// The three forms: a member's rule, and the two for a pod's own network.
fn is_of_this_version(Rule { source, to, table, priority }: &Rule) -> bool {
    match priority {
        700 => source.is_some() && to.is_none() && ours(*table),
        690 => source.is_none() && to.is_some_and(|to| to.prefix_len() == 32) && *table == 254,
        695 => source.is_some() && to.is_some() && *table == 254,
        _other => false,
    }
}
