//! Parses pods with FireCamp's scheduling gate, and their volumes.

use std::collections::BTreeMap;

use firecamp_controllers::leader::GatedPod;
use firecamp_core::contract::cluster::{ZONE_GATE, ZONE_LABEL};
use firecamp_core::ids::Zone;
use serde::Deserialize;
use serde_json::Value;

use super::parse::{Meta, parsed};
use crate::volumes::parse::{self as volumes, PodObject};
use crate::watch::{Collection, Watchable};

#[derive(Deserialize)]
struct Pod {
    metadata: Meta,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    scheduling_gates: Vec<Gate>,
    #[serde(default)]
    node_selector: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Gate {
    name: String,
}

/// A pod, if it has the gate.
impl Watchable for Option<GatedPod> {
    const COLLECTION: Collection = Collection { api_version: "v1", plural: "pods" };

    fn parse(text: &str) -> Result<Self, String> {
        let Pod { metadata, spec: Spec { scheduling_gates, mut node_selector } } = parsed(text)?;
        let gates: Vec<String> = scheduling_gates.into_iter().map(|gate| gate.name).collect();
        if !gates.iter().any(|gate| gate == ZONE_GATE) {
            return Ok(None);
        }
        let claims = parsed::<PodObject>(text)?.used_claims();
        Ok(Some(GatedPod {
            id: metadata.identity()?,
            other_gates: gates.into_iter().filter(|gate| gate != ZONE_GATE).collect(),
            zone: node_selector.remove(ZONE_LABEL),
            claims: claims.into_iter().map(|used| used.claim).collect(),
        }))
    }
}

/// The volume to which a PersistentVolumeClaim is bound.
pub(super) fn bound_volume(text: &str) -> Result<Option<String>, String> {
    Ok(volumes::bound_volume(&parsed::<Value>(text)?))
}

/// The zones of a PersistentVolume.
pub(super) fn zones(text: &str) -> Result<Vec<Zone>, String> {
    Ok(volumes::zones(&parsed::<Value>(text)?))
}
