//! Injects faults into single calls to EC2 and the metadata service: the simulator's own faults,
//! set for one call and cleared again, and broken connections.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::audit::Ec2Mutation;
use crate::names::{EniIx, NodeIx};
use crate::scenario::Fault as Kind;
use crate::seed::SeededRng;
use firecamp_core::time::Moment;
use firecamp_sim_tests::{Delivery, InFlight, Interceptor, Service};
use firecamp_vpc::{Body, Call, CutAt, Exchange, Fault, FaultSpec, Selector, Simulator};

use crate::wire::sim_state::{Sent, Shared, SimState, Slot};

/// A fault of one call.
struct InjectedFault {
    /// None for an outage of the script.
    kind: Option<Kind>,
    fault: Fault,
    delivery: Delivery,
}

impl InjectedFault {
    fn of(kind: Kind, fault: Fault) -> Self {
        Self { kind: Some(kind), fault, delivery: Delivery::Answered }
    }

    fn outage(fault: Fault) -> Self {
        Self { kind: None, fault, delivery: Delivery::Answered }
    }
}

/// A metadata fault applies to one request, but the rate is per reading, which is many requests.
const REQUESTS_OF_A_READING: u16 = 12;

/// The fault injector of one process.
#[derive(Debug)]
pub(crate) struct FaultInjector {
    shared: Shared,
    slot: Slot,
    node: NodeIx,
}

impl FaultInjector {
    pub(crate) fn new(shared: Shared, slot: Slot, node: NodeIx) -> Self {
        Self { shared, slot, node }
    }

    fn metadata(&self, sim: &mut SimState, now: Moment) -> Option<InjectedFault> {
        let node = &sim.cluster.nodes[self.node.at()];
        let (out, boots) = (node.metadata_out, node.hardware_at > now);
        let injects = sim.draws(self.slot, Kind::MetadataFails, REQUESTS_OF_A_READING);
        let rng = &mut sim.process(self.slot).rng;
        if out {
            let silent = rng.once_in(4);
            return Some(InjectedFault::outage(if silent {
                Fault::ImdsDown {}
            } else {
                Fault::ImdsError { status: 503 }
            }));
        }
        if injects {
            return Some(InjectedFault::of(Kind::MetadataFails, metadata_fault(rng)));
        }
        boots.then(|| InjectedFault::outage(Fault::ImdsMissing { device_index: 1 }))
    }

    fn ec2(&self, sim: &mut SimState, now: Moment, mutates: bool) -> Option<InjectedFault> {
        let slot = self.slot;
        let left = sim.process(slot).not_after.since(now).min(Duration::from_secs(5));
        if sim.cluster.ec2_out {
            let silent = sim.process(slot).rng.once_in(2);
            return Some(InjectedFault::outage(if silent {
                Fault::Hang { after_commit: false }
            } else {
                broken_server(503, false)
            }));
        }
        if sim.draws(slot, Kind::CloudDenied, 1) {
            let fault = denied(&mut sim.process(slot).rng);
            return Some(InjectedFault::of(Kind::CloudDenied, fault));
        }
        if sim.draws(slot, Kind::CloudFails, 1) {
            let fault = fails(&mut sim.process(slot).rng, mutates);
            return Some(InjectedFault::of(Kind::CloudFails, fault));
        }
        if !mutates {
            return sim.draws(slot, Kind::DescribeStale, 1).then(|| {
                let lag = sim.process(slot).rng.millis(0, 9_900);
                InjectedFault::of(
                    Kind::DescribeStale,
                    Fault::StaleDescribe { lag_ms: Some(whole_millis(lag)) },
                )
            });
        }
        if sim.draws(slot, Kind::CloudLost, 1) {
            let fault = lost(&mut sim.process(slot).rng);
            return Some(InjectedFault::of(Kind::CloudLost, fault));
        }
        if sim.draws(slot, Kind::CloudLate, 1) {
            return Some(late(&mut sim.process(slot).rng, left));
        }
        sim.draws(slot, Kind::CloudAfterDeadline, 1).then(|| {
            let more = sim.process(slot).rng.millis(1, 15_000);
            let after_ms = whole_millis(left.saturating_add(more));
            InjectedFault::of(
                Kind::CloudAfterDeadline,
                Fault::LateLanding { after_ms, silent: true },
            )
        })
    }

    /// Records an EC2 call that was sent.
    fn sent(&self, sim: &mut SimState, now: Moment, call: &Call) {
        let slot = self.slot;
        let process = sim.process(slot);
        process.calls = process.calls.saturating_add(1);
        let not_after = process.not_after;
        sim.sent.insert(call.seq, Sent { slot, not_after });
        if call.code.as_deref() == Some("RequestLimitExceeded") {
            sim.coverage.fault(Kind::CloudThrottled);
        }
        if !call.mutating {
            return;
        }
        sim.process(slot).mutations += 1;
        sim.coverage.mutations += 1;
        if let Some((eni, address)) = subject(call) {
            let process = sim.process(slot);
            let force = call.parameters.get("AllowReassignment").is_some_and(|v| v == "true");
            let (marked, shown) = (process.marked, process.observed.foreign && force);
            let call = Ec2Mutation { slot: slot.0, eni, address, marked, shown };
            sim.audit.called(now, call);
        }
    }
}

fn subject(call: &Call) -> Option<(EniIx, Ipv4Addr)> {
    let eni = call.parameters.get("NetworkInterfaceId")?.parse().ok()?;
    let address = call.parameters.get("PrivateIpAddress.1")?.parse().ok()?;
    // No audit permits an ENI outside the cluster.
    Some((EniIx::of(&eni).unwrap_or_default(), address))
}

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn broken_server(status: u16, after_commit: bool) -> Fault {
    Fault::HttpStatus { status, body: Body::default(), after_commit }
}

fn metadata_fault(rng: &mut SeededRng) -> Fault {
    match rng.below(6) {
        0 => Fault::ImdsDown {},
        1 => Fault::ImdsError { status: 500 },
        2 => Fault::ImdsError { status: 503 },
        3 => Fault::ImdsEmpty {},
        4 => Fault::ImdsToken401 {},
        5.. => Fault::ImdsPartial { keys: vec!["local-ipv4s".to_owned()] },
    }
}

fn denied(rng: &mut SeededRng) -> Fault {
    match rng.below(3) {
        0 => Fault::IamDeny {},
        1 => Fault::CredentialsExpire {},
        2.. => Fault::ClockSkew { ms: if rng.once_in(2) { 900_000 } else { -900_000 } },
    }
}

fn fails(rng: &mut SeededRng, mutates: bool) -> Fault {
    let status = match rng.below(4) {
        0 => 500,
        1 => 502,
        2 => 503,
        3.. => 504,
    };
    if rng.once_in(4) {
        let code = "InternalError".to_owned();
        let message = "An internal error has occurred".to_owned();
        return Fault::Error { code, message, status: 500 };
    }
    broken_server(status, mutates && rng.once_in(2))
}

fn lost(rng: &mut SeededRng) -> Fault {
    match rng.below(5) {
        0 => Fault::LostResponse { after_commit: true },
        1 => Fault::Hang { after_commit: true },
        2 => Fault::DropConn { at: CutAt::Headers, bytes: 0 },
        3 => Fault::DropConn { at: CutAt::Body, bytes: 40 },
        4.. => Fault::DropConn { at: CutAt::Silence, bytes: 40 },
    }
}

/// The effect comes at any time within T; the connection breaks before it, or hangs.
fn late(rng: &mut SeededRng, left: Duration) -> InjectedFault {
    let lands = rng.part(left.saturating_sub(Duration::from_millis(20)));
    let after_ms = whole_millis(lands).max(1);
    let delivery = match rng.below(3) {
        0 => Delivery::Broken(rng.part(lands)),
        1.. => Delivery::Answered,
    };
    let silent = delivery != Delivery::Answered || rng.once_in(2);
    InjectedFault {
        kind: Some(Kind::CloudLate),
        fault: Fault::LateLanding { after_ms, silent },
        delivery,
    }
}

impl Interceptor for FaultInjector {
    fn forward(
        &self,
        world: &mut Simulator,
        in_flight: InFlight<'_>,
        send: &mut dyn FnMut(&mut Simulator) -> Exchange,
    ) -> (Exchange, Delivery) {
        let mut sim = self.shared.sim();
        let now = Moment(in_flight.now);
        sim.process_commits(world);
        let injected = match in_flight.service {
            Service::Metadata => self.metadata(&mut sim, now),
            Service::Ec2 => {
                let read = in_flight.request.body.starts_with(b"Action=Describe");
                self.ec2(&mut sim, now, !read)
            }
        };
        let Some(InjectedFault { kind, fault, delivery }) = injected else {
            let exchange = send(world);
            self.note(&mut sim, world, &in_flight, &exchange);
            return (exchange, Delivery::Answered);
        };
        // The fault applies to the first matching call only.
        let when = Selector { nth: Some(1), ..Selector::default() };
        let spec = FaultSpec { fault, when };
        let id = world.fault_set(in_flight.now, spec).expect("a fault that can be set");
        let exchange = send(world);
        self.note(&mut sim, world, &in_flight, &exchange);
        if kind == Some(Kind::DescribeStale) {
            // It takes effect when the call is executed.
            sim.pending_faults.insert(exchange.call.0, id);
            return (exchange, delivery);
        }
        let status = world.fault_clear(in_flight.now, Some(id)).expect("it was set");
        if let Some(kind) = kind.filter(|_| status.iter().any(|status| status.fired > 0)) {
            sim.coverage.fault(kind);
        }
        (exchange, delivery)
    }

    fn answered(&self, world: &mut Simulator, exchange: &Exchange) {
        let mut sim = self.shared.sim();
        sim.process_commits(world);
        let Some(id) = sim.pending_faults.remove(&exchange.call.0) else { return };
        let now = self.shared.now().0;
        let status = world.fault_clear(now, Some(id)).expect("it was set");
        if status.iter().any(|status| status.fired > 0) {
            sim.coverage.fault(Kind::DescribeStale);
        }
    }
}

impl FaultInjector {
    fn note(
        &self,
        sim: &mut SimState,
        world: &Simulator,
        in_flight: &InFlight<'_>,
        exchange: &Exchange,
    ) {
        if in_flight.service == Service::Ec2
            && let Some(call) = world.calls(exchange.call.0.saturating_sub(1)).first()
        {
            self.sent(sim, Moment(in_flight.now), call);
        }
    }
}
