//! Arrival of an EC2 call: authentication, permissions, throttling, parsing. It takes effect later
//! (see `events`).

use std::time::Duration;

use super::deliver_response::{Delivery, respond};
use super::scheduled_events::{Event, InFlightCall};
use super::{Simulator, micros};
use crate::auth::shifted;
use crate::ec2::{Action, ApiError, Form, parse, read_form};
use crate::faults::{Fault, FaultContext, Stage, ThrottleForm};
use crate::log::{Call, Service};
use crate::profile::Distribution;
use crate::token_buckets::Size;
use crate::wire::{CallId, Exchange, WireRequest};

type Faults = Vec<(u64, Duration, Fault)>;

/// A call that passed all checks.
struct Admitted {
    caller: String,
    action: Action,
    request: crate::ec2::Request,
    faults: Faults,
}

/// A call during its checks.
struct Draft<'a> {
    seq: u64,
    request_id: String,
    form: Result<Form, ApiError>,
    wire: &'a WireRequest,
    caller: String,
    /// Milliseconds by which EC2's clock is ahead.
    skew: i64,
    /// The value of `x-amz-retry-after`.
    retry_after: Option<u64>,
    fired: Vec<u64>,
}

impl Draft<'_> {
    fn action_name(&self) -> String {
        let form = self.form.as_ref().ok();
        form.and_then(|form| form.text("Action")).unwrap_or_default().to_owned()
    }

    fn names(&self, resource: &str) -> bool {
        self.form.as_ref().is_ok_and(|form| form.names(resource))
    }
}

impl Simulator {
    /// Accepts a request to EC2.
    pub(super) fn arrive(&mut self, hint: Option<&str>, wire: &WireRequest) -> Exchange {
        let seq = self.next_call();
        let mut draft = Draft {
            seq,
            request_id: self.rng.uuid("request", seq),
            form: read(wire),
            wire,
            caller: hint.map_or_else(|| "unknown".to_owned(), |hint| format!("({hint})")),
            skew: 0,
            retry_after: None,
            fired: Vec::new(),
        };
        let admitted = self.admit(&mut draft);
        let action = draft.action_name();
        let known = Action::named(&action);
        let delivery = self.delivery(&mut draft, known);
        let latency = self.latency(known, seq);
        let usual = self.effect_delay(latency, seq);
        let effect_at = self.now + delivery.effect_after.unwrap_or(usual);
        let answers_at = (self.now + latency + delivery.delay).max(effect_at);
        let never = delivery.show == super::deliver_response::Show::Never;
        let respond_at = (!never).then_some(answers_at);
        self.log_arrival(&draft, (action, known), &delivery, respond_at);
        let clock = shifted(self.epoch + answers_at, draft.skew);
        match admitted {
            Err(error) => {
                let mut response = respond(Err(&error), &draft.request_id, clock);
                if let Some(ms) = draft.retry_after {
                    response.headers.push(("x-amz-retry-after".to_owned(), ms.to_string()));
                }
                self.record_refusal(seq, &error);
                if let Some(answer) = delivery.apply(response) {
                    self.ready(CallId(seq), answers_at, answer);
                }
            }
            Ok(Admitted { caller, action, request, faults }) => {
                let request_id = draft.request_id;
                let in_flight = InFlightCall {
                    seq,
                    caller,
                    action,
                    request,
                    request_id,
                    delivery,
                    faults,
                    answers_at,
                    clock,
                };
                self.schedule(effect_at, Event::TakeEffect(Box::new(in_flight)));
            }
        }
        Exchange { call: CallId(seq), respond_at }
    }

    fn log_arrival(
        &mut self,
        draft: &Draft<'_>,
        (action, known): (String, Option<Action>),
        delivery: &Delivery,
        respond_at: Option<Duration>,
    ) {
        self.log(Call {
            seq: draft.seq,
            at_us: micros(self.now),
            service: Service::Ec2,
            caller: draft.caller.clone(),
            action,
            app: draft.wire.app(),
            parameters: draft.form.as_ref().map(Form::shown).unwrap_or_default(),
            request_id: draft.request_id.clone(),
            landed_at_us: None,
            status: None,
            code: None,
            message: None,
            answered_at_us: respond_at.map(micros),
            delivery: delivery.word(),
            mutating: known.is_some_and(Action::mutating)
                && !draft.form.as_ref().is_ok_and(Form::is_dry),
            committed: false,
            faults: draft.fired.clone(),
        });
    }

    fn record_refusal(&mut self, seq: u64, error: &ApiError) {
        let at = micros(self.now);
        self.update_log(seq, |call| {
            call.landed_at_us = Some(at);
            call.status = Some(error.status);
            call.code = Some(error.code.clone());
            call.message = Some(error.message.clone());
        });
    }

    /// Authentication, throttling, parsing: in this order.
    fn admit(&mut self, draft: &mut Draft<'_>) -> Result<Admitted, ApiError> {
        let form = draft.form.clone()?;
        let name = draft.action_name();
        draft.skew = self.skew(draft, &name);
        let caller = self.keys.verify(draft.wire, self.now, draft.skew, self.keys.ec2())?;
        draft.caller.clone_from(&caller);
        let action = Action::named(&name).ok_or_else(|| ApiError::invalid_action(&name))?;
        let faults = self.matching(draft, &name, |fault| {
            matches!(fault.stage(), Stage::Gate) || concerns(fault, action)
        });
        let (gate, faults): (Faults, Faults) =
            faults.into_iter().partition(|(_, _, fault)| fault.stage() == Stage::Gate);
        self.gate(draft, action, &form, &gate)?;
        let request = parse(action, &form)?;
        Ok(Admitted { caller, action, request, faults })
    }

    fn matching(&mut self, draft: &Draft<'_>, op: &str, kind: impl Fn(&Fault) -> bool) -> Faults {
        let names = |resource: &str| draft.names(resource);
        let context = FaultContext { now: self.now, op, caller: &draft.caller, names: &names };
        self.faults.matching(&context, kind)
    }

    /// The skew applies before the caller is known, so a selector by caller matches the hint.
    fn skew(&mut self, draft: &mut Draft<'_>, name: &str) -> i64 {
        let found = self.matching(draft, name, |fault| fault.stage() == Stage::Clock);
        let mut skew = 0;
        for (id, _, fault) in found {
            if let Fault::ClockSkew { ms } = fault {
                skew += ms;
                self.fire(draft, id);
            }
        }
        skew
    }

    fn fire(&mut self, draft: &mut Draft<'_>, id: u64) {
        self.faults.fired(id);
        draft.fired.push(id);
    }

    fn gate(
        &mut self,
        draft: &mut Draft<'_>,
        action: Action,
        form: &Form,
        faults: &Faults,
    ) -> Result<(), ApiError> {
        let expired = |fault: &Fault| matches!(fault, Fault::CredentialsExpire {});
        if let Some((id, ..)) = faults.iter().find(|(_, _, fault)| expired(fault)) {
            self.fire(draft, *id);
            return Err(ApiError::expired());
        }
        self.throttle(draft, action, form, faults)?;
        for (id, _, fault) in faults {
            let error = if let Fault::Error { code, message, status } = fault {
                ApiError::new(*status, code, message)
            } else if matches!(fault, Fault::IamDeny {}) {
                ApiError::unauthorized(&self.rng.hex17("denied", draft.seq))
            } else {
                continue;
            };
            self.fire(draft, *id);
            return Err(error);
        }
        self.may_tag(draft, action, form)?;
        self.authorize((&draft.caller, draft.seq), action, form)
    }

    /// A caller that tags what it creates also needs the permission to create tags (section 10).
    fn may_tag(
        &mut self,
        draft: &mut Draft<'_>,
        action: Action,
        form: &Form,
    ) -> Result<(), ApiError> {
        if action != Action::Create || !form.has_any("TagSpecification.") {
            return Ok(());
        }
        let tags = Action::CreateTags.name();
        let denied = self.matching(draft, tags, |fault| matches!(fault, Fault::IamDeny {}));
        let Some((id, ..)) = denied.first() else { return Ok(()) };
        self.fire(draft, *id);
        Err(ApiError::unauthorized(&self.rng.hex17("denied", draft.seq)))
    }

    fn throttle(
        &mut self,
        draft: &mut Draft<'_>,
        action: Action,
        form: &Form,
        faults: &Faults,
    ) -> Result<(), ApiError> {
        for (id, _, fault) in faults {
            let Fault::ThrottleStorm { form, retry_after_ms } = fault else { continue };
            self.fire(draft, *id);
            draft.retry_after = *retry_after_ms;
            return Err(match form {
                ThrottleForm::Old => ApiError::throttled(),
                ThrottleForm::New => {
                    ApiError::throttled_naming(&self.topology.account, action.name())
                }
            });
        }
        let other = faults.iter().find_map(|(id, _, fault)| {
            let Fault::Bucket { capacity, refill } = fault else { return None };
            Some((*id, Size { capacity: *capacity, refill: *refill }))
        });
        let size = other.map(|(_, size)| size);
        if self.buckets.take(action, form.is_unfiltered(), size, self.now) {
            return Ok(());
        }
        if let Some((id, _)) = other {
            self.fire(draft, id);
        }
        Err(ApiError::throttled())
    }

    fn delivery(&mut self, draft: &mut Draft<'_>, action: Option<Action>) -> Delivery {
        let name = action.map_or("", Action::name).to_owned();
        let faults = self.matching(draft, &name, |fault| fault.stage() == Stage::Delivery);
        let delivery = Delivery::of(&faults);
        for id in &delivery.fired {
            self.fire(draft, *id);
        }
        delivery
    }

    fn latency(&self, action: Option<Action>, seq: u64) -> Duration {
        let from: &Distribution = match action {
            Some(action) if action.mutating() => &self.profile.assign_latency,
            Some(_) | None => &self.profile.describe_latency,
        };
        self.rng.draw(from, "latency", seq, 0)
    }

    /// When a call takes effect after its arrival: at some time before its response, and never
    /// later than the limit.
    fn effect_delay(&self, latency: Duration, seq: u64) -> Duration {
        let part = 0.1 + 0.8 * self.rng.unit("landing", seq, 0);
        latency.mul_f64(part).min(Duration::from_millis(self.profile.landing_limit_ms))
    }
}

/// Whether an execution fault can affect this action.
fn concerns(fault: &Fault, action: Action) -> bool {
    if matches!(fault, Fault::AssignOwn { .. } | Fault::ResourceAlreadyAssignedCode {}) {
        return action == Action::Assign;
    }
    if matches!(fault, Fault::SubnetFull { .. }) {
        return matches!(action, Action::Assign | Action::Create);
    }
    if matches!(fault, Fault::Limit { .. }) {
        return matches!(action, Action::Assign | Action::Attach | Action::InstanceTypes);
    }
    if matches!(fault, Fault::EniLimit { .. }) {
        return matches!(action, Action::Attach | Action::InstanceTypes);
    }
    if matches!(fault, Fault::EniQuota { .. }) {
        return action == Action::Create;
    }
    fault.stage() == Stage::Execution && !action.mutating()
}

/// Parses a request, which must be `POST /` with a form.
fn read(wire: &WireRequest) -> Result<Form, ApiError> {
    if wire.method != "POST" || wire.path_and_query != "/" {
        let text = format!("{} {}: requests here are POST /", wire.method, wire.path());
        return Err(ApiError::new(400, "InvalidRequest", text));
    }
    let kind = wire.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(ApiError::new(400, "InvalidRequest", "The body is not a form"));
    }
    read_form(&wire.body)
}
