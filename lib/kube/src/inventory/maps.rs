//! ConfigMaps of other programs, and the phase of a pod.

use std::collections::BTreeMap;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::Member;
use serde_json::Value;

use super::Inventory;
use crate::http_request::Call;
use crate::list;
use crate::object_paths::Place;

/// Names for each page, like client-go's pager.
const PAGE: usize = 500;

impl Inventory {
    /// The names of a namespace's ConfigMaps that begin with one of these prefixes. Their content
    /// is not read, because ConfigMaps of other programs can contain anything.
    pub async fn config_maps(
        &self,
        namespace: &str,
        prefixes: &[&str],
    ) -> Result<Vec<String>, RegistryFailure> {
        let what = format!("list the ConfigMaps of namespace {namespace}");
        let call = Call::list(what, collection(namespace), Vec::new());
        let all: Vec<Value> = list::all(&self.client, self.timeouts, &call, PAGE).await?;
        let names = all.iter().filter_map(|one| one.pointer("/metadata/name")?.as_str());
        let wanted = names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        Ok(wanted.map(str::to_owned).collect())
    }

    /// The data of a ConfigMap; none if it does not exist.
    pub async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, RegistryFailure> {
        let path = format!("{}/{name}", collection(namespace));
        let call = Call::get(format!("read ConfigMap {namespace}/{name}"), path);
        let Some(mut object) = self.object(&call, "configmaps", name).await? else {
            return Ok(None);
        };
        let data = object.get_mut("data").map(Value::take).unwrap_or_default();
        // The API server omits empty data.
        let texts: Option<BTreeMap<String, String>> = serde_json::from_value(data)
            .map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))?;
        Ok(Some(texts.unwrap_or_default()))
    }

    /// The phase of a member's pod; none if the member has no pod.
    pub async fn phase(&self, member: &Member) -> Result<Option<String>, RegistryFailure> {
        let place = Place::pod(member);
        let call = Call::get(format!("read {}", place.label), place.path());
        let Some(object) = self.object(&call, place.plural, &place.name).await? else {
            return Ok(None);
        };
        let phase = object.pointer("/status/phase").and_then(Value::as_str);
        // A pod has no phase before its first status.
        Ok(Some(phase.unwrap_or("Pending").to_owned()))
    }
}

fn collection(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}
