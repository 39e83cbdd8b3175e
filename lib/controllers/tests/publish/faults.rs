//! An API that fails.

use firecamp_core::record::State;
use firecamp_testkit::sim::{Break, Op, Script};

use super::support::{MINUTE, Node, healthy_facts, record};

/// Each call once without its effect, and once with an answer that is lost.
#[test]
fn any_single_failed_call_delays_but_loses_nothing() {
    let calls = [
        Op::Get,
        Op::CreateAttachments,
        Op::ReplaceAttachments,
        Op::ReadConditions,
        Op::ReplaceConditions,
        Op::SetCapacity,
    ];
    let mut whole = Node::new(healthy_facts());
    whole.run(MINUTE);
    for (call, how) in
        calls.into_iter().flat_map(|call| [(call, Break::Before), (call, Break::After)])
    {
        let script = Script::new().breaking(call, 1, how);
        let mut node = Node::with(healthy_facts(), script.clone());
        node.run(2 * MINUTE);
        assert_eq!((script.fired(), node.failures), (1, 1), "{call:?} {how:?}");
        assert_eq!(node.published().addresses, whole.published().addresses, "{call:?} {how:?}");
        assert_eq!(node.condition("Ready"), "True Attached", "{call:?} {how:?}");
        assert_eq!(node.api.capacity().as_deref(), Some("9"), "{call:?} {how:?}");
    }
}

#[test]
fn f090_after_an_api_outage_of_an_hour_with_backoff_everything_is_published() {
    let script =
        (1..200).fold(Script::new(), |script, nth| script.breaking(Op::Get, nth, Break::Before));
    let mut node = Node::with(healthy_facts(), script.clone());
    node.run(60 * MINUTE);
    // 1, 2, 4 … 256 s, and then every five minutes.
    assert!((15..30).contains(&script.made(Op::Get)), "{}", script.made(Op::Get));
    assert_eq!(node.api.posted().writes(), 0);
}

#[test]
fn events_during_an_api_outage_are_emitted_afterwards() {
    let script = (2..6)
        .fold(Script::new(), |script, nth| script.breaking(Op::ReadConditions, nth, Break::Before));
    let mut node = Node::with(healthy_facts(), script.clone());
    node.run(MINUTE);
    node.set_record(record(1, State::Parked));
    node.run(MINUTE);
    assert_eq!((node.condition("Ready").as_str(), script.fired()), ("False Parked", 4));
}

#[test]
fn deleted_attachments_are_created_again() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    let published = node.published();
    node.api.delete_attachments();
    node.run(6 * MINUTE);
    assert_eq!(node.published().addresses, published.addresses);
}

#[test]
fn without_an_owner_node_nothing_is_created() {
    let mut node = Node::new(healthy_facts());
    node.api.remove_node();
    node.run(10 * MINUTE);
    assert_eq!((node.api.attachments(), node.api.posted().capacity), (None, 0));
    assert_eq!(node.condition("Ready"), "True Attached");
}

#[test]
fn an_event_that_the_api_always_rejects_delays_nothing() {
    let mut node = Node::new(healthy_facts());
    node.api.refuse_events();
    node.run(MINUTE);
    node.address().foreign = Some("eni-000000ff".to_owned());
    node.run(5 * MINUTE);
    assert_eq!(node.condition("Conflicted"), "True HeldByForeignInterface");
    let tried = node.api.posted().events;
    node.run(60 * MINUTE);
    assert_eq!((tried, node.api.posted().events), (5, 5));
}
