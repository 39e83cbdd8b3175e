//! What holds in whatever order calls arrive and answers come.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::contract::timing;
use firecamp_core::endpoint::batches::{Answered, Batch, Batches, Due, Others, Waiting};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use proptest::prelude::*;

use super::{RULE, at, callers, failure};

#[derive(Debug, Clone)]
enum Occurrence {
    Arrives { interface: u8, address: u8, left: u64, expected: bool },
    Answered { which: usize, how: u8 },
    Passes(u64),
}

fn occurrence() -> impl Strategy<Value = Occurrence> {
    prop_oneof![
        3 => (0..2_u8, 0..12_u8, 1_500..5_000_u64, any::<bool>()).prop_map(
            |(interface, address, left, expected)| {
                Occurrence::Arrives { interface, address, left, expected }
            }
        ),
        2 => (any::<usize>(), 0..6_u8).prop_map(|(which, how)| Occurrence::Answered { which, how }),
        2 => (0..800_u64).prop_map(Occurrence::Passes),
    ]
}

/// An answer of EC2.
fn answer(how: u8) -> Option<CloudFailure> {
    Some(match how {
        0 => failure(CloudKind::HeldElsewhere, Effect::None),
        1 => failure(CloudKind::CapacityExceeded, Effect::None),
        2 => failure(CloudKind::Throttled, Effect::None),
        3 => failure(CloudKind::Transient, Effect::Unknown),
        _ => return None,
    })
}

/// What callers rely on, whatever happens.
#[derive(Default)]
struct Watched {
    calls: Option<Batches<u8, u32>>,
    open: Vec<Batch<u8, u32>>,
    /// The keys of the calls without an answer.
    waiting: BTreeMap<u32, u8>,
    now: u64,
    arrived: u32,
}

impl Watched {
    fn calls(&mut self) -> &mut Batches<u8, u32> {
        self.calls.get_or_insert_with(|| Batches::new(RULE))
    }

    fn ended(&mut self, calls: Vec<Waiting<u32>>) {
        for call in calls {
            assert!(self.waiting.remove(&call.caller).is_some(), "{} twice", call.caller);
        }
    }

    fn take(&mut self, due: Due<u8, u32>) {
        self.ended(due.expired);
        for batch in due.requests {
            let addresses: BTreeSet<_> = batch.addresses().into_iter().collect();
            assert_eq!(addresses.len(), batch.calls.len(), "one address twice");
            assert!((1..=RULE.most).contains(&batch.calls.len()));
            let left = batch.not_after().since(at(self.now));
            assert!(left >= timing::QUEUED_CALL_MINIMUM, "only {left:?} left");
            for call in &batch.calls {
                assert_eq!(self.waiting.get(&call.caller), Some(&batch.key), "another queue's");
                let sent = self.open.iter().any(|open| callers(open).contains(&call.caller));
                assert!(!sent, "{} is sent twice at once", call.caller);
            }
            self.open.push(batch);
        }
    }

    fn occurs(&mut self, what: &Occurrence) {
        match *what {
            Occurrence::Arrives { interface, address, left, expected } => {
                self.arrived += 1;
                let (caller, now) = (self.arrived, at(self.now));
                let address = Ipv4Addr::new(10, 0, 1, address);
                self.waiting.insert(caller, interface);
                let call = Waiting { address, not_after: at(self.now + left), caller };
                let others = if expected { Others::Expected } else { Others::NotExpected };
                self.calls().add(interface, call, others, now);
            }
            Occurrence::Answered { which, how } if !self.open.is_empty() => {
                let batch = self.open.swap_remove(which % self.open.len());
                let (now, failure) = (at(self.now), answer(how));
                let Answered { done, expired } =
                    self.calls().answered(batch, failure.as_ref(), now);
                self.ended(done);
                self.ended(expired);
            }
            Occurrence::Answered { .. } => {}
            Occurrence::Passes(millis) => self.now += millis,
        }
        let now = at(self.now);
        let due = self.calls().due(now);
        self.take(due);
    }
}

proptest! {
    #[test]
    fn each_call_is_answered_once_and_sent_only_while_it_is_authorised(
        all in proptest::collection::vec(occurrence(), 1..80)
    ) {
        let mut watched = Watched::default();
        for what in &all {
            watched.occurs(what);
        }
        // Each round answers a request, and no call of a queue waits for more than two of them.
        for _round in 0..=2 * all.len() {
            watched.occurs(&Occurrence::Answered { which: 0, how: 5 });
            watched.occurs(&Occurrence::Passes(500));
        }
        assert!(watched.waiting.is_empty(), "without an answer: {:?}", watched.waiting);
    }
}
