//! The leader names members.

use std::collections::BTreeMap;

use firecamp_controllers::leader::{
    Change, Cluster as _, Endpoint, Identity, NamedService, NamesChange, NamesObject,
    NamespacedName, OwningService,
};
use firecamp_core::contract::names::{NAMES_READY, reason};
use firecamp_kube::{KubeCluster, KubeRegistry, Watchable, Watched};
use firecamp_registry::api::Condition;
use serde_json::{Value, json};

use super::super::wrong;
use super::follows::reports;
use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::lifecycle::FIRST;

const SERVICES: &str = "/api/v1/namespaces/prod/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/prod/endpointslices";
const RECORDS: &str = "/apis/externaldns.k8s.io/v1alpha1/namespaces/prod/dnsendpoints";
/// The Service, and the DNSEndpoint.
const SERVICE: &str = "redis-static";
const SLICE: &str = "redis-static-firecamp";

fn named(name: &str) -> NamespacedName {
    NamespacedName { namespace: "prod".to_owned(), name: name.to_owned() }
}

pub(super) async fn of_members(cluster: &Cluster, registry: &KubeRegistry) -> Outcome {
    let leader = KubeCluster::new(registry);
    let api = &cluster.api;
    for path in [format!("{SLICES}/{SLICE}"), format!("{RECORDS}/{SERVICE}")] {
        api.delete(&path).await?;
    }
    api.delete(&format!("{SERVICES}/{SERVICE}")).await?;
    let service = async {
        let metadata = json!({
            "name": SERVICE,
            "labels": { "firecamp.io/statefulset": "redis" },
            "annotations": { "firecamp.io/dns-zone": "default" },
        });
        let port = json!({ "name": "redis", "port": 6379, "targetPort": "redis" });
        let spec = json!({ "clusterIP": "None", "ports": [port] });
        let made = api.post(SERVICES, &json!({ "metadata": metadata, "spec": spec })).await?;
        ensure(made.code == 201, || made.text)
    };
    reports(&leader.services(), service).await?;
    let service: NamedService = only(&leader.services(), SERVICE).await?;
    let suits = service.is_suitable && service.set == "redis" && service.zone.is_some();
    ensure(suits && !service.publishes_unready, || format!("{service:?}"))?;
    let unready = json!([{ "op": "add", "path": "/spec/publishNotReadyAddresses", "value": true }]);
    let changed = api.patch(&format!("{SERVICES}/{SERVICE}"), &unready).await?;
    ensure(changed.code == 200, || changed.text)?;
    let service: NamedService = only(&leader.services(), SERVICE).await?;
    ensure(service.publishes_unready, || format!("{service:?}"))?;
    slices(cluster, &leader, &service).await?;
    records(cluster, &leader, &service).await?;
    let condition = Condition {
        kind: NAMES_READY.to_owned(),
        status: "True".to_owned(),
        reason: reason::PUBLISHED.to_owned(),
        message: String::new(),
        last_transition_time: None,
        observed_generation: None,
    };
    let conditions = NamesObject::Conditions(vec![condition]);
    write(&leader, SERVICE, Some(service.id), conditions).await?;
    let service: NamedService = only(&leader.services(), SERVICE).await?;
    ensure(service.conditions.len() == 1, || format!("{:?}", service.conditions))
}

async fn write(
    leader: &KubeCluster,
    name: &str,
    id: Option<Identity>,
    object: NamesObject,
) -> Outcome {
    let change = NamesChange { name: named(name), id, object };
    leader.change(&Change::Names(change)).await.map_err(wrong)
}

async fn only<T: Watchable>(watched: &Watched<T>, name: &str) -> Result<T, String> {
    let all = watched.list().await.map_err(wrong)?;
    let found = all.into_iter().find(|item| item.name() == name);
    found.ok_or_else(|| format!("no {name} among the {}", watched.what()))?.object
}

fn owner(service: &NamedService) -> OwningService {
    OwningService { name: SERVICE.to_owned(), uid: service.id.uid.clone() }
}

/// What the server stores, so that the leader's next comparison finds no difference.
async fn slices(cluster: &Cluster, leader: &KubeCluster, service: &NamedService) -> Outcome {
    let endpoint = |ready| Endpoint {
        member: "redis-0".to_owned(),
        address: FIRST,
        ready,
        serving: ready,
        terminating: false,
    };
    let slice =
        |ready| NamesObject::Slice(owner(service), vec![endpoint(ready)], service.ports.clone());
    let created = write(leader, SLICE, None, slice(false));
    reports(&leader.slices(), created).await?;
    for ready in [true, false] {
        let id = only(&leader.slices(), SLICE).await?.id;
        write(leader, SLICE, Some(id), slice(ready)).await?;
        let stored = only(&leader.slices(), SLICE).await?;
        let same = stored.endpoints == [endpoint(ready)] && stored.ports == service.ports;
        ensure(same && stored.is_ours && stored.service == SERVICE, || format!("{stored:?}"))?;
    }
    let object = cluster.api.get(&format!("{SLICES}/{SLICE}")).await?.json();
    let is_owned = object["metadata"]["ownerReferences"][0]["name"] == SERVICE;
    ensure(is_owned && object["endpoints"][0]["hostname"] == "redis-0", || object.to_string())?;
    let id = only(&leader.slices(), SLICE).await?.id;
    write(leader, SLICE, Some(id), NamesObject::NoSlice).await
}

async fn records(cluster: &Cluster, leader: &KubeCluster, service: &NamedService) -> Outcome {
    let content = |names: &[&str]| {
        let names = names.iter().map(|name| (format!("{name}.demo-firecamp.com"), FIRST));
        names.collect::<BTreeMap<_, _>>()
    };
    let object = |names: &[&str]| NamesObject::Records(owner(service), content(names));
    let created = write(leader, SERVICE, None, object(&["redis-0"]));
    reports(&leader.records(), created).await?;
    let id = only(&leader.records(), SERVICE).await?.id;
    write(leader, SERVICE, Some(id), object(&["redis-0", "redis-1"])).await?;
    let stored = only(&leader.records(), SERVICE).await?;
    let same = stored.records == content(&["redis-0", "redis-1"]);
    ensure(same && stored.generation == 2 && stored.processed == 0, || format!("{stored:?}"))?;
    let object: Value = cluster.api.get(&format!("{RECORDS}/{SERVICE}")).await?.json();
    let first = &object["spec"]["endpoints"][0];
    ensure(first["recordTTL"] == 5 && first["recordType"] == "A", || object.to_string())?;
    write(leader, SERVICE, Some(stored.id), NamesObject::NoRecords).await
}
