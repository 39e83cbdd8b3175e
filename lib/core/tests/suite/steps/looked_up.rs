//! An owner look-up from before the attach.

use std::time::Duration;

use firecamp_core::action::Action;
use firecamp_core::attach::{Attach, AttachInput, LookedUp};
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudKind, Effect, RegistryKind};
use firecamp_core::machine::Machine as _;
use firecamp_core::ports::Owner;
use firecamp_core::step::{AttachStep, Step};

use super::fixture::{Fixture, input, on};
use super::rig::{Rig, TICK, attach, is_assign, is_owner, is_write, refused, unwritten};

const TAKEN: Step = Step::Attach(AttachStep::EpochAcquired);

/// An attach of a member that is parked elsewhere, with a look-up for the record as it is.
fn informed(change: impl FnOnce(&mut LookedUp)) -> Rig<Attach> {
    let mut rig = attach(Fixture::parked_elsewhere());
    let version = rig.fixture.records.static_ip.as_ref().expect("a record").version.clone();
    let until = rig.now.plus(timing::EARLY_LOOK_UP);
    let mut looked_up = LookedUp { version, owner: on('b'), until };
    change(&mut looked_up);
    rig.machine =
        Attach::new(AttachInput { looked_up: Some(Box::new(looked_up)), ..input() }, rig.now);
    rig
}

#[test]
fn f146_a_look_up_of_the_record_as_it_is_leads_straight_to_the_assign() {
    for owner in [on('b'), Owner::Unassigned] {
        let mut rig = informed(|known| known.owner = owner.clone());
        rig.until(|action| {
            assert!(!is_owner(action) && !matches!(action, Action::BeginOwner(..)), "{action:?}");
            is_assign(action)
        });
        let Action::Assign { force, .. } = rig.action() else { unreachable!() };
        assert_eq!(force, owner != Owner::Unassigned);
    }
}

#[test]
fn f146_a_look_up_of_another_version_of_the_record_is_not_used() {
    let mut rig = informed(|known| known.version = "0".parse().expect("a version"));
    rig.step();
    assert!(matches!(rig.action(), Action::BeginOwner(..)), "{:?}", rig.action());
    rig.past(TAKEN);
    assert_eq!(rig.action(), Action::AwaitOwner);
    let mut rig = informed(|_known| {});
    rig.until(is_write).report(unwritten(RegistryKind::Conflict, Effect::None));
    rig.fixture.change(|record| record.epoch = record.epoch.next());
    rig.after_pause();
    rig.step();
    assert!(matches!(rig.action(), Action::BeginOwner(..)), "somebody has changed the record");
}

/// The action after the epoch was acquired, this long after the attach began.
fn after(took: Duration) -> Action {
    let mut rig = informed(|_known| {});
    let begun = rig.now;
    rig.until(is_write);
    rig.step_after(took.saturating_sub(rig.now.since(begun)));
    assert_eq!(rig.machine.crossed(), Some(TAKEN));
    rig.action()
}

#[test]
fn f146_a_look_up_is_used_until_half_of_t_has_passed() {
    let young = after(timing::EARLY_LOOK_UP.saturating_sub(TICK));
    assert!(matches!(young, Action::NoteAssign(_)), "{young:?}");
    let old = after(timing::EARLY_LOOK_UP);
    assert!(matches!(old, Action::ReadOwner(..)), "{old:?}");
}

#[test]
fn f146_an_owner_to_refuse_is_looked_up_again() {
    let mut rig = informed(|known| {
        if let Owner::Eni(holder) = &mut known.owner {
            (holder.primary, holder.cluster) = (true, None);
        }
    });
    rig.past(TAKEN);
    assert!(matches!(rig.action(), Action::ReadOwner(..)), "{:?}", rig.action());
}

#[test]
fn f146_a_throttled_assign_by_force_needs_a_new_look_up_once_the_early_one_is_old() {
    let mut rig = informed(|_known| {});
    let sent = rig.now;
    rig.until(is_assign).report(refused(CloudKind::Throttled));
    rig.after_pause();
    rig.step_after(timing::CALL_BOUND.saturating_sub(rig.now.since(sent)));
    assert!(is_owner(&rig.action()), "{:?}", rig.action());
}
