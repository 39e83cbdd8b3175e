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
use crate::immediate::{Api, Operation};
use crate::log::Service;
use crate::rng::{SeededRng, key_of};
use crate::simulator::Simulator;
use crate::token_buckets::Size;
use crate::wire::{Exchange, WireRequest};

pub use self::records::RecordType;
use self::records::Zone;
pub use self::resolve::{Lookup, Record};

/// Requests of an account (Quotas: five a second).
const REQUESTS: Size = Size { capacity: 5, refill: 5.0 };
const API: Api = Api {
    service: Service::Route53,
    // Route 53 is global.
    region: Some("us-east-1"),
    name: "route53",
    content_type: "text/xml",
    error_body: messages::error_body,
    // "Common Error Types" of the API Reference.
    unsigned: (403, "MissingAuthenticationToken"),
    unknown_key: (403, "InvalidClientTokenId"),
    denied: (403, "AccessDenied"),
    throttled: "Throttling",
};

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

    fn operation(&self) -> Operation {
        let arn = self.id.map(|id| format!("arn:aws:route53:::hostedzone/{id}"));
        Operation {
            action: self.action,
            resource: self.id.unwrap_or_default().to_owned(),
            arn: arn.unwrap_or_else(|| "*".to_owned()),
            mutating: self.action == "ChangeResourceRecordSets",
            bucket: ("Route 53".to_owned(), REQUESTS),
        }
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
        let route = Route::of(request);
        let operation = route.as_ref().map(Route::operation).map_err(Clone::clone);
        self.serve_at_once(hint, request, &API, operation, |this, seq| {
            this.perform_route53(&route?, request, seq)
        })
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
                Ok(messages::change("GetChange", (id, now >= due), &iso_millis(self.wall_clock())))
            }
            _ => {
                let lag = self.rng.draw(&self.profile.dns_propagation, "propagation", seq, 0);
                let batch = messages::batch(&request.body)?;
                let shown = self.dns.zone_mut(id)?.apply(&batch, now + lag)?;
                let change = self.rng.hex17("change", seq).to_uppercase();
                let change = format!("C{change}");
                self.dns.changes.insert(change.clone(), shown);
                let at = iso_millis(self.wall_clock());
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
