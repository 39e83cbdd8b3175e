//! The agent's errands: what each of them does with each answer.

mod give_way;
mod reassert;
mod release;
mod upkeep;

use std::time::Duration;

use firecamp_core::agent::{Duty, Errand};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Machine, Mended, Outcome};
use firecamp_core::outside::{Holder, KernelTarget};
use firecamp_core::record::State;
use firecamp_core::time::Moment;

use super::rig::Rig;
use super::world::{ADDRESS, World, eni, parsed};

/// Pod `mine` is attached here at epoch 5, on ENI `a`.
fn attached() -> World {
    let mut world = World::parked_elsewhere();
    world.change(|ip| {
        let attachment = ip.attachment.as_mut().expect("attached");
        attachment.state = State::Attached;
        (attachment.pod, attachment.node) = (parsed("mine"), parsed("node-a"));
        attachment.eni = Some(eni('a'));
        ip.reserved_on = Some(eni('a'));
    });
    world
}

fn errand(duty: &Duty, world: World) -> Rig<Errand> {
    let now = Moment(Duration::from_secs(100));
    let machine = Errand::new(duty, &parsed("test"), parsed("run-now"), now);
    Rig { machine, world, now }
}

fn holder() -> Holder {
    Holder { pod: parsed("mine"), epoch: Epoch(5) }
}

fn target() -> KernelTarget {
    KernelTarget { address: ADDRESS, mac: parsed("06:00:00:00:00:01"), routing: None }
}

/// How it mended, if it did.
fn mended(rig: &mut Rig<Errand>) -> Mended {
    let outcome = rig.end();
    let Outcome::Mended { what, address } = outcome else { unreachable!("{outcome:?}") };
    assert_eq!(address, ADDRESS);
    what
}

fn is_over(rig: &Rig<Errand>) -> bool {
    rig.machine.outcome().is_some()
}
