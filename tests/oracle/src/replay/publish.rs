//! The publisher.

mod capacity;
mod reported;

use std::collections::HashMap;

use firecamp_controllers::publish::{Done, Facts, Notice, Publisher, Step, carry_out, table};
use firecamp_core::agent::ResourceList;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{NodeName, ResourceName};
use firecamp_core::time::Moment;
use firecamp_registry::api::VolumeStatus;
use futures_util::FutureExt as _;
use serde_json::Value;

use self::reported::Reported;
use super::{Answer, Unable, gives, known, read};

/// The publishers by process, each with its last step.
#[derive(Debug, Default)]
pub(super) struct Publishers(HashMap<u64, (Publisher, Option<Step>)>);

/// The effect of an event.
fn holds(publisher: &Publisher, now: Moment) -> Answer {
    let mut capacity = publisher.capacity();
    let (default, due) = (capacity.remove(&ResourceName::default()), publisher.is_due(now));
    if !capacity.is_empty() {
        return Err(Unable(format!("the recorded publisher has no {capacity:?}")));
    }
    gives(&(publisher.wanted(), default, publisher.published(), due))
}

impl Publishers {
    pub(super) fn ask(&mut self, call: &str, of: u64, with: &str) -> Answer {
        match call {
            "publisher.new" => self.begin(of, Publisher::new(read(with)?)),
            "publisher.offline" => self.begin(of, Publisher::offline(read(with)?)),
            "publisher.take" => {
                let (facts, now, wall): (Facts, Moment, String) = read(with)?;
                // The pinned commit did not count what the node's pods request.
                let requested = facts.requested.or_else(|| Some(ResourceList::new()));
                let facts = Facts { requested, ..facts };
                let (publisher, _) = known(self.0.get_mut(&of))?;
                publisher.take(facts, now, &wall);
                holds(publisher, now)
            }
            "publisher.notice" => {
                let (notice, now): (Notice, Moment) = read(with)?;
                let (publisher, _) = known(self.0.get_mut(&of))?;
                publisher.notice(notice, now);
                holds(publisher, now)
            }
            "publisher.next" => {
                let (publisher, step) = known(self.0.get_mut(&of))?;
                *step = publisher.next(read(with)?);
                gives(&capacity::recorded(step))
            }
            "publisher.done" => {
                type Result = core::result::Result<Done, RegistryFailure>;
                let (done, now, rng): (Result, Moment, u32) = read(&capacity::present(with))?;
                let (publisher, step) = known(self.0.get_mut(&of))?;
                publisher.done(known(step.as_ref())?, done, (now, rng));
                holds(publisher, now)
            }
            "publish.carry_out" => self.carry_out(of, with),
            "publish.table" => gives(&table(&read::<Vec<VolumeStatus>>(with)?)),
            _ => Ok(None),
        }
    }

    fn begin(&mut self, of: u64, publisher: Publisher) -> Answer {
        self.0.insert(of, (publisher, None));
        gives(&())
    }

    /// Against an API that returns the recorded responses.
    fn carry_out(&mut self, of: u64, with: &str) -> Answer {
        let (node, answers): (NodeName, Vec<Value>) = read(&capacity::present(with))?;
        let (_, step) = known(self.0.get(&of))?;
        let status_writer = Reported::new(answers);
        let carried = carry_out(&status_writer, &node, known(step.as_ref())?).now_or_never();
        let late = || Unable("the recorded API returns at once".to_owned());
        let done = carried.ok_or_else(late)?;
        gives(&capacity::recorded(&(status_writer.into_asked(), done)))
    }
}
