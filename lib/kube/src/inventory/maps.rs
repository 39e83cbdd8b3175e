//! ConfigMaps that others have written, and how far a pod has come.

use std::collections::BTreeMap;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::Member;
use serde_json::Value;

use super::Inventory;
use crate::call::Call;
use crate::list;
use crate::object::Place;

/// Names on a page, as client-go's pager asks for.
const PAGE: usize = 500;

impl Inventory {
    /// The names of a namespace's ConfigMaps that begin with one of these. What is in them is not
    /// read: there may be anything in those of others.
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

    /// The texts of a ConfigMap; none if there is no such one.
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
        // The API server leaves out what is empty.
        let texts: Option<BTreeMap<String, String>> = serde_json::from_value(data)
            .map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))?;
        Ok(Some(texts.unwrap_or_default()))
    }

    /// The phase of a member's pod; none if it has no pod.
    pub async fn phase(&self, member: &Member) -> Result<Option<String>, RegistryFailure> {
        let place = Place::pod(member);
        let call = Call::get(format!("read {}", place.label), place.path());
        let Some(object) = self.object(&call, place.plural, &place.name).await? else {
            return Ok(None);
        };
        let phase = object.pointer("/status/phase").and_then(Value::as_str);
        // Between its creation and its first status a pod has none.
        Ok(Some(phase.unwrap_or("Pending").to_owned()))
    }
}

fn collection(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}
