//! The leader is killed at each boundary of each operation that it does for the cluster,
//! and its successor at each boundary of what is left of it. In the end everything is as a holder
//! leaves it that nothing disturbs, the address has left EC2 once, and what is others' was not
//! touched.
//!
//! A boundary is between a request's effect and its being heard of, and between that and the next
//! request; of a call to EC2 also between its being sent and its effect. What was sent when the
//! holder dies takes effect all the same.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::net::Ipv4Addr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use firecamp_core::ids::{Epoch, Member};
use firecamp_core::ports::Registry as _;
use firecamp_core::record::{Attachment, Claim, State, StaticIp, Stored, Write};
use firecamp_registry::conformance;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::fixture::{ADDRESS, ClusterFixture, until};

/// The address of another member, which nobody is to touch.
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 21);
/// Nothing is done any more after this long.
const REST: Duration = Duration::from_mins(6);

/// What is done for the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Execution {
    /// A release for a node whose machine is gone.
    GoneNode,
    /// A claim, its address and its object, after a scale-down.
    ScaledDown,
    /// An address whose object a person has deleted.
    ObjectDeleted,
    /// A release, an address and its object, after a person has deleted the claim.
    ClaimDeleted,
    /// An interface whose instance was terminated.
    InterfaceLost,
    /// An interface that a person removes from its instance.
    InterfaceDrained,
}

impl Execution {
    /// What happens while no agent runs.
    async fn happens(self, fixture: &ClusterFixture) {
        fixture.no_pod();
        match self {
            Self::GoneNode => {
                fixture.terminate_instance();
                fixture.node("node-1", "Unknown");
            }
            Self::ScaledDown => {
                fixture.set("set-1", 0);
                fixture.record(State::Parked, 5).await;
            }
            Self::ObjectDeleted => {
                fixture.record(State::Parked, 5).await;
                fixture.delete().await;
            }
            Self::ClaimDeleted => {
                assert!(fixture.server.remove("staticipclaims", Some("prod"), "redis-0"));
            }
            Self::InterfaceLost => {
                fixture.on_own_interface().await;
                fixture.reserve();
                fixture.terminate_instance();
                fixture.node("node-1", "Unknown");
            }
            Self::InterfaceDrained => {
                fixture.on_own_interface().await;
                fixture.reserve();
                fixture.drain();
            }
        }
    }

    fn is_done(self, fixture: &ClusterFixture) -> bool {
        match self {
            Self::GoneNode => fixture.state().as_deref() == Some("Parked"),
            Self::ScaledDown | Self::ObjectDeleted | Self::ClaimDeleted => fixture.ip().is_none(),
            Self::InterfaceLost | Self::InterfaceDrained => {
                fixture.interface("/spec/phase").is_none()
            }
        }
    }

    /// How often EC2 changes by it: an address is unassigned, an interface detached and deleted.
    fn changes(self) -> usize {
        match self {
            Self::GoneNode => 0,
            Self::ScaledDown | Self::ObjectDeleted | Self::ClaimDeleted => 1,
            Self::InterfaceLost => 2,
            Self::InterfaceDrained => 3,
        }
    }
}

/// Where a life ends: after so many steps of it, before or after it has heard of the last one.
#[derive(Debug, Clone, Copy)]
struct Death {
    steps: usize,
    answered: bool,
}

/// The steps of one life.
struct Steps<'a> {
    fixture: &'a ClusterFixture,
    asked: Cell<usize>,
    found: Cell<usize>,
    ec2: usize,
}

/// Whether the request is about one object of ours, and not the report on a pool.
fn is_step(asked: &str) -> bool {
    let Some((verb, object)) = asked.split_once(' ') else { return false };
    let ours = ["staticips/", "staticipclaims/", "nodeinterfaces/"];
    ours.iter().any(|ours| object.starts_with(ours)) && verb != "WATCH" && !object.ends_with("/*")
}

impl<'a> Steps<'a> {
    fn of(fixture: &'a ClusterFixture) -> Self {
        let asked = Cell::new(fixture.server.requests().len());
        Self { fixture, asked, found: Cell::new(0), ec2: fixture.ec2.account().calls.steps }
    }

    fn count(&self) -> usize {
        let new = self.fixture.server.requests_since(self.asked.get());
        self.asked.set(self.asked.get() + new.len());
        let found = self.found.get() + new.iter().filter(|one| is_step(one)).count();
        self.found.set(found);
        found + self.fixture.ec2.account().calls.steps - self.ec2
    }
}

/// One life of an agent that may hold the Lease, until its death or until the operation is done.
/// Says whether it died.
async fn lifecycle(
    fixture: &ClusterFixture,
    node: &str,
    execution: Execution,
    death: Death,
) -> bool {
    let (end, steps) = (CancellationToken::new(), Steps::of(fixture));
    let mut agent = pin!(fixture.agent(node, "default", &end));
    let dies = poll_fn(|cx| {
        let over = steps.count() >= death.steps;
        let dead = over && (!death.answered || agent.as_mut().poll(cx).is_pending());
        if dead || (!over && agent.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(dead);
        }
        Poll::Pending
    });
    tokio::select! {
        biased;
        dead = dies => dead,
        _took = until("the operation is done", || execution.is_done(fixture)) => false,
    }
}

/// What is left of the member.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    state: Option<String>,
    has_claim: bool,
    has_object: bool,
    in_ec2: bool,
    /// How often the address has left EC2.
    unassigned: u32,
    /// How many interfaces there are that calls created.
    interfaces: usize,
}

fn left(fixture: &ClusterFixture) -> Left {
    Left {
        state: fixture.state(),
        has_claim: fixture.claim().is_some(),
        has_object: fixture.ip().is_some(),
        in_ec2: fixture.ec2.has(ADDRESS),
        unassigned: fixture.ec2.unassigned(),
        interfaces: fixture.ec2.account().created.count(),
    }
}

/// Another member, which runs on another node.
async fn bystander(fixture: &ClusterFixture) {
    let (member, pool) = (Member::new("prod", "web-0").unwrap(), conformance::pool("a", &[1]));
    let pool = pool.unwrap();
    let claim = Claim { address: Some(OTHER), ..conformance::claim(&member, &pool) };
    fixture.registry.write(&Write::CreateClaim(claim)).await.unwrap();
    let ip = conformance::static_ip(OTHER, &member, &pool).unwrap();
    fixture.registry.write(&Write::CreateStaticIp(ip)).await.unwrap();
    let Stored { version, object } = fixture.registry.static_ip(OTHER).await.unwrap().unwrap();
    let eni = Some("eni-0000000c".parse().unwrap());
    let attachment = Attachment {
        state: State::Attached,
        pod: "pod-9".parse().unwrap(),
        node: "node-3".parse().unwrap(),
        eni: eni.clone(),
        run: "init-9".parse().unwrap(),
        served: true,
    };
    let (epoch, attachment) = (Epoch(9), Some(attachment));
    let object = StaticIp { epoch, attachment, reserved_on: eni, ..object };
    fixture.registry.write(&Write::UpdateStaticIp(Stored { version, object })).await.unwrap();
    let pod = json!({
        "metadata": { "uid": "pod-9" },
        "spec": { "nodeName": "node-3" },
        "status": { "phase": "Running" },
    });
    fixture.server.set_pod("prod", "web-0", pod);
    fixture.in_ec2(OTHER, "eni-0000000c", "i-0000000c");
}

/// All that there is of it, versions included, and whether EC2 has its address.
fn untouched(fixture: &ClusterFixture) -> (Option<Value>, Option<Value>, bool) {
    let ip = fixture.server.object("staticips", None, &OTHER.to_string());
    (ip, fixture.server.object("staticipclaims", Some("prod"), "web-0"), fixture.ec2.has(OTHER))
}

/// The operation by agents that die so, one after the other, and one that lives; what is left then,
/// and what was asked. None if it was done before the last one was to die.
async fn run(execution: Execution, deaths: &[Death]) -> Option<(Left, Vec<String>)> {
    let fixture = ClusterFixture::new().await;
    bystander(&fixture).await;
    fixture
        .during(async || {
            until("the owner is on record", || fixture.owner().is_some()).await;
        })
        .await;
    let (others, asked) = (untouched(&fixture), fixture.server.requests().len());
    execution.happens(&fixture).await;
    let before = fixture.ec2.account().calls.steps;
    for (death, node) in deaths.iter().zip(["node-2", "node-3"].into_iter().cycle()) {
        if !lifecycle(&fixture, node, execution, *death).await {
            return None;
        }
    }
    fixture
        .during(async || {
            until("the operation is done", || execution.is_done(&fixture)).await;
            sleep(REST).await;
        })
        .await;
    assert_eq!(untouched(&fixture), others, "{execution:?}, {deaths:?}");
    let sent = (fixture.ec2.account().calls.steps - before).div_ceil(2);
    let most = execution.changes() * (deaths.len() + 1);
    assert!(sent <= most, "{execution:?}, {deaths:?}: EC2 was called {sent} times");
    Some((left(&fixture), fixture.server.requests_since(asked)))
}

/// Runs the operation with every death that follows these ones: after each step, whether it was
/// heard of or not. Says how many steps there are.
async fn at_every_boundary(
    execution: Execution,
    (before, ways): (&[Death], &[bool]),
    wanted: &Left,
) -> usize {
    let mut met = 0;
    loop {
        for answered in ways {
            let death = Death { steps: met + 1, answered: *answered };
            let deaths = [before, &[death]].concat();
            let Some((left, _)) = run(execution, &deaths).await else { return met };
            assert_eq!(left, *wanted, "{execution:?}, {deaths:?}");
        }
        met += 1;
    }
}

/// All deaths, and all pairs of deaths before the last step was heard of.
async fn completes_despite_every_crash(execution: Execution, requests: &[&str]) {
    let (wanted, asked) = run(execution, &[]).await.unwrap();
    assert_eq!(wanted.unassigned, u32::from(execution.changes() > 0));
    let removes = matches!(execution, Execution::InterfaceLost | Execution::InterfaceDrained);
    assert_eq!(wanted.interfaces, usize::from(removes), "another cluster's stays");
    for request in requests {
        assert!(asked.iter().any(|one| one == request), "{request}: {asked:?}");
    }
    let steps = at_every_boundary(execution, (&[], &[false, true]), &wanted).await;
    assert!(steps > requests.len(), "{steps} steps");
    let mut pairs = 0;
    for first in 1..=steps {
        let first = Death { steps: first, answered: false };
        pairs += at_every_boundary(execution, (&[first], &[false]), &wanted).await;
    }
    println!("{execution:?}: {steps} boundaries, {pairs} pairs");
    assert!(pairs >= steps, "{pairs} pairs");
}

#[tokio::test(start_paused = true)]
async fn f077_release_for_a_lost_node_survives_every_leader_crash() {
    completes_despite_every_crash(Execution::GoneNode, &["PATCH staticips/10.1.0.20"]).await;
}

#[tokio::test(start_paused = true)]
async fn scale_down_survives_every_leader_crash() {
    let requests = [
        "DELETE staticipclaims/redis-0",
        "PATCH staticips/10.1.0.20",
        "DELETE staticips/10.1.0.20",
    ];
    completes_despite_every_crash(Execution::ScaledDown, &requests).await;
}

#[tokio::test(start_paused = true)]
async fn f076_deletion_of_a_staticip_survives_every_leader_crash() {
    completes_despite_every_crash(Execution::ObjectDeleted, &["PATCH staticips/10.1.0.20"]).await;
}

#[tokio::test(start_paused = true)]
async fn freeing_an_orphaned_address_survives_every_leader_crash() {
    let requests = ["PATCH staticips/10.1.0.20", "DELETE staticips/10.1.0.20"];
    completes_despite_every_crash(Execution::ClaimDeleted, &requests).await;
}

#[tokio::test(start_paused = true)]
async fn removal_of_a_lost_interface_survives_every_leader_crash() {
    let requests = ["PATCH staticips/10.1.0.20", "DELETE nodeinterfaces/i-0000000a-0"];
    completes_despite_every_crash(Execution::InterfaceLost, &requests).await;
}

#[tokio::test(start_paused = true)]
async fn removal_of_an_attached_interface_survives_every_leader_crash() {
    let requests = ["PATCH staticips/10.1.0.20", "DELETE nodeinterfaces/i-0000000a-0"];
    completes_despite_every_crash(Execution::InterfaceDrained, &requests).await;
}
