//! EC2: what authorises an Assign, and what follows each of its answers.

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::Attach;
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudKind, Effect};
use firecamp_core::machine::{Machine, Outcome, Path};
use firecamp_core::ports::Owner;

use super::fixture::{Fixture, on};
use super::rig::{
    Rig, TICK, attach, cloud, is_assign, is_fresh, is_listed, is_owner, is_write, lost, refused,
};

/// An attach whose first Assign is about to be sent.
fn assigning(owner: Owner) -> Rig<Attach> {
    let mut rig = attach(Fixture { owner, ..Fixture::parked_elsewhere() });
    rig.until(is_assign);
    rig
}

fn force(action: &Action) -> Option<bool> {
    if let Action::Assign { force, .. } = action { Some(*force) } else { None }
}

#[test]
fn a_call_is_authorised_for_the_call_bound() {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(is_write);
    let asked = rig.now;
    rig.until(is_assign);
    let Action::Assign { not_after, force, .. } = rig.action() else { unreachable!() };
    assert_eq!(not_after, asked.plus(timing::CALL_BOUND), "counted from the request of the epoch");
    assert!(force, "the owner is an ENI of the cluster");
}

/// The action after a write of the epoch with this latency, if the owner needs no force.
fn after_slow_take(took: Duration) -> Action {
    let mut rig = attach(Fixture { owner: Owner::Unassigned, ..Fixture::parked_elsewhere() });
    rig.until(is_write).step_after(took);
    rig.until(is_owner).step_after(Duration::ZERO);
    rig.action()
}

#[test]
fn an_epoch_write_that_leaves_too_little_time_is_followed_by_a_fresh_read() {
    let enough = timing::CALL_BOUND.saturating_sub(timing::CALL_MINIMUM);
    assert!(matches!(after_slow_take(enough), Action::NoteAssign(_)));
    assert!(is_fresh(&after_slow_take(enough + TICK)));
}

/// An attach that reads the record afresh because its Assign was throttled.
fn afresh(owner: Owner) -> Rig<Attach> {
    let mut rig = assigning(owner);
    rig.report(refused(CloudKind::Throttled));
    assert!(is_fresh(&rig.after_pause()));
    rig
}

#[test]
fn a_fresh_read_authorises_only_if_it_was_fast_enough() {
    let enough = timing::CALL_BOUND.saturating_sub(timing::CALL_MINIMUM);
    let mut rig = afresh(Owner::Unassigned);
    rig.step_after(enough);
    assert!(matches!(rig.action(), Action::NoteAssign(_)), "{:?}", rig.action());
    let mut rig = afresh(Owner::Unassigned);
    rig.step_after(enough + TICK);
    assert!(is_fresh(&rig.after_pause()), "and it is read again");
}

#[test]
fn force_needs_a_look_up_within_the_call_bound_and_a_free_address_needs_none() {
    let mut rig = afresh(on('b'));
    rig.step();
    assert!(matches!(rig.action(), Action::NoteAssign(_)), "the look-up is recent");
    for (owner, again) in [(on('b'), true), (Owner::Unassigned, false)] {
        let mut rig = assigning(owner);
        rig.report(refused(CloudKind::Throttled));
        rig.report_after(Reply::Waited, timing::CALL_BOUND);
        assert!(is_fresh(&rig.action()));
        rig.step();
        assert_eq!(is_owner(&rig.action()), again, "{:?}", rig.action());
    }
}

#[test]
fn a_lost_answer_leaves_the_call_in_flight_and_a_refusal_does_not() {
    let mut rig = assigning(Owner::Unassigned);
    rig.report(lost());
    assert!(is_listed(&rig.after_pause()), "IMDS may list it");
    let mut rig = assigning(Owner::Unassigned);
    rig.report(refused(CloudKind::Transient));
    assert!(is_fresh(&rig.after_pause()), "it is sent again");
}

#[test]
fn a_previously_listed_address_does_not_prove_an_unanswered_call() {
    let mut fixture = Fixture { owner: Owner::Unassigned, ..Fixture::parked_elsewhere() };
    fixture.list();
    let mut rig = attach(fixture);
    rig.until(is_assign).report(lost());
    assert!(is_owner(&rig.after_pause()));
}

#[test]
fn the_record_is_restored_only_while_no_call_can_have_changed_ec2() {
    let mut rig = assigning(Owner::Unassigned);
    rig.report(refused(CloudKind::CapacityExceeded));
    assert!(is_write(&rig.action()), "as before this attach");
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::NoCapacity));

    let mut rig = assigning(Owner::Unassigned);
    rig.report(lost());
    rig.until(is_assign).report(refused(CloudKind::CapacityExceeded));
    assert_eq!(rig.failed(), Some(Exit::NoCapacity), "the first call may still take effect");
}

#[test]
fn the_record_is_not_restored_at_the_deadline_after_an_assign() {
    let mut rig = assigning(Owner::Unassigned);
    rig.step();
    assert!(is_listed(&rig.action()));
    rig.step_after(timing::ATTACH_DEADLINE);
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
    let mut rig = assigning(Owner::Unassigned);
    rig.report_after(refused(CloudKind::Throttled), timing::ATTACH_DEADLINE);
    assert!(is_write(&rig.action()), "nothing was assigned");
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
}

/// An attach whose Assign without force EC2 refused because the address is held.
fn refused_as_held() -> Rig<Attach> {
    let mut rig = assigning(Owner::Unassigned);
    assert_eq!(force(&rig.action()), Some(false));
    rig.report(refused(CloudKind::HeldElsewhere));
    assert!(is_owner(&rig.action()));
    rig
}

#[test]
fn a_held_address_is_forced_only_from_the_owner_that_ec2_shows() {
    let mut rig = refused_as_held();
    rig.fixture.owner = on('b');
    rig.step();
    assert!(is_fresh(&rig.action()), "the write of the epoch has authorised a call already");
    rig.until(is_assign);
    assert_eq!(force(&rig.action()), Some(true));
}

#[test]
fn a_held_address_without_an_owner_is_looked_up_again_later() {
    let mut rig = refused_as_held();
    rig.step();
    assert!(is_fresh(&rig.after_pause()));
    rig.until(is_assign);
    assert_eq!(force(&rig.action()), Some(false));
    rig.report(refused(CloudKind::HeldElsewhere));
    assert!(is_owner(&rig.after_pause()), "more slowly the second time");
}

#[test]
fn an_address_counts_as_already_here_only_after_the_describe_lag() {
    let mut rig = refused_as_held();
    rig.fixture.owner = on('a');
    rig.step();
    let pause = rig.pause().expect("a pause");
    assert_eq!(pause.length, timing::DESCRIBE_LAG.saturating_sub(TICK));
    assert!(is_owner(&rig.after_pause()));
    rig.step_after(Duration::ZERO);
    assert!(matches!(rig.action(), Action::ReadRecord(_)), "{:?}", rig.action());
    let Outcome::Attached(done) = rig.end() else { unreachable!("{:?}", rig.machine.outcome()) };
    assert_eq!(done.path, Path::Moved);
}

#[test]
fn each_refusal_has_its_own_exit() {
    let after = |kind| {
        let mut rig = assigning(Owner::Unassigned);
        rig.report(refused(kind));
        if rig.pause().is_some() {
            return Err(rig.after_pause());
        }
        assert!(is_write(&rig.action()), "the record is restored");
        rig.end();
        Ok(rig.failed().expect("a failure"))
    };
    assert_eq!(after(CloudKind::CapacityExceeded), Ok(Exit::NoCapacity));
    assert_eq!(after(CloudKind::SubnetExhausted), Ok(Exit::NoCapacity));
    assert_eq!(after(CloudKind::BadAddress), Ok(Exit::AddressUnavailable));
    for kind in [
        CloudKind::Auth,
        CloudKind::Unknown,
        CloudKind::NotOnInterface,
        CloudKind::AttachmentLimitExceeded,
        CloudKind::DeviceIndexTaken,
        CloudKind::InterfaceInUse,
        CloudKind::QuotaExceeded,
    ] {
        assert_eq!(after(kind), Ok(Exit::CloudRefused));
    }
    for kind in [CloudKind::Throttled, CloudKind::Transient, CloudKind::NotFound] {
        assert!(after(kind).is_err_and(|action| is_fresh(&action)), "{kind:?}");
    }
}

#[test]
fn a_failed_look_up_is_retried_or_ends_the_attach() {
    let mut rig = attach(Fixture::parked_elsewhere());
    rig.until(is_owner).report(Reply::Owner(Err(cloud(CloudKind::Throttled, Effect::None))));
    assert!(matches!(rig.after_pause(), Action::ReadOwner(..)), "a new look-up");
    rig.report(Reply::Owner(Err(cloud(CloudKind::Auth, Effect::None))));
    assert!(is_write(&rig.action()), "the record is restored");
}
