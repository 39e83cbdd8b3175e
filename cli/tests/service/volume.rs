//! `firecamp service volume import`: what is made, and what is refused.

use clap::Parser;
use firecamp_cli::args::{Cli, Command};
use firecamp_cli::failure::Failure;
use firecamp_cli::service::ServiceCommand;
use firecamp_cli::service::apply::{DryRun, apply_all};
use firecamp_cli::service::cluster::{kind, path};
use firecamp_cli::service::volume::VolumeCommand;
use firecamp_cli::service::volume::check::Wanted;
use firecamp_cli::service::volume::filesystem::Filesystem;
use firecamp_cli::service::volume::import::{ImportArguments, Plan, planned};
use firecamp_cli::service::volume::objects::Import;
use firecamp_cloud::DescribedVolume;
use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::Zone;
use firecamp_kube::ObjectPath;
use serde_json::{Value, json};

use super::volume_cluster::{VolumeCluster, global};

pub(crate) const VOLUME: &str = "vol-0a1b2c3d4e5f60718";

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

fn set_path() -> ObjectPath {
    path(kind::STATEFUL_SET, "prod", "redis")
}

fn claim_path() -> ObjectPath {
    path(kind::VOLUME_CLAIM, "prod", "redis-data-redis-0")
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

/// A cluster with the service.
fn with_service() -> VolumeCluster {
    let cluster = VolumeCluster::new();
    cluster.put(&set_path(), set());
    cluster.put(&global(kind::POOL, "main"), pool(&["us-east-1a", "us-east-1b"]));
    cluster
}

async fn import(cluster: &VolumeCluster, wanted: &Wanted) -> Import {
    let planned = planned(&cluster.members(), wanted, &volume()).await;
    match planned.unwrap_or_else(|failure| panic!("{}", failure.chain())) {
        Plan::Import(import) => import,
        Plan::Unchanged(objects) => panic!("{objects:?}"),
    }
}

/// The message with which an import is refused. It names the volume and what to do.
async fn refused(cluster: &VolumeCluster, wanted: &Wanted, volume: &DescribedVolume) -> String {
    let failure: Failure = planned(&cluster.members(), wanted, volume).await.unwrap_err();
    assert_eq!(failure.exit(), Exit::RegistryInvalid);
    assert_eq!(cluster.state().writes, Vec::<String>::new(), "nothing is made");
    let text = failure.to_string();
    assert!(text.starts_with(&format!("cannot import {VOLUME}: ")), "{text}");
    text
}

async fn apply(cluster: &VolumeCluster, import: &Import) {
    let applied = apply_all(cluster, import.objects(), DryRun::None, false).await;
    applied.unwrap_or_else(|failure| panic!("{}", failure.chain()));
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
    let cluster = VolumeCluster::new();
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
    planned(&cluster.members(), &wanted(&[]), &exact).await.unwrap();
    let alone = VolumeCluster::new();
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
    cluster.put(&global(kind::POOL, "main"), pool(&["us-east-1b", "us-east-1c"]));
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    assert!(why.contains("us-east-1a, in which pool main has no subnet"), "{why}");
    let why = refused(&cluster, &wanted(&[]), &in_zone("us-east-1c")).await;
    assert!(why.contains("us-east-1c, which has no ready node"), "{why}");
    planned(&cluster.members(), &wanted(&[]), &in_zone("us-east-1b")).await.unwrap();

    let mut narrow = set();
    let zones = json!({
        "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["us-east-1a"],
    });
    let required = json!({ "nodeSelectorTerms": [{ "matchExpressions": [zones] }] });
    narrow["spec"]["template"]["spec"]["affinity"]["nodeAffinity"] =
        json!({ "requiredDuringSchedulingIgnoredDuringExecution": required });
    cluster.put(&set_path(), narrow);
    let why = refused(&cluster, &wanted(&[]), &in_zone("us-east-1b")).await;
    assert!(why.contains("us-east-1b, in which the node affinity permits no member"), "{why}");
    cluster.put(&global(kind::POOL, "main"), pool(&["us-east-1a"]));
    planned(&cluster.members(), &wanted(&[]), &volume()).await.unwrap();
}

#[tokio::test]
async fn a_volume_in_another_zone_than_the_members_address_is_refused() {
    let cluster = VolumeCluster::new();
    for (address, member, zone) in
        [("10.0.1.16", "redis-0", "us-east-1b"), ("10.0.1.17", "redis-1", "us-east-1a")]
    {
        let claim = json!({ "namespace": "prod", "name": member });
        let spec = json!({ "address": address, "zone": zone, "claimRef": claim });
        cluster.put(&global(kind::STATIC_IP, address), json!({ "spec": spec }));
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
    let uid = cluster.stored(&claim_path()).unwrap()["metadata"]["uid"].clone();
    let volume_path = global(kind::VOLUME, VOLUME);
    let mut bound = cluster.stored(&volume_path).unwrap();
    bound["spec"]["claimRef"]["uid"] = uid;
    cluster.put(&volume_path, bound);
    // The member uses it.
    let instances = vec!["i-0node-a".to_owned()];
    let used = DescribedVolume { state: "in-use".to_owned(), instances, ..volume() };
    let again = planned(&cluster.members(), &wanted(&[]), &used).await.unwrap();
    let Plan::Unchanged(objects) = again else { panic!("{again:?}") };
    let paths: Vec<&ObjectPath> = objects.iter().map(|(path, _object)| path).collect();
    assert_eq!(paths, [&volume_path, &claim_path()]);
}

#[tokio::test]
async fn an_import_that_was_interrupted_is_completed() {
    let cluster = with_service();
    let first = import(&cluster, &wanted(&[])).await;
    let [volume, _claim] = first.objects().try_into().unwrap();
    cluster.put(&volume.0, volume.1);
    assert_eq!(import(&cluster, &wanted(&[])).await, first);
}

#[tokio::test]
async fn another_filesystem_than_that_of_the_imported_volume_is_refused() {
    let cluster = with_service();
    for (path, object) in import(&cluster, &wanted(&[])).await.objects() {
        cluster.put(&path, object);
    }
    let mut other = wanted(&[]);
    other.filesystem = Filesystem::Ext4;
    let why = refused(&cluster, &other, &volume()).await;
    assert!(why.contains(&format!("PersistentVolume {VOLUME} exists with xfs")), "{why}");
}

#[tokio::test]
async fn a_claim_with_another_volume_is_refused() {
    let cluster = with_service();
    cluster.put(&claim_path(), json!({ "spec": { "volumeName": "pvc-1" } }));
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    let claim = "PersistentVolumeClaim prod/redis-data-redis-0";
    assert!(why.contains(&format!("{claim} exists: it has the PersistentVolume pvc-1")), "{why}");
    cluster.put(&claim_path(), json!({ "spec": {} }));
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
        let object = json!({
            "metadata": { "name": "pv-old" }, "spec": spec, "status": { "phase": "Bound" },
        });
        cluster.put(&global(kind::VOLUME, "pv-old"), object);
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
    let (at, mut object) = volume_object;
    object["spec"]["claimRef"]["uid"] = json!("of the deleted claim");
    object["status"] = json!({ "phase": "Released" });
    cluster.put(&at, object);
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    assert!(why.contains("it is Released, for claim prod/redis-data-redis-0"), "{why}");
    assert!(why.contains("set its reclaim policy to Retain"), "{why}");
    // A later claim of the same name stays pending.
    let spec = json!({ "volumeName": VOLUME });
    cluster.put(&claim_path(), json!({ "metadata": { "uid": "later" }, "spec": spec }));
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    assert!(why.contains("PersistentVolumeClaim prod/redis-data-redis-0 exists"), "{why}");
}

#[tokio::test]
async fn an_imported_volume_that_is_being_deleted_is_refused() {
    let cluster = with_service();
    for (path, mut object) in import(&cluster, &wanted(&[])).await.objects() {
        if path.kind == kind::VOLUME_CLAIM {
            object["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z");
        }
        cluster.put(&path, object);
    }
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    assert!(why.contains("PersistentVolumeClaim prod/redis-data-redis-0 exists"), "{why}");
}

/// Its pod may still have the volume attached to a node.
#[tokio::test]
async fn what_a_verification_left_is_refused_unless_another_one_removes_it() {
    let cluster = with_service();
    let objects = import(&cluster, &wanted(&[])).await.verify_objects("check", "busybox");
    for (path, object) in objects {
        cluster.put(&path, object);
    }
    let why = refused(&cluster, &wanted(&[]), &volume()).await;
    let left = format!("PersistentVolume firecamp-verify-{VOLUME} exists");
    assert!(why.contains(&left), "{why}");
    import(&cluster, &wanted(&["--verify", "busybox"])).await;
}
