//! Two candidates and one Lease, and whether EC2 is heard.

use std::time::Duration;

use firecamp_controllers::leader::{
    Call, Candidate, Ec2Reachability, LeaseWrite, ObservedLease, Terms,
};
use firecamp_core::failure::CloudKind;
use firecamp_core::time::Moment;
use firecamp_histories::seed::{Purpose, SeededRng};
use firecamp_histories::tape::Tape;

use super::{parsed, pick};

const STEPS: u32 = 120;

/// Records a history.
pub fn lease(seed: u64) -> Tape {
    let mut tape = Tape::of("lease", seed);
    let mut rng = SeededRng::new(seed, Purpose::Test, 100);
    let mut fixture = ClusterFixture {
        candidates: ["one", "two"].map(|name| Candidate::new(name.to_owned())),
        lease: None,
        version: 1,
        now: Moment::default(),
    };
    for (of, name) in (0..).zip(["one", "two"]) {
        tape.call("candidate.new", Some(of), &name);
        tape.gives(&());
    }
    for _ in 0..STEPS {
        fixture.now = fixture.now.plus(rng.millis(1_000, 45_000));
        fixture.step(&mut rng, &mut tape);
    }
    hear(&mut rng, &mut tape);
    tape
}

struct ClusterFixture {
    candidates: [Candidate; 2],
    lease: Option<ObservedLease>,
    version: u32,
    now: Moment,
}

impl ClusterFixture {
    fn step(&mut self, rng: &mut SeededRng, tape: &mut Tape) {
        let (now, number) = (self.now, rng.below(2));
        let candidate = &mut self.candidates[usize::try_from(number).unwrap_or_default()];
        let of = Some(number);
        tape.call("candidate.left", of, &now);
        tape.gives(&(candidate.left(now), candidate.holds(now)));
        if rng.once_in(25) {
            self.lease = None;
        }
        let resigns = rng.once_in(15);
        let write = match &self.lease {
            Some(lease) if resigns => {
                tape.call("candidate.resign", of, lease);
                candidate.resign(lease)
            }
            lease => {
                tape.call("candidate.decide", of, &(lease, now));
                candidate.decide(lease.as_ref(), now)
            }
        };
        tape.gives(&write);
        let Some(write) = write else { return };
        if rng.once_in(6) {
            tape.call("candidate.refused", of, &());
            candidate.refused();
            tape.gives(&());
            return;
        }
        let (LeaseWrite::Create(terms) | LeaseWrite::Replace(_, terms)) = write;
        let given_back = terms.holder.is_none();
        self.lease = Some(self.seen(terms, rng));
        if !given_back {
            let candidate = &mut self.candidates[usize::try_from(number).unwrap_or_default()];
            tape.call("candidate.renewed", of, &now);
            candidate.renewed(now);
            tape.gives(&());
        }
    }

    /// Sometimes somebody else's mistake stands in it.
    fn seen(&mut self, terms: Terms, rng: &mut SeededRng) -> ObservedLease {
        self.version += 1;
        let Terms { holder, duration, transitions, acquired, ec2 } = terms;
        let wrong = [Duration::ZERO, Duration::from_hours(3), Duration::from_secs(90)];
        let duration = if rng.once_in(10) { pick(rng, &wrong) } else { duration };
        let acquired = acquired.or_else(|| Some("2026-11-20T00:00:00Z".to_owned()));
        let version = parsed(&self.version.to_string());
        ObservedLease { version, holder, duration, transitions, acquired, ec2 }
    }
}

fn hear(rng: &mut SeededRng, tape: &mut Tape) {
    let kinds = [
        CloudKind::Auth,
        CloudKind::Transient,
        CloudKind::Unknown,
        CloudKind::Throttled,
        CloudKind::HeldElsewhere,
        CloudKind::NotOnInterface,
        CloudKind::NotFound,
    ];
    let (mut reachability, mut now) = (Ec2Reachability::default(), Moment::default());
    // Seldom an answer, so that silence lasts now and then.
    let answers = rng.below(40) + 2;
    for _ in 0..STEPS {
        now = now.plus(rng.millis(10_000, 100_000));
        let call = pick(rng, &[Call::Read, Call::Change]);
        reachability.sent(call, now);
        tape.call("hearing.sent", Some(0), &(call, now));
        tape.gives(&reachability.is_unreachable());
        if rng.once_in(10) {
            continue;
        }
        let well = rng.once_in(answers);
        let at_all = if well { kinds.len() } else { 3 };
        let failure = (!well || rng.once_in(2)).then(|| pick(rng, &kinds[..at_all]));
        reachability.ended(call, failure);
        tape.call("hearing.ended", Some(0), &(call, failure));
        tape.gives(&reachability.is_unreachable());
    }
}
