//! Validates custom resources by the rules of the other registries. Tests on a real API server show
//! that the CRDs enforce the same rules.

use firecamp_core::managed_interface::NodeInterface;
use firecamp_core::record::{Claim, Pool, StaticIp};
use firecamp_registry::api::{
    InvalidObject, Kind, Metadata, NodeAttachmentsSpec, NodeAttachmentsStatus, NodeInterfaceSpec,
    Object, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec,
};
use firecamp_registry::rules;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::{About, Answer};
use crate::pods;
use crate::route::Route;

/// Validates an object and its change.
pub(crate) fn check(
    route: &Route,
    about: About<'_>,
    old: Option<&Value>,
    new: &Value,
) -> Result<(), Answer> {
    if !route.custom {
        return match old.filter(|_| route.plural == "pods" && !route.status) {
            Some(old) => pods::check_change(about, old, new),
            None => Ok(()),
        };
    }
    let invalid = |problem| Answer::invalid(about, problem);
    let both = (old, new);
    if route.plural == StaticIPSpec::PLURAL {
        let (old, new) = records(about, both, |o: &Object<StaticIPSpec>| StaticIp::try_from(o))?;
        old.map_or(Ok(()), |old| rules::check_static_ip_change(&old, &new)).map_err(invalid)
    } else if route.plural == StaticIPClaimSpec::PLURAL {
        let (old, new) = records(about, both, |o: &Object<StaticIPClaimSpec>| Claim::try_from(o))?;
        old.map_or(Ok(()), |old| rules::check_claim_change(&old, &new)).map_err(invalid)
    } else if route.plural == NodeInterfaceSpec::PLURAL {
        let convert = |o: &Object<NodeInterfaceSpec>| NodeInterface::try_from(o);
        let (old, new) = records(about, both, convert)?;
        let old = old.unwrap_or_else(|| new.clone());
        rules::check_node_interface_change(&old, &new).map_err(invalid)
    } else if route.plural == NodeAttachmentsSpec::PLURAL {
        let status = new.get("status").cloned().unwrap_or_else(|| json!({}));
        serde_json::from_value::<NodeAttachmentsStatus>(status).map(drop).map_err(|wrong| {
            Answer::bad_request(&format!("strict decoding error: status: {wrong}"), about)
        })
    } else {
        records(about, both, |o: &Object<StaticIPPoolSpec>| Pool::try_from(o)).map(drop)
    }
}

fn records<S, T>(
    about: About<'_>,
    (old, new): (Option<&Value>, &Value),
    convert: impl Fn(&Object<S>) -> Result<T, InvalidObject>,
) -> Result<(Option<T>, T), Answer>
where
    S: Kind + DeserializeOwned,
{
    let record = |value: &Value| {
        let object = object::<S>(about, value)?;
        convert(&object).map_err(|wrong| Answer::invalid(about, (wrong.field, wrong.problem)))
    };
    Ok((old.map(record).transpose()?, record(new)?))
}

/// Parses an API object.
pub(crate) fn object<S>(about: About<'_>, value: &Value) -> Result<Object<S>, Answer>
where
    S: Kind + DeserializeOwned,
{
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let spec = serde_json::from_value(value.get("spec").cloned().unwrap_or_default());
    let spec = spec.map_err(|wrong| {
        Answer::bad_request(&format!("strict decoding error: spec: {wrong}"), about)
    })?;
    let metadata = Metadata {
        name: text("/metadata/name").unwrap_or_default(),
        namespace: text("/metadata/namespace"),
        ..Metadata::default()
    };
    Ok(Object {
        api_version: text("/apiVersion").unwrap_or_default(),
        kind: text("/kind").unwrap_or_default(),
        metadata,
        spec,
        status: None,
    })
}
