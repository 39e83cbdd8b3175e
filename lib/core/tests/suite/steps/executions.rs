//! The agent's operations: the next action of each after each reply.

mod evict;
mod reassert;
mod release;
mod upkeep;
mod withdraw;

use std::time::Duration;

use firecamp_core::agent::{Execution, Operation};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Machine, Maintenance, Outcome};
use firecamp_core::ports::{Holder, KernelTarget};
use firecamp_core::record::State;
use firecamp_core::time::Moment;

use super::fixture::{ADDRESS, Fixture, eni, parsed};
use super::rig::Rig;

/// Pod `mine` is attached here at epoch 5, on ENI `a`.
fn attached() -> Fixture {
    let mut fixture = Fixture::parked_elsewhere();
    fixture.change(|ip| {
        let attachment = ip.attachment.as_mut().expect("attached");
        attachment.state = State::Attached;
        (attachment.pod, attachment.node) = (parsed("mine"), parsed("node-a"));
        attachment.eni = Some(eni('a'));
        ip.reserved_on = Some(eni('a'));
    });
    fixture
}

fn execution(operation: &Operation, fixture: Fixture) -> Rig<Execution> {
    let now = Moment(Duration::from_secs(100));
    let machine = Execution::new(operation, &parsed("test"), parsed("run-now"), now);
    Rig { machine, fixture, now }
}

fn holder() -> Holder {
    Holder { pod: parsed("mine"), epoch: Epoch(5) }
}

fn target() -> KernelTarget {
    KernelTarget { address: ADDRESS, mac: parsed("06:00:00:00:00:01"), routing: None }
}

/// The result of a successful operation.
fn maintained(rig: &mut Rig<Execution>) -> Maintenance {
    let outcome = rig.end();
    let Outcome::Maintained { what, address } = outcome else { unreachable!("{outcome:?}") };
    assert_eq!(address, ADDRESS);
    what
}

fn is_over(rig: &Rig<Execution>) -> bool {
    rig.machine.outcome().is_some()
}
