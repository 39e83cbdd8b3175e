//! The write requests: create an object, and replace the spec of the version that was read.

use firecamp_core::contract::cluster::FINALIZER;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::Version;
use firecamp_core::record::{Stored, Write};
use firecamp_registry::api::{Kind, Object, StaticIP, StaticIPClaim};
use firecamp_registry::rules;
use http::Method;
use serde::Serialize;
use serde_json::json;

use crate::http_request::Call;
use crate::object_paths::Place;

/// The field manager in `metadata.managedFields`.
const MANAGER: &str = "fieldManager=firecamp";
/// Makes the server reject a field that its schema lacks instead of dropping it.
const STRICT: &str = "fieldValidation=Strict";

/// The request of a write, and its object.
pub(crate) fn request(write: &Write) -> Result<(Call, Place), RegistryFailure> {
    match write {
        Write::CreateClaim(claim) => {
            create(Place::claim(&claim.member), &StaticIPClaim::from(claim))
        }
        Write::CreateStaticIp(ip) => {
            let place = Place::static_ip(ip.address);
            rules::check_static_ip(ip)
                .map_err(|problem| rules::refused(&format!("create {}", place.label), problem))?;
            let mut object = StaticIP::from(ip);
            object.metadata.finalizers.push(FINALIZER.to_owned());
            create(place, &object)
        }
        Write::UpdateClaim(Stored { version, object }) => {
            replace(Place::claim(&object.member), version, &StaticIPClaim::from(object))
        }
        Write::UpdateStaticIp(Stored { version, object }) => {
            let place = Place::static_ip(object.address);
            rules::check_static_ip(object)
                .map_err(|problem| rules::refused(&format!("update {}", place.label), problem))?;
            replace(place, version, &StaticIP::from(object))
        }
    }
}

/// The request that creates an object.
pub(crate) fn create<S>(place: Place, object: &Object<S>) -> Result<(Call, Place), RegistryFailure>
where
    S: Kind + Serialize,
{
    let what = format!("create {}", place.label);
    let mut call = Call::write(Method::POST, what, place.collection.clone());
    call.body = Some(("application/json", bytes(&call, object)?));
    Ok((strict(call), place))
}

fn replace<S>(
    place: Place,
    version: &Version,
    object: &Object<S>,
) -> Result<(Call, Place), RegistryFailure>
where
    S: Kind + Serialize,
{
    Ok((replaced(&place, version, &object.spec)?, place))
}

/// The patch contains the version that was read, so the API server rejects it with a conflict
/// unless that is still the stored one.
pub(crate) fn replaced(
    place: &Place,
    version: &Version,
    spec: &impl Serialize,
) -> Result<Call, RegistryFailure> {
    let what = format!("update {}", place.label);
    let mut call = Call::write(Method::PATCH, what, place.path());
    if !is_resource_version(version) {
        let problem = format!("version {version} is from another registry");
        return Err(call.failed(RegistryKind::Conflict, Effect::None, problem));
    }
    let patch = json!([
        { "op": "replace", "path": "/metadata/resourceVersion", "value": version.as_str() },
        { "op": "replace", "path": "/spec", "value": spec },
    ]);
    call.body = Some(("application/json-patch+json", bytes(&call, &patch)?));
    Ok(strict(call))
}

/// The request that deletes exactly the object that was read.
pub(crate) fn deleted(
    place: &Place,
    (uid, version): (&str, &Version),
) -> Result<Call, RegistryFailure> {
    let what = format!("delete {}", place.label);
    let mut call = Call::write(Method::DELETE, what, place.path());
    let options = json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": { "uid": uid, "resourceVersion": version.as_str() },
    });
    call.body = Some(("application/json", bytes(&call, &options)?));
    Ok(call)
}

/// Although versions are opaque, an API server accepts only numbers, and responds to anything else
/// with an error that is not about the object. Zero would mean any version.
pub(crate) fn is_resource_version(version: &Version) -> bool {
    version.as_str().parse::<u64>().is_ok_and(|number| number > 0)
}

/// Adds the field manager and strict field validation.
pub(crate) fn strict(mut call: Call) -> Call {
    call.query.extend([MANAGER.to_owned(), STRICT.to_owned()]);
    call
}

pub(crate) fn bytes(call: &Call, value: &impl Serialize) -> Result<Vec<u8>, RegistryFailure> {
    serde_json::to_vec(value)
        .map_err(|wrong| call.failed(RegistryKind::Refused, Effect::None, wrong))
}
