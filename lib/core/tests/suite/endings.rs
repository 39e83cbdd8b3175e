//! For which pods a release may act: every releaser with every lifecycle of the pod.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Epoch, Member};
use firecamp_core::machine::{Failure, Machine, Outcome, Release as Done};
use firecamp_core::ports::{PodLifecycle, PodView, SocketScope, SocketUse};
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
    let claim = Claim {
        member: member(),
        pool: parsed("pool"),
        requested: None,
        address: Some(ADDRESS),
        set: None,
    };
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
        pending_mutations: BTreeSet::new(),
    };
    let version = || parsed("1");
    MemberRecords {
        claim: Some(Stored { version: version(), object: claim }),
        static_ip: Some(Stored { version: version(), object: static_ip }),
        pool: None,
    }
}

fn input(by: Releaser, await_stop: bool) -> ReleaseInput {
    ReleaseInput {
        member: member(),
        pod: parsed("mine"),
        run: parsed("run"),
        unassign: false,
        await_stop,
        by,
        scope: SocketScope::All,
        drain: Duration::ZERO,
        grace: Duration::from_secs(30),
    }
}

/// A release that has read these records.
fn read(input: ReleaseInput, records: MemberRecords) -> Release {
    let mut machine = Release::new(input, Moment::default());
    assert_eq!(machine.action(), Action::ReadMember);
    machine.reply(Reply::Member(Ok(Box::new(records))), Moment::default());
    machine
}

fn report(machine: &mut Release, reply: Reply) {
    machine.reply(reply, Moment::default());
}

/// Whether it continues with the release after this read of the pod.
fn goes_on(by: Releaser, pod: PodView) -> bool {
    let mut machine = read(input(by, false), records());
    assert_eq!(machine.action(), Action::ReadPod);
    report(&mut machine, Reply::Pod(Ok(pod)));
    if machine.outcome().is_none() {
        assert_eq!(machine.action(), Action::ReadRecord(ADDRESS));
    }
    machine.outcome().is_none()
}

fn ended(machine: &Release) -> Option<Done> {
    match machine.outcome()? {
        Outcome::Released { release, .. } => Some(*release),
        Outcome::Attached(_) | Outcome::Maintained { .. } | Outcome::Failed(_) => None,
    }
}

/// The records with another static IP.
fn with(change: impl Fn(&mut StaticIp)) -> MemberRecords {
    let mut records = records();
    change(&mut records.static_ip.as_mut().expect("there is one").object);
    records
}

fn state(state: State) -> impl Fn(&mut StaticIp) {
    move |ip| ip.attachment.as_mut().expect("attached").state = state
}

fn present(pod: &str, lifecycle: PodLifecycle) -> PodView {
    PodView::Present { pod: parsed(pod), node: Some(parsed("here")), lifecycle, controller: None }
}

const EVERYBODY: [Releaser; 3] = [Releaser::Stop, Releaser::Agent, Releaser::AgentElsewhere];

#[test]
fn a_running_pod_keeps_its_address_whoever_releases() {
    for by in EVERYBODY {
        assert!(!goes_on(by, present("mine", PodLifecycle::Running)), "{by:?}");
    }
}

#[test]
fn f027_only_its_own_stop_container_releases_for_a_terminating_pod() {
    for left in [None, Some(Duration::from_secs(20))] {
        assert!(goes_on(Releaser::Stop, present("mine", PodLifecycle::Terminating(left))));
        assert!(!goes_on(Releaser::Agent, present("mine", PodLifecycle::Terminating(left))));
        assert!(!goes_on(
            Releaser::AgentElsewhere,
            present("mine", PodLifecycle::Terminating(left))
        ));
    }
}

#[test]
fn a_pod_that_is_gone_terminal_or_replaced_is_released_for() {
    for by in EVERYBODY {
        for pod in [
            PodView::Vouched,
            PodView::Absent,
            present("mine", PodLifecycle::Terminal),
            present("other", PodLifecycle::Running),
        ] {
            assert!(goes_on(by, pod.clone()), "{by:?} {pod:?}");
        }
    }
}

#[test]
fn a_hook_without_a_record_of_its_pod_ends_and_a_sidecar_waits_for_its_signal() {
    let orphaned: [MemberRecords; 4] = [
        MemberRecords { static_ip: None, ..records() },
        with(state(State::Parked)),
        with(|ip| ip.attachment.as_mut().expect("attached").pod = parsed("other")),
        with(|ip| ip.member = Member::new("demo", "redis-1").expect("a member")),
    ];
    for records in orphaned {
        let hook = read(input(Releaser::Stop, false), records.clone());
        assert_eq!(ended(&hook), Some(Done::NotHolder), "{records:?}");
        let mut sidecar = read(input(Releaser::Stop, true), records);
        assert_eq!(sidecar.action(), Action::AwaitStop);
        report(&mut sidecar, Reply::Stopping);
        report(&mut sidecar, Reply::Pod(Ok(PodView::Absent)));
        assert_eq!(ended(&sidecar), Some(Done::NotHolder));
    }
    assert_eq!(read(input(Releaser::Stop, true), records()).action(), Action::AwaitStop);
    assert_eq!(read(input(Releaser::Stop, false), records()).action(), Action::ReadPod);
}

/// How a sidecar ends if the stop signal comes before it has read its record.
fn unread(before: impl FnOnce(&mut Release)) -> Failure {
    let mut sidecar = Release::new(input(Releaser::Stop, true), Moment::default());
    before(&mut sidecar);
    report(&mut sidecar, Reply::Stopping);
    let Some(Outcome::Failed(failure)) = sidecar.outcome() else { unreachable!("{sidecar:?}") };
    failure.clone()
}

#[test]
fn a_sidecar_that_never_read_its_record_reports_why() {
    let early = unread(|_| {});
    assert_eq!(early.exit, Exit::RegistryUnavailable);
    let all = [
        (RegistryKind::Unavailable, Exit::RegistryUnavailable),
        (RegistryKind::Refused, Exit::RegistryRefused),
        (RegistryKind::Invalid, Exit::RegistryInvalid),
    ];
    for (kind, exit) in all {
        let refused = |sidecar: &mut Release| {
            let detail = "the server said no".to_owned();
            let failure = RegistryFailure { kind, effect: Effect::None, detail };
            report(sidecar, Reply::Member(Err(failure)));
        };
        let late = unread(refused);
        assert_eq!(late.exit, exit);
        assert!(late.message.contains("the server said no"), "{}", late.message);
        // Also while a retry is in progress.
        let asks = |sidecar: &mut Release| {
            refused(sidecar);
            report(sidecar, Reply::Waited);
        };
        assert_eq!(unread(asks).exit, exit);
    }
}

#[test]
fn only_an_agent_continues_an_unassign_that_its_own_pod_left() {
    let left = || with(state(State::Releasing));
    let others = with(|ip| {
        state(State::Releasing)(ip);
        ip.attachment.as_mut().expect("attached").pod = parsed("other");
    });
    for by in [Releaser::Agent, Releaser::AgentElsewhere] {
        assert_eq!(read(input(by, false), left()).action(), Action::ReadPod, "{by:?}");
        assert_eq!(ended(&read(input(by, false), others.clone())), Some(Done::NotHolder));
    }
    assert_eq!(ended(&read(input(Releaser::Stop, false), left())), Some(Done::NotHolder));
}

#[test]
fn a_record_that_changed_between_two_reads_is_left_alone() {
    let moved: [fn(&mut StaticIp); 4] = [
        |ip| ip.epoch = Epoch(6),
        |ip| ip.epoch = Epoch(4),
        |ip| ip.attachment.as_mut().expect("attached").pod = parsed("other"),
        |ip| {
            state(State::Releasing)(ip);
            ip.epoch = Epoch(6);
        },
    ];
    for by in [Releaser::Stop, Releaser::Agent] {
        for change in moved {
            let mut machine = read(input(by, false), records());
            report(&mut machine, Reply::Pod(Ok(PodView::Absent)));
            let fresh = with(change).static_ip.map(Box::new);
            report(&mut machine, Reply::Record(Ok(fresh)));
            assert_eq!(ended(&machine), Some(Done::NotHolder), "{by:?}");
        }
    }
}

/// A release at its last write.
fn parking() -> Release {
    let mut machine = read(input(Releaser::Stop, false), records());
    let fresh = || Reply::Record(Ok(records().static_ip.map(Box::new)));
    report(&mut machine, Reply::Pod(Ok(PodView::Absent)));
    report(&mut machine, fresh());
    report(&mut machine, Reply::Sockets(Ok(SocketUse::default())));
    report(&mut machine, fresh());
    report(&mut machine, Reply::Host(Ok(true)));
    report(&mut machine, Reply::Host(Ok(true)));
    assert!(matches!(machine.action(), Action::Write(_)), "{:?}", machine.action());
    machine
}

fn failure(kind: RegistryKind, effect: Effect) -> Reply {
    Reply::Written(Err(RegistryFailure { kind, effect, detail: "so it was".to_owned() }))
}

/// The action after the pause that it requests.
fn after_pause(machine: &mut Release) -> Action {
    while matches!(machine.action(), Action::Wait(_)) {
        report(machine, Reply::Waited);
    }
    machine.action()
}

#[test]
fn a_park_with_unknown_effect_is_read_back_and_others_are_not() {
    let reread = [
        (RegistryKind::Conflict, Effect::None),
        (RegistryKind::Unavailable, Effect::Unknown),
        (RegistryKind::Invalid, Effect::Unknown),
    ];
    for (kind, effect) in reread {
        let mut machine = parking();
        report(&mut machine, failure(kind, effect));
        assert_eq!(after_pause(&mut machine), Action::ReadRecord(ADDRESS), "{kind:?}");
    }
    let mut machine = parking();
    report(&mut machine, failure(RegistryKind::Unavailable, Effect::None));
    assert!(matches!(after_pause(&mut machine), Action::Write(_)), "it is written again");
    let mut machine = parking();
    report(&mut machine, failure(RegistryKind::Invalid, Effect::None));
    assert!(matches!(machine.outcome(), Some(Outcome::Failed(_))));
}

#[test]
fn after_a_lost_answer_the_record_says_whether_it_was_parked() {
    let next = |records: MemberRecords| {
        let mut machine = parking();
        report(&mut machine, failure(RegistryKind::Unavailable, Effect::Unknown));
        assert_eq!(after_pause(&mut machine), Action::ReadRecord(ADDRESS));
        report(&mut machine, Reply::Record(Ok(records.static_ip.map(Box::new))));
        machine
    };
    assert_eq!(ended(&next(with(state(State::Parked)))), Some(Done::Parked));
    assert!(matches!(next(records()).action(), Action::Write(_)), "still to be parked");
    let later = with(|ip| {
        state(State::Parked)(ip);
        ip.epoch = Epoch(6);
    });
    assert_eq!(ended(&next(later)), Some(Done::NotHolder), "another's release");
    assert_eq!(ended(&next(with(|ip| ip.epoch = Epoch(6)))), Some(Done::NotHolder));
}

#[test]
fn a_sidecar_outlives_an_invalid_record_and_a_hook_does_not() {
    let broken = || {
        let detail = "not YAML".to_owned();
        let (kind, effect) = (RegistryKind::Invalid, Effect::None);
        Reply::Member(Err(RegistryFailure { kind, effect, detail }))
    };
    let mut sidecar = Release::new(input(Releaser::Stop, true), Moment::default());
    report(&mut sidecar, broken());
    assert_eq!(after_pause(&mut sidecar), Action::ReadMember);
    let mut hook = Release::new(input(Releaser::Stop, false), Moment::default());
    report(&mut hook, broken());
    assert!(matches!(hook.outcome(), Some(Outcome::Failed(_))));
}
