//! Refinement: every other test here has the core follow what its containers did; these show that
//! a trace that lies is refused, by the core or by the rules.

use std::time::Duration;

use firecamp_checks::trace::{Refused, Rule, check, read, within_the_rules};
use firecamp_core::action::{Action, Delay, Reply};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::Version;
use firecamp_core::ports::{Owner, PodLifecycle, PodView};
use firecamp_core::record::{Mutation, PendingMutation, StaticIp, Stored, Write};
use firecamp_engine::Event;

use crate::support::member::Member;
use crate::support::world::World;

/// The traces of a first start, a move, a release and one that unassigns.
struct Recorded {
    first: String,
    moved: String,
    released: String,
    unassigned: String,
}

fn record() -> Recorded {
    let world = World::start();
    let member = Member::new(&world, "redis-0");
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
fn a_trace_with_a_line_removed_doubled_or_moved_is_refused() {
    let Recorded { first, moved, released, unassigned } = record();
    for trace in [first, moved, released, unassigned] {
        let lines: Vec<&str> = trace.lines().collect();
        assert!(lines.len() > 20, "{trace}");
        check(&trace).unwrap();
        for at in 0..lines.len() {
            let (before, rest) = lines.split_at(at);
            let double = [before, &rest[..1], rest].concat();
            refused(&double, at);
            // Without its last lines a trace is one that was cut off with its process.
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
    assert!(check(&text).is_err(), "line {} was changed: {text}", at + 1);
}

#[test]
fn a_trace_that_breaks_off_is_accepted_and_one_with_garbage_is_not() {
    let moved = record().moved;
    let half = &moved[..moved.len() / 2];
    let accepted = check(half).unwrap().unwrap();
    assert_eq!(accepted.end, firecamp_checks::trace::End::Cut);
    assert_eq!(check("").unwrap(), None);
    let garbage = format!("{{\"Began\":7}}\n{moved}");
    assert!(matches!(check(&garbage), Err(Refused::Syntax { line: 1, .. })));
}

/// The rule that a changed trace breaks, whatever the core would have done.
#[track_caller]
fn breaks(trace: &str, change: impl FnOnce(&mut Vec<Event>)) -> Rule {
    let mut events = read(trace).unwrap();
    within_the_rules(&events).unwrap();
    change(&mut events);
    match within_the_rules(&events) {
        Err(Refused::Rule { rule, .. }) => rule,
        other => panic!("{other:?}"),
    }
}

/// The places of the actions of one kind.
fn asked(events: &[Event], wanted: impl Fn(&Action) -> bool) -> Vec<usize> {
    let is = |event: &Event| matches!(event, Event::Asked { action, .. } if wanted(action));
    (0..events.len()).filter(|at| is(&events[*at])).collect()
}

/// Removes the last action of a kind, with its reply.
fn without(events: &mut Vec<Event>, wanted: impl Fn(&Action) -> bool) {
    let at = *asked(events, wanted).last().expect("such an action");
    events.drain(at..at + 2);
}

fn action(events: &mut [Event], wanted: impl Fn(&Action) -> bool) -> &mut Action {
    let at = asked(events, wanted)[0];
    let Event::Asked { action, .. } = &mut events[at] else { unreachable!() };
    action
}

/// Changes every record that the run wrote.
fn writes(events: &mut [Event], change: impl Fn(&mut Version, &mut StaticIp)) {
    for event in events {
        if let Event::Asked { action: Action::Write(write), .. } = event
            && let Write::UpdateStaticIp(Stored { version, object }) = &mut **write
        {
            change(version, object);
        }
    }
}

/// Changes every reply.
fn replies(events: &mut [Event], change: impl Fn(&mut Reply)) {
    for event in events {
        if let Event::Replied { reply, .. } = event {
            change(reply);
        }
    }
}

/// Puts a mark into every record that was read or written.
fn mark_everywhere(events: &mut [Event], mark: &PendingMutation) {
    replies(events, |reply| {
        if let Reply::Member(Ok(records)) = reply {
            records.static_ip.as_mut().unwrap().object.pending_mutations.insert(mark.clone());
        }
    });
    writes(events, |_, record| {
        record.pending_mutations.insert(mark.clone());
    });
}

const POD: fn(&Action) -> bool = |action| matches!(action, Action::ReadPod);
const WRITE: fn(&Action) -> bool = |action| matches!(action, Action::Write(_));
const ASSIGN: fn(&Action) -> bool = |action| matches!(action, Action::Assign { .. });

#[test]
fn a_trace_that_breaks_a_rule_of_the_registry_is_refused_by_that_rule() {
    let Recorded { first, moved, released, unassigned } = record();
    let stale = |version: &mut Version, _: &mut StaticIp| *version = "stale".parse().unwrap();
    assert_eq!(breaks(&moved, |it| writes(it, stale)), Rule::CompareAndSwap);
    assert_eq!(breaks(&moved, |it| without(it, POD)), Rule::RecordThenPod);
    let skip = |_: &mut Version, record: &mut StaticIp| record.epoch = record.epoch.next();
    assert_eq!(breaks(&moved, |it| writes(it, skip)), Rule::NextEpoch);
    assert_eq!(breaks(&unassigned, |it| writes(it, skip)), Rule::NextEpoch);
    let look = |action: &Action| matches!(action, Action::ReadOwner(..));
    let blind = |it: &mut Vec<Event>| {
        while !asked(it, look).is_empty() {
            without(it, look);
        }
    };
    assert_eq!(breaks(&first, blind), Rule::FreeAddress);
    assert_eq!(breaks(&released, |it| without(it, POD)), Rule::EndingPod);
    let alive = |reply: &mut Reply| {
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
    assert_eq!(breaks(&released, |it| replies(it, alive)), Rule::EndingPod);
    let complete = |it: &mut Vec<Event>| without(it, WRITE);
    assert_eq!(breaks(&moved, complete), Rule::RecordedSuccess);
    assert_eq!(breaks(&released, complete), Rule::RecordedSuccess);
    assert_eq!(breaks(&unassigned, complete), Rule::RecordedSuccess);
}

#[test]
fn a_trace_that_breaks_a_rule_of_ec2_is_refused_by_that_rule() {
    let Recorded { moved, unassigned, .. } = record();
    let later = |it: &mut Vec<Event>| {
        let Action::Assign { not_after, .. } = action(it, ASSIGN) else { unreachable!() };
        *not_after = not_after.plus(Duration::from_secs(1));
    };
    assert_eq!(breaks(&moved, later), Rule::FreshAuthority);
    let twice = |it: &mut Vec<Event>| {
        let at = asked(it, ASSIGN)[0];
        it.splice(at..at, it[at..at + 2].to_vec());
    };
    assert_eq!(breaks(&moved, twice), Rule::OncePerAuthority);
    let unmarked = |_: &mut Version, record: &mut StaticIp| record.pending_mutations.clear();
    assert_eq!(breaks(&moved, |it| writes(it, unmarked)), Rule::Marked);
    assert_eq!(breaks(&unassigned, |it| writes(it, unmarked)), Rule::Marked);
    let mark = PendingMutation {
        mutation: Mutation::Assign,
        eni: "eni-00000000000000001".parse().unwrap(),
        run: "somebody".parse().unwrap(),
    };
    assert_eq!(breaks(&moved, |it| mark_everywhere(it, &mark)), Rule::Barrier);
    let stolen = |reply: &mut Reply| {
        if let Reply::Owner(Ok(Owner::Eni(holder))) = reply {
            holder.id = "eni-00000000000000002".parse().unwrap();
            holder.cluster = None;
        }
    };
    assert_eq!(breaks(&moved, |it| replies(it, stolen)), Rule::NoTheft);
    let lost = |reply: &mut Reply| {
        if let Reply::Cloud(answer) = reply {
            let detail = String::new();
            let (kind, effect) = (CloudKind::Transient, Effect::Unknown);
            *answer = Err(CloudFailure { kind, effect, detail });
        }
    };
    assert_eq!(breaks(&moved, |it| replies(it, lost)), Rule::MarksStay);
    assert_eq!(breaks(&unassigned, |it| replies(it, lost)), Rule::MarksStay);
}

#[test]
fn a_trace_that_breaks_a_rule_of_the_node_is_refused_by_that_rule() {
    let Recorded { moved, released, .. } = record();
    let unseen = |reply: &mut Reply| {
        if let Reply::Listed(Ok(listed)) = reply {
            listed.clear();
        }
    };
    assert_eq!(breaks(&moved, |it| replies(it, unseen)), Rule::DataPath);
    let observe = |action: &Action| matches!(action, Action::Observe(_));
    assert_eq!(breaks(&moved, |it| without(it, observe)), Rule::KernelBeforeFile);
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
    assert_eq!(breaks(&moved, other), Rule::OwnHolder);
    assert_eq!(breaks(&released, other), Rule::OwnHolder);
    let long = |it: &mut Vec<Event>| {
        let Some(Event::Began { now, .. }) = it.first() else { unreachable!() };
        let (length, why) = (Duration::from_mins(1), "nothing".to_owned());
        let action = Action::Wait(Delay { length, jitter: false, limit: length, why });
        it.insert(1, Event::Asked { action, now: *now });
    };
    assert_eq!(breaks(&moved, long), Rule::BoundedWait);
}
