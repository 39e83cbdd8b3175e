//! A plan includes the effects of its own changes.

use firecamp_core::action::Action;
use firecamp_core::attach::Attach;
use firecamp_core::contract::exit::Exit;
use firecamp_core::machine::Outcome;
use firecamp_core::plan::{Missing, Plan, PlanInput, plan};
use firecamp_core::ports::{KernelView, Owner, SocketUse};
use firecamp_core::time::Moment;

use super::steps::fixture::{self, ADDRESS, input, on};

fn snapshot() -> PlanInput {
    let quiet = fixture::Fixture::parked_elsewhere();
    PlanInput {
        records: quiet.records,
        allocated: quiet.allocated,
        pod: quiet.pod,
        node: quiet.node,
        owners: [(ADDRESS, on('b'))].into(),
        kernel: Some(KernelView { link: Some("ens5".to_owned()), ..KernelView::default() }),
        sockets: Some(SocketUse::default()),
    }
}

fn planned(inputs: &PlanInput) -> Result<Plan, Missing> {
    plan(Attach::new(input(), Moment::default()), inputs)
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
fn a_plan_cannot_create_an_address_that_another_member_allocated() {
    let mut inputs = snapshot();
    inputs.records.static_ip = None;
    inputs.owners = [(ADDRESS, Owner::Unassigned)].into();
    inputs.allocated = [ADDRESS].into();
    let plan = planned(&inputs).expect("a plan");
    let Outcome::Failed(failure) = plan.outcome else { unreachable!("{:?}", plan.outcome) };
    assert_eq!(failure.exit, Exit::TimedOut);
    inputs.allocated.clear();
    let plan = planned(&inputs).expect("a plan");
    assert!(matches!(plan.outcome, Outcome::Attached(_)));
}

#[test]
fn a_plan_names_its_missing_inputs_one_by_one() {
    let subnet = snapshot().node.enis.first().expect("an ENI").subnet.clone();
    let mut inputs = PlanInput { owners: [].into(), kernel: None, sockets: None, ..snapshot() };
    let Err(Missing::Kernel(target)) = planned(&inputs) else { unreachable!("the kernel first") };
    assert_eq!(target.address, ADDRESS);
    inputs.kernel = snapshot().kernel;
    assert_eq!(planned(&inputs), Err(Missing::Owner(ADDRESS, subnet)));
    inputs.owners = snapshot().owners;
    assert_eq!(planned(&inputs), Err(Missing::Sockets(ADDRESS)));
    inputs.sockets = Some(SocketUse::default());
    assert!(planned(&inputs).is_ok());
}
