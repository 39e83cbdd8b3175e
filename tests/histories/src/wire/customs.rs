//! What happens to single calls on their way to EC2 and the metadata service: the simulator's own
//! faults, set for one call and cleared again, and connections that break.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::audit::Calling;
use crate::names::{EniIx, NodeIx};
use crate::scenario::Fault as Kind;
use crate::seed::Chance;
use firecamp_core::time::Moment;
use firecamp_sim_tests::{Customs, Fate, Parcel, Service};
use firecamp_vpc::{Body, Call, CutAt, Exchange, Fault, FaultSpec, Selector, World};

use crate::wire::site::{Sent, Shared, Site, Slot};

/// One fault of one call.
struct Trick {
    /// None: an outage, which the script ordered.
    kind: Option<Kind>,
    fault: Fault,
    fate: Fate,
}

impl Trick {
    fn of(kind: Kind, fault: Fault) -> Self {
        Self { kind: Some(kind), fault, fate: Fate::Answered }
    }

    fn outage(fault: Fault) -> Self {
        Self { kind: None, fault, fate: Fate::Answered }
    }
}

/// A metadata fault strikes a request; the rate is meant for a reading, which is many of them.
const REQUESTS_OF_A_READING: u16 = 12;

/// The customs of one process.
#[derive(Debug)]
pub(crate) struct Desk {
    shared: Shared,
    slot: Slot,
    node: NodeIx,
}

impl Desk {
    pub(crate) fn new(shared: Shared, slot: Slot, node: NodeIx) -> Self {
        Self { shared, slot, node }
    }

    fn metadata(&self, site: &mut Site, now: Moment) -> Option<Trick> {
        let node = &site.cluster.nodes[self.node.at()];
        let (out, boots) = (node.metadata_out, node.hardware_at > now);
        let strikes = site.draws(self.slot, Kind::MetadataFails, REQUESTS_OF_A_READING);
        let chance = &mut site.process(self.slot).chance;
        if out {
            let silent = chance.once_in(4);
            return Some(Trick::outage(if silent {
                Fault::ImdsDown {}
            } else {
                Fault::ImdsError { status: 503 }
            }));
        }
        if strikes {
            return Some(Trick::of(Kind::MetadataFails, metadata_fault(chance)));
        }
        boots.then(|| Trick::outage(Fault::ImdsMissing { device_index: 1 }))
    }

    fn ec2(&self, site: &mut Site, now: Moment, mutates: bool) -> Option<Trick> {
        let slot = self.slot;
        let left = site.process(slot).not_after.since(now).min(Duration::from_secs(5));
        if site.cluster.ec2_out {
            let silent = site.process(slot).chance.once_in(2);
            return Some(Trick::outage(if silent {
                Fault::Hang { after_commit: false }
            } else {
                broken_server(503, false)
            }));
        }
        if site.draws(slot, Kind::CloudDenied, 1) {
            let fault = denied(&mut site.process(slot).chance);
            return Some(Trick::of(Kind::CloudDenied, fault));
        }
        if site.draws(slot, Kind::CloudFails, 1) {
            let fault = fails(&mut site.process(slot).chance, mutates);
            return Some(Trick::of(Kind::CloudFails, fault));
        }
        if !mutates {
            return site.draws(slot, Kind::DescribeStale, 1).then(|| {
                let lag = site.process(slot).chance.millis(0, 9_900);
                Trick::of(Kind::DescribeStale, Fault::StaleDescribe { lag_ms: Some(whole(lag)) })
            });
        }
        if site.draws(slot, Kind::CloudLost, 1) {
            let fault = lost(&mut site.process(slot).chance);
            return Some(Trick::of(Kind::CloudLost, fault));
        }
        if site.draws(slot, Kind::CloudLate, 1) {
            return Some(late(&mut site.process(slot).chance, left));
        }
        site.draws(slot, Kind::CloudOutside, 1).then(|| {
            let more = site.process(slot).chance.millis(1, 15_000);
            let after_ms = whole(left.saturating_add(more));
            Trick::of(Kind::CloudOutside, Fault::LateLanding { after_ms, silent: true })
        })
    }

    /// Notes a call to EC2 that was sent.
    fn sent(&self, site: &mut Site, now: Moment, call: &Call) {
        let slot = self.slot;
        let process = site.process(slot);
        process.calls = process.calls.saturating_add(1);
        let not_after = process.not_after;
        site.sent.insert(call.seq, Sent { slot, not_after });
        if call.code.as_deref() == Some("RequestLimitExceeded") {
            site.probes.fault(Kind::CloudThrottled);
        }
        if !call.mutating {
            return;
        }
        site.process(slot).mutations += 1;
        site.probes.mutations += 1;
        if let Some((eni, address)) = subject(call) {
            let process = site.process(slot);
            let force = call.parameters.get("AllowReassignment").is_some_and(|v| v == "true");
            let (marked, shown) = (process.marked, process.heard.foreign && force);
            let call = Calling { slot: slot.0, eni, address, marked, shown };
            site.audit.called(now, call);
        }
    }
}

fn subject(call: &Call) -> Option<(EniIx, Ipv4Addr)> {
    let eni = call.parameters.get("NetworkInterfaceId")?.parse().ok()?;
    let address = call.parameters.get("PrivateIpAddress.1")?.parse().ok()?;
    // An ENI of nobody's is one that no audit permits.
    Some((EniIx::of(&eni).unwrap_or_default(), address))
}

fn whole(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn broken_server(status: u16, after_commit: bool) -> Fault {
    Fault::HttpStatus { status, body: Body::default(), after_commit }
}

fn metadata_fault(chance: &mut Chance) -> Fault {
    match chance.below(6) {
        0 => Fault::ImdsDown {},
        1 => Fault::ImdsError { status: 500 },
        2 => Fault::ImdsError { status: 503 },
        3 => Fault::ImdsEmpty {},
        4 => Fault::ImdsToken401 {},
        5.. => Fault::ImdsPartial { keys: vec!["local-ipv4s".to_owned()] },
    }
}

fn denied(chance: &mut Chance) -> Fault {
    match chance.below(3) {
        0 => Fault::IamDeny {},
        1 => Fault::CredentialsExpire {},
        2.. => Fault::ClockSkew { ms: if chance.once_in(2) { 900_000 } else { -900_000 } },
    }
}

fn fails(chance: &mut Chance, mutates: bool) -> Fault {
    let status = match chance.below(4) {
        0 => 500,
        1 => 502,
        2 => 503,
        3.. => 504,
    };
    if chance.once_in(4) {
        let code = "InternalError".to_owned();
        let message = "An internal error has occurred".to_owned();
        return Fault::Error { code, message, status: 500 };
    }
    broken_server(status, mutates && chance.once_in(2))
}

fn lost(chance: &mut Chance) -> Fault {
    match chance.below(5) {
        0 => Fault::LostResponse { after_commit: true },
        1 => Fault::Hang { after_commit: true },
        2 => Fault::DropConn { at: CutAt::Headers, bytes: 0 },
        3 => Fault::DropConn { at: CutAt::Body, bytes: 40 },
        4.. => Fault::DropConn { at: CutAt::Silence, bytes: 40 },
    }
}

/// The effect comes any time within T; the connection breaks before it, or nothing is heard.
fn late(chance: &mut Chance, left: Duration) -> Trick {
    let lands = chance.part(left.saturating_sub(Duration::from_millis(20)));
    let after_ms = whole(lands).max(1);
    let fate = match chance.below(3) {
        0 => Fate::Broken(chance.part(lands)),
        1.. => Fate::Answered,
    };
    let silent = fate != Fate::Answered || chance.once_in(2);
    Trick { kind: Some(Kind::CloudLate), fault: Fault::LateLanding { after_ms, silent }, fate }
}

impl Customs for Desk {
    fn pass(
        &self,
        world: &mut World,
        parcel: Parcel<'_>,
        send: &mut dyn FnMut(&mut World) -> Exchange,
    ) -> (Exchange, Fate) {
        let mut site = self.shared.site();
        let now = Moment(parcel.now);
        site.absorb(world);
        let trick = match parcel.service {
            Service::Metadata => self.metadata(&mut site, now),
            Service::Ec2 => {
                let read = parcel.request.body.starts_with(b"Action=Describe");
                self.ec2(&mut site, now, !read)
            }
        };
        let Some(Trick { kind, fault, fate }) = trick else {
            let exchange = send(world);
            self.note(&mut site, world, &parcel, &exchange);
            return (exchange, Fate::Answered);
        };
        // Whatever else matches it later is not the first.
        let when = Selector { nth: Some(1), ..Selector::default() };
        let spec = FaultSpec { fault, when };
        let id = world.fault_set(parcel.now, spec).expect("a fault that can be set");
        let exchange = send(world);
        self.note(&mut site, world, &parcel, &exchange);
        if kind == Some(Kind::DescribeStale) {
            // It acts when the call is carried out.
            site.tricks.insert(exchange.call.0, id);
            return (exchange, fate);
        }
        let status = world.fault_clear(parcel.now, Some(id)).expect("it was set");
        if let Some(kind) = kind.filter(|_| status.iter().any(|status| status.fired > 0)) {
            site.probes.fault(kind);
        }
        (exchange, fate)
    }

    fn answered(&self, world: &mut World, exchange: &Exchange) {
        let mut site = self.shared.site();
        site.absorb(world);
        let Some(id) = site.tricks.remove(&exchange.call.0) else { return };
        let now = self.shared.now().0;
        let status = world.fault_clear(now, Some(id)).expect("it was set");
        if status.iter().any(|status| status.fired > 0) {
            site.probes.fault(Kind::DescribeStale);
        }
    }
}

impl Desk {
    fn note(&self, site: &mut Site, world: &World, parcel: &Parcel<'_>, exchange: &Exchange) {
        if parcel.service == Service::Ec2
            && let Some(call) = world.calls(exchange.call.0.saturating_sub(1)).first()
        {
            self.sent(site, Moment(parcel.now), call);
        }
    }
}
