//! Judges what was observed. Pure: answers and samples in, a verdict out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::ListedInterface;
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::EniId;
use serde::Serialize;

use super::fact::Expect;

/// The answer to a call that changes something.
pub type Answer = Result<(), CloudFailure>;

/// How a fact stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Outcome {
    /// EC2 did what FireCamp relies on.
    Holds,
    /// EC2 did something else.
    Differs,
    /// It cannot be observed this way.
    NotObservable,
    /// The try failed for a reason that says nothing about the fact.
    FailedToTry,
}

impl Outcome {
    /// For people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Differs => "DIFFERS",
            Self::NotObservable => "not observable this way",
            Self::FailedToTry => "failed to try",
        }
    }
}

/// What was observed of a fact, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// How the fact stands.
    pub(super) outcome: Outcome,
    /// What was observed, or why nothing was.
    pub(super) observed: String,
}

impl Verdict {
    /// With this outcome.
    pub(super) fn new(outcome: Outcome, observed: impl Into<String>) -> Self {
        Self { outcome, observed: observed.into() }
    }

    /// Holds if this is true, else differs.
    pub(super) fn holds_if(holds: bool, observed: impl Into<String>) -> Self {
        Self::new(if holds { Outcome::Holds } else { Outcome::Differs }, observed)
    }

    /// The try failed.
    pub(super) fn failed(why: &CloudFailure) -> Self {
        Self::new(Outcome::FailedToTry, refusal(why))
    }
}

/// Judges the answer to a call.
pub(super) fn call(expect: &Expect, answer: &Answer) -> Verdict {
    match (expect, answer) {
        (Expect::Done | Expect::DoneOrRefused(_), Ok(())) => Verdict::new(Outcome::Holds, "done"),
        (Expect::Refused(_), Ok(())) => Verdict::new(Outcome::Differs, "done, not refused"),
        (Expect::Refused(kinds) | Expect::DoneOrRefused(kinds), Err(why))
            if kinds.contains(&why.kind) =>
        {
            Verdict::new(Outcome::Holds, refusal(why))
        }
        (_, Err(why)) if says_nothing(why.kind) => Verdict::failed(why),
        (_, Err(why)) => Verdict::new(Outcome::Differs, refusal(why)),
    }
}

/// Whether a failure has its cause outside of what is tried.
pub(super) fn says_nothing(kind: CloudKind) -> bool {
    match kind {
        CloudKind::Auth
        | CloudKind::Throttled
        | CloudKind::Transient
        | CloudKind::QuotaExceeded
        | CloudKind::SubnetExhausted
        | CloudKind::NotFound => true,
        CloudKind::HeldElsewhere
        | CloudKind::NotOnInterface
        | CloudKind::CapacityExceeded
        | CloudKind::AttachmentLimitExceeded
        | CloudKind::DeviceIndexTaken
        | CloudKind::InterfaceInUse
        | CloudKind::BadAddress
        | CloudKind::Unknown => false,
    }
}

/// A refusal with FireCamp's class, and EC2's code and text without account and identities.
pub(super) fn refusal(why: &CloudFailure) -> String {
    let text = why.detail.split_once(": ").map_or(why.detail.as_str(), |(_what, text)| text);
    let text = text.split_once(", request id ").map_or(text, |(text, _id)| text);
    format!("{:?}: {}", why.kind, without_identities(text))
}

/// Removes ARNs, account IDs and encoded authorization messages: a report may be published.
fn without_identities(text: &str) -> String {
    const ENCODED: &str = "Encoded authorization failure message:";
    let text = text.split_once(ENCODED).map_or(text, |(before, _encoded)| before);
    let is_account = |word: &str| word.len() == 12 && word.bytes().all(|c| c.is_ascii_digit());
    let word = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if word.contains("arn:") {
            "(ARN)".to_owned()
        } else if is_account(bare) {
            word.replace(bare, "(account)")
        } else {
            word.to_owned()
        }
    };
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// By which filter a read found the interfaces that have an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadBy {
    /// The IDs of our two interfaces.
    Ids,
    /// The address.
    Address,
}

/// One read after a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// When it was sent, since the answer to the move.
    pub(super) at: Duration,
    /// Its filter.
    pub(super) by: ReadBy,
    /// The interfaces that it shows with the address.
    pub(super) holders: BTreeSet<EniId>,
}

/// One move, and the reads after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    /// The new interface.
    pub(super) to: EniId,
    /// The reads, in their order.
    pub(super) samples: Vec<Sample>,
}

impl Move {
    fn shows_move(&self, sample: &Sample) -> bool {
        sample.holders.len() == 1 && sample.holders.contains(&self.to)
    }

    fn last(&self, by: ReadBy) -> bool {
        let last = self.samples.iter().rfind(|sample| sample.by == by);
        last.is_some_and(|sample| self.shows_move(sample))
    }

    /// When the first read was sent since which every read by ID shows the move; none if the last
    /// one does not.
    pub(super) fn lag(&self) -> Option<Duration> {
        let by_id = self.samples.iter().filter(|sample| sample.by == ReadBy::Ids);
        let fresh = by_id.rev().take_while(|sample| self.shows_move(sample));
        fresh.last().map(|sample| sample.at)
    }
}

/// Whether each move ends with the address on the new interface alone.
pub(super) fn moved(moves: &[Move]) -> Verdict {
    let there = moves.iter().filter(|one| one.last(ReadBy::Ids)).count();
    let observed = format!("{there} of {} moves end on the new interface alone", moves.len());
    Verdict::holds_if(there == moves.len(), observed)
}

/// Whether no read shows the address on both interfaces, or on neither.
pub(super) fn without_gap(moves: &[Move]) -> Verdict {
    let reads = moves.iter().flat_map(|one| &one.samples).filter(|one| one.by == ReadBy::Ids);
    let counts: Vec<usize> = reads.map(|sample| sample.holders.len()).collect();
    let of = |wanted: fn(usize) -> bool| counts.iter().filter(|count| wanted(**count)).count();
    let (neither, both) = (of(|count| count == 0), of(|count| count > 1));
    let observed = format!("{} reads: {both} show both, {neither} show neither", counts.len());
    Verdict::holds_if(neither == 0 && both == 0, observed)
}

/// Whether a filter by address finds what a filter by ID shows.
pub(super) fn filter_agrees(moves: &[Move]) -> Verdict {
    let agreed = moves.iter().filter(|one| one.last(ReadBy::Address)).count();
    let observed = format!("after {agreed} of {} moves it finds the new interface", moves.len());
    Verdict::holds_if(agreed == moves.len(), observed)
}

/// Whether each lag was seen to end within the bound.
pub(super) fn lags(lags: &[Option<Duration>], bound: Duration) -> Verdict {
    let mut ended: Vec<Duration> = lags.iter().flatten().copied().collect();
    ended.sort();
    let endless = lags.len().saturating_sub(ended.len());
    let at = |place: usize| ended.get(place).copied().map_or_else(|| "-".to_owned(), seconds);
    let (first, middle, last) = (at(0), at(ended.len() / 2), at(ended.len().saturating_sub(1)));
    let observed = format!(
        "{} times: shortest {first}, median {middle}, longest {last}; {endless} without an end",
        lags.len()
    );
    Verdict::holds_if(endless == 0 && ended.iter().all(|lag| *lag <= bound), observed)
}

/// Whether the first listing of an interface has all these tags.
pub(super) fn tags(expected: &[(String, String)], found: &BTreeMap<String, String>) -> Verdict {
    let there = expected.iter().filter(|(key, value)| found.get(key) == Some(value)).count();
    let observed = format!("the first Describe lists {there} of {} tags", expected.len());
    Verdict::holds_if(there == expected.len(), observed)
}

/// Whether the pages of a listing list each of our interfaces once, as one page does.
pub(super) fn pages(small: &[Vec<EniId>], large: &[EniId], ours: &[EniId]) -> Verdict {
    let sizes: Vec<String> = small.iter().map(|page| page.len().to_string()).collect();
    let observed = format!("{} interfaces in pages of {}", large.len(), sizes.join(", "));
    let once = |all: &[&EniId], id: &EniId| all.iter().filter(|one| **one == id).count() == 1;
    let paged: Vec<&EniId> = small.iter().flatten().collect();
    let whole: Vec<&EniId> = large.iter().collect();
    let all_once = ours.iter().all(|id| once(&paged, id) && once(&whole, id));
    if all_once && small.len() < 2 {
        let why = format!("the subnet has too few interfaces for a second page: {observed}");
        return Verdict::new(Outcome::NotObservable, why);
    }
    Verdict::holds_if(all_once, observed)
}

/// Whether the pages list each of these interfaces once, and the address on the first one alone.
pub(super) fn lists_both(
    pages: &[Vec<ListedInterface>],
    ours: [&EniId; 2],
    address: Ipv4Addr,
) -> bool {
    let all = || pages.iter().flatten();
    let once = |id: &EniId| all().filter(|one| one.id == *id).count() == 1;
    let holders = all().filter(|one| one.has(address)).map(|one| &one.id);
    let [holder, _other] = ours;
    ours.into_iter().all(once) && holders.eq([holder])
}

/// Whether both calls on a deleted interface are refused as NotFound. A policy that requires a tag
/// denies them, because what does not exist has no tags.
pub(super) fn deleted(answers: &[Answer]) -> Verdict {
    let not_found =
        |answer: &Answer| answer.as_ref().is_err_and(|why| why.kind == CloudKind::NotFound);
    let texts = answers.iter().map(|answer| match answer {
        Ok(()) => "done, not refused".to_owned(),
        Err(why) => refusal(why),
    });
    let observed = texts.collect::<Vec<_>>().join("; ");
    let other = answers.iter().find(|answer| !not_found(answer));
    match other {
        None => Verdict::new(Outcome::Holds, observed),
        Some(Err(why)) if why.kind == CloudKind::Auth => {
            Verdict::new(Outcome::NotObservable, format!("the policy denies it: {observed}"))
        }
        Some(Err(why)) if says_nothing(why.kind) => Verdict::new(Outcome::FailedToTry, observed),
        Some(_) => Verdict::new(Outcome::Differs, observed),
    }
}

/// A duration for people.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use firecamp_core::failure::Effect;

    use super::*;

    fn refused(kind: CloudKind, text: &str) -> CloudFailure {
        let detail = format!("AssignPrivateIpAddresses of 10.0.1.9 to eni-0000000a: {text}");
        CloudFailure { kind, effect: Effect::None, detail }
    }

    fn eni(n: u8) -> EniId {
        EniId::new(&format!("eni-0000000{n}")).unwrap()
    }

    #[test]
    fn an_answer_is_judged_by_its_class_and_failures_of_other_kinds_say_nothing() {
        const HELD: &[CloudKind] = &[CloudKind::HeldElsewhere];
        let held = || Err(refused(CloudKind::HeldElsewhere, "held"));
        let unknown = || Err(refused(CloudKind::Unknown, "other words"));
        let throttled = || Err(refused(CloudKind::Throttled, "slow down"));
        for (expect, answer, outcome) in [
            (Expect::Done, Ok(()), Outcome::Holds),
            (Expect::Done, held(), Outcome::Differs),
            (Expect::Refused(HELD), Ok(()), Outcome::Differs),
            (Expect::Refused(HELD), held(), Outcome::Holds),
            (Expect::Refused(HELD), unknown(), Outcome::Differs),
            (Expect::DoneOrRefused(HELD), Ok(()), Outcome::Holds),
            (Expect::DoneOrRefused(HELD), held(), Outcome::Holds),
            (Expect::DoneOrRefused(HELD), throttled(), Outcome::FailedToTry),
        ] {
            assert_eq!(call(&expect, &answer).outcome, outcome, "{expect:?} {answer:?}");
        }
    }

    #[test]
    fn a_refusal_is_shown_with_class_code_and_text_and_without_identities() {
        let text = "UnauthorizedOperation: User: arn:aws:iam::123456789012:user/joe may not, \
                    account 123456789012. Encoded authorization failure message: c2VjcmV0";
        assert_eq!(
            refusal(&refused(CloudKind::Auth, text)),
            "Auth: UnauthorizedOperation: User: (ARN) may not, account (account)."
        );
        let text = "InvalidParameterValue: [10.0.1.9] assigned, but move is not allowed. \
                    (HTTP 400), request id 0a1b";
        assert_eq!(
            refusal(&refused(CloudKind::HeldElsewhere, text)),
            "HeldElsewhere: InvalidParameterValue: [10.0.1.9] assigned, but move is not allowed. \
             (HTTP 400)"
        );
    }

    /// A move to interface 2 with reads by ID every second.
    fn moved_with(reads: &[&[u8]]) -> Move {
        let sample = |(second, holders): (u64, &&[u8])| Sample {
            at: Duration::from_secs(second),
            by: ReadBy::Ids,
            holders: holders.iter().map(|n| eni(*n)).collect(),
        };
        Move { to: eni(2), samples: (0..).zip(reads).map(sample).collect() }
    }

    #[test]
    fn the_lag_of_a_move_ends_with_the_last_read_that_does_not_show_it() {
        let secs = |n| Some(Duration::from_secs(n));
        assert_eq!(moved_with(&[&[2], &[2]]).lag(), secs(0));
        assert_eq!(moved_with(&[&[1], &[2], &[1], &[2], &[2]]).lag(), secs(3), "reads go back");
        assert_eq!(moved_with(&[&[2], &[1]]).lag(), None);
        assert_eq!(moved_with(&[&[1, 2]]).lag(), None);
        let bound = Duration::from_secs(2);
        assert_eq!(lags(&[secs(0), secs(2)], bound).outcome, Outcome::Holds);
        assert_eq!(lags(&[secs(0), secs(3)], bound).outcome, Outcome::Differs);
        assert_eq!(lags(&[secs(0), None], bound).outcome, Outcome::Differs);
        for (reads, expected) in [
            (&[&[1][..], &[2]][..], Outcome::Holds),
            (&[&[1], &[], &[2]], Outcome::Differs),
            (&[&[1], &[1, 2], &[2]], Outcome::Differs),
        ] {
            assert_eq!(without_gap(&[moved_with(reads)]).outcome, expected, "{reads:?}");
        }
    }

    #[test]
    fn pages_list_each_interface_once_and_one_page_shows_nothing() {
        let all = [1, 2, 3].map(eni);
        let [one, two, three] = all.clone();
        let judged = |small: &[Vec<EniId>]| pages(small, &all, &all[..2]).outcome;
        assert_eq!(judged(&[vec![one.clone(), two.clone()], vec![three.clone()]]), Outcome::Holds);
        assert_eq!(judged(&[all.to_vec()]), Outcome::NotObservable);
        assert_eq!(judged(&[vec![one.clone()], vec![three.clone()]]), Outcome::Differs);
        let twice = [vec![one.clone(), two.clone()], vec![two, three, one]];
        assert_eq!(judged(&twice), Outcome::Differs);
    }

    #[test]
    fn a_list_has_both_interfaces_once_and_the_address_on_the_holder_alone() {
        let address = Ipv4Addr::new(10, 0, 1, 9);
        let with = |n, addresses: &[Ipv4Addr]| ListedInterface {
            id: eni(n),
            primary: None,
            secondary: addresses.iter().copied().collect(),
            prefixes: Vec::new(),
            tags: BTreeMap::new(),
        };
        let (holder, other) = (with(1, &[address]), with(2, &[]));
        let lists = |pages: &[Vec<ListedInterface>]| lists_both(pages, [&eni(1), &eni(2)], address);
        assert!(lists(&[vec![other.clone()], vec![holder.clone()]]));
        assert!(!lists(&[vec![holder.clone()]]), "one is missing");
        assert!(!lists(&[vec![holder.clone(), other.clone()], vec![other]]), "one is there twice");
        assert!(!lists(&[vec![with(1, &[]), with(2, &[address])]]), "the other one has it");
        assert!(!lists(&[vec![holder, with(2, &[address])]]), "both have it");
    }
}
