//! Reports of the box's state.

use std::collections::BTreeMap;

use firecamp_vpc::{Commit, Simulator};
use serde_json::{Value, json as object};

use super::admin::{Outcome, because, json, refused};
use crate::network::{EC2, LOGS, Network, ROUTE53};
use crate::protocol::{Call, Effect, Place, RouterEvent};
use crate::real_time_simulator::Driver;

/// The simulator's state, with the router's actual routes.
pub(super) async fn truth(driver: &Driver) -> Outcome {
    let network = driver.network.lock().await;
    let mut truth = json(driver.with_simulator(Simulator::truth))?;
    if let Some(addresses) = truth.get_mut("addresses").and_then(Value::as_array_mut) {
        for address in addresses {
            add_route(address, &network);
        }
    }
    for kind in ["nodes", "clients"] {
        let Some(machines) = truth.get_mut(kind).and_then(Value::as_array_mut) else { continue };
        for machine in machines {
            add_links(machine, &network);
        }
    }
    if let Some(fields) = truth.as_object_mut() {
        fields.insert("hello".to_owned(), json(&driver.hello)?);
    }
    Ok(truth)
}

fn add_route(address: &mut Value, network: &Network) {
    let text = address.get("address").and_then(Value::as_str);
    let eni = text.and_then(|text| text.parse().ok()).and_then(|ip| network.routed(ip));
    let node = eni.and_then(|eni| network.port(eni)).map(|port| port.site.clone());
    let eni = eni.map(str::to_owned);
    if let Some(fields) = address.as_object_mut() {
        fields.insert("routed".to_owned(), object!(eni));
        fields.insert("routed_node".to_owned(), object!(node));
    }
}

fn add_links(machine: &mut Value, network: &Network) {
    let Some(enis) = machine.get_mut("enis").and_then(Value::as_array_mut) else { return };
    for eni in enis {
        let link = eni.get("id").and_then(Value::as_str).and_then(|id| network.port(id));
        let link = link.map(|port| port.link.clone());
        if let Some(fields) = eni.as_object_mut() {
            fields.insert("link".to_owned(), object!(link));
        }
    }
}

/// The calls, each with its effects on addresses and the time of each step.
pub(super) fn calls(driver: &Driver, since: u64) -> Outcome {
    let events = driver.router_events(0);
    let (calls, mut by_call) = driver.with_simulator(|simulator, now| {
        simulator.advance(now);
        let mut by_call: BTreeMap<u64, Vec<Effect>> = BTreeMap::new();
        for commit in simulator.commits(0) {
            if let Some(call) = commit.call.filter(|call| *call > since) {
                by_call.entry(call).or_default().extend(effects(&commit, simulator, &events));
            }
        }
        (simulator.calls(since), by_call)
    });
    let mut out = Vec::with_capacity(calls.len());
    for call in calls {
        let effects = by_call.remove(&call.seq).unwrap_or_default();
        let mut call: Call = serde_json::from_value(json(&call)?).map_err(|e| because(&e))?;
        call.effects = effects;
        out.push(call);
    }
    json(out)
}

fn effects(commit: &Commit, simulator: &Simulator, events: &[RouterEvent]) -> Vec<Effect> {
    let effect = |moved: &firecamp_vpc::Move| {
        let owners = simulator.history(moved.address);
        let owner = owners.iter().find(|p| p.since_us == commit.at_us && p.eni == moved.after);
        let routed = events.iter().map(|event| &event.routed).find(|routed| {
            routed.address == moved.address
                && routed.eni == moved.after
                && routed.at_us >= commit.at_us
        });
        Effect {
            address: moved.address,
            before: moved.before.clone(),
            after: moved.after.clone(),
            committed_at_us: commit.at_us,
            data_path_at_us: owner.map(|owner| owner.data_path_at_us),
            routed_at_us: routed.map(|routed| routed.at_us),
            imds_at_us: owner.and_then(|owner| owner.imds_added_at_us),
        }
    };
    commit.moves.iter().map(effect).collect()
}

/// How to enter a node or client.
pub(super) async fn enter(driver: &Driver, name: &str) -> Outcome {
    let network = driver.network.lock().await;
    let Some(site) = network.site(name) else {
        let names = network.names().join(", ");
        return Err(refused(format!("no running node or client {name}; running: {names}")));
    };
    let region = driver.region.clone();
    let endpoint = format!("http://{EC2}");
    let env = BTreeMap::from([
        ("AWS_ENDPOINT_URL_EC2".to_owned(), endpoint),
        ("AWS_ENDPOINT_URL_ROUTE_53".to_owned(), format!("http://{ROUTE53}")),
        ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS".to_owned(), format!("http://{LOGS}")),
        ("AWS_REGION".to_owned(), region.clone()),
        ("AWS_DEFAULT_REGION".to_owned(), region),
        // The caller's own AWS profile must not apply in a node.
        ("AWS_CONFIG_FILE".to_owned(), "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE".to_owned(), "/dev/null".to_owned()),
        ("VPCBOX_NODE".to_owned(), name.to_owned()),
        (
            "VPCBOX_ADDRESS".to_owned(),
            network.primary_of(name).map_or_else(String::new, |a| a.to_string()),
        ),
    ]);
    let holder = i32::try_from(site.holder.pid()).map_err(|e| because(&e))?;
    let network = std::fs::read_link(format!("/proc/{holder}/ns/net")).map_err(|e| because(&e))?;
    json(Place { holder, network: network.to_string_lossy().into_owned(), env })
}
