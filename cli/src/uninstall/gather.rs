//! One poll of a cluster: all objects of FireCamp.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{InterfaceName, Member, PoolName, Version};
use firecamp_kube::{Inventory, ObjectName, ObservedSet, ReadObject};
use firecamp_registry::api::{
    Kind, NodeInterfaceSpec, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec,
};
use serde_json::Value;

use super::decide::{Fact, Facts, State};
use crate::common::progress;

/// Reads claims before addresses, so that an address that an existing claim has is found.
pub(super) async fn poll(inventory: &Inventory) -> Result<Facts, RegistryFailure> {
    let read = async {
        let mut facts = Facts::default();
        facts.add::<StaticIPPoolSpec>(inventory.ours::<StaticIPPoolSpec>().await?, pool);
        facts.add::<StaticIPClaimSpec>(inventory.ours::<StaticIPClaimSpec>().await?, claim);
        facts.note_members(inventory).await?;
        facts.add::<StaticIPSpec>(inventory.ours::<StaticIPSpec>().await?, address);
        facts.add::<NodeInterfaceSpec>(inventory.ours::<NodeInterfaceSpec>().await?, interface);
        Ok(facts)
    };
    progress::during("list the objects of FireCamp", read).await
}

/// The StatefulSet and the ordinal in a member's name.
fn set_of(member: &Member) -> Option<(&str, u32)> {
    let (set, ordinal) = member.name().rsplit_once('-')?;
    Some((set, ordinal.parse().ok()?))
}

type Parsed = Result<(ObjectName, State), String>;

impl Facts {
    /// A member between two pods has no address for a moment, and will want it back: notes the
    /// claims whose pod exists or is still wanted by its StatefulSet.
    async fn note_members(&mut self, inventory: &Inventory) -> Result<(), RegistryFailure> {
        let (mut pods, mut sets) = (BTreeMap::new(), BTreeMap::new());
        for fact in &mut self.objects {
            let ObjectName::Claim(member) = &fact.object.name else { continue };
            let namespace = member.namespace();
            if !pods.contains_key(namespace) {
                let all = inventory.pods(namespace).await?;
                let names: BTreeSet<String> = all.into_iter().map(|pod| pod.name).collect();
                pods.insert(namespace.to_owned(), names);
            }
            let exists = pods.get(namespace).is_some_and(|names| names.contains(member.name()));
            let mut wanted = false;
            if let Some((name, ordinal)) = set_of(member) {
                let key = (namespace.to_owned(), name.to_owned());
                if !sets.contains_key(&key) {
                    sets.insert(key.clone(), inventory.set(namespace, name).await?);
                }
                wanted = sets.get(&key).is_some_and(|set| wants(set.as_ref(), ordinal));
            }
            fact.state = state(exists || wanted);
        }
        Ok(())
    }

    fn add<S: Kind>(&mut self, objects: Vec<Value>, parse: fn(&Value) -> Parsed) {
        for object in objects {
            match fact(&object, parse) {
                Ok(fact) => self.objects.push(fact),
                Err(why) => {
                    let name = text(&object, "/metadata/name").to_owned();
                    self.unreadable.push((S::KIND, name, why));
                }
            }
        }
    }
}

fn fact(object: &Value, parse: fn(&Value) -> Parsed) -> Result<Fact, String> {
    let (name, state) = parse(object)?;
    let version = Version::new(text(object, "/metadata/resourceVersion")).map_err(invalid)?;
    let uid = text(object, "/metadata/uid").to_owned();
    let node = ["/spec/attachment/nodeName", "/spec/nodeName"].map(|at| text(object, at));
    Ok(Fact {
        object: ReadObject { name, uid, version },
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
        node: node.into_iter().find(|node| !node.is_empty()).map(str::to_owned),
        state,
    })
}

/// Empty if it is absent.
fn text<'a>(object: &'a Value, at: &str) -> &'a str {
    object.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

fn invalid(why: impl std::fmt::Display) -> String {
    why.to_string()
}

fn wants(set: Option<&ObservedSet>, ordinal: u32) -> bool {
    set.is_some_and(|set| {
        let ordinals = set.first..set.first.saturating_add(set.replicas);
        !set.deleting && ordinals.contains(&ordinal)
    })
}

fn state(active: bool) -> State {
    if active { State::Active } else { State::Idle }
}

fn pool(object: &Value) -> Parsed {
    let name = PoolName::new(text(object, "/metadata/name")).map_err(invalid)?;
    let wants = object.pointer("/spec/interfaces").is_some_and(|wanted| !wanted.is_null());
    Ok((ObjectName::Pool(name), state(wants)))
}

fn claim(object: &Value) -> Parsed {
    let [namespace, name] = ["/metadata/namespace", "/metadata/name"].map(|at| text(object, at));
    let member = Member::new(namespace, name).map_err(invalid)?;
    Ok((ObjectName::Claim(member), State::Idle))
}

fn address(object: &Value) -> Parsed {
    let address = text(object, "/metadata/name").parse().map_err(invalid)?;
    // One that is being released is soon free; an unknown state may mean that it is in use.
    let used = object
        .pointer("/spec/attachment/state")
        .is_some_and(|state| !matches!(state.as_str(), Some("Parked" | "Releasing" | "Released")));
    Ok((ObjectName::StaticIp(address), state(used)))
}

fn interface(object: &Value) -> Parsed {
    let name = InterfaceName::new(text(object, "/metadata/name")).map_err(invalid)?;
    let removed = matches!(text(object, "/spec/phase"), "Draining" | "Deleting");
    Ok((ObjectName::Interface(name), state(!removed)))
}
