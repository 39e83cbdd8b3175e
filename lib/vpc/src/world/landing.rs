//! What happens by itself, when its time has come.

use std::time::Duration;

use super::delivery::{Delivery, respond};
use super::{World, micros};
use crate::ec2::{Action, ApiError, Effect, Knobs, Reading, Request, execute};
use crate::faults::{Fault, OwnAnswer};
use crate::log::Violation;
use crate::model::{Id, Ledger, broken};
use crate::timeline::{Author, View};
use crate::wire::CallId;

/// Violations that are kept: the first ones tell what went wrong.
const MAX_VIOLATIONS: usize = 1_000;

/// Something that is due at a time.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A call takes effect.
    Land(Box<Flight>),
    /// The data path of some address switches; whoever routes packets looks again.
    Switch,
    /// The actor of a background fault acts.
    Act(u64),
    /// The stage that the attachment of an ENI is in ends.
    Attachment(Id),
    /// A step of the attachment of a volume to an instance ends.
    Volume(Id, Id),
}

/// A call on its way.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) seq: u64,
    pub(super) caller: String,
    pub(super) action: Action,
    pub(super) request: Request,
    pub(super) request_id: String,
    pub(super) delivery: Delivery,
    pub(super) faults: Vec<(u64, Duration, Fault)>,
    pub(super) answers_at: Duration,
    /// EC2's wall clock when it answers.
    pub(super) clock: Duration,
}

impl World {
    /// One event.
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Land(flight) => self.land(*flight),
            Event::Switch => {}
            Event::Act(fault) => self.act_of(fault),
            Event::Attachment(eni) => self.end_stage(&eni),
            Event::Volume(volume, instance) => self.end_step(&volume, &instance),
        }
    }

    /// A call takes effect, or is refused, or only read.
    fn land(&mut self, mut flight: Flight) {
        // A fault that was cleared or used up while the call was on its way does nothing more.
        flight.faults.retain(|(id, ..)| self.faults.live(*id, self.now).is_some());
        let flight = &flight;
        let landed = micros(self.now);
        if !flight.delivery.executed {
            // Nothing was done and there is no answer but what a fault puts in its place.
            let error = ApiError::new(500, "InternalError", "An internal error has occurred");
            self.deliver(flight, Err(&error));
            return;
        }
        let knobs = self.knobs(&flight.faults);
        let result = {
            let on = self.reading(flight, &knobs);
            execute(&flight.request, &on)
        };
        let mut fired: Vec<u64> = knobs.fired.borrow().iter().copied().collect();
        fired.extend(self.stale(flight).map(|(fault, _)| fault));
        for fault in &fired {
            self.faults.fired(*fault);
        }
        let (answer, committed) = match result {
            Ok(Effect { body, next }) => {
                let committed = next.is_some();
                if let Some(next) = next {
                    let author = Author {
                        by: flight.caller.clone(),
                        call: Some(flight.seq),
                        what: flight.action.name().to_owned(),
                    };
                    self.commit(author, next, &knobs);
                }
                (Ok(body), committed)
            }
            Err(error) => (Err(error), false),
        };
        let error = answer.as_ref().err().cloned();
        self.relog(flight.seq, |call| {
            call.landed_at_us = Some(landed);
            call.status = Some(error.as_ref().map_or(200, |error| error.status));
            call.code = error.as_ref().map(|error| error.code.clone());
            call.message = error.as_ref().map(|error| error.message.clone());
            call.committed = committed;
            call.faults.extend(fired);
        });
        match answer {
            Ok(body) => self.deliver(flight, Ok(body)),
            Err(error) => self.deliver(flight, Err(&error)),
        }
    }

    fn deliver(&mut self, flight: &Flight, result: Result<Vec<u8>, &ApiError>) {
        let response = respond(result, &flight.request_id, flight.clock);
        if let Some(answer) = flight.delivery.apply(response) {
            self.ready(CallId(flight.seq), flight.answers_at, answer);
        }
    }

    fn reading<'a>(&'a self, flight: &'a Flight, knobs: &'a Knobs) -> Reading<'a> {
        let ledger = match self.stale(flight) {
            Some((_, then)) => self.timeline.at(then),
            None if flight.action.mutating() => self.timeline.latest(),
            None if flight.action == Action::Volumes => {
                self.timeline.seen(View::Volumes, &flight.caller, self.now)
            }
            None => self.timeline.seen(View::Describe, &flight.caller, self.now),
        };
        Reading {
            ground: &self.ground,
            ledger,
            counts: self.timeline.seen(View::FreeCount, &flight.caller, self.now),
            chance: self.chance,
            profile: &self.profile,
            knobs,
            request_id: &flight.request_id,
            call: flight.seq,
            now: self.now,
            epoch: self.epoch,
        }
    }

    /// The moment that a Describe shows by a fault.
    fn stale(&self, flight: &Flight) -> Option<(u64, Duration)> {
        if flight.action.mutating() {
            return None;
        }
        let ago = |ms: u64| self.now.saturating_sub(Duration::from_millis(ms));
        flight.faults.iter().find_map(|(id, set_at, fault)| {
            if let Fault::StaleDescribe { lag_ms } = fault {
                return Some((*id, lag_ms.map_or(*set_at, ago)));
            }
            let Fault::DescribeTimeTravel { back_ms } = fault else { return None };
            Some((*id, ago(*back_ms)))
        })
    }

    fn knobs(&self, faults: &[(u64, Duration, Fault)]) -> Knobs {
        let mut knobs = Knobs::default();
        for (id, _, fault) in faults {
            if matches!(fault, Fault::AssignOwn { answer: OwnAnswer::Error }) {
                knobs.own_is_error = Some(*id);
            } else if matches!(fault, Fault::ResourceAlreadyAssignedCode {}) {
                knobs.already_assigned = Some(*id);
            } else if matches!(fault, Fault::DescribeOmits {}) {
                knobs.omits.push((self.faults.resource(*id), *id));
            } else if let Fault::Limit { instance_type, ips } = fault {
                knobs.limits.insert(instance_type.clone(), (*ips, *id));
            } else if let Fault::EniLimit { instance_type, enis } = fault {
                knobs.eni_limits.insert(instance_type.clone(), (*enis, *id));
            } else if let Fault::EniQuota { enis } = fault {
                knobs.quota = Some((*enis, *id));
            } else if let Fault::SubnetFull { subnet, form } = fault {
                if let Some(subnet) = self.ground.subnet_named(subnet) {
                    knobs.full.push((subnet.id.clone(), *form, *id));
                }
            } else {
                page_knob(&mut knobs, *id, fault);
            }
        }
        knobs
    }

    /// Commits a state and checks every invariant on it.
    pub(super) fn commit(&mut self, author: Author, next: Ledger, knobs: &Knobs) {
        let before = self.timeline.latest();
        let found = broken(&self.ground, &knobs.limits(), &before, &next);
        self.follow(&before, &next);
        let switches = self.timeline.commit(self.now, author, next);
        let commit = self.timeline.last_seq();
        for (invariant, what) in found {
            if self.violations.len() < MAX_VIOLATIONS {
                self.violations.push(Violation { invariant, what, commit });
            }
        }
        for at in switches {
            self.schedule(at, Event::Switch);
        }
    }
}

fn page_knob(knobs: &mut Knobs, id: u64, fault: &Fault) {
    if let Fault::ShortPages { items } = fault {
        knobs.pages.short = Some(*items);
    } else if matches!(fault, Fault::EmptyPageWithToken {}) {
        knobs.pages.empty = true;
    } else if matches!(fault, Fault::LoopingToken {}) {
        knobs.pages.looping = true;
    } else if matches!(fault, Fault::TokenExpires {}) {
        knobs.pages.expired = true;
    } else {
        return;
    }
    knobs.page_faults.push(id);
}
