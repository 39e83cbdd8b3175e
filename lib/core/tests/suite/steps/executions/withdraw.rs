//! A withdrawal removes a superseded address from this node's kernel.

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{Execution, Operation};
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{Effect, HostKind, RegistryKind};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Machine, Maintenance};
use firecamp_core::record::{State, StaticIp};
use firecamp_core::step::{Step, WithdrawStep};

use super::super::fixture::ADDRESS;
use super::super::rig::{Rig, TICK, host, is_fresh, registry};
use super::{attached, execution, holder, is_over, maintained};

/// The next epoch is attaching elsewhere.
fn superseded() -> Rig<Execution> {
    let mut fixture = attached();
    fixture.supersede();
    execution(&Operation::Withdraw { address: ADDRESS, holder: holder() }, fixture)
}

#[test]
fn a_withdrawal_removes_exactly_the_superseded_holder_s_address() {
    let mut rig = superseded();
    assert!(is_fresh(&rig.action()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Withdraw(WithdrawStep::HolderSuperseded)));
    assert_eq!(rig.action(), Action::RemoveAddress(ADDRESS, holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Withdraw(WithdrawStep::AddressRemoved)));
    assert_eq!(rig.action(), Action::RemoveRouting(ADDRESS, holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Withdraw(WithdrawStep::RoutingRemoved)));
    assert_eq!(maintained(&mut rig), Maintenance::Withdrawn);
    assert!(rig.fixture.writes.is_empty());
}

/// Whether it continues to the kernel with this record.
fn withdraws(change: impl FnOnce(&mut StaticIp)) -> bool {
    let mut rig = superseded();
    rig.fixture = attached();
    rig.fixture.change(change);
    rig.step();
    !is_over(&rig)
}

#[test]
fn only_a_later_epoch_or_a_release_supersedes_a_holder() {
    assert!(!withdraws(|_ip| {}), "it holds it");
    assert!(withdraws(|ip| ip.epoch = Epoch(6)));
    assert!(!withdraws(|ip| ip.epoch = Epoch(4)), "a registry that was restored");
    let state =
        |state| move |ip: &mut StaticIp| ip.attachment.as_mut().expect("attached").state = state;
    assert!(!withdraws(state(State::Attaching)));
    for ended in [State::Parked, State::Releasing, State::Released] {
        assert!(withdraws(state(ended)), "{ended:?}");
        assert!(!withdraws(|ip| {
            state(ended)(ip);
            ip.epoch = Epoch(4);
        }));
    }
}

#[test]
fn k5_a_missing_record_or_a_failed_read_removes_nothing() {
    let mut rig = superseded();
    rig.report(Reply::Record(Ok(None)));
    assert_eq!(maintained(&mut rig), Maintenance::NothingToDo);
    let mut rig = superseded();
    rig.report(Reply::Record(Err(registry(RegistryKind::Unavailable, Effect::None))));
    assert!(is_fresh(&rig.after_pause()));
    rig.report(Reply::Record(Err(registry(RegistryKind::Invalid, Effect::None))));
    assert_eq!(rig.failed(), Some(Exit::RegistryInvalid));
}

#[test]
fn a_busy_lock_is_retried_and_a_later_holder_is_left_alone() {
    for kind in [HostKind::Busy, HostKind::NoLink] {
        let mut rig = superseded();
        rig.step();
        rig.report(Reply::Host(Err(host(kind))));
        assert!(matches!(rig.after_pause(), Action::RemoveAddress(..)));
        assert_eq!(maintained(&mut rig), Maintenance::Withdrawn);
    }
    let mut rig = superseded();
    rig.step();
    rig.report(Reply::Host(Err(host(HostKind::Superseded))));
    assert_eq!(maintained(&mut rig), Maintenance::NothingToDo);
    let mut rig = superseded();
    rig.step();
    rig.report(Reply::Host(Err(host(HostKind::Refused))));
    assert_eq!(rig.failed(), Some(Exit::KernelRefused));
}

#[test]
fn a_withdrawal_fails_at_the_operation_deadline_and_not_before() {
    let busy = || Reply::Host(Err(host(HostKind::Busy)));
    let mut rig = superseded();
    rig.step();
    let spent = TICK;
    rig.report_after(busy(), timing::OPERATION_DEADLINE.saturating_sub(spent + TICK));
    assert!(!is_over(&rig));
    let mut rig = superseded();
    rig.step();
    rig.report_after(busy(), timing::OPERATION_DEADLINE);
    assert_eq!(rig.failed(), Some(Exit::KernelRefused));
}
