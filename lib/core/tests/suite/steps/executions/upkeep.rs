//! Restores and collections.

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{Execution, Operation};
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{Effect, HostKind, RegistryKind};
use firecamp_core::machine::{Machine, Maintenance};
use firecamp_core::ports::KernelView;
use firecamp_core::step::{CollectStep, RestoreStep, Step};

use super::super::fixture::ADDRESS;
use super::super::rig::{Rig, host, is_fresh, registry};
use super::{attached, execution, holder, maintained, target};

fn restoring() -> Rig<Execution> {
    execution(&Operation::Restore { target: target(), holder: holder() }, attached())
}

fn collecting() -> Rig<Execution> {
    let mut fixture = attached();
    fixture.records.static_ip = None;
    execution(&Operation::Collect { address: ADDRESS, holder: holder() }, fixture)
}

#[test]
fn a_restore_reads_no_registry_and_verifies_the_kernel() {
    let mut rig = restoring();
    assert_eq!(rig.action(), Action::AddAddress(target(), holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Restore(RestoreStep::AddressAdded)));
    assert_eq!(rig.action(), Action::AddRouting(target(), holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Restore(RestoreStep::RoutingAdded)));
    assert_eq!(rig.action(), Action::Observe(target()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Restore(RestoreStep::KernelVerified)));
    assert_eq!(maintained(&mut rig), Maintenance::Restored);
}

#[test]
fn an_address_that_was_present_does_not_count_as_restored() {
    let mut rig = restoring();
    rig.report(Reply::Host(Ok(false))).report(Reply::Host(Ok(false)));
    assert_eq!(maintained(&mut rig), Maintenance::NothingToDo);
    let mut rig = restoring();
    rig.report(Reply::Host(Ok(true))).report(Reply::Host(Ok(false)));
    assert_eq!(maintained(&mut rig), Maintenance::Restored);
}

#[test]
fn an_address_that_is_removed_during_a_restore_is_restored_again() {
    let parts: [fn(&mut KernelView); 3] =
        [|view| view.link_up = false, |view| view.address = false, |view| view.routing = false];
    for take_away in parts {
        let mut rig = restoring();
        let whole = rig.fixture.view.clone();
        take_away(&mut rig.fixture.view);
        rig.until(|action| matches!(action, Action::Observe(_))).step();
        assert!(matches!(rig.after_pause(), Action::AddAddress(..)));
        rig.fixture.view = whole;
        assert_eq!(maintained(&mut rig), Maintenance::Restored);
    }
}

#[test]
fn a_lock_that_another_holds_ends_a_restore_and_a_busy_one_does_not() {
    let after = |kind| {
        let mut rig = restoring();
        rig.report(Reply::Host(Err(host(kind))));
        rig
    };
    assert_eq!(maintained(&mut after(HostKind::Superseded)), Maintenance::NothingToDo);
    assert_eq!(after(HostKind::Refused).failed(), Some(Exit::KernelRefused));
    for kind in [HostKind::Busy, HostKind::NoLink] {
        assert!(matches!(after(kind).after_pause(), Action::AddAddress(..)));
    }
    let mut rig = restoring();
    rig.until(|action| matches!(action, Action::Observe(_)));
    rig.report(Reply::Observed(Err(host(HostKind::Refused))));
    assert_eq!(rig.failed(), Some(Exit::KernelRefused));
}

#[test]
fn a_collection_requires_a_read_that_found_no_record() {
    let mut rig = collecting();
    assert!(is_fresh(&rig.action()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Collect(CollectStep::RecordAbsent)));
    assert_eq!(rig.action(), Action::RemoveAddress(ADDRESS, holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Collect(CollectStep::AddressRemoved)));
    assert_eq!(rig.action(), Action::RemoveRouting(ADDRESS, holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Collect(CollectStep::RoutingRemoved)));
    assert_eq!(maintained(&mut rig), Maintenance::Collected);
    let mut rig = collecting();
    rig.fixture = attached();
    assert_eq!(maintained(&mut rig), Maintenance::NothingToDo, "there is a record");
    let mut rig = collecting();
    rig.report(Reply::Record(Err(registry(RegistryKind::Unavailable, Effect::None))));
    assert!(is_fresh(&rig.after_pause()));
}
