//! Which pods a release may take an address from: the whole table of who asks and how it lives.
#![expect(clippy::expect_used, reason = "a test")]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::ids::{Epoch, Member};
use firecamp_core::machine::Machine;
use firecamp_core::outside::{Life, PodView, SocketScope};
use firecamp_core::record::{Attachment, Claim, MemberRecords, State, StaticIp, Stored};
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_core::time::Moment;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well formed identifier")
}

fn member() -> Member {
    Member::new("demo", "redis-0").expect("a member")
}

/// Held by pod `mine` at epoch 5.
fn records() -> MemberRecords {
    let claim =
        Claim { member: member(), pool: parsed("pool"), requested: None, address: Some(ADDRESS) };
    let static_ip = StaticIp {
        address: ADDRESS,
        pool: parsed("pool"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: member(),
        epoch: Epoch(5),
        attachment: Some(Attachment {
            state: State::Attached,
            pod: parsed("mine"),
            node: parsed("here"),
            eni: Some(parsed("eni-0000000a")),
            run: parsed("init"),
            served: true,
        }),
        reserved_on: Some(parsed("eni-0000000a")),
        unsettled: BTreeSet::new(),
    };
    let version = || parsed("1");
    MemberRecords {
        claim: Some(Stored { version: version(), object: claim }),
        static_ip: Some(Stored { version: version(), object: static_ip }),
        pool: None,
    }
}

/// Whether it goes on to release after this look at the pod.
fn goes_on(by: Releaser, pod: PodView) -> bool {
    let input = ReleaseInput {
        member: member(),
        pod: parsed("mine"),
        run: parsed("run"),
        unassign: false,
        await_stop: false,
        by,
        scope: SocketScope::All,
        drain: Duration::from_secs(5),
        grace: Duration::from_secs(30),
    };
    let now = Moment::default();
    let mut machine = Release::new(input, now);
    assert_eq!(machine.action(), Action::ReadMember);
    machine.reply(Reply::Member(Ok(Box::new(records()))), now);
    assert_eq!(machine.action(), Action::ReadPod);
    machine.reply(Reply::Pod(Ok(pod)), now);
    match machine.outcome() {
        None => {
            assert_eq!(machine.action(), Action::ReadRecord(ADDRESS));
            true
        }
        Some(_ended) => false,
    }
}

fn present(pod: &str, life: Life) -> PodView {
    PodView::Present { pod: parsed(pod), node: Some(parsed("here")), life }
}

const EVERYBODY: [Releaser; 3] = [Releaser::Stop, Releaser::Agent, Releaser::AgentElsewhere];

#[test]
fn a_running_pod_keeps_its_address_whoever_asks() {
    for by in EVERYBODY {
        assert!(!goes_on(by, present("mine", Life::Running)), "{by:?}");
    }
}

#[test]
fn f027_only_its_own_stop_container_releases_for_a_terminating_pod() {
    for left in [None, Some(Duration::from_secs(20))] {
        assert!(goes_on(Releaser::Stop, present("mine", Life::Terminating(left))));
        assert!(!goes_on(Releaser::Agent, present("mine", Life::Terminating(left))));
        assert!(!goes_on(Releaser::AgentElsewhere, present("mine", Life::Terminating(left))));
    }
}

#[test]
fn a_pod_that_is_gone_has_ended_or_was_succeeded_is_released_for() {
    for by in EVERYBODY {
        for pod in [
            PodView::Vouched,
            PodView::Absent,
            present("mine", Life::Terminal),
            present("other", Life::Running),
        ] {
            assert!(goes_on(by, pod.clone()), "{by:?} {pod:?}");
        }
    }
}
