//! What follows each answer of EC2 and of the registry after the intent of an Unassign.

use firecamp_core::action::{Action, Reply};
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudKind, Effect, RegistryKind};
use firecamp_core::machine::{Machine, Release as Done};
use firecamp_core::ports::Owner;
use firecamp_core::record::{Mutation, PendingMutation, State, StaticIp};
use firecamp_core::release::Release;
use firecamp_core::step::{FreeStep, Step};

use super::super::fixture::{eni, on, parsed};
use super::super::rig::{Rig, TICK, cloud, is_fresh, is_owner, is_write, lost, refused, unwritten};
use super::{calling, done, intending, is_call};

#[test]
fn each_answer_to_an_unassign_has_its_own_next_step() {
    let after = |kind| {
        let mut rig = calling();
        rig.report(refused(kind));
        if rig.pause().is_some() { rig.after_pause() } else { rig.action() }
    };
    assert!(is_fresh(&after(CloudKind::Throttled)) && is_fresh(&after(CloudKind::Transient)));
    assert!(is_owner(&after(CloudKind::NotOnInterface)) && is_owner(&after(CloudKind::NotFound)));
    for kind in [
        CloudKind::HeldElsewhere,
        CloudKind::CapacityExceeded,
        CloudKind::SubnetExhausted,
        CloudKind::AttachmentLimitExceeded,
        CloudKind::DeviceIndexTaken,
        CloudKind::InterfaceInUse,
        CloudKind::QuotaExceeded,
        CloudKind::BadAddress,
        CloudKind::Auth,
        CloudKind::Unknown,
    ] {
        let mut rig = calling();
        rig.report(refused(kind));
        assert_eq!(rig.failed(), Some(Exit::CloudRefused), "{kind:?}");
    }
    let mut rig = calling();
    rig.report(lost());
    assert!(is_fresh(&rig.after_pause()), "only a definite answer proves that it is out");
    rig.step();
    assert!(is_call(&rig.action()));
}

#[test]
fn the_pending_mutation_stays_until_an_unanswered_call_has_expired() {
    let mut rig = calling();
    let Action::Unassign { not_after, .. } = rig.action() else { unreachable!() };
    rig.report(lost());
    rig.after_pause();
    let asked = rig.now;
    rig.until(is_call);
    rig.step();
    let pause = rig.pause().expect("a pause");
    assert_eq!(rig.now.plus(pause.length), not_after, "of the call that was lost, not the last");
    assert!(asked.plus(timing::CALL_BOUND) > not_after);
    rig.step();
    assert!(is_write(&rig.action()));
    // The later of two.
    let mut rig = calling();
    rig.report(lost());
    rig.after_pause();
    rig.until(is_call);
    let Action::Unassign { not_after, .. } = rig.action() else { unreachable!() };
    rig.report(lost());
    rig.until(is_call).step();
    assert_eq!(rig.now.plus(rig.pause().expect("a pause").length), not_after);
}

#[test]
fn an_expired_unassign_is_not_waited_for() {
    let mut rig = calling();
    let Action::Unassign { not_after, .. } = rig.action() else { unreachable!() };
    rig.report(lost());
    rig.after_pause();
    rig.until(is_call);
    let left = not_after.since(rig.now);
    assert!(!left.is_zero());
    rig.step_after(left);
    assert!(is_write(&rig.action()), "{:?}", rig.action());
}

/// A release to which EC2 answered that the address is not on the named ENI.
fn not_there() -> Rig<Release> {
    let mut rig = calling();
    rig.report(refused(CloudKind::NotOnInterface));
    assert!(is_owner(&rig.action()));
    rig
}

#[test]
fn an_unowned_address_counts_as_unassigned_after_the_describe_lag() {
    let mut rig = not_there();
    rig.fixture.owner = Owner::Unassigned;
    rig.step();
    assert_eq!(rig.pause().expect("a pause").length, timing::DESCRIBE_LAG.saturating_sub(TICK));
    assert!(is_owner(&rig.after_pause()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Free(FreeStep::UnassignAnswered)));
    assert_eq!(done(&mut rig), Done::Unassigned);
    assert_eq!(rig.fixture.record().reserved_on, None);
}

#[test]
fn a_describe_that_contradicts_ec2_s_answer_leads_to_a_fresh_read() {
    let mut rig = not_there();
    rig.fixture.owner = on('a');
    rig.step();
    assert!(is_fresh(&rig.after_pause()), "a successor would be in the record");
    rig.step();
    assert!(is_call(&rig.action()));
}

#[test]
fn an_address_on_another_recorded_eni_is_recorded_as_pending_and_unassigned_there() {
    let pending =
        PendingMutation { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-other") };
    let mut rig = intending(|ip| _ = ip.pending_mutations.insert(pending));
    rig.until(is_call).report(refused(CloudKind::NotOnInterface));
    rig.fixture.owner = on('b');
    rig.step();
    assert!(is_write(&rig.action()), "the record, before the call");
    let asked = rig.now;
    rig.step();
    let Action::Unassign { eni: from, not_after, .. } = rig.action() else { unreachable!() };
    assert_eq!((from, not_after), (eni('b'), asked.plus(timing::CALL_BOUND)));
    let own =
        |ip: &StaticIp| ip.pending_mutations.iter().filter(|m| m.run == parsed("run-now")).count();
    assert_eq!(own(&rig.fixture.record()), 2, "both of its calls are recorded as pending");
    assert_eq!(done(&mut rig), Done::Unassigned);
    assert_eq!(own(&rig.fixture.record()), 0);
}

#[test]
fn an_address_on_a_foreign_interface_or_a_primary_one_is_left_alone() {
    let Owner::Eni(mut primary) = on('a') else { unreachable!() };
    primary.primary = true;
    for owner in [on('c'), Owner::Eni(primary)] {
        let mut rig = not_there();
        rig.fixture.owner = owner;
        rig.step();
        assert!(is_owner(&rig.after_pause()));
        rig.step();
        assert!(is_write(&rig.action()), "the release is recorded");
        assert_eq!(done(&mut rig), Done::Unassigned);
    }
}

/// A redirection whose answer was lost; `landed`: it took effect.
fn unheard_redirection(landed: bool) -> Rig<Release> {
    let pending =
        PendingMutation { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-other") };
    let mut rig = intending(|ip| _ = ip.pending_mutations.insert(pending));
    rig.until(is_call).report(refused(CloudKind::NotOnInterface));
    rig.fixture.owner = on('b');
    rig.step();
    if landed {
        let action = rig.action();
        rig.fixture.answer(&action);
    }
    rig.report(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    assert!(is_fresh(&rig.after_pause()));
    rig
}

#[test]
fn a_redirection_with_a_lost_answer_is_written_again() {
    for landed in [false, true] {
        let mut rig = unheard_redirection(landed);
        rig.step();
        assert!(is_write(&rig.action()));
        rig.step();
        let Action::Unassign { eni: from, .. } = rig.action() else { unreachable!() };
        assert_eq!(from, eni('b'));
    }
}

#[test]
fn a_release_record_with_a_lost_answer_stands_or_is_written_again() {
    for landed in [false, true] {
        let mut rig = calling();
        rig.step();
        assert!(is_write(&rig.action()));
        if landed {
            let action = rig.action();
            rig.fixture.answer(&action);
        }
        rig.report(unwritten(RegistryKind::Unavailable, Effect::Unknown));
        assert!(is_fresh(&rig.after_pause()));
        rig.step();
        assert_eq!(is_write(&rig.action()), !landed);
        assert_eq!(done(&mut rig), Done::Unassigned);
    }
}

#[test]
fn a_refused_write_ends_the_release() {
    for kind in [RegistryKind::Invalid, RegistryKind::Refused, RegistryKind::NotFound] {
        let mut rig = intending(|_ip| {});
        rig.report(unwritten(kind, Effect::None));
        assert_eq!(rig.failed(), Some(kind.exit()), "{kind:?}");
    }
}

#[test]
fn a_failed_look_up_is_retried_unless_a_person_must_correct_it() {
    let mut rig = not_there();
    rig.report(Reply::Owner(Err(cloud(CloudKind::Throttled, Effect::None))));
    assert!(is_owner(&rig.after_pause()));
    rig.report(Reply::Owner(Err(cloud(CloudKind::Auth, Effect::None))));
    assert_eq!(rig.failed(), Some(Exit::CloudRefused));
}

#[test]
fn a_record_that_names_no_eni_has_nothing_to_unassign() {
    let mut rig = intending(|ip| {
        ip.attachment.as_mut().expect("attached").eni = None;
        ip.reserved_on = None;
    });
    rig.step();
    assert_eq!(done(&mut rig), Done::Parked);
    assert_eq!(rig.fixture.record().attachment.expect("parked").state, State::Parked);
}
