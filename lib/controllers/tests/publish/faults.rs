//! An API that fails.

use firecamp_core::record::State;
use firecamp_testkit::sim::{Break, Op, Script};

use super::support::{MINUTE, Node, record, well};

/// Each call once without its effect, and once with an answer that is lost.
#[test]
fn whatever_call_fails_once_everything_is_published_in_the_end() {
    let calls = [
        Op::Learn,
        Op::CreateAttachments,
        Op::ReplaceAttachments,
        Op::ReadConditions,
        Op::ReplaceConditions,
        Op::SetCapacity,
    ];
    let mut whole = Node::new(well());
    whole.run(MINUTE);
    for (call, how) in
        calls.into_iter().flat_map(|call| [(call, Break::Before), (call, Break::After)])
    {
        let script = Script::new().breaking(call, 1, how);
        let mut node = Node::with(well(), script.clone());
        node.run(2 * MINUTE);
        assert_eq!((script.fired(), node.failures), (1, 1), "{call:?} {how:?}");
        assert_eq!(node.published().addresses, whole.published().addresses, "{call:?} {how:?}");
        assert_eq!(node.said("Ready"), "True Attached", "{call:?} {how:?}");
        assert_eq!(node.api.capacity().as_deref(), Some("9"), "{call:?} {how:?}");
    }
}

#[test]
fn f090_an_api_that_is_away_for_an_hour_is_asked_ever_more_rarely_and_then_told_everything() {
    let script =
        (1..200).fold(Script::new(), |script, nth| script.breaking(Op::Learn, nth, Break::Before));
    let mut node = Node::with(well(), script.clone());
    node.run(60 * MINUTE);
    // 1, 2, 4 … 256 s, and then every five minutes.
    assert!((15..30).contains(&script.made(Op::Learn)), "{}", script.made(Op::Learn));
    assert_eq!(node.api.posted().writes(), 0);
}

#[test]
fn what_happened_while_the_api_was_away_is_told_when_it_is_back() {
    let script = (2..6)
        .fold(Script::new(), |script, nth| script.breaking(Op::ReadConditions, nth, Break::Before));
    let mut node = Node::with(well(), script.clone());
    node.run(MINUTE);
    node.set_record(record(1, State::Parked));
    node.run(MINUTE);
    assert_eq!((node.said("Ready").as_str(), script.fired()), ("False Parked", 4));
}

#[test]
fn what_somebody_deleted_is_made_anew() {
    let mut node = Node::new(well());
    node.run(MINUTE);
    let published = node.published();
    node.api.delete_attachments();
    node.run(6 * MINUTE);
    assert_eq!(node.published().addresses, published.addresses);
}

#[test]
fn without_a_node_to_own_it_nothing_is_made() {
    let mut node = Node::new(well());
    node.api.remove_node();
    node.run(10 * MINUTE);
    assert_eq!((node.api.attachments(), node.api.posted().capacity), (None, 0));
    assert_eq!(node.said("Ready"), "True Attached");
}

#[test]
fn an_event_that_the_api_refuses_for_good_holds_up_nothing() {
    let mut node = Node::new(well());
    node.api.refuse_events();
    node.run(MINUTE);
    node.address().foreign = Some("eni-000000ff".to_owned());
    node.run(5 * MINUTE);
    assert_eq!(node.said("Conflicted"), "True HeldByOther");
    let tried = node.api.posted().events;
    node.run(60 * MINUTE);
    assert_eq!((tried, node.api.posted().events), (5, 5));
}
