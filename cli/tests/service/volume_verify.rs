//! `firecamp service volume import --verify`: a pod reads the superblock before the import.

use std::time::Duration;

use firecamp_cli::failure::Failure;
use firecamp_cli::service::cluster::{kind, path};
use firecamp_cli::service::volume::filesystem::{Filesystem, Found};
use firecamp_cli::service::volume::import::verdict;
use firecamp_cli::service::volume::objects::{Claim, Import};
use firecamp_cli::service::volume::verify::{Reader, Verified};
use firecamp_core::contract::exit::Exit;
use serde_json::{Value, json};

use super::store::{Store, path_of};
use super::volume::VOLUME;

const NAME: &str = "firecamp-verify-vol-0a1b2c3d4e5f60718";
const WITHIN: Duration = Duration::from_mins(1);

/// What the pod prints of a volume by `mkfs.ext4`.
const EXT4: &str = " 00 00 00 00\n 00 00\n \
53 ef 01 00 01 00 00 00 ec e4 0a 6b 00 00 00 00\n \
00 00 00 00 01 00 00 00 00 00 00 00 0b 00 00 00\n \
00 01 00 00 3c 00 00 00 c2 02 00 00 6b 04 00 00\n";

fn xfs() -> String {
    format!("58 46 53 42 00 00 {}", "00 ".repeat(48))
}

fn import() -> Import {
    Import {
        claim: Claim {
            namespace: "prod".to_owned(),
            service: "redis".to_owned(),
            template: "redis-data".to_owned(),
            member: "redis-0".to_owned(),
        },
        uuid: None,
        volume: VOLUME.parse().unwrap(),
        zone: "us-east-1a".to_owned(),
        gib: 100,
        filesystem: Filesystem::Xfs,
        size: "100Gi".to_owned(),
        class: "gp3".to_owned(),
    }
}

fn ended(phase: &str, message: &str) -> Value {
    let state = json!({ "terminated": { "message": message, "reason": "Completed" } });
    json!({ "phase": phase, "containerStatuses": [{ "state": state }] })
}

/// A cluster whose pods have this status.
fn cluster(status: Value) -> Store {
    let cluster = Store::default();
    cluster.state().pod_status = status;
    cluster
}

async fn read(cluster: &Store, lines: &mut Vec<String>) -> Result<Verified, Failure> {
    let reader = Reader::new(cluster, &import(), ("check", "busybox:1.37"), WITHIN);
    let verified = reader.read(&mut |line| lines.push(line.to_owned())).await;
    let writes = &cluster.state().writes;
    assert!(!writes.iter().any(|write| write.starts_with("patch")), "{writes:?}");
    verified
}

async fn verified(cluster: &Store) -> Verified {
    read(cluster, &mut Vec::new()).await.unwrap_or_else(|failure| panic!("{}", failure.chain()))
}

/// Whether nothing of the verification is left.
fn is_clean(cluster: &Store) -> bool {
    let own = [kind::POD, kind::VOLUME_CLAIM].map(|kind| path(kind, "check", NAME));
    let mut all = own.into_iter().chain([path_of(kind::VOLUME, NAME)]);
    all.all(|object| !cluster.state().objects.contains_key(&object))
}

#[tokio::test(start_paused = true)]
async fn the_stated_filesystem_is_found_and_the_pod_is_removed() {
    let cluster = cluster(ended("Succeeded", &xfs()));
    let found = verified(&cluster).await;
    assert_eq!(found, Verified::Found(Found::Filesystem(Filesystem::Xfs)));
    assert_eq!(verdict(&import(), &found).0, 0);
    let (volume, claim) = (format!("PersistentVolume {NAME}"), "PersistentVolumeClaim check");
    let expected = [
        format!("apply {volume}"),
        format!("apply {claim}/{NAME}"),
        format!("apply Pod check/{NAME}"),
        format!("delete Pod check/{NAME}"),
        format!("delete {claim}/{NAME}"),
        format!("delete {volume}"),
    ];
    assert_eq!(cluster.state().writes, expected);
    assert!(is_clean(&cluster));
}

#[tokio::test(start_paused = true)]
async fn another_filesystem_and_an_empty_volume_are_problems() {
    let mbr = format!("00 00 00 00 55 aa {}", "00 ".repeat(48));
    let empty = "00 ".repeat(54);
    // What `mkfs.ext3` makes differs in the features.
    let ext3 = EXT4.replace("c2 02 00 00 6b 04", "02 00 00 00 03 00");
    for (message, expected) in [
        (EXT4, "has the filesystem ext4, not xfs; nothing is imported"),
        (&ext3, "has the filesystem ext2 or ext3, not xfs; nothing is imported"),
        (&mbr, "has a boot sector, as disks with partitions have it, not xfs; nothing is imported"),
        (&empty, "neither an XFS nor an ext4 superblock; nothing is imported: check that it is"),
    ] {
        let cluster = cluster(ended("Succeeded", message));
        let (code, line) = verdict(&import(), &verified(&cluster).await);
        assert_eq!(code, 20, "{line}");
        assert!(line.contains(expected), "{line}");
        assert!(is_clean(&cluster));
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_cannot_be_read_is_unknown_and_not_empty() {
    let denied = "od: /dev/firecamp-volume: Permission denied\n".repeat(2);
    for (status, expected) in [
        (
            ended("Succeeded", ""),
            "cannot read the superblock of vol-0a1b2c3d4e5f60718: the pod printed",
        ),
        (ended("Succeeded", "58 46 53 42"), ": 58 46 53 42; nothing is imported"),
        (ended("Failed", &denied), ": od: /dev/firecamp-volume: Permission"),
        (json!({ "phase": "Failed", "message": "Evicted" }), ": Evicted; nothing is imported"),
    ] {
        let cluster = cluster(status);
        let (code, line) = verdict(&import(), &verified(&cluster).await);
        assert_eq!(code, 21, "{line}");
        assert!(line.contains(expected), "{line}");
        assert!(is_clean(&cluster));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_start_is_reported_and_removed() {
    let state = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } });
    let pending = json!({ "phase": "Pending", "containerStatuses": [{ "state": state }] });
    let cluster = cluster(pending);
    let mut lines = Vec::new();
    let outcome = read(&cluster, &mut lines).await.unwrap();
    let (code, line) = verdict(&import(), &outcome);
    assert_eq!(code, 14);
    assert!(line.contains("the pod waits: ImagePullBackOff no such image"), "{line}");
    assert!(lines.first().is_some_and(|line| line.contains("ImagePullBackOff")), "{lines:?}");
    assert!(is_clean(&cluster));
}

/// Two PersistentVolumes of one volume must not be in use at once.
#[tokio::test(start_paused = true)]
async fn the_import_waits_until_the_volume_is_detached() {
    let cluster = cluster(ended("Succeeded", &xfs()));
    cluster.state().undeletable = Some(kind::VOLUME);
    let (code, line) = verdict(&import(), &verified(&cluster).await);
    assert_eq!(code, 14);
    assert!(line.contains(&format!("PersistentVolume {NAME} is not detached yet")), "{line}");
}

#[tokio::test(start_paused = true)]
async fn what_an_interrupted_verification_left_is_removed_first() {
    let cluster = cluster(ended("Succeeded", &xfs()));
    for (path, mut object) in import().verify_objects("check", "busybox:1.37") {
        object["metadata"]["uid"] = json!("old");
        object["status"] = ended("Succeeded", EXT4);
        cluster.state().objects.insert(path, object);
    }
    assert_eq!(verified(&cluster).await, Verified::Found(Found::Filesystem(Filesystem::Xfs)));
    assert!(cluster.state().writes[0].starts_with("delete Pod"));
    assert!(is_clean(&cluster));
}

#[tokio::test(start_paused = true)]
async fn an_object_of_another_maker_is_not_deleted() {
    let cluster = cluster(ended("Succeeded", &xfs()));
    let foreign = path(kind::POD, "check", NAME);
    let theirs = json!({ "metadata": { "uid": "theirs" } });
    cluster.state().objects.insert(foreign.clone(), theirs);
    let failure = read(&cluster, &mut Vec::new()).await.unwrap_err();
    assert!(failure.to_string().contains("this command did not make it"), "{failure}");
    assert!(cluster.state().objects.contains_key(&foreign));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_does_not_permit_the_pod_keeps_nothing_of_it() {
    let cluster = cluster(Value::Null);
    cluster.state().refused = Some(kind::POD);
    let failure = read(&cluster, &mut Vec::new()).await.unwrap_err();
    assert_eq!(failure.exit(), Exit::RegistryRefused);
    let text = failure.to_string();
    assert!(text.contains("violates PodSecurity: name a namespace that permits the pod"), "{text}");
    assert!(is_clean(&cluster));
}

#[test]
fn the_pod_has_the_raw_volume_for_reading_only_and_no_privileges() {
    let objects = import().verify_objects("check", "busybox:1.37");
    let [(_, volume), (_, claim), (_, pod)] = objects.try_into().unwrap();
    assert_eq!(
        (&volume["spec"]["volumeMode"], &claim["spec"]["volumeMode"]),
        (&json!("Block"), &json!("Block"),)
    );
    assert_eq!(volume["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    assert_eq!(
        volume["spec"]["csi"],
        json!({
            "driver": "ebs.csi.aws.com", "volumeHandle": VOLUME,
        })
    );
    for object in [&volume, &claim, &pod] {
        let labels = &object["metadata"]["labels"];
        assert!(labels["firecamp-servicename"].is_null(), "it is none of the service's: {labels}");
    }
    let used = &pod["spec"]["volumes"][0]["persistentVolumeClaim"];
    assert_eq!(used, &json!({ "claimName": NAME, "readOnly": true }));
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["volumeDevices"][0]["devicePath"], "/dev/firecamp-volume");
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert!(container["securityContext"]["privileged"].is_null());
}
