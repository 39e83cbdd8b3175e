//! When the agent reads the metadata service.

use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::managed_interface::Phase;
use firecamp_core::node_identity::TypeLimits;

use super::*;
use crate::node::managed_interfaces::decide::tests::record;

#[test]
fn metadata_is_read_wholly_every_two_minutes_and_else_without_interfaces_of_others() {
    let eni = identity().enis[0].mac;
    for (listing, unused) in [(listing(), [].into()), (Listing::default(), [eni].into())] {
        let mut node = Node::new();
        let cni = Fact::Known(Some(Cni::vpc("/etc/cni/net.d/10-aws.conflist")));
        let files = Event::Files(NodeFacts { cni, ..NodeFacts::default() });
        let read = || Event::Identified(Ok(identity()));
        for event in [TICK, read(), Event::Listed(Ok(listing)), files] {
            node.handle(event);
        }
        let (mut polls, mut wholly): (Vec<BTreeSet<Mac>>, Vec<u32>) = Default::default();
        for second in 1..=240 {
            for task in tasks(node.handle(TICK)) {
                let Task::Identify(unused) = task else { continue };
                match unused {
                    Some(unused) => polls.push(unused),
                    None => wholly.push(second),
                }
                node.handle(read());
            }
        }
        assert_eq!((wholly, polls), (vec![120, 240], vec![unused; 46]));
    }
}

/// The seconds in which the metadata service is read. It lists an interface that is being attached
/// from the thirteenth second on, or never.
fn reads_during_an_attach(lists: bool, answers: impl Fn(u32) -> bool) -> (Phase, Vec<u32>) {
    let mut node = Node::new();
    let wanting = || Listing { pools: Some(Vec::new()), wants_interfaces: true, ..listing() };
    let mut read = InterfaceRead { records: vec![record(1, Phase::Creating)], wanted: None };
    let limits = TypeLimits { name: String::new(), enis: 3, addresses: 10, volumes: None };
    let limits = Event::Queried(QueryResult::TypeLimits(Ok(limits)), Vec::new());
    let mut open = tasks(node.handle(limits));
    let mut listed = identity();
    open.extend(tasks(node.handle(Event::RegistryChanged)));
    let mut read_at = Vec::new();
    for second in 0..60 {
        if lists && second == 13 {
            let new = Eni { id: parsed("eni-00000001"), device_index: 1, ..listed.enis[0].clone() };
            listed.enis.push(Eni { listed: [].into(), ..new });
        }
        open.extend(tasks(node.handle(TICK)));
        while let Some(task) = open.pop() {
            let event = match task {
                Task::Identify(_) => {
                    read_at.push(second);
                    let failure = || CloudFailure {
                        kind: CloudKind::Transient,
                        effect: firecamp_core::failure::Effect::None,
                        detail: String::new(),
                    };
                    Event::Identified(if answers(second) {
                        Ok(listed.clone())
                    } else {
                        Err(failure())
                    })
                }
                Task::Interface(InterfaceStep::Read) => {
                    Event::InterfaceStepEnded(StepEnd::Read(Ok(read.clone())))
                }
                Task::Interface(InterfaceStep::Update(updated)) => {
                    read.records = vec![updated];
                    Event::InterfaceStepEnded(StepEnd::Done)
                }
                Task::Interface(_) => Event::InterfaceStepEnded(StepEnd::Done),
                Task::List(_) => Event::Listed(Ok(wanting())),
                Task::ReadFiles
                | Task::QueryInterfaces(_)
                | Task::QueryVolumes(_)
                | Task::QueryTypeLimits(_)
                | Task::QueryReservations(_)
                | Task::QueryClaims(_)
                | Task::CheckOrphans(..)
                | Task::Adopt(..)
                | Task::Investigate(_)
                | Task::Raise(_)
                | Task::Execute(..) => continue,
            };
            open.extend(tasks(node.handle(event)));
        }
        node.pass(Duration::from_secs(1));
    }
    (read.records[0].record.phase, read_at)
}

#[test]
fn metadata_is_read_each_second_until_it_lists_an_interface_that_is_being_attached() {
    let each: Vec<u32> = (0..=13).chain((15..60).step_by(5)).collect();
    assert_eq!(reads_during_an_attach(true, |_| true), (Phase::Attached, each));
}

#[test]
fn failing_reads_of_metadata_are_no_more_frequent_during_an_attach() {
    let (phase, read_at) = reads_during_an_attach(false, |second| second < 7);
    assert_eq!(phase, Phase::Creating);
    let each: Vec<u32> = (0..=7).chain((10..60).step_by(5)).collect();
    assert_eq!(read_at, each);
}
