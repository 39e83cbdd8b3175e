//! One look at a cluster: four reads, whatever the StatefulSet has.

use firecamp_core::contract::cluster::annotation;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::SetName;
use firecamp_kube::Inventory;
use firecamp_registry::api::StaticIPSpec;
use serde_json::Value;

use super::facts::{Address, Facts, Holder};
use crate::look::outcome::Unread;
use crate::look::progress;

/// Looks once. The StatefulSet is read first and the addresses after the pods, so that what is
/// found gone had nobody left who could make it anew.
pub(super) async fn look(
    inventory: &Inventory,
    (namespace, set): (&str, &SetName),
) -> Result<Facts, RegistryFailure> {
    let what = format!("look at StatefulSet {namespace}/{set}, its pods and its addresses");
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

fn address(mut object: Value) -> Result<Address, Unread> {
    let name = text(&object, "/metadata/name").unwrap_or_default();
    let written = written(&object);
    let spec = object.get_mut("spec").map(Value::take).unwrap_or_default();
    let spec: StaticIPSpec = serde_json::from_value(spec).map_err(|why| Unread::new(name, &why))?;
    let holder = spec.attachment.map(|now| Holder {
        state: now.state,
        pod_uid: now.pod_uid,
        node: now.node_name,
    });
    Ok(Address { address: spec.address, member: spec.claim_ref.name, holder, written })
}

/// When the object itself was written last: a status is written by its own subresource.
fn written(object: &Value) -> Option<String> {
    let all = object.pointer("/metadata/managedFields").and_then(Value::as_array)?;
    let of_object = all.iter().filter(|one| text(one, "/subresource").is_none());
    // All of them have one form, in which later is greater.
    of_object.filter_map(|one| text(one, "/time")).max()
}

/// A claim's name, and the StatefulSet that it is bound to.
fn bound(claim: &Value) -> Option<(String, Option<String>)> {
    let annotations = claim.pointer("/metadata/annotations");
    let set = annotations.and_then(|all| all.get(annotation::SET)).and_then(Value::as_str);
    Some((text(claim, "/metadata/name")?, set.map(str::to_owned)))
}
