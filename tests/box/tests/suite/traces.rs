//! Refinement: in every other test here the core replays the traces of the containers. These tests
//! show that the core or the rules reject a wrong trace.

use std::time::Duration;

use firecamp_checks::trace::{Refused, Rule, check, read, within_the_rules};
use firecamp_core::action::{Action, Delay, Reply};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::Version;
use firecamp_core::ports::{Owner, PodLifecycle, PodView};
use firecamp_core::record::{Mutation, PendingMutation, StaticIp, Stored, Write};
use firecamp_engine::Event;

use crate::support::member::Member;
use crate::support::test_box::TestBox;

/// The traces of a first start, a move, a release and one that unassigns.
struct Recorded {
    first: String,
    moved: String,
    released: String,
    unassigned: String,
}

fn record() -> Recorded {
    let test_box = TestBox::start();
    let member = Member::new(&test_box, "redis-0");
    let (one, two) = (member.pod("pod-1", "node-a"), member.pod("pod-2", "node-b"));
    let first = one.init().end();
    first.succeeded();
    let released = one.stop("release").end();
    assert_eq!(released.succeeded()["path"], "parked");
    let moved = two.init().end();
    assert_eq!(moved.succeeded()["path"], "moved");
    let unassigned = two.stop("release").arg("--unassign").end();
    assert_eq!(unassigned.succeeded()["path"], "unassigned");
    let [first, moved, released, unassigned] =
        [first, moved, released, unassigned].map(|ended| ended.steps);
    Recorded { first, moved, released, unassigned }
}

#[test]
fn trace_with_a_removed_repeated_or_moved_line_is_rejected() {
    let Recorded { first, moved, released, unassigned } = record();
    for trace in [first, moved, released, unassigned] {
        let lines: Vec<&str> = trace.lines().collect();
        assert!(lines.len() > 20, "{trace}");
        check(&trace).unwrap();
        for at in 0..lines.len() {
            let (before, rest) = lines.split_at(at);
            let double = [before, &rest[..1], rest].concat();
            refused(&double, at);
            // A trace without its last lines is valid: its process was killed.
            if rest.len() > 1 {
                refused(&[before, &rest[1..]].concat(), at);
                refused(&[before, &[rest[1], rest[0]], &rest[2..]].concat(), at);
            }
        }
    }
}

#[track_caller]
fn refused(lines: &[&str], at: usize) {
    let text = lines.join("\n") + "\n";
    assert!(
        check(&text).is_err(),
        "the trace was accepted after a change of line {}: {text}",
        at + 1
    );
}

#[test]
fn truncated_trace_is_accepted_and_garbage_is_rejected() {
    let moved = record().moved;
    let half = &moved[..moved.len() / 2];
    let accepted = check(half).unwrap().unwrap();
    assert_eq!(accepted.end, firecamp_checks::trace::End::Cut);
    assert_eq!(check("").unwrap(), None);
    let garbage = format!("{{\"Began\":7}}\n{moved}");
    assert!(matches!(check(&garbage), Err(Refused::Syntax { line: 1, .. })));
}

/// The rule that rejects the changed trace, independent of the core.
#[track_caller]
fn violated(trace: &str, change: impl FnOnce(&mut Vec<Event>)) -> Rule {
    let mut events = read(trace).unwrap();
    within_the_rules(&events).unwrap();
    change(&mut events);
    match within_the_rules(&events) {
        Err(Refused::Rule { rule, .. }) => rule,
        other => panic!("{other:?}"),
    }
}

/// The indexes of the matching actions.
fn indexes(events: &[Event], wanted: impl Fn(&Action) -> bool) -> Vec<usize> {
    let is = |event: &Event| matches!(event, Event::Asked { action, .. } if wanted(action));
    (0..events.len()).filter(|at| is(&events[*at])).collect()
}

/// Removes the last matching action and its reply.
fn without(events: &mut Vec<Event>, wanted: impl Fn(&Action) -> bool) {
    let at = *indexes(events, wanted).last().expect("a matching action");
    events.drain(at..at + 2);
}

fn action(events: &mut [Event], wanted: impl Fn(&Action) -> bool) -> &mut Action {
    let at = indexes(events, wanted)[0];
    let Event::Asked { action, .. } = &mut events[at] else { unreachable!() };
    action
}

/// Changes every StaticIP update of the run.
fn change_writes(events: &mut [Event], change: impl Fn(&mut Version, &mut StaticIp)) {
    for event in events {
        if let Event::Asked { action: Action::Write(write), .. } = event
            && let Write::UpdateStaticIp(Stored { version, object }) = &mut **write
        {
            change(version, object);
        }
    }
}

/// Changes every reply.
fn change_replies(events: &mut [Event], change: impl Fn(&mut Reply)) {
    for event in events {
        if let Event::Replied { reply, .. } = event {
            change(reply);
        }
    }
}

/// Adds the pending mutation to every record that the run read or wrote.
fn add_mutation(events: &mut [Event], pending: &PendingMutation) {
    change_replies(events, |reply| {
        if let Reply::Member(Ok(records)) = reply {
            records.static_ip.as_mut().unwrap().object.pending_mutations.insert(pending.clone());
        }
    });
    change_writes(events, |_, record| {
        record.pending_mutations.insert(pending.clone());
    });
}

const POD: fn(&Action) -> bool = |action| matches!(action, Action::ReadPod);
const WRITE: fn(&Action) -> bool = |action| matches!(action, Action::Write(_));
const ASSIGN: fn(&Action) -> bool = |action| matches!(action, Action::Assign { .. });

#[test]
fn registry_rules_reject_violating_traces() {
    let Recorded { first, moved, released, unassigned } = record();
    let stale = |version: &mut Version, _: &mut StaticIp| *version = "stale".parse().unwrap();
    assert_eq!(violated(&moved, |it| change_writes(it, stale)), Rule::CompareAndSwap);
    assert_eq!(violated(&moved, |it| without(it, POD)), Rule::RecordThenPod);
    let skip = |_: &mut Version, record: &mut StaticIp| record.epoch = record.epoch.next();
    assert_eq!(violated(&moved, |it| change_writes(it, skip)), Rule::NextEpoch);
    assert_eq!(violated(&unassigned, |it| change_writes(it, skip)), Rule::NextEpoch);
    let look_up = |action: &Action| matches!(action, Action::ReadOwner(..));
    let without_look_up = |it: &mut Vec<Event>| {
        while !indexes(it, look_up).is_empty() {
            without(it, look_up);
        }
    };
    assert_eq!(violated(&first, without_look_up), Rule::FreeAddress);
    assert_eq!(violated(&released, |it| without(it, POD)), Rule::EndingPod);
    let running = |reply: &mut Reply| {
        if let Reply::Pod(Ok(pod)) = reply {
            let uid = "pod-1".parse().unwrap();
            *pod = PodView::Present {
                pod: uid,
                node: None,
                lifecycle: PodLifecycle::Running,
                controller: None,
            };
        }
    };
    assert_eq!(violated(&released, |it| change_replies(it, running)), Rule::EndingPod);
    let incomplete = |it: &mut Vec<Event>| without(it, WRITE);
    assert_eq!(violated(&moved, incomplete), Rule::RecordedSuccess);
    assert_eq!(violated(&released, incomplete), Rule::RecordedSuccess);
    assert_eq!(violated(&unassigned, incomplete), Rule::RecordedSuccess);
}

#[test]
fn ec2_rules_reject_violating_traces() {
    let Recorded { moved, unassigned, .. } = record();
    let later = |it: &mut Vec<Event>| {
        let Action::Assign { not_after, .. } = action(it, ASSIGN) else { unreachable!() };
        *not_after = not_after.plus(Duration::from_secs(1));
    };
    assert_eq!(violated(&moved, later), Rule::FreshAuthority);
    let twice = |it: &mut Vec<Event>| {
        let at = indexes(it, ASSIGN)[0];
        it.splice(at..at, it[at..at + 2].to_vec());
    };
    assert_eq!(violated(&moved, twice), Rule::OncePerAuthority);
    let without_mutation =
        |_: &mut Version, record: &mut StaticIp| record.pending_mutations.clear();
    assert_eq!(violated(&moved, |it| change_writes(it, without_mutation)), Rule::Marked);
    assert_eq!(violated(&unassigned, |it| change_writes(it, without_mutation)), Rule::Marked);
    let pending = PendingMutation {
        mutation: Mutation::Assign,
        eni: "eni-00000000000000001".parse().unwrap(),
        run: "another-run".parse().unwrap(),
    };
    assert_eq!(violated(&moved, |it| add_mutation(it, &pending)), Rule::Barrier);
    let foreign = |reply: &mut Reply| {
        if let Reply::Owner(Ok(Owner::Eni(holder))) = reply {
            holder.id = "eni-00000000000000002".parse().unwrap();
            holder.cluster = None;
        }
    };
    assert_eq!(violated(&moved, |it| change_replies(it, foreign)), Rule::NoTheft);
    let lost = |reply: &mut Reply| {
        if let Reply::Cloud(answer) = reply {
            let detail = String::new();
            let (kind, effect) = (CloudKind::Transient, Effect::Unknown);
            *answer = Err(CloudFailure { kind, effect, detail });
        }
    };
    assert_eq!(violated(&moved, |it| change_replies(it, lost)), Rule::MarksStay);
    assert_eq!(violated(&unassigned, |it| change_replies(it, lost)), Rule::MarksStay);
}

#[test]
fn node_rules_reject_violating_traces() {
    let Recorded { moved, released, .. } = record();
    let unlisted = |reply: &mut Reply| {
        if let Reply::Listed(Ok(listed)) = reply {
            listed.clear();
        }
    };
    assert_eq!(violated(&moved, |it| change_replies(it, unlisted)), Rule::DataPath);
    let observe = |action: &Action| matches!(action, Action::Observe(_));
    assert_eq!(violated(&moved, |it| without(it, observe)), Rule::KernelBeforeFile);
    let other = |it: &mut Vec<Event>| {
        for event in it {
            if let Event::Asked {
                action: Action::AddAddress(_, holder) | Action::RemoveAddress(_, holder),
                ..
            } = event
            {
                holder.epoch = holder.epoch.next();
            }
        }
    };
    assert_eq!(violated(&moved, other), Rule::OwnHolder);
    assert_eq!(violated(&released, other), Rule::OwnHolder);
    let long = |it: &mut Vec<Event>| {
        let Some(Event::Began { now, .. }) = it.first() else { unreachable!() };
        let (length, why) = (Duration::from_mins(1), "nothing".to_owned());
        let action = Action::Wait(Delay { length, jitter: false, limit: length, why });
        it.insert(1, Event::Asked { action, now: *now });
    };
    assert_eq!(violated(&moved, long), Rule::BoundedWait);
}
