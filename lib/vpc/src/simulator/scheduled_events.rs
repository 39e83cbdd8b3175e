//! Scheduled events.

use std::time::Duration;

use super::deliver_response::{Delivery, respond};
use super::{Simulator, micros};
use crate::ec2::{Action, ActionContext, ApiError, Effect, Knobs, Request, execute};
use crate::faults::{Fault, OwnAnswer};
use crate::log::Violation;
use crate::model::{Id, VpcState, broken};
use crate::timeline::{Author, View};
use crate::wire::CallId;

/// Violations that are kept; the first ones show the cause.
const MAX_VIOLATIONS: usize = 1_000;

/// An event that is due at a time.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A call takes effect.
    TakeEffect(Box<InFlightCall>),
    /// The data path of an address switches; a driver updates its routes.
    Switch,
    /// The actor of a background fault runs.
    Act(u64),
    /// The current stage of an ENI's attachment ends.
    Attachment(Id),
    /// A step of a volume's attachment to an instance ends.
    Volume(Id, Id),
}

/// A call in in_flight.
#[derive(Debug, Clone)]
pub(super) struct InFlightCall {
    pub(super) seq: u64,
    pub(super) caller: String,
    pub(super) action: Action,
    pub(super) request: Request,
    pub(super) request_id: String,
    pub(super) delivery: Delivery,
    pub(super) faults: Vec<(u64, Duration, Fault)>,
    pub(super) answers_at: Duration,
    /// EC2's wall clock when it responds.
    pub(super) clock: Duration,
}

impl Simulator {
    /// Handles an event.
    pub(super) fn handle(&mut self, event: Event) {
        match event {
            Event::TakeEffect(in_flight) => self.take_effect(*in_flight),
            Event::Switch => self.timeline.switched(),
            Event::Act(fault) => self.run_actor(fault),
            Event::Attachment(eni) => self.end_stage(&eni),
            Event::Volume(volume, instance) => self.end_step(&volume, &instance),
        }
    }

    /// A call takes effect, is refused, or is only read.
    fn take_effect(&mut self, mut in_flight: InFlightCall) {
        // A fault that was cleared or used up while the call was in in_flight has no effect.
        in_flight.faults.retain(|(id, ..)| self.faults.live(*id, self.now).is_some());
        let in_flight = &in_flight;
        let effect_at_us = micros(self.now);
        if !in_flight.delivery.executed {
            // Nothing was done, and the only response is the one that a fault sets.
            let error = ApiError::new(500, "InternalError", "An internal error has occurred");
            self.deliver(in_flight, Err(&error));
            return;
        }
        let knobs = self.knobs(&in_flight.faults);
        let result = {
            let on = self.action_context(in_flight, &knobs);
            execute(&in_flight.request, &on)
        };
        let mut fired: Vec<u64> = knobs.fired.borrow().iter().copied().collect();
        fired.extend(self.stale(in_flight).map(|(fault, _)| fault));
        for fault in &fired {
            self.faults.fired(*fault);
        }
        let (answer, committed) = match result {
            Ok(Effect { body, next }) => {
                let committed = next.is_some();
                if let Some(next) = next {
                    let author = Author {
                        by: in_flight.caller.clone(),
                        call: Some(in_flight.seq),
                        what: in_flight.action.name().to_owned(),
                    };
                    self.commit(author, next, &knobs);
                }
                (Ok(body), committed)
            }
            Err(error) => (Err(error), false),
        };
        let error = answer.as_ref().err().cloned();
        self.update_log(in_flight.seq, |call| {
            call.landed_at_us = Some(effect_at_us);
            call.status = Some(error.as_ref().map_or(200, |error| error.status));
            call.code = error.as_ref().map(|error| error.code.clone());
            call.message = error.as_ref().map(|error| error.message.clone());
            call.committed = committed;
            call.faults.extend(fired);
        });
        match answer {
            Ok(body) => self.deliver(in_flight, Ok(body)),
            Err(error) => self.deliver(in_flight, Err(&error)),
        }
    }

    fn deliver(&mut self, in_flight: &InFlightCall, result: Result<Vec<u8>, &ApiError>) {
        let response = respond(result, &in_flight.request_id, in_flight.clock);
        if let Some(answer) = in_flight.delivery.apply(response) {
            self.ready(CallId(in_flight.seq), in_flight.answers_at, answer);
        }
    }

    fn action_context<'a>(
        &'a self,
        in_flight: &'a InFlightCall,
        knobs: &'a Knobs,
    ) -> ActionContext<'a> {
        let vpc = match self.stale(in_flight) {
            Some((_, then)) => self.timeline.at(then),
            None if in_flight.action.mutating() => self.timeline.latest(),
            None if in_flight.action == Action::Volumes => {
                self.timeline.visible(View::Volumes, &in_flight.caller, self.now)
            }
            None => self.timeline.visible(View::Describe, &in_flight.caller, self.now),
        };
        ActionContext {
            topology: &self.topology,
            vpc,
            counts: self.timeline.visible(View::FreeCount, &in_flight.caller, self.now),
            rng: self.rng,
            profile: &self.profile,
            knobs,
            request_id: &in_flight.request_id,
            call: in_flight.seq,
            now: self.now,
            epoch: self.epoch,
        }
    }

    /// The moment that a Describe shows because of a fault.
    fn stale(&self, in_flight: &InFlightCall) -> Option<(u64, Duration)> {
        if in_flight.action.mutating() {
            return None;
        }
        let ago = |ms: u64| self.now.saturating_sub(Duration::from_millis(ms));
        in_flight.faults.iter().find_map(|(id, set_at, fault)| {
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
                if let Some(subnet) = self.topology.subnet_named(subnet) {
                    knobs.full.push((subnet.id.clone(), *form, *id));
                }
            } else {
                page_knob(&mut knobs, *id, fault);
            }
        }
        knobs
    }

    /// Commits a state and checks every invariant on it.
    pub(super) fn commit(&mut self, author: Author, next: VpcState, knobs: &Knobs) {
        let before = self.timeline.latest();
        let found = broken(&self.topology, &knobs.limits(), &before, &next);
        self.schedule_stages(&before, &next);
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
