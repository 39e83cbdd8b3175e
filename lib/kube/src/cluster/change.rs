//! The requests for the leader's changes.

use firecamp_controllers::leader::{Change, Identity, Owner};
use firecamp_core::contract::cluster::{ZONE_LABEL, annotation};
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::Zone;
use firecamp_core::record::Claim;
use firecamp_registry::api::{Condition, StaticIPClaim, StaticIPPoolStatus};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::names;
use crate::http_request::Call;
use crate::object_paths::Place;
use crate::{interfaces, write};

const MERGE: &str = "application/merge-patch+json";

/// The object whose other conditions stay: they are read before the change.
pub(super) fn conditioned(change: &Change) -> Option<Place> {
    match change {
        Change::UpdateStaticIpStatus(address, ..) => Some(Place::static_ip(*address)),
        Change::UpdateClaimStatus(member, ..) => Some(Place::claim(member)),
        Change::RecordOwner(..)
        | Change::DeleteClaim(..)
        | Change::DeleteStaticIp(..)
        | Change::RemoveFinalizer(..)
        | Change::UpdateInterface(_)
        | Change::DeleteInterface(_)
        | Change::Names(_)
        | Change::RemoveZoneGate(..)
        | Change::Restore(..)
        | Change::UpdatePoolStatus(..) => None,
    }
}

/// The request, if the object has these conditions.
pub(super) fn request(change: &Change, conditions: &[Condition]) -> Result<Call, RegistryFailure> {
    match change {
        Change::RecordOwner(member, id, owner) => {
            let patch = json!({ "metadata": {
                "resourceVersion": id.version.as_str(),
                "annotations": annotations(owner.as_ref()),
            }});
            patched(&Place::claim(member), "record the owner of", "", &patch)
        }
        Change::DeleteClaim(member, id) => {
            write::deleted(&Place::claim(member), (id.uid.as_str(), &id.version))
        }
        Change::DeleteStaticIp(address, id) => {
            write::deleted(&Place::static_ip(*address), (id.uid.as_str(), &id.version))
        }
        Change::RemoveFinalizer(address, id, rest) => {
            let patch = json!({ "metadata": {
                "resourceVersion": id.version.as_str(),
                "finalizers": rest,
            }});
            patched(&Place::static_ip(*address), "remove the finalizer of", "", &patch)
        }
        Change::UpdateInterface(next) => interfaces::update(next),
        Change::DeleteInterface(stored) => interfaces::delete(stored),
        Change::Names(change) => names::request(change),
        Change::RemoveZoneGate(member, id, rest, zone) => {
            let patch = json!({
                "metadata": { "resourceVersion": id.version.as_str() },
                "spec": scheduling(rest, zone.as_ref()),
            });
            patched(&Place::pod(member), "remove the zone gate of", "", &patch)
        }
        Change::Restore(claim, owner) => restored(claim, owner.as_ref()),
        Change::UpdateStaticIpStatus(address, id, phase, change) => {
            let conditions = dated(&change.applied(conditions));
            let status = json!({ "phase": phase, "conditions": conditions });
            reported(&Place::static_ip(*address), id, &status)
        }
        Change::UpdateClaimStatus(member, id, change) => {
            let status = json!({ "conditions": dated(&change.applied(conditions)) });
            reported(&Place::claim(member), id, &status)
        }
        Change::UpdatePoolStatus(pool, id, status) => {
            let StaticIPPoolStatus { total, allocated, free, conditions } = status;
            let conditions = dated(conditions);
            let status = json!({ "total": total, "allocated": allocated, "free": free,
                "conditions": conditions });
            reported(&Place::pool(pool), id, &status)
        }
    }
}

fn reported(place: &Place, id: &Identity, status: &Value) -> Result<Call, RegistryFailure> {
    let metadata = json!({ "resourceVersion": id.version.as_str() });
    let patch = json!({ "metadata": metadata, "status": status });
    patched(place, "write the status of", "/status", &patch)
}

/// The annotations of the owner; a merge patch deletes a field by `null`.
fn annotations(owner: Option<&Owner>) -> Value {
    json!({
        (annotation::SET): owner.map(|owner| owner.name.as_str()),
        (annotation::SET_UID): owner.map(|owner| owner.uid.as_str()),
    })
}

/// Without a zone, the patch does not touch the node selector.
fn scheduling(gates: &[String], zone: Option<&Zone>) -> Value {
    let gates: Vec<Value> = gates.iter().map(|gate| json!({ "name": gate })).collect();
    match zone {
        Some(zone) => json!({
            "schedulingGates": gates,
            "nodeSelector": { (ZONE_LABEL): zone.as_str() },
        }),
        None => json!({ "schedulingGates": gates }),
    }
}

/// Sets the transition time of conditions without one to now.
pub(super) fn dated(conditions: &[Condition]) -> Vec<Condition> {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut all = conditions.to_vec();
    for condition in &mut all {
        condition.last_transition_time.get_or_insert_with(|| now.clone());
    }
    all
}

/// A merge patch that names the version that was read.
pub(super) fn patched(
    place: &Place,
    verb: &str,
    sub: &str,
    patch: &Value,
) -> Result<Call, RegistryFailure> {
    let what = format!("{verb} {}", place.label);
    let mut call = Call::write(Method::PATCH, what, format!("{}{sub}", place.path()));
    call.body = Some((MERGE, write::bytes(&call, patch)?));
    Ok(write::strict(call))
}

fn restored(claim: &Claim, owner: Option<&Owner>) -> Result<Call, RegistryFailure> {
    let place = Place::claim(&claim.member);
    let mut object = StaticIPClaim::from(claim);
    if let Some(owner) = owner {
        let annotations = &mut object.metadata.annotations;
        annotations.insert(annotation::SET.to_owned(), owner.name.to_string());
        annotations.insert(annotation::SET_UID.to_owned(), owner.uid.to_string());
    }
    Ok(write::create(place, &object)?.0)
}
