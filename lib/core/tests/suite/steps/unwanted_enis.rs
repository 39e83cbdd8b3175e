//! The ENIs that an attach must not use, according to the agent of the node.

use firecamp_core::attach::{Attach, AttachInput, UnwantedEnis};
use firecamp_core::contract::exit::Exit;
use firecamp_core::machine::{Machine, Outcome};
use firecamp_core::record::{Mutation, PendingMutation};

use super::bind::{first, with};
use super::fixture::{Fixture, eni, input, parsed};
use super::rig::{Rig, attach_with, is_write};

/// A run while the node's agent excludes ENI `a`, up to its end or its epoch.
fn excluded(fixture: Fixture) -> Rig<Attach> {
    let why = "the VPC CNI manages it".to_owned();
    without(UnwantedEnis { excluded: [(eni('a'), why)].into(), ..UnwantedEnis::default() }, fixture)
}

fn without(unwanted: UnwantedEnis, fixture: Fixture) -> Rig<Attach> {
    let mut rig = attach_with(AttachInput { unwanted, ..input() }, fixture);
    while rig.machine.outcome().is_none() && !is_write(&rig.action()) {
        rig.step();
    }
    rig
}

fn resting_on(letter: char) -> Fixture {
    with(|ip| {
        ip.reserved_on = Some(eni(letter));
        ip.attachment.as_mut().expect("an attachment").eni = Some(eni(letter));
    })
}

#[test]
fn f057_an_excluded_eni_gets_no_address_and_keeps_what_it_has() {
    for fixture in [first(), Fixture::parked_elsewhere(), resting_on('b')] {
        let rig = excluded(fixture);
        assert_eq!(rig.failed(), Some(Exit::NodeUnsuitable));
        assert_eq!(rig.fixture.writes, []);
        let Some(Outcome::Failed(failure)) = rig.machine.outcome() else { unreachable!() };
        for part in [eni('a').as_str(), "the VPC CNI manages it"] {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
    }
    assert_eq!(excluded(resting_on('a')).failed(), None, "it works, and no call is needed");
    let mut with_pending = resting_on('a');
    let pending =
        PendingMutation { mutation: Mutation::Assign, eni: eni('a'), run: parsed("run-old") };
    with_pending.change(|ip| _ = ip.pending_mutations.insert(pending));
    assert_eq!(excluded(with_pending).failed(), Some(Exit::NodeUnsuitable), "a call may be needed");
}

#[test]
fn f057_an_eni_that_the_vpc_cni_may_have_attached_gets_no_address_and_keeps_what_it_has() {
    let unknown = || UnwantedEnis { usable: Some([eni('b')].into()), ..UnwantedEnis::default() };
    for fixture in [first(), Fixture::parked_elsewhere(), resting_on('b')] {
        let rig = without(unknown(), fixture);
        assert_eq!(rig.failed(), Some(Exit::NodeUnsuitable));
        assert_eq!(rig.fixture.writes, []);
    }
    assert_eq!(without(unknown(), resting_on('a')).failed(), None);
    let known = UnwantedEnis { usable: Some([eni('a')].into()), ..UnwantedEnis::default() };
    assert_eq!(without(known, Fixture::parked_elsewhere()).failed(), None);
}
