//! What belongs elsewhere leaves this node's kernel.

use firecamp_core::action::{Action, Reply, Step};
use firecamp_core::agent::{Duty, Errand};
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{Effect, HostKind, RegistryKind};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Machine, Mended};
use firecamp_core::record::{State, StaticIp};

use super::super::rig::{Rig, TICK, host, is_fresh, registry};
use super::super::world::ADDRESS;
use super::{attached, errand, holder, is_over, mended};

/// The next epoch is attaching elsewhere.
fn superseded() -> Rig<Errand> {
    let mut world = attached();
    world.supersede();
    errand(&Duty::GiveWay { address: ADDRESS, holder: holder() }, world)
}

#[test]
fn exactly_what_the_superseded_holder_has_leaves_the_kernel() {
    let mut rig = superseded();
    assert!(is_fresh(&rig.action()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::GiveWay(1)));
    assert_eq!(rig.action(), Action::RemoveAddress(ADDRESS, holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::GiveWay(2)));
    assert_eq!(rig.action(), Action::RemoveRouting(ADDRESS, holder()));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::GiveWay(3)));
    assert_eq!(mended(&mut rig), Mended::GaveWay);
    assert!(rig.world.writes.is_empty());
}

/// Whether it goes on to the kernel with this record.
fn gives_way(change: impl FnOnce(&mut StaticIp)) -> bool {
    let mut rig = superseded();
    rig.world = attached();
    rig.world.change(change);
    rig.step();
    !is_over(&rig)
}

#[test]
fn only_a_later_epoch_or_the_end_of_its_own_takes_an_address_from_its_holder() {
    assert!(!gives_way(|_ip| {}), "it holds it");
    assert!(gives_way(|ip| ip.epoch = Epoch(6)));
    assert!(!gives_way(|ip| ip.epoch = Epoch(4)), "a registry that was restored");
    let state =
        |state| move |ip: &mut StaticIp| ip.attachment.as_mut().expect("attached").state = state;
    assert!(!gives_way(state(State::Attaching)));
    for ended in [State::Parked, State::Releasing, State::Released] {
        assert!(gives_way(state(ended)), "{ended:?}");
        assert!(!gives_way(|ip| {
            state(ended)(ip);
            ip.epoch = Epoch(4);
        }));
    }
}

#[test]
fn k5_no_record_and_no_answer_are_no_reason_to_remove_anything() {
    let mut rig = superseded();
    rig.tell(Reply::Record(Ok(None)));
    assert_eq!(mended(&mut rig), Mended::NothingToDo);
    let mut rig = superseded();
    rig.tell(Reply::Record(Err(registry(RegistryKind::Unavailable, Effect::None))));
    assert!(is_fresh(&rig.after_pause()));
    rig.tell(Reply::Record(Err(registry(RegistryKind::Invalid, Effect::None))));
    assert_eq!(rig.failed(), Some(Exit::RegistryInvalid));
}

#[test]
fn a_busy_lock_is_waited_for_and_a_later_holder_s_is_none_of_its_business() {
    for kind in [HostKind::Busy, HostKind::NoLink] {
        let mut rig = superseded();
        rig.step();
        rig.tell(Reply::Host(Err(host(kind))));
        assert!(matches!(rig.after_pause(), Action::RemoveAddress(..)));
        assert_eq!(mended(&mut rig), Mended::GaveWay);
    }
    let mut rig = superseded();
    rig.step();
    rig.tell(Reply::Host(Err(host(HostKind::Superseded))));
    assert_eq!(mended(&mut rig), Mended::NothingToDo);
    let mut rig = superseded();
    rig.step();
    rig.tell(Reply::Host(Err(host(HostKind::Refused))));
    assert_eq!(rig.failed(), Some(Exit::KernelRefused));
}

#[test]
fn it_gives_up_at_the_errand_s_deadline_and_not_before() {
    let busy = || Reply::Host(Err(host(HostKind::Busy)));
    let mut rig = superseded();
    rig.step();
    let spent = TICK;
    rig.tell_after(busy(), timing::ERRAND_DEADLINE.saturating_sub(spent + TICK));
    assert!(!is_over(&rig));
    let mut rig = superseded();
    rig.step();
    rig.tell_after(busy(), timing::ERRAND_DEADLINE);
    assert_eq!(rig.failed(), Some(Exit::KernelRefused));
}
