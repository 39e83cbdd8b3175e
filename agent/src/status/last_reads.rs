//! The age of the agent's data.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_registry::api::Observation;
use tokio::time::Instant;

use super::System;
use crate::outage::Outage;

/// For each system: the last successful read, and the failure since.
#[derive(Debug, Default)]
pub(super) struct LastReads(Mutex<BTreeMap<System, Age>>);

#[derive(Debug)]
struct Age {
    /// Start of the running read.
    asked: Option<Instant>,
    read: Option<Instant>,
    failure: Option<String>,
    outage: Outage,
}

impl Age {
    fn new(system: System) -> Self {
        let outage = Outage::new(system.display_name());
        Self { asked: None, read: None, failure: None, outage }
    }
}

impl LastReads {
    fn all(&self) -> MutexGuard<'_, BTreeMap<System, Age>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, system: System, change: impl FnOnce(&mut Age)) {
        change(self.all().entry(system).or_insert_with(|| Age::new(system)));
    }

    pub(super) fn started(&self, system: System) {
        self.change(system, |age| age.asked = Some(Instant::now()));
    }

    /// The duration of the read that has ended; of concurrent reads, the first one to end.
    pub(super) fn answered(&self, system: System) -> Option<Duration> {
        self.all().get_mut(&system)?.asked.take().map(|asked| asked.elapsed())
    }

    pub(super) fn succeeded(&self, system: System) {
        self.change(system, |age| {
            age.outage.ended();
            (age.read, age.failure) = (Some(Instant::now()), None);
        });
    }

    pub(super) fn failed(&self, system: System, why: &impl Display) {
        self.change(system, |age| {
            age.failure = Some(why.to_string());
            age.outage.lasts(why);
        });
    }

    pub(super) fn shown(&self) -> Vec<Observation> {
        let one = |(system, age): (&System, &Age)| Observation {
            of: system.name().to_owned(),
            seconds_ago: age.read.map(|read| read.elapsed().as_secs()),
            failure: age.failure.clone(),
        };
        let has_ended = |age: &Age| age.read.is_some() || age.failure.is_some();
        self.all().iter().filter(|(_, age)| has_ended(age)).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failure_keeps_the_age_of_the_last_answer() {
        let last_reads = LastReads::default();
        last_reads.failed(System::Ec2, &"no credentials");
        last_reads.succeeded(System::Kernel);
        tokio::time::advance(Duration::from_secs(7)).await;
        last_reads.failed(System::Kernel, &"interrupted");
        let shown: Vec<_> = last_reads.shown();
        let of = |one: &Observation| (one.of.clone(), one.seconds_ago, one.failure.clone());
        let all: Vec<_> = shown.iter().map(of).collect();
        assert_eq!(
            all,
            [
                ("ec2".to_owned(), None, Some("no credentials".to_owned())),
                ("kernel".to_owned(), Some(7), Some("interrupted".to_owned())),
            ]
        );
        last_reads.succeeded(System::Kernel);
        assert_eq!(last_reads.shown()[1].failure, None);
    }

    #[tokio::test(start_paused = true)]
    async fn read_is_timed_once_from_start_to_end() {
        let last_reads = LastReads::default();
        assert_eq!(last_reads.answered(System::Ec2), None, "no read has started");
        last_reads.started(System::Ec2);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(last_reads.answered(System::Ec2), Some(Duration::from_secs(3)));
        assert_eq!(last_reads.answered(System::Ec2), None, "it has already ended");
        assert_eq!(last_reads.shown(), [], "its result is not known yet");
    }
}
