//! What was stripped comes back, and what no record claims goes.

use firecamp_core::action::{Action, Reply, Step};
use firecamp_core::agent::{Duty, Errand};
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{Effect, HostKind, RegistryKind};
use firecamp_core::machine::{Machine, Mended};
use firecamp_core::outside::KernelView;

use super::super::rig::{Rig, host, is_fresh, registry};
use super::super::world::ADDRESS;
use super::{attached, errand, holder, mended, target};

fn restoring() -> Rig<Errand> {
    errand(&Duty::Restore { target: target(), holder: holder() }, attached())
}

fn collecting() -> Rig<Errand> {
    let mut world = attached();
    world.records.static_ip = None;
    errand(&Duty::Collect { address: ADDRESS, holder: holder() }, world)
}

#[test]
fn a_restore_asks_no_registry_and_looks_whether_all_is_back() {
    let mut rig = restoring();
    assert_eq!(rig.action(), Action::AddAddress(target(), holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Restore(1)));
    assert_eq!(rig.action(), Action::AddRouting(target(), holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Restore(2)));
    assert_eq!(rig.action(), Action::Observe(target()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Restore(3)));
    assert_eq!(mended(&mut rig), Mended::Restored);
}

#[test]
fn what_was_there_already_was_not_restored() {
    let mut rig = restoring();
    rig.tell(Reply::Host(Ok(false))).tell(Reply::Host(Ok(false)));
    assert_eq!(mended(&mut rig), Mended::NothingToDo);
    let mut rig = restoring();
    rig.tell(Reply::Host(Ok(true))).tell(Reply::Host(Ok(false)));
    assert_eq!(mended(&mut rig), Mended::Restored);
}

#[test]
fn what_is_stripped_again_while_it_is_restored_is_restored_again() {
    let parts: [fn(&mut KernelView); 3] =
        [|view| view.link_up = false, |view| view.address = false, |view| view.routing = false];
    for take_away in parts {
        let mut rig = restoring();
        let whole = rig.world.view.clone();
        take_away(&mut rig.world.view);
        rig.until(|action| matches!(action, Action::Observe(_))).step();
        assert!(matches!(rig.after_pause(), Action::AddAddress(..)));
        rig.world.view = whole;
        assert_eq!(mended(&mut rig), Mended::Restored);
    }
}

#[test]
fn a_lock_that_another_holds_ends_a_restore_and_a_busy_one_does_not() {
    let after = |kind| {
        let mut rig = restoring();
        rig.tell(Reply::Host(Err(host(kind))));
        rig
    };
    assert_eq!(mended(&mut after(HostKind::Superseded)), Mended::NothingToDo);
    assert_eq!(after(HostKind::Refused).failed(), Some(Exit::KernelRefused));
    for kind in [HostKind::Busy, HostKind::NoLink] {
        assert!(matches!(after(kind).after_pause(), Action::AddAddress(..)));
    }
    let mut rig = restoring();
    rig.until(|action| matches!(action, Action::Observe(_)));
    rig.tell(Reply::Observed(Err(host(HostKind::Refused))));
    assert_eq!(rig.failed(), Some(Exit::KernelRefused));
}

#[test]
fn a_collection_rests_on_a_read_that_found_no_record_and_on_nothing_less() {
    let mut rig = collecting();
    assert!(is_fresh(&rig.action()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Collect(1)));
    assert_eq!(rig.action(), Action::RemoveAddress(ADDRESS, holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Collect(2)));
    assert_eq!(rig.action(), Action::RemoveRouting(ADDRESS, holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Collect(3)));
    assert_eq!(mended(&mut rig), Mended::Collected);
    let mut rig = collecting();
    rig.world = attached();
    assert_eq!(mended(&mut rig), Mended::NothingToDo, "there is a record after all");
    let mut rig = collecting();
    rig.tell(Reply::Record(Err(registry(RegistryKind::Unavailable, Effect::None))));
    assert!(is_fresh(&rig.after_pause()));
}
