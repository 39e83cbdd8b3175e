//! How old it is what the agent knows.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_registry::api::Observation;
use tokio::time::Instant;

use super::System;

/// Of each system that was asked: when it last answered, and why it did not since.
#[derive(Debug, Default)]
pub(super) struct Ages(Mutex<BTreeMap<System, Age>>);

#[derive(Debug, Clone, Default)]
struct Age {
    /// Since when a read is under way that is timed.
    asked: Option<Instant>,
    read: Option<Instant>,
    failure: Option<String>,
}

impl Ages {
    fn all(&self) -> MutexGuard<'_, BTreeMap<System, Age>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn asks(&self, system: System) {
        self.all().entry(system).or_default().asked = Some(Instant::now());
    }

    /// How long the read took that has ended. Of several that were asked for at once it is the
    /// first one to end.
    pub(super) fn answered(&self, system: System) -> Option<Duration> {
        self.all().get_mut(&system)?.asked.take().map(|asked| asked.elapsed())
    }

    pub(super) fn read(&self, system: System) {
        let mut all = self.all();
        let age = all.entry(system).or_default();
        (age.read, age.failure) = (Some(Instant::now()), None);
    }

    pub(super) fn failed(&self, system: System, why: &impl Display) {
        self.all().entry(system).or_default().failure = Some(why.to_string());
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
    async fn an_answer_has_an_age_and_a_failure_leaves_it() {
        let ages = Ages::default();
        ages.failed(System::Ec2, &"no credentials");
        ages.read(System::Kernel);
        tokio::time::advance(Duration::from_secs(7)).await;
        ages.failed(System::Kernel, &"interrupted");
        let shown: Vec<_> = ages.shown();
        let of = |one: &Observation| (one.of.clone(), one.seconds_ago, one.failure.clone());
        let all: Vec<_> = shown.iter().map(of).collect();
        assert_eq!(
            all,
            [
                ("ec2".to_owned(), None, Some("no credentials".to_owned())),
                ("kernel".to_owned(), Some(7), Some("interrupted".to_owned())),
            ]
        );
        ages.read(System::Kernel);
        assert_eq!(ages.shown()[1].failure, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_is_timed_once_from_its_question_to_its_answer() {
        let ages = Ages::default();
        assert_eq!(ages.answered(System::Ec2), None, "nothing was asked");
        ages.asks(System::Ec2);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(ages.answered(System::Ec2), Some(Duration::from_secs(3)));
        assert_eq!(ages.answered(System::Ec2), None, "it was answered before");
        assert_eq!(ages.shown(), [], "nobody knows yet how it ended");
    }
}
