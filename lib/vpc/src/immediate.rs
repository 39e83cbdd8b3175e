//! Services whose requests take effect when they arrive: Route 53 and CloudWatch Logs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ec2::ApiError;
use crate::faults::{Fault, FaultContext};
use crate::log::{Call, Service};
use crate::simulator::{Simulator, micros};
use crate::token_buckets::Size;
use crate::wire::{Answer, CallId, Exchange, WireRequest, WireResponse};

/// What such services have in common, and how they differ.
pub(crate) struct Api {
    pub(crate) service: Service,
    /// The region in signatures; none: that of the VPC.
    pub(crate) region: Option<&'static str>,
    /// The service in signatures and in IAM actions.
    pub(crate) name: &'static str,
    pub(crate) content_type: &'static str,
    /// The error's body, from the error and the request id.
    pub(crate) error_body: fn(&ApiError, &str) -> Vec<u8>,
    /// The status and code of a refusal of a request without a signature.
    pub(crate) unsigned: (u16, &'static str),
    /// The status and code of a refusal of a key that is not known.
    pub(crate) unknown_key: (u16, &'static str),
    /// The status and code of a refusal by IAM.
    pub(crate) denied: (u16, &'static str),
    /// The code of a refusal because of the rate.
    pub(crate) throttled: &'static str,
}

impl Api {
    /// A failure of authentication as this service reports it.
    fn unauthenticated(&self, request: &WireRequest, error: ApiError) -> ApiError {
        let refused = |(status, code), text| ApiError::new(status, code, text);
        if request.header("authorization").is_none() {
            refused(self.unsigned, "Missing Authentication Token")
        } else if error.code == "AuthFailure" {
            refused(self.unknown_key, "The security token included in the request is invalid.")
        } else {
            error
        }
    }
}

/// A request that was recognized.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) action: &'static str,
    /// The resource by the name that faults use.
    pub(crate) resource: String,
    /// The resource in messages of IAM.
    pub(crate) arn: String,
    pub(crate) mutating: bool,
    /// The bucket that the request takes a token from.
    pub(crate) bucket: (String, Size),
}

impl Simulator {
    /// Serves a request that `perform` answers with a body.
    pub(crate) fn serve_at_once(
        &mut self,
        hint: Option<&str>,
        request: &WireRequest,
        api: &Api,
        operation: Result<Operation, ApiError>,
        perform: impl FnOnce(&mut Self, u64) -> Result<Vec<u8>, ApiError>,
    ) -> Exchange {
        let seq = self.next_call();
        let mut caller = hint.map_or_else(|| "unknown".to_owned(), |hint| format!("({hint})"));
        let known = operation.as_ref().map(|it| (it.action, it.mutating)).unwrap_or_default();
        let mut faults = Vec::new();
        let result = operation.and_then(|operation| {
            let region = api.region.map_or_else(|| self.topology.region.clone(), str::to_owned);
            let verified = self.keys.verify(request, self.now, 0, (&region, api.name));
            caller = verified.map_err(|error| api.unauthenticated(request, error))?;
            self.may_call(api, &operation, &caller, &mut faults)?;
            perform(self, seq)
        });
        let latency = self.rng.draw(&self.profile.describe_latency, "latency", seq, 0);
        let respond_at = self.now + latency;
        let request_id = self.rng.uuid("request", seq);
        let error = result.as_ref().err();
        let status = error.map_or(200, |error| error.status);
        self.log(Call {
            seq,
            at_us: micros(self.now),
            service: api.service,
            caller,
            action: known.0.to_owned(),
            app: request.app(),
            parameters: BTreeMap::new(),
            request_id: request_id.clone(),
            landed_at_us: Some(micros(self.now)),
            status: Some(status),
            code: error.map(|error| error.code.clone()),
            message: error.map(|error| error.message.clone()),
            answered_at_us: Some(micros(respond_at)),
            delivery: "answered",
            mutating: known.1,
            committed: known.1 && result.is_ok(),
            faults,
        });
        let body = result.unwrap_or_else(|error| (api.error_body)(&error, &request_id));
        let headers =
            [("x-amzn-requestid", request_id.as_str()), ("content-type", api.content_type)];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let response = WireResponse { status, headers, body };
        self.ready(CallId(seq), respond_at, Answer::Respond(response));
        Exchange { call: CallId(seq), respond_at: Some(respond_at) }
    }

    /// Throttling and permissions. The faults of EC2 that concern these apply here as well.
    fn may_call(
        &mut self,
        api: &Api,
        operation: &Operation,
        caller: &str,
        fired: &mut Vec<u64>,
    ) -> Result<(), ApiError> {
        let names = |resource: &str| resource == operation.resource;
        let context = FaultContext { now: self.now, op: operation.action, caller, names: &names };
        let concerns = |fault: &Fault| {
            matches!(fault, Fault::IamDeny {} | Fault::ThrottleStorm { .. } | Fault::Error { .. })
        };
        let throttled = || ApiError::new(400, api.throttled, "Rate exceeded");
        if let Some((id, _, fault)) = self.faults.matching(&context, concerns).into_iter().next() {
            self.faults.fired(id);
            fired.push(id);
            return Err(if let Fault::Error { code, message, status } = fault {
                ApiError::new(status, &code, message)
            } else if matches!(fault, Fault::IamDeny {}) {
                ApiError::new(api.denied.0, api.denied.1, denied(api, operation, caller))
            } else {
                throttled()
            });
        }
        let (bucket, size) = operation.bucket.clone();
        if self.buckets.take_from(bucket, size, self.now) { Ok(()) } else { Err(throttled()) }
    }

    /// The wall clock.
    pub(crate) fn wall_clock(&self) -> Duration {
        self.epoch + self.now
    }
}

/// The message of IAM.
fn denied(api: &Api, operation: &Operation, caller: &str) -> String {
    let action = format!("{}:{}", api.name, operation.action);
    format!(
        "User: {caller} is not authorized to perform: {action} on resource: {} because no \
         identity-based policy allows the {action} action",
        operation.arn
    )
}
