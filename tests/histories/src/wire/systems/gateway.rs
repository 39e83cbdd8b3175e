//! The path between kube's client in a process and the API server: requests take time and fail,
//! answers get lost, and a write lands even if its sender has died.
//!
//! The shared state's own registry mirrors the server's objects, for the audits.

use std::future::pending;
use std::time::Duration;

use crate::scenario::Fault as Kind;
use crate::seed::SeededRng;
use firecamp_apiserver::{ApiServer, Fault, Unanswered};
use firecamp_core::contract::api::VERSION;
use firecamp_core::time::Moment;
use firecamp_kube::{KubeRegistry, Timeouts};
use firecamp_vpc::Simulator;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::sleep;
use tower::service_fn;

use super::ProcessHandle;
use crate::wire::api::{self, Subject};
use crate::wire::sim_state::{SimState, Slot};

type Answered = Result<Response<Vec<u8>>, Unanswered>;

/// A fault of a request.
#[derive(Debug, Clone, Copy)]
enum Interference {
    Fault(Fault),
    /// Another client changes the object just before the write lands.
    ConcurrentUpdate,
    /// Another client deletes the object just before the write lands, and creates it again.
    Recreated,
}

/// The timing and the fault of a request.
struct RequestPlan {
    interference: Option<Interference>,
    lands: Duration,
    back: Duration,
}

/// A separate client for each process.
pub(super) fn registry(handle: &ProcessHandle) -> KubeRegistry {
    let handle = handle.clone();
    let service = service_fn(move |request| carry(handle.clone(), request));
    KubeRegistry::new(Client::new(service, "default"), Timeouts::default())
}

async fn carry(
    handle: ProcessHandle,
    request: Request<Body>,
) -> Result<Response<Body>, Unanswered> {
    let (parts, body) = request.into_parts();
    let body = body.collect_bytes().await.map_err(|_broken| Unanswered::Reset)?;
    let request = Request::from_parts(parts, body.to_vec());
    let plan = handle.shared.sim().plan(handle.slot, &request);
    let answered = if *request.method() == Method::GET {
        read(&handle, request, plan).await
    } else {
        write(&handle, request, plan).await
    };
    match answered {
        Err(Unanswered::Silence) => pending().await,
        Ok(_) | Err(Unanswered::Reset) => answered.map(|response| response.map(Body::from)),
    }
}

async fn read(handle: &ProcessHandle, request: Request<Vec<u8>>, plan: RequestPlan) -> Answered {
    sleep(plan.lands / 2).await;
    let now = handle.shared.now();
    let answered = handle.shared.sim().answered((now, handle.slot), request, plan.interference);
    sleep(plan.lands / 2).await;
    answered
}

async fn write(handle: &ProcessHandle, request: Request<Vec<u8>>, plan: RequestPlan) -> Answered {
    let RequestPlan { interference, lands, back } = plan;
    let (report, reported) = oneshot::channel();
    let (shared, slot) = (handle.shared.clone(), handle.slot);
    shared.sim().writes += 1;
    // The write takes effect even if its sender dies.
    drop(spawn_local(async move {
        sleep(lands).await;
        let landed = shared.with(|sim, world, now| {
            sim.writes -= 1;
            sim.request_lands(world, (now, slot), request, interference)
        });
        // The receiver is gone if the sender has given up.
        drop(report.send(landed));
    }));
    let landed = reported.await;
    sleep(back).await;
    landed.unwrap_or(Err(Unanswered::Reset))
}

impl SimState {
    fn plan(&mut self, slot: Slot, request: &Request<Vec<u8>>) -> RequestPlan {
        let reads = *request.method() == Method::GET;
        let custom = request.uri().path().contains(VERSION);
        let fails = self.injects(slot, Kind::RegistryFails);
        let lost = !fails && !reads && self.injects(slot, Kind::RegistryLost);
        let refused = !fails && !lost && self.injects(slot, Kind::RegistryRefuses);
        let lands = self.registry_time(slot);
        let out = self.cluster.api_out;
        let rng = &mut self.process(slot).rng;
        let back = rng.micros(300, 4_000);
        let interference = if out {
            Some(Interference::Fault(outage(rng)))
        } else if fails && *request.method() == Method::PATCH && rng.once_in(3) {
            Some(if rng.once_in(2) {
                Interference::Recreated
            } else {
                Interference::ConcurrentUpdate
            })
        } else if fails {
            Some(Interference::Fault(failure(rng)))
        } else if refused {
            Some(Interference::Fault(refusal(rng, custom, reads)))
        } else {
            lost.then(|| Interference::Fault(loss(rng)))
        };
        if let Some(Interference::Fault(Fault::Silence | Fault::SilenceAfter)) = interference {
            self.process(slot).slow = true;
        }
        RequestPlan { interference, lands, back }
    }

    fn answered(
        &mut self,
        (now, slot): (Moment, Slot),
        request: Request<Vec<u8>>,
        met: Option<Interference>,
    ) -> Answered {
        let Some(api) = self.api.clone() else { return Err(Unanswered::Reset) };
        let reads = *request.method() == Method::GET;
        api::set_clock(&api, now);
        let fault = match met {
            Some(Interference::Fault(fault)) => Some(fault),
            Some(Interference::ConcurrentUpdate | Interference::Recreated) | None => None,
        };
        let answered = api.answer(request, fault);
        let met = fault.map_or_else(|| api::refusal(&answered), |fault| Some(name(fault)));
        self.coverage.hit("api requests");
        self.process(slot).requests.note(reads, met.is_some());
        if let Some(met) = met {
            self.coverage.hit(met);
        }
        answered
    }

    fn request_lands(
        &mut self,
        world: &mut Simulator,
        (now, slot): (Moment, Slot),
        request: Request<Vec<u8>>,
        met: Option<Interference>,
    ) -> Answered {
        let Some(api) = self.api.clone() else { return Err(Unanswered::Reset) };
        let subject = Subject::of(&request);
        if let Some(subject) = &subject {
            match met {
                Some(Interference::ConcurrentUpdate) => subject.annotate(&api),
                Some(Interference::Recreated) if subject.renew(&api) => {
                    self.coverage.hit("api new uid");
                }
                Some(Interference::Recreated | Interference::Fault(_)) | None => {}
            }
            self.mirror(&api, subject);
        }
        let met =
            if self.cluster.api_out { Some(Interference::Fault(Fault::Proxy(503))) } else { met };
        let address = subject.as_ref().and_then(Subject::address);
        let known = address.and_then(|address| self.cluster.registry.static_ips.get(&address));
        let before = known.map(|stored| stored.object.clone());
        let answered = self.answered((now, slot), request, met);
        let changed = subject.is_some_and(|subject| self.mirror(&api, &subject));
        if let Some(address) = address.filter(|_| changed) {
            self.recorded(now, slot, before.as_ref(), address);
            self.check_address(world, now, address);
        }
        answered
    }

    /// Mirrors the server's object. True if it has changed.
    fn mirror(&mut self, api: &ApiServer, subject: &Subject) -> bool {
        let known = &mut self.cluster.registry;
        match subject {
            Subject::Ip(address) => {
                let Some(stored) = api.static_ip(*address) else { return false };
                let version = stored.version.clone();
                let old = known.static_ips.insert(*address, stored);
                old.is_none_or(|old| old.version != version)
            }
            Subject::Claim(member) => {
                let Some(stored) = api.claim(member) else { return false };
                let version = stored.version.clone();
                let old = known.claims.insert(member.clone(), stored);
                old.is_none_or(|old| old.version != version)
            }
        }
    }
}

/// An outage: the load balancer reports it, connections break, or they hang.
fn outage(rng: &mut SeededRng) -> Fault {
    match rng.below(4) {
        0 => Fault::LostRequest,
        1 => Fault::Silence,
        2.. => Fault::Proxy(503),
    }
}

/// The request has no effect.
fn failure(rng: &mut SeededRng) -> Fault {
    match rng.below(6) {
        0 => Fault::Code(429, "TooManyRequests"),
        1 => Fault::Code(500, "InternalError"),
        2 => Fault::Code(504, "Timeout"),
        3 => Fault::Proxy(502),
        4 => Fault::Silence,
        5.. => Fault::LostRequest,
    }
}

/// The request has no effect and the server gives the reason: the token, missing permissions, a
/// kind that is not served, or for writes a policy.
fn refusal(rng: &mut SeededRng, custom: bool, reads: bool) -> Fault {
    match rng.below(4) {
        0 => Fault::Code(401, "Unauthorized"),
        1 if custom => Fault::Unserved,
        2 if !reads => Fault::Code(422, "Invalid"),
        1.. => Fault::Code(403, "Forbidden"),
    }
}

/// The request takes effect, and the answer is lost.
fn loss(rng: &mut SeededRng) -> Fault {
    match rng.below(3) {
        0 => Fault::LostAnswer,
        1 => Fault::SilenceAfter,
        2.. => Fault::Cut,
    }
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Code(401, _) => "api token refused",
        Fault::Code(403, _) => "api permission refused",
        Fault::Code(422, _) => "api refused by policy",
        Fault::Unserved => "api kind not served",
        Fault::Code(429, _) => "api too many requests",
        Fault::Code(..) => "api server error",
        Fault::Proxy(_) => "api proxy error",
        Fault::LostRequest => "api request lost",
        Fault::Silence => "api hang",
        Fault::LostAnswer => "api answer lost",
        Fault::SilenceAfter => "api hang after effect",
        Fault::LateAnswer(_) => "api answer late",
        Fault::Cut | Fault::Flood => "api answer truncated",
    }
}
