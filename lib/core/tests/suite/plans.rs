//! A plan is made in the world as its own changes would leave it.

use firecamp_core::action::Action;
use firecamp_core::attach::Attach;
use firecamp_core::contract::exit::Exit;
use firecamp_core::machine::Outcome;
use firecamp_core::outside::{KernelView, Owner, SocketUse};
use firecamp_core::plan::{Missing, Plan, World, plan};
use firecamp_core::time::Moment;

use super::steps::world::{self, ADDRESS, input, on};

fn snapshot() -> World {
    let quiet = world::World::parked_elsewhere();
    World {
        records: quiet.records,
        allocated: quiet.allocated,
        pod: quiet.pod,
        node: quiet.node,
        owners: [(ADDRESS, on('b'))].into(),
        kernel: Some(KernelView { link: Some("ens5".to_owned()), ..KernelView::default() }),
        sockets: Some(SocketUse::default()),
    }
}

fn planned(world: &World) -> Result<Plan, Missing> {
    plan(Attach::new(input(), Moment::default()), world)
}

#[test]
fn a_link_that_is_down_is_brought_up_by_the_plan_s_own_change() {
    let plan = planned(&snapshot()).expect("a plan");
    assert!(matches!(plan.outcome, Outcome::Attached(_)), "{:?}", plan.outcome);
    assert!(plan.steps.iter().any(|step| matches!(step, Action::Assign { force: true, .. })));
    let waits = plan.steps.iter().filter(|step| matches!(step, Action::Wait(_))).count();
    assert_eq!(waits, 0, "the assigned address is listed at once: {:?}", plan.steps);
}

#[test]
fn an_address_that_another_member_allocated_cannot_be_created_in_a_plan_either() {
    let mut world = snapshot();
    world.records.static_ip = None;
    world.owners = [(ADDRESS, Owner::Nobody)].into();
    world.allocated = [ADDRESS].into();
    let plan = planned(&world).expect("a plan");
    let Outcome::Failed(failure) = plan.outcome else { unreachable!("{:?}", plan.outcome) };
    assert_eq!(failure.exit, Exit::TimedOut);
    world.allocated.clear();
    let plan = planned(&world).expect("a plan");
    assert!(matches!(plan.outcome, Outcome::Attached(_)));
}

#[test]
fn what_a_plan_lacks_is_named_one_thing_after_the_other() {
    let subnet = snapshot().node.enis.first().expect("an ENI").subnet.clone();
    let mut world = World { owners: [].into(), kernel: None, sockets: None, ..snapshot() };
    let Err(Missing::Kernel(target)) = planned(&world) else { unreachable!("the kernel first") };
    assert_eq!(target.address, ADDRESS);
    world.kernel = snapshot().kernel;
    assert_eq!(planned(&world), Err(Missing::Owner(ADDRESS, subnet)));
    world.owners = snapshot().owners;
    assert_eq!(planned(&world), Err(Missing::Sockets(ADDRESS)));
    world.sockets = Some(SocketUse::default());
    assert!(planned(&world).is_ok());
}
