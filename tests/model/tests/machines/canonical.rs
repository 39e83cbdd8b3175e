//! The canonical form of a state has the same future as the state.

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::Execution;
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::machine::Machine;
use firecamp_core::release::Release;
use firecamp_core::time::Moment;
use firecamp_model::canonical::{ORIGIN, canonical};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::chaos::fixture::{ChaosSystems, attach_input, operation, parsed, release_input};
use crate::steps::fixture::{Fixture, input};
use crate::steps::rig::{Rig, TICK, attach, is_assign, is_listed, is_write};

/// Drives a machine to its end, and beside each step its canonical form, which must do the same.
fn drive<M>(machine: &mut M, chaos: &mut ChaosSystems)
where
    M: Machine + Eq + Serialize + DeserializeOwned,
{
    for _ in 0..20_000 {
        let action = machine.action();
        if machine.outcome().is_some() {
            return;
        }
        let mut twin = canonical(machine, chaos.now);
        let before = chaos.now;
        let reply = chaos.answer(&action);
        machine.reply(reply.clone(), chaos.now);
        let now = ORIGIN.plus(chaos.now.since(before));
        twin.reply(reply, now);
        assert!(
            canonical(machine, chaos.now) == canonical(&twin, now),
            "the canonical form has another future after {action:?}"
        );
    }
    unreachable!("no end after 20,000 actions")
}

/// 4,000 cases; PROPTEST_CASES, whose default is 256, scales them.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: (4_000 * default.cases).div_ceil(256), ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_canonical_form_of_an_attach_has_the_same_future(
        bytes in prop::collection::vec(any::<u8>(), 8..200)
    ) {
        let mut chaos = ChaosSystems::new(bytes);
        drive(&mut Attach::new(attach_input(), chaos.now), &mut chaos);
    }

    #[test]
    fn the_canonical_form_of_a_release_has_the_same_future(
        bytes in prop::collection::vec(any::<u8>(), 8..200),
        unassign in any::<bool>(),
        await_stop in any::<bool>(),
    ) {
        let mut chaos = ChaosSystems::new(bytes);
        drive(&mut Release::new(release_input(unassign, await_stop), chaos.now), &mut chaos);
    }

    #[test]
    fn the_canonical_form_of_an_operation_has_the_same_future(
        bytes in prop::collection::vec(any::<u8>(), 8..200),
        which in 0_u8..5,
    ) {
        let mut chaos = ChaosSystems::new(bytes);
        chaos.execution = true;
        // The node's lock authorises a restore: it reads no registry.
        chaos.authority = (which == 3).then_some(chaos.now);
        let (operation, run) = (operation(which), parsed("run-now"));
        drive(&mut Execution::new(&operation, &parsed("test"), run, chaos.now), &mut chaos);
    }
}

#[test]
fn the_wait_for_a_predecessor_matters_only_while_it_lasts() {
    let waits = Duration::from_secs(5);
    let before = |took| {
        let mut rig = attach(Fixture::parked_elsewhere());
        rig.until(is_listed);
        rig.fixture.list();
        rig.until(|action| matches!(action, Action::SyncFile)).step_after(took);
        rig.now = rig.now.plus(waits.saturating_sub(took));
        rig
    };
    let form = |rig: &Rig<Attach>| canonical(&rig.machine, rig.now);
    let (mut earlier, mut later) = (before(Duration::ZERO), before(waits));
    assert_eq!(earlier.now, later.now);
    assert_ne!(form(&earlier), form(&later), "its grace is five seconds shorter");
    for rig in [&mut earlier, &mut later] {
        rig.step();
        assert!(is_write(&rig.action()));
    }
    assert_eq!(form(&earlier), form(&later));
}

#[test]
fn the_canonical_form_drops_texts_and_keeps_an_hour_ahead() {
    let refused = |detail: &str| {
        let mut rig = attach(Fixture::parked_elsewhere());
        rig.until(is_assign);
        let (kind, effect) = (CloudKind::CapacityExceeded, Effect::None);
        rig.report(Reply::Cloud(Err(CloudFailure { kind, effect, detail: detail.to_owned() })));
        assert!(is_write(&rig.action()));
        canonical(&rig.machine, rig.now)
    };
    assert_eq!(refused("one"), refused("another"));
    let hour = Duration::from_hours(1);
    let deadline = AttachInput { deadline: hour, ..input() };
    let begun = Moment(hour);
    let machine = Attach::new(deadline, begun);
    let before = |length| canonical(&machine, Moment(hour.saturating_sub(length)));
    assert_ne!(before(Duration::ZERO), before(TICK), "further ahead is never");
    assert_eq!(before(TICK), before(TICK * 2));
}
