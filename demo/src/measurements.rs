//! Evaluates the recordings of the client, the box and the processes. Pure.

use serde::{Deserialize, Serialize};

use crate::event::{Call, InitTime, Outage, Ran, Role, Strip};

/// One attempt of the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub from_us: u64,
    /// When its outcome was known.
    pub to_us: u64,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// A server responded.
    Answered {
        /// The host name of the server.
        node: String,
        /// The pod.
        pod: String,
        /// The number of its responses so far.
        sequence: u64,
    },
    /// No server responded.
    Silent {
        /// The error of the kernel, or `timeout`.
        why: String,
    },
}

/// The period in which a pod may respond: from the start of its server until the server has exited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The pod.
    pub pod: String,
    /// Its node.
    pub node: String,
    /// From when.
    pub from_us: u64,
    /// Until when; `None` while it runs.
    pub to_us: Option<u64>,
}

/// Whether the response came from a pod that may respond, on its node.
pub fn is_right(attempt: &Attempt, terms: &[Term]) -> bool {
    let Outcome::Answered { node, pod, .. } = &attempt.outcome else { return true };
    terms.iter().any(|term| {
        term.pod == *pod
            && term.node == *node
            && term.from_us <= attempt.to_us
            && term.to_us.is_none_or(|end| attempt.from_us <= end)
    })
}

/// The number of attempts by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Responses from a pod that may respond.
    pub answered: u64,
    /// No response.
    pub silent: u64,
    /// Responses from any other pod.
    pub wrong: u64,
}

/// Counts attempts by outcome.
pub fn tally(attempts: &[Attempt], terms: &[Term]) -> Tally {
    let mut tally = Tally::default();
    for attempt in attempts {
        let count = match &attempt.outcome {
            Outcome::Silent { .. } => &mut tally.silent,
            Outcome::Answered { .. } if is_right(attempt, terms) => &mut tally.answered,
            Outcome::Answered { .. } => &mut tally.wrong,
        };
        *count = count.saturating_add(1);
    }
    tally
}

/// Responses that are out of order: an older pod after a newer one, or a decreasing sequence
/// number.
pub fn out_of_order(attempts: &[Attempt], terms: &[Term]) -> Option<String> {
    let mut last: Option<(usize, u64, u64)> = None;
    let mut answers: Vec<(u64, &Attempt)> = attempts.iter().map(|a| (a.to_us, a)).collect();
    answers.sort_by_key(|(at, _)| *at);
    for (at, attempt) in answers {
        let Outcome::Answered { pod, sequence, .. } = &attempt.outcome else { continue };
        let Some(index) = terms.iter().position(|term| term.pod == *pod) else { continue };
        if let Some((newest, counted, _)) = last {
            // Concurrent responses may overtake each other.
            let backwards = index == newest && sequence.saturating_add(SLACK) < counted;
            if index < newest || backwards {
                return Some(format!(
                    "{pod} sent response {sequence} at {at} after a newer response"
                ));
            }
        }
        last = Some((index, *sequence, at));
    }
    None
}

/// The maximum number of concurrent attempts.
const SLACK: u64 = 64;

/// What the client saw from `from_us` to `to_us`, a character for each bucket, up to the last in
/// which an attempt began: the step may end before the next attempt does.
pub fn strip(
    attempts: &[Attempt],
    terms: &[Term],
    nodes: &[String],
    (from_us, to_us): (u64, u64),
    bucket_us: u64,
) -> Strip {
    let mut text = String::new();
    let mut begin = from_us;
    while begin < to_us {
        let end = begin.saturating_add(bucket_us.max(1));
        let within = attempts.iter().filter(|a| begin <= a.from_us && a.from_us < end);
        text.push(bucket(within, terms, nodes));
        begin = end;
    }
    text.truncate(text.trim_end().len());
    Strip { from_us, bucket_us, text }
}

fn bucket<'a>(
    attempts: impl Iterator<Item = &'a Attempt>,
    terms: &[Term],
    nodes: &[String],
) -> char {
    let mut seen = ' ';
    for attempt in attempts {
        if !is_right(attempt, terms) {
            return '!';
        }
        let letter = match &attempt.outcome {
            Outcome::Answered { node, .. } => {
                let index = nodes.iter().position(|name| name == node);
                index.and_then(|index| ('a'..='z').nth(index)).unwrap_or('?')
            }
            Outcome::Silent { .. } => '.',
        };
        // A response does not hide another attempt without a response in the same bucket.
        if seen != '.' {
            seen = letter;
        }
    }
    seen
}

/// The components of the time of an init container.
pub fn init_time(ran: &Ran, calls: &[Call]) -> InitTime {
    let total_us = ran.to_us.saturating_sub(ran.began_us);
    let proof =
        calls.iter().filter(|call| call.mutating && call.caller == ran.node).find_map(|call| {
            let proven = call.at_us.saturating_add(call.proven_after_us?);
            Some((call.at_us, proven.min(ran.to_us)))
        });
    let ec2_us = proof.map_or(0, |(from, to)| to.saturating_sub(from));
    let describes = calls.iter().filter(|call| !call.mutating && call.caller == ran.node);
    let describe_us = describes
        .map(|call| {
            let answered = call.at_us.saturating_add(call.took_us.unwrap_or_default());
            let end = proof.map_or(answered, |(assign, _)| answered.min(assign.max(call.at_us)));
            // The agent may have looked up the owner before the container asked.
            end.saturating_sub(call.at_us.max(ran.began_us))
        })
        .sum();
    InitTime { total_us, ec2_us, own_us: total_us.saturating_sub(ec2_us), describe_us }
}

/// The longest time without a response within a step, and its components. `None` without a response
/// before or after it.
pub fn outage(attempts: &[Attempt], ran: &[Ran], calls: &[Call]) -> Option<Outage> {
    let mut answered = attempts
        .iter()
        .filter(|attempt| matches!(attempt.outcome, Outcome::Answered { .. }))
        .map(|attempt| attempt.from_us)
        .collect::<Vec<_>>();
    answered.sort_unstable();
    let pairs = answered.iter().zip(answered.iter().skip(1));
    let (from_us, to_us) =
        pairs.max_by_key(|(from, to)| to.saturating_sub(**from)).map(|(from, to)| (*from, *to))?;
    let within = |(from, to): (u64, u64)| {
        let span = (from.max(from_us), to.min(to_us));
        (span.0 < span.1).then_some(span)
    };
    let ec2 = calls
        .iter()
        .filter(|call| call.mutating)
        .filter_map(|call| within((call.at_us, call.at_us.saturating_add(call.proven_after_us?))));
    let ec2: Vec<_> = ec2.collect();
    let member: Vec<_> = ran.iter().flat_map(application_spans).filter_map(within).collect();
    let ec2_us = covered(&ec2);
    let both = covered(&[ec2, member].concat());
    let total_us = to_us.saturating_sub(from_us);
    Some(Outage {
        from_us,
        to_us,
        total_us,
        ec2_us,
        member_us: both.saturating_sub(ec2_us),
        beyond_us: total_us.saturating_sub(both),
    })
}

/// The application's part of a pod's time: its network, start and end of its server, and the time
/// to start a container.
fn application_spans(ran: &Ran) -> Vec<(u64, u64)> {
    match ran.role {
        Role::Sandbox | Role::ServerStart | Role::ServerEnd => vec![(ran.from_us, ran.to_us)],
        Role::Init | Role::Stop => vec![(ran.from_us, ran.began_us)],
    }
}

/// The total time that the spans cover.
fn covered(spans: &[(u64, u64)]) -> u64 {
    let mut spans = spans.to_vec();
    spans.sort_unstable();
    let mut total = 0_u64;
    let mut reached = 0_u64;
    for (from, to) in spans {
        let from = from.max(reached);
        total = total.saturating_add(to.saturating_sub(from));
        reached = reached.max(to);
    }
    total
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answered(from_us: u64, node: &str, pod: &str, sequence: u64) -> Attempt {
        let (node, pod) = (node.to_owned(), pod.to_owned());
        let outcome = Outcome::Answered { node, pod, sequence };
        Attempt { from_us, to_us: from_us + 1_000, outcome }
    }

    fn silent(from_us: u64) -> Attempt {
        let outcome = Outcome::Silent { why: "timeout".to_owned() };
        Attempt { from_us, to_us: from_us + 200_000, outcome }
    }

    fn term(pod: &str, node: &str, from_us: u64, to_us: Option<u64>) -> Term {
        Term { pod: pod.to_owned(), node: node.to_owned(), from_us, to_us }
    }

    fn call(action: &str, at_us: u64, mutating: bool, proven_after_us: Option<u64>) -> Call {
        Call {
            at_us,
            action: action.to_owned(),
            caller: "node-b".to_owned(),
            app: String::new(),
            for_pod: true,
            mutating,
            outcome: "ok".to_owned(),
            took_us: Some(60_000),
            routed_after_us: None,
            proven_after_us,
        }
    }

    fn ran(role: Role, from_us: u64, began_us: u64, to_us: u64) -> Ran {
        let (pod, node) = ("pod-2".to_owned(), "node-b".to_owned());
        Ran {
            step: 3,
            role,
            pod,
            node,
            from_us,
            began_us,
            to_us,
            exit: Some(0),
            words: String::new(),
        }
    }

    #[test]
    fn a_response_from_a_superseded_pod_is_wrong() {
        let terms = [term("pod-1", "node-a", 0, Some(100)), term("pod-2", "node-b", 200, None)];
        assert!(is_right(&answered(50, "node-a", "pod-1", 1), &terms));
        assert!(is_right(&answered(300, "node-b", "pod-2", 1), &terms));
        assert!(!is_right(&answered(300, "node-a", "pod-1", 2), &terms));
        assert!(!is_right(&answered(300, "node-a", "pod-2", 2), &terms));
        assert!(!is_right(&answered(300, "node-b", "pod-9", 2), &terms));
        assert!(is_right(&silent(300), &terms));
    }

    #[test]
    fn a_response_of_an_older_pod_after_a_newer_one_is_out_of_order() {
        let terms = [term("pod-1", "node-a", 0, None), term("pod-2", "node-b", 0, None)];
        let good = [answered(1, "node-a", "pod-1", 1), answered(2, "node-b", "pod-2", 1)];
        assert_eq!(out_of_order(&good, &terms), None);
        let bad = [good[1].clone(), answered(9_000, "node-a", "pod-1", 2)];
        assert!(out_of_order(&bad, &terms).unwrap().contains("pod-1"));
    }

    #[test]
    fn a_decreasing_sequence_number_is_out_of_order() {
        let terms = [term("pod-1", "node-a", 0, None)];
        let bad = [answered(1, "node-a", "pod-1", 500), answered(9_000, "node-a", "pod-1", 1)];
        assert!(out_of_order(&bad, &terms).is_some());
    }

    #[test]
    fn the_strip_shows_responses_and_never_hides_missing_or_wrong_ones() {
        let terms = [term("pod-1", "node-a", 0, Some(90_000)), term("pod-2", "node-b", 0, None)];
        let attempts = [
            answered(0, "node-a", "pod-1", 1),
            answered(60_000, "node-a", "pod-1", 2),
            silent(70_000),
            silent(110_000),
            answered(160_000, "node-b", "pod-2", 1),
            answered(210_000, "node-a", "pod-1", 3),
            answered(220_000, "node-b", "pod-2", 2),
            answered(310_000, "node-b", "pod-2", 3),
        ];
        let nodes = ["node-a".to_owned(), "node-b".to_owned()];
        let strip = strip(&attempts, &terms, &nodes, (0, 400_000), 50_000);
        assert_eq!(strip.text, "a..b! b");
    }

    #[test]
    fn ec2_time_is_separate_and_a_describe_counts_as_our_time() {
        let calls = [
            call("DescribeNetworkInterfaces", 1_010_000, false, None),
            call("AssignPrivateIpAddresses", 1_075_000, true, Some(2_000_000)),
        ];
        let time = init_time(&ran(Role::Init, 990_000, 1_000_000, 3_090_000), &calls);
        assert_eq!(time.total_us, 2_090_000);
        assert_eq!(time.ec2_us, 2_000_000);
        assert_eq!(time.own_us, 90_000);
        assert_eq!(time.describe_us, 60_000);
    }

    #[test]
    fn an_init_container_without_a_call_has_no_ec2_time() {
        let time = init_time(&ran(Role::Init, 0, 10, 25_010), &[]);
        assert_eq!((time.total_us, time.ec2_us, time.own_us), (25_000, 0, 25_000));
    }

    #[test]
    fn components_of_an_outage_do_not_overlap() {
        let attempts = [
            answered(0, "node-a", "pod-1", 1),
            answered(100_000, "node-a", "pod-1", 2),
            silent(500_000),
            answered(2_400_000, "node-b", "pod-2", 1),
        ];
        let calls = [call("AssignPrivateIpAddresses", 300_000, true, Some(2_000_000))];
        let spans = [
            ran(Role::ServerEnd, 90_000, 90_000, 120_000),
            ran(Role::Init, 200_000, 210_000, 2_320_000),
            ran(Role::ServerStart, 2_290_000, 2_290_000, 2_380_000),
        ];
        let outage = outage(&attempts, &spans, &calls).unwrap();
        assert_eq!(outage.total_us, 2_300_000);
        assert_eq!(outage.ec2_us, 2_000_000);
        // End 20, container start 10, and 80 of the server start outside of EC2 time.
        assert_eq!(outage.member_us, 110_000);
        assert_eq!(outage.beyond_us, 190_000);
    }

    #[test]
    fn an_outage_needs_a_response_before_and_after() {
        assert_eq!(outage(&[silent(1)], &[], &[]), None);
        assert_eq!(outage(&[answered(1, "node-a", "pod-1", 1)], &[], &[]), None);
    }

    proptest! {
        #[test]
        fn covered_time_is_never_more_than_the_sum_nor_less_than_the_longest(
            spans in prop::collection::vec((0_u64..1000, 0_u64..1000), 0..20)
        ) {
            let spans: Vec<_> = spans.into_iter().map(|(from, len)| (from, from + len)).collect();
            let total = covered(&spans);
            let sum: u64 = spans.iter().map(|(from, to)| to - from).sum();
            let longest = spans.iter().map(|(from, to)| to - from).max().unwrap_or(0);
            prop_assert!(longest <= total && total <= sum);
        }
    }
}
