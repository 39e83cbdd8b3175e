//! The holder of the Lease is killed at each boundary of each errand that it does for the cluster,
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
use firecamp_core::outside::Registry as _;
use firecamp_core::record::{Attachment, Claim, State, StaticIp, Stored, Write};
use firecamp_registry::conformance;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::city::{ADDRESS, City, until};

/// The address of another member, which nobody is to touch.
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 21);
/// Nothing is done any more after this long.
const REST: Duration = Duration::from_mins(6);

/// What is done for the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    /// A release for a node whose machine is gone.
    GoneNode,
    /// A claim, its address and its object, after a scale-down.
    ScaledDown,
    /// An address whose object a person has deleted.
    ObjectDeleted,
    /// A release, an address and its object, after a person has deleted the claim.
    ClaimDeleted,
}

impl Errand {
    /// What happens while no agent runs.
    async fn happens(self, city: &City) {
        city.no_pod();
        match self {
            Self::GoneNode => {
                city.ec2.terminate();
                city.node("node-1", "Unknown");
            }
            Self::ScaledDown => {
                city.set("set-1", 0);
                city.record(State::Parked, 5).await;
            }
            Self::ObjectDeleted => {
                city.record(State::Parked, 5).await;
                city.delete().await;
            }
            Self::ClaimDeleted => {
                assert!(city.server.remove("staticipclaims", Some("prod"), "redis-0"));
            }
        }
    }

    fn is_done(self, city: &City) -> bool {
        match self {
            Self::GoneNode => city.state().as_deref() == Some("Parked"),
            Self::ScaledDown | Self::ObjectDeleted | Self::ClaimDeleted => city.ip().is_none(),
        }
    }

    /// How often EC2 changes by it.
    fn changes(self) -> u32 {
        match self {
            Self::GoneNode => 0,
            Self::ScaledDown | Self::ObjectDeleted | Self::ClaimDeleted => 1,
        }
    }
}

/// Where a life ends: after so many steps of it, before or after it has heard of the last one.
#[derive(Debug, Clone, Copy)]
struct Death {
    steps: usize,
    heard: bool,
}

/// The steps of one life.
struct Steps<'a> {
    city: &'a City,
    asked: Cell<usize>,
    found: Cell<usize>,
    ec2: usize,
}

/// Whether the request is about one object of ours, and not the report on a pool.
fn is_step(asked: &str) -> bool {
    let Some((verb, object)) = asked.split_once(' ') else { return false };
    let ours = object.starts_with("staticips/") || object.starts_with("staticipclaims/");
    ours && verb != "WATCH" && !object.ends_with("/*")
}

impl<'a> Steps<'a> {
    fn of(city: &'a City) -> Self {
        let asked = Cell::new(city.server.asked().len());
        Self { city, asked, found: Cell::new(0), ec2: city.ec2.steps() }
    }

    fn count(&self) -> usize {
        let new = self.city.server.asked_since(self.asked.get());
        self.asked.set(self.asked.get() + new.len());
        let found = self.found.get() + new.iter().filter(|one| is_step(one)).count();
        self.found.set(found);
        found + self.city.ec2.steps() - self.ec2
    }
}

/// One life of an agent that may hold the Lease, until its death or until the errand is done. Says
/// whether it died.
async fn life(city: &City, node: &str, errand: Errand, death: Death) -> bool {
    let (end, steps) = (CancellationToken::new(), Steps::of(city));
    let mut agent = pin!(city.agent(node, "default", &end));
    let dies = poll_fn(|cx| {
        let over = steps.count() >= death.steps;
        let dead = over && (!death.heard || agent.as_mut().poll(cx).is_pending());
        if dead || (!over && agent.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(dead);
        }
        Poll::Pending
    });
    tokio::select! {
        biased;
        dead = dies => dead,
        _took = until("the errand is done", || errand.is_done(city)) => false,
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
}

fn left(city: &City) -> Left {
    Left {
        state: city.state(),
        has_claim: city.claim().is_some(),
        has_object: city.ip().is_some(),
        in_ec2: city.ec2.has(ADDRESS),
        unassigned: city.ec2.unassigned(),
    }
}

/// Another member, which runs on another node.
async fn bystander(city: &City) {
    let (member, pool) = (Member::new("prod", "web-0").unwrap(), conformance::pool("a", &[1]));
    let pool = pool.unwrap();
    let claim = Claim { address: Some(OTHER), ..conformance::claim(&member, &pool) };
    city.registry.write(&Write::CreateClaim(claim)).await.unwrap();
    let ip = conformance::static_ip(OTHER, &member, &pool).unwrap();
    city.registry.write(&Write::CreateStaticIp(ip)).await.unwrap();
    let Stored { version, object } = city.registry.static_ip(OTHER).await.unwrap().unwrap();
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
    city.registry.write(&Write::UpdateStaticIp(Stored { version, object })).await.unwrap();
    let pod = json!({
        "metadata": { "uid": "pod-9" },
        "spec": { "nodeName": "node-3" },
        "status": { "phase": "Running" },
    });
    city.server.set_pod("prod", "web-0", pod);
    city.ec2.put(OTHER, "eni-0000000c", "i-0000000c");
}

/// All that there is of it, versions included, and whether EC2 has its address.
fn untouched(city: &City) -> (Option<Value>, Option<Value>, bool) {
    let ip = city.server.object("staticips", None, &OTHER.to_string());
    (ip, city.server.object("staticipclaims", Some("prod"), "web-0"), city.ec2.has(OTHER))
}

/// The errand by agents that die so, one after the other, and one that lives; what is left then,
/// and what was asked. None if it was done before the last one was to die.
async fn run(errand: Errand, deaths: &[Death]) -> Option<(Left, Vec<String>)> {
    let city = City::new().await;
    bystander(&city).await;
    city.during(async || {
        until("the owner is on record", || city.owner().is_some()).await;
    })
    .await;
    let (others, asked) = (untouched(&city), city.server.asked().len());
    errand.happens(&city).await;
    for (death, node) in deaths.iter().zip(["node-2", "node-3"].into_iter().cycle()) {
        if !life(&city, node, errand, *death).await {
            return None;
        }
    }
    city.during(async || {
        until("the errand is done", || errand.is_done(&city)).await;
        sleep(REST).await;
    })
    .await;
    assert_eq!(untouched(&city), others, "{errand:?}, {deaths:?}");
    let sent = city.ec2.steps().div_ceil(2);
    let most = usize::try_from(errand.changes()).unwrap() * (deaths.len() + 1);
    assert!(sent <= most, "{errand:?}, {deaths:?}: EC2 was called {sent} times");
    Some((left(&city), city.server.asked_since(asked)))
}

/// Runs the errand with every death that follows these ones: after each step, whether it was heard
/// of or not. Says how many steps there are.
async fn at_every_boundary(
    errand: Errand,
    (before, ways): (&[Death], &[bool]),
    wanted: &Left,
) -> usize {
    let mut met = 0;
    loop {
        for heard in ways {
            let death = Death { steps: met + 1, heard: *heard };
            let deaths = [before, &[death]].concat();
            let Some((left, _)) = run(errand, &deaths).await else { return met };
            assert_eq!(left, *wanted, "{errand:?}, {deaths:?}");
        }
        met += 1;
    }
}

/// All deaths, and all pairs of deaths before the last step was heard of.
async fn is_done_whoever_dies(errand: Errand, requests: &[&str]) {
    let (wanted, asked) = run(errand, &[]).await.unwrap();
    assert_eq!(wanted.unassigned, errand.changes());
    for request in requests {
        assert!(asked.iter().any(|one| one == request), "{request}: {asked:?}");
    }
    let steps = at_every_boundary(errand, (&[], &[false, true]), &wanted).await;
    assert!(steps > requests.len(), "{steps} steps");
    let mut pairs = 0;
    for first in 1..=steps {
        let first = Death { steps: first, heard: false };
        pairs += at_every_boundary(errand, (&[first], &[false]), &wanted).await;
    }
    println!("{errand:?}: {steps} boundaries, {pairs} pairs");
    assert!(pairs >= steps, "{pairs} pairs");
}

#[tokio::test(start_paused = true)]
async fn f077_a_release_for_a_gone_node_is_done_whoever_dies_in_it() {
    is_done_whoever_dies(Errand::GoneNode, &["PATCH staticips/10.1.0.20"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_scaled_away_is_freed_whoever_dies_in_it() {
    let requests = [
        "DELETE staticipclaims/redis-0",
        "PATCH staticips/10.1.0.20",
        "DELETE staticips/10.1.0.20",
    ];
    is_done_whoever_dies(Errand::ScaledDown, &requests).await;
}

#[tokio::test(start_paused = true)]
async fn f076_an_object_that_a_person_deleted_goes_whoever_dies_in_it() {
    is_done_whoever_dies(Errand::ObjectDeleted, &["PATCH staticips/10.1.0.20"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_address_without_its_claim_is_freed_whoever_dies_in_it() {
    let requests = ["PATCH staticips/10.1.0.20", "DELETE staticips/10.1.0.20"];
    is_done_whoever_dies(Errand::ClaimDeleted, &requests).await;
}
