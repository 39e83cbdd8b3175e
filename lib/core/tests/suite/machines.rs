//! The machines under arbitrary replies in arbitrary order: they end in time, never panic, and
//! request no unsafe action without its precondition.

mod fixture;
mod replies;

use std::time::Duration;

use firecamp_core::action::Action;
use firecamp_core::agent::Execution;
use firecamp_core::attach::Attach;
use firecamp_core::contract::timing;
use firecamp_core::machine::{Machine, Maintenance, Outcome};
use firecamp_core::record::StaticIp;
use firecamp_core::release::Release;
use proptest::prelude::*;

use self::fixture::{
    ADDRESS, ChaosSystems, attach_input, eni_id, operation, parsed, release_input,
};

/// Drives a machine to its end.
fn drive(machine: &mut impl Machine, chaos: &mut ChaosSystems) -> Outcome {
    for _ in 0..20_000 {
        let action = machine.action();
        assert_eq!(action, machine.action(), "action() returned another action");
        if let Some(outcome) = machine.outcome() {
            assert_eq!(action, Action::Done);
            return outcome.clone();
        }
        let reply = chaos.answer(&action);
        machine.reply(reply, chaos.now);
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
    fn an_attach_never_requests_an_unsafe_action(
        bytes in prop::collection::vec(any::<u8>(), 8..200)
    ) {
        let mut chaos = ChaosSystems::new(bytes);
        let mut machine = Attach::new(attach_input(), chaos.now);
        let outcome = drive(&mut machine, &mut chaos);
        let slack = Duration::from_secs(30);
        prop_assert!(chaos.now.0 <= timing::ATTACH_DEADLINE + slack, "too late: {:?}", chaos.now);
        if let Outcome::Attached(done) = outcome {
            prop_assert!(chaos.completed, "success without a completion");
            prop_assert!(chaos.observed, "success without a look at the kernel");
            prop_assert_eq!(done.eni, eni_id(1));
        }
    }

    #[test]
    fn a_release_never_requests_an_unsafe_action(
        bytes in prop::collection::vec(any::<u8>(), 8..200),
        unassign in any::<bool>(),
        await_stop in any::<bool>(),
    ) {
        let mut chaos = ChaosSystems::new(bytes);
        let before = chaos.record.clone();
        let mut machine = Release::new(release_input(unassign, await_stop), chaos.now);
        let outcome = drive(&mut machine, &mut chaos);
        prop_assert!(chaos.now.0 <= Duration::from_secs(75), "too late: {:?}", chaos.now);
        let mine = |r: &StaticIp| r.held_by(&parsed("mine"), r.epoch);
        if before.as_ref().is_some_and(|r| !mine(r)) && chaos.version == 1 {
            let changed = chaos.record != before;
            prop_assert!(!changed, "another's record was changed: {outcome:?}");
        }
    }

    #[test]
    fn an_operation_never_requests_an_unsafe_action(
        bytes in prop::collection::vec(any::<u8>(), 8..200),
        which in 0_u8..6,
    ) {
        let mut chaos = ChaosSystems::new(bytes);
        chaos.execution = true;
        let operation = operation(which);
        // The node's lock authorises a restore: it reads no registry.
        chaos.authority = (which == 3).then_some(chaos.now);
        let mut machine = Execution::new(&operation, &parsed("test"), parsed("run-now"), chaos.now);
        let outcome = drive(&mut machine, &mut chaos);
        prop_assert!(chaos.now.0 <= timing::OPERATION_DEADLINE * 2, "too late: {:?}", chaos.now);
        if outcome == (Outcome::Maintained { what: Maintenance::Reasserted, address: ADDRESS }) {
            prop_assert!(chaos.assigned, "re-asserted without a call");
            let run = parsed("run-now");
            let pending = chaos.record.as_ref().is_some_and(|r| r.has_pending_by(&run));
            prop_assert!(!pending, "its pending mutation is left");
        }
        if [0, 3, 4].contains(&which) {
            prop_assert!(chaos.writes == 0, "a record was written");
        }
        let maintained = |what| Outcome::Maintained { what, address: ADDRESS };
        if outcome == maintained(Maintenance::Restored) {
            prop_assert!(which == 3 && chaos.observed, "restored without verifying the kernel");
        }
        if outcome == maintained(Maintenance::Collected) {
            prop_assert!(which == 4 && chaos.record.is_none(), "a record claims it");
        }
    }
}
