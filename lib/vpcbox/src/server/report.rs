//! What the box tells about itself.

use std::collections::BTreeMap;

use firecamp_vpc::{Commit, World};
use serde_json::{Value, json as object};

use super::admin::{Outcome, because, json, refused};
use crate::driver::Driver;
use crate::plant::{EC2, Plant};
use crate::protocol::{Call, Effect, Place, RouterEvent};

/// The world's truth, with what the router really does.
pub(super) async fn truth(driver: &Driver) -> Outcome {
    let plant = driver.plant.lock().await;
    let mut truth = json(driver.look(World::truth))?;
    if let Some(addresses) = truth.get_mut("addresses").and_then(Value::as_array_mut) {
        for address in addresses {
            add_route(address, &plant);
        }
    }
    for kind in ["nodes", "clients"] {
        let Some(machines) = truth.get_mut(kind).and_then(Value::as_array_mut) else { continue };
        for machine in machines {
            add_links(machine, &plant);
        }
    }
    if let Some(fields) = truth.as_object_mut() {
        fields.insert("hello".to_owned(), json(&driver.hello)?);
    }
    Ok(truth)
}

fn add_route(address: &mut Value, plant: &Plant) {
    let text = address.get("address").and_then(Value::as_str);
    let eni = text.and_then(|text| text.parse().ok()).and_then(|ip| plant.routed(ip));
    let node = eni.and_then(|eni| plant.port(eni)).map(|port| port.site.clone());
    let eni = eni.map(str::to_owned);
    if let Some(fields) = address.as_object_mut() {
        fields.insert("routed".to_owned(), object!(eni));
        fields.insert("routed_node".to_owned(), object!(node));
    }
}

fn add_links(machine: &mut Value, plant: &Plant) {
    let Some(enis) = machine.get_mut("enis").and_then(Value::as_array_mut) else { return };
    for eni in enis {
        let link = eni.get("id").and_then(Value::as_str).and_then(|id| plant.port(id));
        let link = link.map(|port| port.link.clone());
        if let Some(fields) = eni.as_object_mut() {
            fields.insert("link".to_owned(), object!(link));
        }
    }
}

/// The calls, each with what it did to addresses and when each step of that was done.
pub(super) fn calls(driver: &Driver, since: u64) -> Outcome {
    let (calls, commits, truth) =
        driver.look(|world, now| (world.calls(since), world.commits(0), world.truth(now)));
    let events = driver.router_events(0);
    let mut by_call: BTreeMap<u64, Vec<&Commit>> = BTreeMap::new();
    for commit in &commits {
        if let Some(call) = commit.call {
            by_call.entry(call).or_default().push(commit);
        }
    }
    let mut out = Vec::with_capacity(calls.len());
    for call in calls {
        let commits = by_call.get(&call.seq).map(Vec::as_slice).unwrap_or_default();
        let effects = commits.iter().flat_map(|commit| effects(commit, &truth, &events));
        let effects: Vec<Effect> = effects.collect();
        let mut call: Call = serde_json::from_value(json(&call)?).map_err(|e| because(&e))?;
        call.effects = effects;
        out.push(call);
    }
    json(out)
}

fn effects(commit: &Commit, truth: &firecamp_vpc::Truth, events: &[RouterEvent]) -> Vec<Effect> {
    let effect = |moved: &firecamp_vpc::Move| {
        let record = truth.addresses.iter().find(|address| address.address == moved.address);
        let past = record.and_then(|record| {
            record.history.iter().find(|p| p.since_us == commit.at_us && p.eni == moved.after)
        });
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
            data_path_at_us: past.map(|past| past.data_path_at_us),
            routed_at_us: routed.map(|routed| routed.at_us),
            imds_at_us: past.and_then(|past| past.imds_added_at_us),
        }
    };
    commit.moves.iter().map(effect).collect()
}

/// How to enter a node or client.
pub(super) async fn enter(driver: &Driver, name: &str) -> Outcome {
    let plant = driver.plant.lock().await;
    let Some(site) = plant.site(name) else {
        let names = plant.names().join(", ");
        return Err(refused(format!("there is no node or client {name} up; there are: {names}")));
    };
    let region = driver.region.clone();
    let endpoint = format!("http://{EC2}");
    let env = BTreeMap::from([
        ("AWS_ENDPOINT_URL_EC2".to_owned(), endpoint),
        ("AWS_REGION".to_owned(), region.clone()),
        ("AWS_DEFAULT_REGION".to_owned(), region),
        // A user's own profile must not leak into a node.
        ("AWS_CONFIG_FILE".to_owned(), "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE".to_owned(), "/dev/null".to_owned()),
        ("VPCBOX_NODE".to_owned(), name.to_owned()),
        (
            "VPCBOX_ADDRESS".to_owned(),
            plant.primary_of(name).map_or_else(String::new, |a| a.to_string()),
        ),
    ]);
    let holder = i32::try_from(site.holder.pid()).map_err(|e| because(&e))?;
    let network = std::fs::read_link(format!("/proc/{holder}/ns/net")).map_err(|e| because(&e))?;
    json(Place { holder, network: network.to_string_lossy().into_owned(), env })
}
