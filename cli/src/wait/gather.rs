//! One poll of a cluster: four reads, independent of the number of replicas.

use firecamp_core::contract::cluster::annotation;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::SetName;
use firecamp_kube::Inventory;
use firecamp_registry::api::StaticIPSpec;
use serde_json::Value;

use super::facts::{Address, Facts, Holder};
use crate::common::command_result::UnreadableObject;
use crate::common::progress;

/// Polls once. Reads the StatefulSet first and the addresses after the pods: whatever is found
/// absent can then no longer be created by what was read before.
pub(super) async fn poll(
    inventory: &Inventory,
    (namespace, set): (&str, &SetName),
) -> Result<Facts, RegistryFailure> {
    let what = format!("read StatefulSet {namespace}/{set}, its pods and its addresses");
    let read = async {
        let object = inventory.set(namespace, set.as_str()).await?;
        let pods = inventory.pods(namespace).await?;
        let addresses = inventory.addresses_in(namespace).await?;
        let claims = inventory.claims_in(namespace).await?;
        Ok((object, pods, addresses, claims))
    };
    let (object, pods, objects, claims) = progress::during(&what, read).await?;
    let (mut addresses, mut unread) = (Vec::new(), Vec::new());
    for object in objects {
        let member = text(&object, "/spec/claimRef/name");
        match address(object) {
            Ok(address) => addresses.push(address),
            Err(why) => unread.push((member, why)),
        }
    }
    let bound = claims.iter().filter_map(bound).collect();
    let (namespace, set) = (namespace.to_owned(), set.clone());
    Ok(Facts { namespace, set, object, pods, addresses, bound, unread })
}

fn text(object: &Value, at: &str) -> Option<String> {
    object.pointer(at).and_then(Value::as_str).map(str::to_owned)
}

pub(crate) fn address(mut object: Value) -> Result<Address, UnreadableObject> {
    let name = text(&object, "/metadata/name").unwrap_or_default();
    let written = written(&object);
    let spec = object.get_mut("spec").map(Value::take).unwrap_or_default();
    let spec: StaticIPSpec =
        serde_json::from_value(spec).map_err(|why| UnreadableObject::new(name, &why))?;
    let holder = spec.attachment.map(|now| Holder {
        state: now.state,
        pod_uid: now.pod_uid,
        node: now.node_name,
    });
    Ok(Address { address: spec.address, member: spec.claim_ref.name, holder, written })
}

/// When the object was last written, without its status, which has its own subresource.
fn written(object: &Value) -> Option<String> {
    let all = object.pointer("/metadata/managedFields").and_then(Value::as_array)?;
    let of_object = all.iter().filter(|one| text(one, "/subresource").is_none());
    // RFC 3339 in UTC: the text order is the time order.
    of_object.filter_map(|one| text(one, "/time")).max()
}

/// The name of a claim, and the StatefulSet to which it is bound.
fn bound(claim: &Value) -> Option<(String, Option<String>)> {
    let annotations = claim.pointer("/metadata/annotations");
    let set = annotations.and_then(|all| all.get(annotation::SET)).and_then(Value::as_str);
    Some((text(claim, "/metadata/name")?, set.map(str::to_owned)))
}
