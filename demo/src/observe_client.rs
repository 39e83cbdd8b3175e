//! Observes the client: stores each attempt, and shows progress during a step.

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::event::Strip;
use crate::failure::Failure;
use crate::measurements::{self, Attempt, Outcome, Term};

/// Time for each character of a strip in the realistic profile, and in the fast one.
pub const BUCKET_US: u64 = 50_000;

/// The progress line is redrawn after this many attempts.
const DRAWN_EVERY: usize = 5;

/// The observations so far.
#[derive(Debug, Default)]
pub struct Observations {
    /// The attempts so far, in the order in which they began.
    pub attempts: Vec<Attempt>,
    /// The periods in which pods may respond.
    pub terms: Vec<Term>,
    /// The start of the current step.
    step_from_us: Option<u64>,
    /// Whether the client has exited.
    over: bool,
}

impl Observations {
    /// The attempts that began in this period.
    pub fn within(&self, from_us: u64, to_us: u64) -> Vec<Attempt> {
        let within = |attempt: &&Attempt| from_us <= attempt.from_us && attempt.from_us < to_us;
        self.attempts.iter().filter(within).cloned().collect()
    }
}

/// Observes the client in a separate thread.
#[derive(Debug, Clone)]
pub struct Watch {
    seen: Arc<(Mutex<Observations>, Condvar)>,
    nodes: Arc<Vec<String>>,
}

impl Watch {
    /// Starts to observe; `show` gets the strip of the current step as it grows.
    pub fn start(
        out: ChildStdout,
        nodes: Vec<String>,
        show: impl Fn(&Strip) + Send + 'static,
    ) -> Self {
        let watch = Self { seen: Arc::default(), nodes: Arc::new(nodes) };
        let follower = watch.clone();
        thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let attempt = line.ok().and_then(|line| serde_json::from_str(&line).ok());
                let Some(attempt) = attempt else { break };
                follower.keep(attempt, &show);
            }
            follower.lock().over = true;
            follower.seen.1.notify_all();
        });
        watch
    }

    /// The observations so far. Poisoning cannot leave it half changed.
    pub fn lock(&self) -> MutexGuard<'_, Observations> {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, attempt: Attempt, show: &impl Fn(&Strip)) {
        let at_us = attempt.from_us;
        let strip = {
            let mut seen = self.lock();
            seen.attempts.push(attempt);
            let due = seen.attempts.len().is_multiple_of(DRAWN_EVERY);
            seen.step_from_us.filter(|_| due).map(|from_us| {
                let attempts = seen.within(from_us, at_us);
                let span = (from_us, at_us);
                measurements::strip(&attempts, &seen.terms, &self.nodes, span, BUCKET_US)
            })
        };
        self.seen.1.notify_all();
        if let Some(strip) = strip {
            show(&strip);
        }
    }

    /// Starts the progress line of a step at this time; `None` removes the line.
    pub fn follow_step(&self, from_us: Option<u64>) {
        self.lock().step_from_us = from_us;
    }

    /// Starts the period in which this pod may respond.
    pub fn pod_may_answer(&self, term: Term) {
        self.lock().terms.push(term);
    }

    /// Ends that period.
    pub fn pod_is_gone(&self, pod: &str, at_us: u64) {
        let mut seen = self.lock();
        let term = seen.terms.iter_mut().find(|term| term.pod == pod && term.to_us.is_none());
        if let Some(term) = term {
            term.to_us = Some(at_us);
        }
    }

    /// Waits until the pod has responded to this many attempts.
    pub fn answers_of(&self, pod: &str, count: usize) -> Result<(), Failure> {
        let what = format!("the client got no responses from {pod}");
        self.wait(&what, |seen| {
            let by_pod = |attempt: &&Attempt| {
                matches!(&attempt.outcome, Outcome::Answered { pod: by, .. } if by == pod)
            };
            seen.attempts.iter().rev().filter(by_pod).take(count).count() >= count
        })
    }

    /// Waits until the outcome of every attempt before this time is known.
    pub fn known_until(&self, at_us: u64) -> Result<(), Failure> {
        self.wait("the client stopped dialling", |seen| {
            seen.attempts.last().is_some_and(|last| last.from_us >= at_us)
        })
    }

    fn wait(&self, what: &str, holds: impl Fn(&Observations) -> bool) -> Result<(), Failure> {
        let waiting = |seen: &mut Observations| !seen.over && !holds(seen);
        let (seen, timed_out) = self
            .seen
            .1
            .wait_timeout_while(self.lock(), Duration::from_secs(20), waiting)
            .unwrap_or_else(PoisonError::into_inner);
        if seen.over {
            return Err(Failure::Story("the client has exited".to_owned()));
        }
        if timed_out.timed_out() {
            return Err(Failure::Story(what.to_owned()));
        }
        Ok(())
    }
}
