//! `firecamp service volume import`: what is made, and what is refused.

use clap::Parser;
use firecamp_cli::args::{Cli, Command};
use firecamp_cli::failure::Failure;
use firecamp_cli::service::ServiceCommand;
use firecamp_cli::service::apply::{DryRun, apply_all};
use firecamp_cli::service::cluster::kind;
use firecamp_cli::service::volume::VolumeCommand;
use firecamp_cli::service::volume::check::Wanted;
use firecamp_cli::service::volume::filesystem::Filesystem;
use firecamp_cli::service::volume::import::{self, ImportArguments, Plan};
use firecamp_cli::service::volume::objects::Import;
use firecamp_cloud::DescribedVolume;
use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::Zone;
use serde_json::{Value, json};

use super::store::{Store, path_of};

pub(crate) const VOLUME: &str = "vol-0a1b2c3d4e5f60718";
/// The claim of member 0.
const CLAIM: &str = "redis-data-redis-0";

/// The flags of an import into member 0 of prod/redis, and more of them.
fn arguments(more: &[&str]) -> ImportArguments {
    let words = ["firecamp", "service", "volume", "import", "prod/redis", "--member", "0"];
    let volume = ["--volume-id", VOLUME, "--fs-type", "xfs"];
    let all = [&words[..], &volume, more].concat();
    let Command::Service(service) = Cli::try_parse_from(all).unwrap().command else { panic!() };
    let ServiceCommand::Volume(volume) = service.command else { panic!() };
    let VolumeCommand::Import(arguments) = volume.command;
    arguments
}

fn wanted(more: &[&str]) -> Wanted {
    arguments(more).wanted("prod", "redis")
}

/// 100 GiB in zone a, not attached.
fn volume() -> DescribedVolume {
    let zone = Zone::new("us-east-1a").unwrap();
    DescribedVolume { zone, gib: 100, state: "available".to_owned(), instances: Vec::new() }
}

/// The StatefulSet of a service with a data volume, in the zones of pool main.
fn set() -> Value {
    let request = json!({ "requests": { "storage": "50Gi" } });
    json!({
        "metadata": { "labels": { "firecamp-serviceuuid": "0123456789abcdef" } },
        "spec": {
            "template": { "metadata": { "labels": { "firecamp.io/pool": "main" } } },
            "volumeClaimTemplates": [{
                "metadata": { "name": "redis-data" },
                "spec": { "resources": request, "storageClassName": "gp3" },
            }],
        },
    })
}

fn pool(zones: &[&str]) -> Value {
    let subnets = zones.iter().map(|zone| json!({ "zone": zone })).collect::<Vec<_>>();
    json!({ "spec": { "subnets": subnets } })
}

/// A ready node in each of the zones a and b.
fn without_service() -> Store {
    let cluster = Store::default();
    for (name, zone) in [("node-a", "us-east-1a"), ("node-b", "us-east-1b")] {
        let node = json!({
            "metadata": { "labels": { "topology.kubernetes.io/zone": zone } },
            "spec": { "providerID": format!("aws:///{zone}/i-0{name}") },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        cluster.put(kind::NODE, name, node);
    }
    cluster
}

/// The nodes and the service.
fn with_service() -> Store {
    let cluster = without_service();
    cluster.put(kind::STATEFUL_SET, "redis", set());
    cluster.put(kind::POOL, "main", pool(&["us-east-1a", "us-east-1b"]));
    cluster
}

/// The plan of an import. Planning writes nothing.
async fn planned(
    cluster: &Store,
    wanted: &Wanted,
    volume: &DescribedVolume,
) -> Result<Plan, Failure> {
    let before = cluster.state().writes.clone();
    let members = cluster.members(kind::STATEFUL_SET, "redis");
    let planned = import::planned(&members, wanted, volume).await;
    assert_eq!(cluster.state().writes, before);
    planned
}

async fn import(cluster: &Store, wanted: &Wanted) -> Import {
    let planned = planned(cluster, wanted, &volume()).await;
    match planned.unwrap_or_else(|failure| panic!("{}", failure.chain())) {
        Plan::Import(import) => import,
        Plan::Unchanged(objects) => panic!("{objects:?}"),
    }
}

/// The message with which an import is refused. It names the volume and what to do.
async fn refused(cluster: &Store, wanted: &Wanted, volume: &DescribedVolume) -> String {
    let failure = planned(cluster, wanted, volume).await.unwrap_err();
    assert_eq!(failure.exit(), Exit::RegistryInvalid);
    assert_eq!(cluster.state().writes, Vec::<String>::new(), "nothing is made");
    let text = failure.to_string();
    assert!(text.starts_with(&format!("cannot import {VOLUME}: ")), "{text}");
    text
}

async fn apply(cluster: &Store, import: &Import) {
    let applied = apply_all(cluster, import.objects(), DryRun::None, false).await;
    applied.unwrap_or_else(|failure| panic!("{}", failure.chain()));
    let expected = import.objects().into_iter().map(|(path, _object)| format!("apply {path}"));
    assert_eq!(cluster.state().writes, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn the_volume_and_the_claim_name_each_other() {
    let cluster = with_service();
    let import = import(&cluster, &wanted(&[])).await;
    let objects = import.objects();
    let names: Vec<String> = objects.iter().map(|(path, _object)| path.to_string()).collect();
    let claim = "PersistentVolumeClaim prod/redis-data-redis-0";
    assert_eq!(names, [format!("PersistentVolume {VOLUME}").as_str(), claim]);
    let zone = json!({
        "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["us-east-1a"],
    });
    let expected = json!({
        "capacity": { "storage": "100Gi" },
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "gp3",
        "csi": { "driver": "ebs.csi.aws.com", "volumeHandle": VOLUME, "fsType": "xfs" },
        "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [zone] }] } },
        "claimRef": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "namespace": "prod", "name": "redis-data-redis-0",
        },
    });
    assert_eq!(objects[0].1["spec"], expected);
    assert_eq!(objects[0].1["metadata"]["namespace"], Value::Null);
    let expected = json!({
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "volumeName": VOLUME,
        "storageClassName": "gp3",
        "resources": { "requests": { "storage": "50Gi" } },
    });
    assert_eq!(objects[1].1["spec"], expected);
    for (_path, object) in &objects {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["firecamp-servicename"], "redis");
        assert_eq!(labels["firecamp-serviceuuid"], "0123456789abcdef");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "firecamp-service");
    }
}

#[tokio::test]
async fn before_the_service_exists_the_claim_has_the_size_of_the_volume_or_of_the_flags() {
    let cluster = without_service();
    let plain = import(&cluster, &wanted(&[])).await;
    assert_eq!((plain.size.as_str(), plain.class.as_str()), ("100Gi", ""));
    let [_volume, (_path, claim)] = plain.objects().try_into().unwrap();
    assert_eq!(claim["spec"]["storageClassName"], "", "no default class");
    assert!(claim["metadata"]["labels"]["firecamp-serviceuuid"].is_null());
    let flags = ["--size", "40Gi", "--class", "gp3", "--role", "journal"];
    let flagged = import(&cluster, &wanted(&flags)).await;
    assert_eq!((flagged.size.as_str(), flagged.class.as_str()), ("40Gi", "gp3"));
    assert_eq!(flagged.claim.name(), "redis-journal-redis-0");
}

#[tokio::test]
async fn a_volume_that_is_smaller_than_the_request_is_refused() {
    let cluster = with_service();
    let small = DescribedVolume { gib: 49, ..volume() };
    let why = refused(&cluster, &wanted(&[]), &small).await;
    assert!(why.contains("has 49 GiB, and the claim requests 50Gi: enlarge"), "{why}");
    let exact = DescribedVolume { gib: 50, ..volume() };
    planned(&cluster, &wanted(&[]), &exact).await.unwrap();
    let alone = without_service();
    let why = refused(&alone, &wanted(&["--size", "0.1Ti"]), &volume()).await;
    assert!(why.contains("requests 0.1Ti"), "{why}");
    let why = refused(&alone, &wanted(&["--size", "100GB"]), &volume()).await;
    assert!(why.contains("\"100GB\" is no size"), "{why}");
}

#[tokio::test]
async fn flags_that_contradict_the_claim_template_are_refused() {
    let cluster = with_service();
    let why = refused(&cluster, &wanted(&["--size", "60Gi"]), &volume()).await;
    assert!(why.contains("redis-data requests 50Gi, not 60Gi: omit --size"), "{why}");
    let why = refused(&cluster, &wanted(&["--class", "io2"]), &volume()).await;
    assert!(why.contains("has StorageClass gp3: omit --class"), "{why}");
    let same = wanted(&["--size", "51200Mi", "--class", "gp3"]);
    assert_eq!(import(&cluster, &same).await.size, "50Gi");
}

#[tokio::test]
async fn a_statefulset_without_the_claim_template_is_refused() {
    let why = refused(&with_service(), &wanted(&["--role", "journal"]), &volume()).await;
    assert!(why.contains("no claim template redis-journal, but redis-data: "), "{why}");
    assert!(why.contains("create it again with --data or --journal"), "{why}");
}

#[tokio::test]
async fn an_attached_volume_is_refused_with_its_instance() {
    let at = |instance: &str| DescribedVolume {
        state: "in-use".to_owned(),
        instances: vec![instance.to_owned()],
        ..volume()
    };
    let why = refused(&with_service(), &wanted(&[]), &at("i-0123")).await;
    assert!(why.contains("attached to i-0123, which is no Node of this cluster"), "{why}");
    assert!(why.contains("aws ec2 detach-volume"), "{why}");
    let why = refused(&with_service(), &wanted(&[]), &at("i-0node-b")).await;
    assert!(why.contains("attached to i-0node-b (Node node-b): stop the pod"), "{why}");
    let creating = DescribedVolume { state: "creating".to_owned(), ..volume() };
    let why = refused(&with_service(), &wanted(&[]), &creating).await;
    assert!(why.contains("EC2 reports the volume as creating"), "{why}");
}

#[tokio::test]
async fn a_volume_in_a_zone_without_a_place_for_the_member_is_refused() {
    let cluster = with_service();
    let in_zone = |zone: &str| DescribedVolume { zone: Zone::new(zone).unwrap(), ..volume() };
    cluster.put(kind::POOL, "main", pool(&["us-east-1b", "us-east-1c"]));
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    assert!(why.contains("us-east-1a, in which pool main has no subnet"), "{why}");
    let why = refused(&cluster, &wanted(&[]), &in_zone("us-east-1c")).await;
    assert!(why.contains("us-east-1c, which has no ready node"), "{why}");
    planned(&cluster, &wanted(&[]), &in_zone("us-east-1b")).await.unwrap();

    let mut narrow = set();
    let zones = json!({
        "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["us-east-1a"],
    });
    let required = json!({ "nodeSelectorTerms": [{ "matchExpressions": [zones] }] });
    narrow["spec"]["template"]["spec"]["affinity"]["nodeAffinity"] =
        json!({ "requiredDuringSchedulingIgnoredDuringExecution": required });
    cluster.put(kind::STATEFUL_SET, "redis", narrow);
    let why = refused(&cluster, &wanted(&[]), &in_zone("us-east-1b")).await;
    assert!(why.contains("us-east-1b, in which the node affinity permits no member"), "{why}");
    cluster.put(kind::POOL, "main", pool(&["us-east-1a"]));
    planned(&cluster, &wanted(&[]), &volume()).await.unwrap();
}

#[tokio::test]
async fn a_volume_in_another_zone_than_the_members_address_is_refused() {
    let cluster = without_service();
    for (address, member, zone) in
        [("10.0.1.16", "redis-0", "us-east-1b"), ("10.0.1.17", "redis-1", "us-east-1a")]
    {
        let claim = json!({ "namespace": "prod", "name": member });
        let spec = json!({ "address": address, "zone": zone, "claimRef": claim });
        cluster.put(kind::STATIC_IP, address, json!({ "spec": spec }));
    }
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    assert!(why.contains("the member's address 10.0.1.16 in zone us-east-1b: copy"), "{why}");
    let second = arguments(&[]);
    let second = ImportArguments { member: 1, ..second }.wanted("prod", "redis");
    import(&cluster, &second).await;
}

#[tokio::test]
async fn an_import_that_is_repeated_changes_nothing() {
    let cluster = with_service();
    let first = import(&cluster, &wanted(&[])).await;
    apply(&cluster, &first).await;
    let uid = &cluster.object(kind::VOLUME_CLAIM, CLAIM)["metadata"]["uid"];
    assert!(uid.is_string(), "{uid}");
    let bound = json!({ "spec": { "claimRef": { "uid": uid } } });
    cluster.change(kind::VOLUME, VOLUME, &bound);
    // The member uses it.
    let instances = vec!["i-0node-a".to_owned()];
    let used = DescribedVolume { state: "in-use".to_owned(), instances, ..volume() };
    let again = planned(&cluster, &wanted(&[]), &used).await.unwrap();
    let Plan::Unchanged(objects) = again else { panic!("{again:?}") };
    let paths = objects.into_iter().map(|(path, _object)| path).collect::<Vec<_>>();
    assert_eq!(paths, [path_of(kind::VOLUME, VOLUME), path_of(kind::VOLUME_CLAIM, CLAIM)]);
}

#[tokio::test]
async fn an_import_that_was_interrupted_is_completed() {
    let cluster = with_service();
    let first = import(&cluster, &wanted(&[])).await;
    let [volume, _claim] = first.objects().try_into().unwrap();
    cluster.state().objects.extend([volume]);
    assert_eq!(import(&cluster, &wanted(&[])).await, first);
}

#[tokio::test]
async fn another_filesystem_than_that_of_the_imported_volume_is_refused() {
    let cluster = with_service();
    let objects = import(&cluster, &wanted(&[])).await.objects();
    cluster.state().objects.extend(objects);
    let mut other = wanted(&[]);
    other.filesystem = Filesystem::Ext4;
    let why = refused(&cluster, &other, &volume()).await;
    assert!(why.contains(&format!("PersistentVolume {VOLUME} exists with xfs")), "{why}");
}

#[tokio::test]
async fn a_claim_with_another_volume_is_refused() {
    let cluster = with_service();
    cluster.put(kind::VOLUME_CLAIM, CLAIM, json!({ "spec": { "volumeName": "pvc-1" } }));
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    let claim = "PersistentVolumeClaim prod/redis-data-redis-0";
    assert!(why.contains(&format!("{claim} exists: it has the PersistentVolume pvc-1")), "{why}");
    cluster.put(kind::VOLUME_CLAIM, CLAIM, json!({ "spec": {} }));
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    assert!(why.contains("it has no volume yet: stop the member"), "{why}");
}

#[tokio::test]
async fn a_volume_that_the_cluster_uses_for_something_else_is_refused() {
    let claim = json!({ "namespace": "test", "name": "data-old-0" });
    let csi = json!({ "driver": "ebs.csi.aws.com", "volumeHandle": VOLUME });
    let in_tree = json!({ "volumeID": format!("aws://us-east-1a/{VOLUME}") });
    for source in [json!({ "csi": csi }), json!({ "awsElasticBlockStore": in_tree })] {
        let cluster = with_service();
        let mut spec = source;
        spec["claimRef"] = claim.clone();
        let object = json!({ "spec": spec, "status": { "phase": "Bound" } });
        cluster.put(kind::VOLUME, "pv-old", object);
        let why = refused(&cluster, &wanted(&[]), &volume()).await;
        let user = "PersistentVolume pv-old exists: it is Bound, for claim test/data-old-0";
        assert!(why.contains(user), "{why}");
    }
}

/// A released PersistentVolume names the UID of the deleted claim, and binds to no other one.
#[tokio::test]
async fn a_released_persistent_volume_is_refused_and_its_policy_named() {
    let cluster = with_service();
    let [volume_object, _claim] =
        import(&cluster, &wanted(&[])).await.objects().try_into().unwrap();
    cluster.state().objects.extend([volume_object]);
    let claim = json!({ "uid": "of the deleted claim" });
    let released = json!({ "spec": { "claimRef": claim }, "status": { "phase": "Released" } });
    cluster.change(kind::VOLUME, VOLUME, &released);
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    assert!(why.contains("it is Released, for claim prod/redis-data-redis-0"), "{why}");
    assert!(why.contains("set its reclaim policy to Retain"), "{why}");
    // A later claim of the same name stays pending.
    let spec = json!({ "volumeName": VOLUME });
    cluster.put(kind::VOLUME_CLAIM, CLAIM, json!({ "metadata": { "uid": "later" }, "spec": spec }));
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    assert!(why.contains("PersistentVolumeClaim prod/redis-data-redis-0 exists"), "{why}");
}

#[tokio::test]
async fn an_imported_volume_that_is_being_deleted_is_refused() {
    let cluster = with_service();
    let objects = import(&cluster, &wanted(&[])).await.objects();
    cluster.state().objects.extend(objects);
    let deleted = json!({ "metadata": { "deletionTimestamp": "1970-01-01T00:00:00Z" } });
    cluster.change(kind::VOLUME_CLAIM, CLAIM, &deleted);
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    assert!(why.contains("PersistentVolumeClaim prod/redis-data-redis-0 exists"), "{why}");
}

/// Its pod may still have the volume attached to a node.
#[tokio::test]
async fn what_a_verification_left_is_refused_unless_another_one_removes_it() {
    let cluster = with_service();
    let objects = import(&cluster, &wanted(&[])).await.verify_objects("check", "busybox");
    cluster.state().objects.extend(objects);
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    let left = format!("PersistentVolume firecamp-verify-{VOLUME} exists");
    assert!(why.contains(&left), "{why}");
    import(&cluster, &wanted(&["--verify", "busybox"])).await;
}
