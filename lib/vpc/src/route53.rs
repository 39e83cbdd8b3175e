//! Route 53: the private hosted zones of the VPC, their records, and what the VPC's resolver
//! answers.
//!
//! Sources: the API Reference of Route 53 (2013-04-01) for messages, limits and errors, its
//! Developer Guide for zones and records. A request is complete and atomic: either all changes of a
//! batch happen or none. A change is `PENDING` until the resolver answers with it.

mod changes;
mod messages;
mod records;
mod resolve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::calendar::iso_millis;
use crate::ec2::ApiError;
use crate::faults::{Fault, FaultContext};
use crate::log::{Call, Service};
use crate::rng::{SeededRng, key_of};
use crate::simulator::{Simulator, micros};
use crate::token_buckets::Size;
use crate::wire::{Answer, CallId, Exchange, WireRequest, WireResponse};

pub(crate) use self::messages::error_body;
pub use self::records::RecordType;
use self::records::Zone;
pub use self::resolve::{Lookup, Record};

/// Requests of an account (Quotas: five a second).
const REQUESTS: Size = Size { capacity: 5, refill: 5.0 };
/// The region and the service in signatures: Route 53 is global.
const SCOPE: (&str, &str) = ("us-east-1", "route53");

/// The hosted zones of the account.
#[derive(Debug, Clone)]
pub(crate) struct Route53 {
    zones: Vec<Zone>,
    /// When each change is INSYNC.
    changes: BTreeMap<String, Duration>,
}

impl Route53 {
    pub(crate) fn new(names: &[String], rng: SeededRng) -> Self {
        let zone = |name: &String| {
            let id = rng.hex17("hosted-zone", key_of(name)).to_uppercase();
            Zone::new(format!("Z{}", id.get(..16).unwrap_or_default()), name)
        };
        Self { zones: names.iter().map(zone).collect(), changes: BTreeMap::new() }
    }
}

/// A request: its action, and the zone or the change that it names.
struct Route<'a> {
    action: &'static str,
    id: Option<&'a str>,
}

impl<'a> Route<'a> {
    fn of(request: &'a WireRequest) -> Result<Self, ApiError> {
        let path = request.path().trim_end_matches('/');
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (action, id) = match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["2013-04-01", "hostedzone"]) => ("ListHostedZones", None),
            ("GET", ["2013-04-01", "hostedzone", id]) => ("GetHostedZone", Some(*id)),
            ("GET", ["2013-04-01", "hostedzone", id, "rrset"]) => {
                ("ListResourceRecordSets", Some(*id))
            }
            ("POST", ["2013-04-01", "hostedzone", id, "rrset"]) => {
                ("ChangeResourceRecordSets", Some(*id))
            }
            ("GET", ["2013-04-01", "change", id]) => ("GetChange", Some(*id)),
            (method, _) => {
                let text = format!("{method} {path} is not served");
                return Err(ApiError::new(400, "InvalidInput", text));
            }
        };
        Ok(Self { action, id })
    }
}

impl Simulator {
    /// A request to Route 53's API; `hint` as for [`Self::ec2`].
    pub fn route53(
        &mut self,
        now: Duration,
        hint: Option<&str>,
        request: &WireRequest,
    ) -> Exchange {
        self.advance(now);
        let seq = self.next_call();
        let request_id = self.rng.uuid("request", seq);
        let mut caller = hint.map_or_else(|| "unknown".to_owned(), |hint| format!("({hint})"));
        let route = Route::of(request);
        let (mut faults, known) = (Vec::new(), route.as_ref().map(|it| it.action).ok());
        let result = route.and_then(|route| {
            caller = self.keys.verify(request, self.now, 0, SCOPE)?;
            self.may_call(&route, &caller, &mut faults)?;
            self.perform_route53(&route, request, seq)
        });
        let latency = self.rng.draw(&self.profile.describe_latency, "latency", seq, 0);
        let respond_at = self.now + latency;
        let (status, body) = match &result {
            Ok(body) => (200, body.clone()),
            Err(error) => (error.status, error_body(error, &request_id)),
        };
        let mutating = known == Some("ChangeResourceRecordSets");
        self.log(Call {
            seq,
            at_us: micros(self.now),
            service: Service::Route53,
            caller,
            action: known.unwrap_or_default().to_owned(),
            app: request.app(),
            parameters: BTreeMap::new(),
            request_id: request_id.clone(),
            landed_at_us: Some(micros(self.now)),
            status: Some(status),
            code: result.as_ref().err().map(|error| error.code.clone()),
            message: result.as_ref().err().map(|error| error.message.clone()),
            answered_at_us: Some(micros(respond_at)),
            delivery: "answered",
            mutating,
            committed: mutating && result.is_ok(),
            faults,
        });
        let headers = [("x-amzn-requestid", request_id.as_str()), ("content-type", "text/xml")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let response = WireResponse { status, headers, body };
        self.ready(CallId(seq), respond_at, Answer::Respond(response));
        Exchange { call: CallId(seq), respond_at: Some(respond_at) }
    }

    /// Throttling and permissions. The faults of EC2 that concern these apply here as well.
    fn may_call(
        &mut self,
        route: &Route<'_>,
        caller: &str,
        fired: &mut Vec<u64>,
    ) -> Result<(), ApiError> {
        let zone = route.id.unwrap_or_default();
        let names = |resource: &str| resource == zone;
        let context = FaultContext { now: self.now, op: route.action, caller, names: &names };
        let concerns = |fault: &Fault| {
            matches!(fault, Fault::IamDeny {} | Fault::ThrottleStorm { .. } | Fault::Error { .. })
        };
        if let Some((id, _, fault)) = self.faults.matching(&context, concerns).into_iter().next() {
            self.faults.fired(id);
            fired.push(id);
            return Err(if let Fault::Error { code, message, status } = fault {
                ApiError::new(status, &code, message)
            } else if matches!(fault, Fault::IamDeny {}) {
                ApiError::new(403, "AccessDenied", denied(route, caller))
            } else {
                throttled()
            });
        }
        let is_free = self.buckets.take_from("Route 53".to_owned(), REQUESTS, self.now);
        if is_free { Ok(()) } else { Err(throttled()) }
    }

    fn perform_route53(
        &mut self,
        route: &Route<'_>,
        request: &WireRequest,
        seq: u64,
    ) -> Result<Vec<u8>, ApiError> {
        let now = self.now;
        let id = route.id.unwrap_or_default();
        match route.action {
            "ListHostedZones" => Ok(messages::zones(&self.dns.zones)),
            "GetHostedZone" => Ok(messages::zone(self.dns.zone(id)?, &self.topology)),
            "ListResourceRecordSets" => messages::records(self.dns.zone(id)?, request),
            "GetChange" => {
                let known = self.dns.changes.get(id).copied();
                let due = known.ok_or_else(|| {
                    ApiError::new(404, "NoSuchChange", format!("A change with id {id} not found"))
                })?;
                Ok(messages::change("GetChange", (id, now >= due), &iso_millis(self.epoch + now)))
            }
            _ => {
                let lag = self.rng.draw(&self.profile.dns_propagation, "propagation", seq, 0);
                let batch = messages::batch(&request.body)?;
                let shown = self.dns.zone_mut(id)?.apply(&batch, now + lag)?;
                let change = self.rng.hex17("change", seq).to_uppercase();
                let change = format!("C{change}");
                self.dns.changes.insert(change.clone(), shown);
                let at = iso_millis(self.epoch + now);
                Ok(messages::change("ChangeResourceRecordSets", (&change, false), &at))
            }
        }
    }
}

impl Route53 {
    fn zone(&self, id: &str) -> Result<&Zone, ApiError> {
        self.zones.iter().find(|zone| zone.id == id).ok_or_else(|| no_zone(id))
    }

    fn zone_mut(&mut self, id: &str) -> Result<&mut Zone, ApiError> {
        self.zones.iter_mut().find(|zone| zone.id == id).ok_or_else(|| no_zone(id))
    }
}

fn no_zone(id: &str) -> ApiError {
    ApiError::new(404, "NoSuchHostedZone", format!("No hosted zone found with ID: {id}"))
}

fn throttled() -> ApiError {
    ApiError::new(400, "Throttling", "Rate exceeded")
}

/// The message of IAM.
fn denied(route: &Route<'_>, caller: &str) -> String {
    let resource =
        route.id.map_or_else(|| "*".to_owned(), |id| format!("arn:aws:route53:::hostedzone/{id}"));
    format!(
        "User: {caller} is not authorized to perform: route53:{} on resource: {resource} because \
         no identity-based policy allows the route53:{} action",
        route.action, route.action
    )
}
