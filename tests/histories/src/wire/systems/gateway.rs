//! What is between kube's client in a process and the API server: requests take time, break and
//! lose their answers, and a write lands though whoever sent it has died.
//!
//! What the server holds is kept in the site's own registry as well, where the audits look.

use std::future::pending;
use std::time::Duration;

use crate::scenario::Fault as Kind;
use crate::seed::Chance;
use firecamp_apiserver::{ApiServer, Fault, Unanswered};
use firecamp_core::contract::api::VERSION;
use firecamp_core::time::Moment;
use firecamp_kube::{KubeRegistry, Timeouts};
use firecamp_vpc::World;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::sleep;
use tower::service_fn;

use super::Me;
use crate::wire::api::{self, Subject};
use crate::wire::site::{Site, Slot};

type Answered = Result<Response<Vec<u8>>, Unanswered>;

/// What a request meets on its way.
#[derive(Debug, Clone, Copy)]
enum Trick {
    Fault(Fault),
    /// Somebody else changes the object just before the write gets there.
    Interloper,
    /// Somebody deletes it just then, and makes the same anew.
    Successor,
}

/// How a request goes.
struct Way {
    trick: Option<Trick>,
    lands: Duration,
    back: Duration,
}

/// A client of its own, as every process has.
pub(super) fn registry(me: &Me) -> KubeRegistry {
    let me = me.clone();
    let service = service_fn(move |request| carry(me.clone(), request));
    KubeRegistry::new(Client::new(service, "default"), Timeouts::default())
}

async fn carry(me: Me, request: Request<Body>) -> Result<Response<Body>, Unanswered> {
    let (parts, body) = request.into_parts();
    let body = body.collect_bytes().await.map_err(|_broken| Unanswered::Reset)?;
    let request = Request::from_parts(parts, body.to_vec());
    let way = me.shared.site().way(me.slot, &request);
    let answered = if *request.method() == Method::GET {
        read(&me, request, way).await
    } else {
        write(&me, request, way).await
    };
    match answered {
        Err(Unanswered::Silence) => pending().await,
        Ok(_) | Err(Unanswered::Reset) => answered.map(|response| response.map(Body::from)),
    }
}

async fn read(me: &Me, request: Request<Vec<u8>>, way: Way) -> Answered {
    sleep(way.lands / 2).await;
    let now = me.shared.now();
    let answered = me.shared.site().answered((now, me.slot), request, way.trick);
    sleep(way.lands / 2).await;
    answered
}

async fn write(me: &Me, request: Request<Vec<u8>>, way: Way) -> Answered {
    let Way { trick, lands, back } = way;
    let (tell, told) = oneshot::channel();
    let (shared, slot) = (me.shared.clone(), me.slot);
    shared.site().writes += 1;
    // It belongs to nobody any more: whoever sent it may die, its effect comes all the same.
    drop(spawn_local(async move {
        sleep(lands).await;
        let landed = shared.with(|site, world, now| {
            site.writes -= 1;
            site.request_lands(world, (now, slot), request, trick)
        });
        // Nobody listens who has given up.
        drop(tell.send(landed));
    }));
    let landed = told.await;
    sleep(back).await;
    landed.unwrap_or(Err(Unanswered::Reset))
}

impl Site {
    fn way(&mut self, slot: Slot, request: &Request<Vec<u8>>) -> Way {
        let reads = *request.method() == Method::GET;
        let custom = request.uri().path().contains(VERSION);
        let fails = self.strikes(slot, Kind::RegistryFails);
        let lost = !fails && !reads && self.strikes(slot, Kind::RegistryLost);
        let refused = !fails && !lost && self.strikes(slot, Kind::RegistryRefuses);
        let lands = self.registry_time(slot);
        let out = self.cluster.api_out;
        let chance = &mut self.process(slot).chance;
        let back = chance.micros(300, 4_000);
        let trick = if out {
            Some(Trick::Fault(outage(chance)))
        } else if fails && *request.method() == Method::PATCH && chance.once_in(3) {
            Some(if chance.once_in(2) { Trick::Successor } else { Trick::Interloper })
        } else if fails {
            Some(Trick::Fault(failure(chance)))
        } else if refused {
            Some(Trick::Fault(refusal(chance, custom, reads)))
        } else {
            lost.then(|| Trick::Fault(loss(chance)))
        };
        if let Some(Trick::Fault(Fault::Silence | Fault::SilenceAfter)) = trick {
            self.process(slot).slow = true;
        }
        Way { trick, lands, back }
    }

    fn answered(
        &mut self,
        (now, slot): (Moment, Slot),
        request: Request<Vec<u8>>,
        met: Option<Trick>,
    ) -> Answered {
        let Some(api) = self.api.clone() else { return Err(Unanswered::Reset) };
        let reads = *request.method() == Method::GET;
        api::set_clock(&api, now);
        let fault = match met {
            Some(Trick::Fault(fault)) => Some(fault),
            Some(Trick::Interloper | Trick::Successor) | None => None,
        };
        let answered = api.answer(request, fault);
        let met = fault.map_or_else(|| api::refusal(&answered), |fault| Some(name(fault)));
        self.probes.meet("api requests");
        self.process(slot).requests.note(reads, met.is_some());
        if let Some(met) = met {
            self.probes.meet(met);
        }
        answered
    }

    fn request_lands(
        &mut self,
        world: &mut World,
        (now, slot): (Moment, Slot),
        request: Request<Vec<u8>>,
        met: Option<Trick>,
    ) -> Answered {
        let Some(api) = self.api.clone() else { return Err(Unanswered::Reset) };
        let subject = Subject::of(&request);
        if let Some(subject) = &subject {
            match met {
                Some(Trick::Interloper) => subject.annotate(&api),
                Some(Trick::Successor) if subject.renew(&api) => self.probes.meet("api new uid"),
                Some(Trick::Successor | Trick::Fault(_)) | None => {}
            }
            self.keep(&api, subject);
        }
        let met = if self.cluster.api_out { Some(Trick::Fault(Fault::Proxy(503))) } else { met };
        let address = subject.as_ref().and_then(Subject::address);
        let known = address.and_then(|address| self.cluster.registry.static_ips.get(&address));
        let before = known.map(|stored| stored.object.clone());
        let answered = self.answered((now, slot), request, met);
        let changed = subject.is_some_and(|subject| self.keep(&api, &subject));
        if let Some(address) = address.filter(|_| changed) {
            self.recorded(now, slot, before.as_ref(), address);
            self.check_address(world, now, address);
        }
        answered
    }

    /// Keeps what the server holds of it. True if that is news.
    fn keep(&mut self, api: &ApiServer, subject: &Subject) -> bool {
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

/// Nobody serves: the load balancer says so, connections break, or nothing comes back.
fn outage(chance: &mut Chance) -> Fault {
    match chance.below(4) {
        0 => Fault::LostRequest,
        1 => Fault::Silence,
        2.. => Fault::Proxy(503),
    }
}

/// It has no effect.
fn failure(chance: &mut Chance) -> Fault {
    match chance.below(6) {
        0 => Fault::Code(429, "TooManyRequests"),
        1 => Fault::Code(500, "InternalError"),
        2 => Fault::Code(504, "Timeout"),
        3 => Fault::Proxy(502),
        4 => Fault::Silence,
        5.. => Fault::LostRequest,
    }
}

/// It has no effect, and the server says why: the token, the rights, a kind that is not served, or
/// a policy, which none has for reads.
fn refusal(chance: &mut Chance, custom: bool, reads: bool) -> Fault {
    match chance.below(4) {
        0 => Fault::Code(401, "Unauthorized"),
        1 if custom => Fault::Unserved,
        2 if !reads => Fault::Code(422, "Invalid"),
        1.. => Fault::Code(403, "Forbidden"),
    }
}

/// It has its effect, and nobody hears of it.
fn loss(chance: &mut Chance) -> Fault {
    match chance.below(3) {
        0 => Fault::LostAnswer,
        1 => Fault::SilenceAfter,
        2.. => Fault::Cut,
    }
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Code(401, _) => "api token refused",
        Fault::Code(403, _) => "api right refused",
        Fault::Code(422, _) => "api policy refused",
        Fault::Unserved => "api kind unserved",
        Fault::Code(429, _) => "api too many requests",
        Fault::Code(..) => "api server error",
        Fault::Proxy(_) => "api proxy error",
        Fault::LostRequest => "api lost request",
        Fault::Silence => "api silence",
        Fault::LostAnswer => "api lost answer",
        Fault::SilenceAfter => "api silence after effect",
        Fault::Cut | Fault::Flood => "api cut answer",
    }
}
