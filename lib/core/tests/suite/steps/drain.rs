//! How long a release waits for an address to become idle.

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::contract::timing;
use firecamp_core::failure::HostKind;
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::ports::{PodLifecycle, PodView, SocketScope, SocketUse};
use firecamp_core::release::{Release, ReleaseInput};

use super::fixture::parsed;
use super::rig::{Rig, TICK, host, is_fresh};
use super::unassign::{hook, input};

const BUSY: SocketUse = SocketUse { listeners: 1, connections: 1, datagrams: 0 };

/// About to count sockets, with a grace period with this much left.
fn draining(drain: Duration, left: Duration) -> Rig<Release> {
    let mut rig = hook(|_ip| {});
    let input = ReleaseInput { unassign: false, drain, ..input() };
    rig.machine = Release::new(input, rig.now);
    let (pod, node) = (parsed("mine"), Some(parsed("node-a")));
    rig.fixture.pod = PodView::Present {
        pod,
        node,
        lifecycle: PodLifecycle::Terminating(Some(left)),
        controller: None,
    };
    rig.fixture.sockets = BUSY;
    rig.until(|action| *action == Action::ReadPod).step_after(Duration::ZERO);
    rig.step_after(Duration::ZERO);
    assert!(matches!(rig.action(), Action::ReadSockets(_)), "{:?}", rig.action());
    rig
}

/// How long it drains an address that never becomes idle.
fn drained(drain: Duration, left: Duration) -> Duration {
    let mut rig = draining(drain, left);
    let begun = rig.now;
    while !is_fresh(&rig.action()) {
        rig.step_after(Duration::ZERO);
    }
    let spent = rig.now.since(begun);
    let Outcome::Released { cut_short, .. } = rig.end() else { unreachable!() };
    assert!(cut_short, "and reports it");
    spent
}

#[test]
fn draining_is_bounded_by_its_own_limit_and_by_what_the_grace_period_leaves() {
    let seconds = Duration::from_secs;
    assert_eq!(drained(seconds(5), seconds(60)), seconds(5));
    assert_eq!(drained(seconds(5), seconds(3)), seconds(2), "a second is reserved");
    assert_eq!(drained(seconds(5), Duration::from_millis(500)), Duration::ZERO);
    assert_eq!(drained(Duration::ZERO, seconds(60)), Duration::ZERO);
    let odd = timing::SOCKET_POLL + TICK;
    assert_eq!(drained(odd, seconds(60)), odd, "the last poll is at its end");
}

#[test]
fn an_idle_address_is_released_at_once() {
    let mut rig = draining(Duration::from_secs(5), Duration::from_mins(1));
    rig.step();
    assert_eq!(rig.pause().expect("a pause").length, timing::SOCKET_POLL);
    rig.fixture.sockets = SocketUse::default();
    rig.step();
    rig.step();
    assert!(is_fresh(&rig.action()));
    let Outcome::Released { cut_short, .. } = rig.end() else { unreachable!() };
    assert!(!cut_short);
}

#[test]
fn uncounted_sockets_do_not_count_as_idle() {
    let mut rig = draining(Duration::from_secs(5), Duration::from_mins(1));
    rig.report(Reply::Sockets(Err(host(HostKind::Refused))));
    assert!(rig.pause().is_some());
    rig.step();
    rig.report_after(Reply::Sockets(Err(host(HostKind::Refused))), Duration::from_secs(5));
    assert!(is_fresh(&rig.action()), "but they do not delay it for ever");
    assert!(rig.machine.outcome().is_none());
}

#[test]
fn a_hook_drains_connections_and_leaves_listeners_alone() {
    let mut rig = hook(|_ip| {});
    let drain = Duration::from_secs(5);
    let input = ReleaseInput { scope: SocketScope::Connections, drain, ..input() };
    rig.machine = Release::new(input, rig.now);
    rig.fixture.sockets = SocketUse { connections: 0, ..BUSY };
    rig.until(|action| matches!(action, Action::ReadSockets(_))).step();
    assert!(is_fresh(&rig.action()));
}
