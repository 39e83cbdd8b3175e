use std::net::Ipv4Addr;

use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ids::{Epoch, Version};
use firecamp_core::record::{Attachment, State, StaticIp};

use super::*;
use crate::publish::event::Notice;
use crate::publish::facts::AddressFact;
use crate::publish::ports::FetchedNode;

fn node() -> NodeName {
    "node-1".parse().unwrap()
}

fn at(second: u64) -> Moment {
    Moment(Duration::from_secs(second))
}

fn address(number: u8) -> AddressFact {
    let record = StaticIp {
        address: Ipv4Addr::new(10, 0, 1, number),
        pool: "redis".parse().unwrap(),
        subnet: "subnet-0000000a".parse().unwrap(),
        cidr: "10.0.1.0/24".parse().unwrap(),
        zone: "us-east-1a".parse().unwrap(),
        member: format!("prod/redis-{number}").parse().unwrap(),
        epoch: Epoch(3),
        attachment: Some(Attachment {
            state: State::Attached,
            pod: "pod-1".parse().unwrap(),
            node: node(),
            eni: Some("eni-0000000a".parse().unwrap()),
            run: "run-1".parse().unwrap(),
            served: true,
        }),
        reserved_on: Some("eni-0000000a".parse().unwrap()),
        pending_mutations: std::collections::BTreeSet::new(),
    };
    let (in_kernel, in_ec2) = (Some(true), Some(true));
    AddressFact { record, in_kernel, in_ec2, foreign: None, failing: None, evictable: false }
}

/// The facts of a node with so many addresses.
fn facts(addresses: u8) -> Facts {
    Facts { addresses: Some((1..=addresses).map(address).collect()), ..Facts::new(node()) }
}

fn reported(facts: Facts) -> Reports {
    let mut reports = Reports::default();
    reports.facts(facts);
    reports
}

fn tick(controller: &mut PublishController, second: u64, reports: Reports) -> Vec<PublishEffect> {
    let timestamp = format!("2026-11-20T15:00:{:02}Z", second % 60);
    let tick = Box::new(PublishTick { reports, timestamp });
    controller.handle(PublishEvent::Tick(tick), at(second))
}

fn end(
    controller: &mut PublishController,
    second: u64,
    result: Result<Done, RegistryFailure>,
) -> Vec<PublishEffect> {
    controller.handle(PublishEvent::Ended { result, jitter: 0 }, at(second))
}

/// The names of the requests.
fn sent(effects: &[PublishEffect]) -> Vec<&'static str> {
    let name = |effect: &PublishEffect| match effect {
        PublishEffect::Send(step) => Some(step.name()),
        PublishEffect::Show(..)
        | PublishEffect::PassPublished(_)
        | PublishEffect::Emitted(_)
        | PublishEffect::Failed(..) => None,
    };
    effects.iter().filter_map(name).collect()
}

fn is_shown(effects: &[PublishEffect]) -> bool {
    effects.iter().any(|effect| matches!(effect, PublishEffect::Show(..)))
}

fn fetched() -> Result<Done, RegistryFailure> {
    let node = Some("uid-1".to_owned());
    Ok(Done::FetchedNode(Box::new(FetchedNode { node, ..FetchedNode::default() })))
}

fn unavailable() -> RegistryFailure {
    let (kind, effect) = (RegistryKind::Unavailable, Effect::Unknown);
    RegistryFailure { kind, effect, detail: "away".to_owned() }
}

/// Ends all requests of a check successfully, and returns their names.
fn answer(
    controller: &mut PublishController,
    second: u64,
    begun: &[PublishEffect],
) -> Vec<&'static str> {
    let mut all = sent(begun);
    while let Some(step) = controller.request.clone() {
        all.extend(sent(&end(controller, second, result(&step))));
    }
    all
}

fn result(step: &Step) -> Result<Done, RegistryFailure> {
    match step {
        Step::Get => fetched(),
        Step::Create(_) | Step::Update(_) => Ok(Done::Written(Version::new("7").unwrap())),
        Step::UpdateStatus { .. }
        | Step::UpdateClaimStatus { .. }
        | Step::UpdateCapacity(_)
        | Step::EmitEvent(_) => Ok(Done::Success),
    }
}

#[test]
fn one_request_runs_at_a_time_and_the_check_lasts_until_it_ends() {
    let mut controller = PublishController::new(node());
    assert_eq!(controller.next_tick(), Some(at(0)));
    assert_eq!(sent(&tick(&mut controller, 0, reported(facts(2)))), ["get"]);
    assert_eq!(controller.next_tick(), None);
    assert_eq!(sent(&tick(&mut controller, 1, reported(facts(2)))), [""; 0]);
    assert_eq!(sent(&end(&mut controller, 1, fetched())), [""; 0]);
    assert_eq!(controller.next_tick(), Some(at(2)));
    // Both addresses are settled: one request follows the other.
    let mut effects = tick(&mut controller, 60, reported(facts(2)));
    let mut all = Vec::new();
    while !sent(&effects).is_empty() {
        assert_eq!(sent(&effects).len(), 1);
        all.extend(sent(&effects));
        effects = end(&mut controller, 60, Ok(Done::Success));
    }
    assert!(all.len() >= 2, "{all:?}");
    assert!(sent(&end(&mut controller, 60, Ok(Done::Success))).is_empty(), "no request runs");
}

#[test]
fn a_check_sends_at_most_64_requests_and_the_next_one_continues() {
    let mut controller = PublishController::new(node());
    let mut checks = Vec::new();
    for second in 0..60 {
        let begun = tick(&mut controller, second, reported(facts(100)));
        checks.push(answer(&mut controller, second, &begun));
    }
    let most = checks.iter().map(Vec::len).max().unwrap();
    assert_eq!(most, 64);
    let statuses = checks.concat().iter().filter(|name| **name == "update-status").count();
    assert_eq!(statuses, 100);
}

#[test]
fn failed_request_is_reported_and_retried_after_a_pause() {
    let mut controller = PublishController::new(node());
    tick(&mut controller, 0, Reports::default());
    let effects = end(&mut controller, 0, Err(unavailable()));
    assert_eq!(effects, [PublishEffect::Failed("get", unavailable())]);
    let retried = |controller: &mut PublishController, second| {
        !sent(&tick(controller, second, Reports::default())).is_empty()
    };
    assert!(retried(&mut controller, 1));
    end(&mut controller, 1, Err(unavailable()));
    assert!(!retried(&mut controller, 2), "the pause doubles");
    assert!(retried(&mut controller, 3));
}

#[test]
fn emitted_event_is_reported_once_and_a_failed_one_is_not() {
    let mut controller = PublishController::offline(node());
    let mut reports = reported(facts(1));
    reports.notice(Notice::Restored(Ipv4Addr::new(10, 0, 1, 1)));
    assert_eq!(sent(&tick(&mut controller, 0, reports)), ["event"]);
    let failed = end(&mut controller, 0, Err(unavailable()));
    assert_eq!(failed[0], PublishEffect::Failed("event", unavailable()));
    assert!(failed.iter().all(|effect| !matches!(effect, PublishEffect::Emitted(_))));
    assert_eq!(sent(&failed), ["event"]);
    let emitted = end(&mut controller, 10, Ok(Done::Success));
    assert!(
        matches!(&emitted[..], [PublishEffect::Emitted(event)] if event.reason == "AddressRestored")
    );
}

#[test]
fn unchanged_facts_are_evaluated_only_when_due() {
    let mut controller = PublishController::offline(node());
    let mut second = 0;
    let mut shows = |reports: Reports| {
        second += 1;
        is_shown(&tick(&mut controller, second, reports))
    };
    let mut volumes = Reports::default();
    volumes.volumes(Table::default(), None);
    assert!(!shows(Reports::default()), "nothing is known");
    assert!(!shows(volumes.clone()), "the node is not known");
    let quiet = Facts::new(node());
    assert!(shows(reported(quiet.clone())));
    assert!(!shows(reported(quiet.clone())) && !shows(volumes.clone()), "the same again");
    let zone = Some("us-east-1a".parse().unwrap());
    assert!(shows(reported(Facts { zone, ..quiet })));
    volumes.volumes(Table::default(), Some(Vec::new()));
    assert!(shows(volumes.clone()));
    assert!(!shows(volumes));
    let mut notice = Reports::default();
    notice.notice(Notice::Restored(Ipv4Addr::new(10, 0, 1, 50)));
    assert!(shows(notice));
    let due = (0..5).map(|_| shows(Reports::default())).collect::<Vec<_>>();
    assert_eq!(due, [false, false, false, false, true], "every five seconds");
}

#[test]
fn published_volumes_are_passed_on_once_they_are_read() {
    let mut controller = PublishController::new(node());
    let passes = |effects: Vec<PublishEffect>| {
        effects.iter().any(|effect| matches!(effect, PublishEffect::PassPublished(_)))
    };
    assert!(!passes(tick(&mut controller, 0, reported(facts(1)))));
    assert!(passes(end(&mut controller, 0, fetched())));
    assert!(!passes(tick(&mut controller, 1, reported(facts(1)))));
}

/// What the publisher writes of these facts while the API answers, from this second on.
fn written(controller: &mut PublishController, seconds: std::ops::Range<u64>) -> Vec<Step> {
    let mut all = Vec::new();
    for second in seconds {
        tick(controller, second, reported(facts(2)));
        while let Some(step) = controller.request.clone() {
            end(controller, second, result(&step));
            all.push(step);
        }
    }
    all
}

#[test]
fn status_that_was_wanted_before_the_published_one_was_read_is_not_written() {
    let mut earlier = PublishController::new(node());
    let steps = written(&mut earlier, 0..20);
    let mut objects = steps.iter().filter_map(|step| match step {
        Step::Update(object) => Some(object.clone()),
        Step::Create(_)
        | Step::Get
        | Step::UpdateStatus { .. }
        | Step::UpdateClaimStatus { .. }
        | Step::UpdateCapacity(_)
        | Step::EmitEvent(_) => None,
    });
    let mut published = objects.next_back().expect("the status is written");
    published.metadata.resource_version = Some("7".to_owned());
    // The next process cannot read it for a while, with the same facts.
    let mut later = PublishController::new(node());
    let mut effects = Vec::new();
    for second in 40..50 {
        effects = tick(&mut later, second, reported(facts(2)));
        if second < 47 && !sent(&effects).is_empty() {
            end(&mut later, second, Err(unavailable()));
        }
    }
    assert_eq!(sent(&effects), [""; 0], "the read still runs");
    let node = Some("uid-1".to_owned());
    let attachments = Some(*published);
    let read = FetchedNode { node, attachments, ..FetchedNode::default() };
    let after = end(&mut later, 50, Ok(Done::FetchedNode(Box::new(read))));
    let writes = |names: &[&'static str]| names.contains(&"update");
    assert!(!writes(&sent(&after)), "{after:?}");
    for second in 51..70 {
        let begun = tick(&mut later, second, reported(facts(2)));
        assert!(!writes(&answer(&mut later, second, &begun)), "at {second} s: nothing differs");
    }
}

#[test]
fn notices_are_bounded_and_the_latest_are_kept() {
    let mut reports = Reports::default();
    for number in 0..=200 {
        let mut one = Reports::default();
        one.notice(Notice::Restored(Ipv4Addr::new(10, 0, 1, number)));
        reports.extend(one);
    }
    let notices = reports.take_notices();
    let last = Notice::Restored(Ipv4Addr::new(10, 0, 1, 200));
    assert_eq!((notices.len(), notices.back()), (64, Some(&last)));
    assert!(reports.take_notices().is_empty());
}
