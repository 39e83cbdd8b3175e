//! The directory of a file registry, with users who edit it beside the containers.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ids::Member;
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{Claim, Stored, Write};
use firecamp_registry::api::{StaticIPClaimSpec, StaticIPSpec};
use firecamp_registry::{FileRegistry, Timeouts, conformance};

use super::support::{ADDRESS, Bench};

#[tokio::test]
async fn objects_are_stored_at_the_documented_paths() {
    let (bench, _stored) = Bench::with_address().await;
    bench.registry.write(&Write::CreateClaim(bench.claim())).await.unwrap();
    for file in ["staticippools/a", "staticips/10.1.0.20", "staticipclaims/prod/redis-0"] {
        let text = fs::read_to_string(bench.path(&format!("{file}.yaml"))).unwrap();
        assert!(text.starts_with("apiVersion: firecamp.io/v1alpha1\nkind: StaticIP"), "{text}");
        assert!(text.ends_with("\n...\n"), "{text}");
    }
    let mut left: Vec<String> = fs::read_dir(bench.path("staticips"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["10.1.0.20.yaml"], "nothing staged stays behind");
}

#[tokio::test]
async fn the_view_of_every_pod_is_vouched() {
    let bench = Bench::new().await;
    let view = bench.registry.pod(&conformance::member(0).unwrap()).await.unwrap();
    assert_eq!(view, PodView::Vouched);
}

/// Without a cluster nothing would ever delete an address or a claim.
#[tokio::test]
async fn a_pool_with_a_cluster_only_policy_is_rejected() {
    let bench = Bench::new().await;
    let file = bench.path("staticippools/a.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let fields = [
        ("reclaimPolicy", "reclaimPolicy: Delete"),
        ("claimRetentionPolicy", "claimRetentionPolicy:\n    whenScaled: Delete"),
        ("orphanPolicy", "orphanPolicy: Adopt"),
    ];
    for (field, asks) in fields {
        fs::write(&file, text.replace("spec:\n", &format!("spec:\n  {asks}\n"))).unwrap();
        let failure = bench.registry.allocated(&bench.pool.name).await.unwrap_err();
        assert_eq!(failure.kind, RegistryKind::Invalid, "{failure}");
        assert!(
            failure.detail.contains(&format!("spec.{field}: is supported only in")),
            "{failure}"
        );
    }
    fs::write(&file, text.replace("spec:\n", "spec:\n  reclaimPolicy: Retain\n")).unwrap();
    bench.registry.allocated(&bench.pool.name).await.unwrap();
}

#[tokio::test]
async fn an_edit_by_hand_is_a_conflict() {
    let (bench, stored) = Bench::with_address().await;
    let text = fs::read_to_string(bench.ip_file()).unwrap();
    for edited in [format!("# a comment\n{text}"), text.replace("epoch: 3", "epoch: 30")] {
        fs::write(bench.ip_file(), &edited).unwrap();
        let failure =
            bench.registry.write(&Write::UpdateStaticIp(stored.clone())).await.unwrap_err();
        assert_eq!(failure.kind, RegistryKind::Conflict, "{failure}");
        assert_eq!(fs::read_to_string(bench.ip_file()).unwrap(), edited);
    }
    let read = bench.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    assert_eq!(read.object.epoch.0, 30);
    bench.registry.write(&Write::UpdateStaticIp(read)).await.unwrap();
}

#[tokio::test]
async fn f079_an_object_that_was_deleted_and_recreated_has_another_version() {
    let (bench, first) = Bench::with_address().await;
    fs::remove_file(bench.ip_file()).unwrap();
    bench.registry.write(&Write::CreateStaticIp(first.object.clone())).await.unwrap();
    let again = bench.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    assert_eq!(again.object, first.object);
    let failure = bench.registry.write(&Write::UpdateStaticIp(first)).await.unwrap_err();
    assert_eq!(failure.kind, RegistryKind::Conflict, "{failure}");
}

#[tokio::test]
async fn labels_finalizers_and_status_survive_an_update() {
    let (bench, _stored) = Bench::with_address().await;
    let text = fs::read_to_string(bench.ip_file()).unwrap();
    let edited = text
        .replace("spec:\n", "  labels:\n    team: \"007\"\n  finalizers:\n  - x/y\nspec:\n")
        .replace(
            "...\n",
            "status:\n  conditions:\n  - type: Ready\n    status: \"True\"\n    \
                           reason: Fine\n    message: 'all: well'\n...\n",
        );
    fs::write(bench.ip_file(), edited).unwrap();
    let mut read = bench.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    read.object.epoch = read.object.epoch.next();
    bench.registry.write(&Write::UpdateStaticIp(read)).await.unwrap();
    let text = fs::read_to_string(bench.ip_file()).unwrap();
    for kept in ["team: \"007\"", "- x/y", "type: Ready", "all: well", "epoch: 4", "\"2\"", "uid:"]
    {
        assert!(text.contains(kept), "{kept} is in {text}");
    }
}

#[tokio::test]
async fn a_staged_file_from_a_crash_is_ignored_and_then_replaced() {
    let (bench, stored) = Bench::with_address().await;
    let staged = bench.path("staticips/.10.1.0.20.new");
    fs::write(&staged, "half of an obj").unwrap();
    assert_eq!(bench.registry.static_ip(ADDRESS).await.unwrap(), Some(stored.clone()));
    assert_eq!(bench.registry.allocated(&bench.pool.name).await.unwrap().len(), 1);
    bench.registry.write(&Write::UpdateStaticIp(stored)).await.unwrap();
    assert!(!staged.exists());
    // A crash between the link and the removal of the staged file leaves two names of one file.
    fs::hard_link(bench.ip_file(), &staged).unwrap();
    let before = bench.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    bench.registry.write(&Write::UpdateStaticIp(before.clone())).await.unwrap();
    let after = bench.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    assert_eq!(after.object, before.object);
    assert!(!staged.exists());
}

#[tokio::test]
async fn a_link_in_place_of_the_staged_file_is_not_followed() {
    let (bench, stored) = Bench::with_address().await;
    let victim = bench.path("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, bench.path("staticips/.10.1.0.20.new")).unwrap();
    bench.registry.write(&Write::UpdateStaticIp(stored)).await.unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[tokio::test]
async fn waiting_for_a_held_lock_times_out_and_names_the_holder() {
    let (bench, stored) = Bench::with_address().await;
    let timeouts = Timeouts { lock: Duration::from_millis(50), ..Timeouts::default() };
    let registry = FileRegistry::open(bench.dir(), timeouts).unwrap();
    let lock = bench.path(".locks/staticips/10.1.0.20");
    fs::write(&lock, "4194303").unwrap();
    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    let write = Write::UpdateStaticIp(stored.clone());
    let failure = registry.write(&write).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (RegistryKind::Unavailable, Effect::None));
    assert!(failure.detail.contains("process 4194303 holds"), "{failure}");
    assert_eq!(registry.static_ip(ADDRESS).await.unwrap(), Some(stored), "reads need no lock");
    drop(held);
    registry.write(&write).await.unwrap();
}

#[tokio::test]
async fn a_write_that_times_out_is_in_doubt_and_does_not_happen_later() {
    let (bench, stored) = Bench::with_address().await;
    let lock = fs::File::open(bench.path(".locks/staticips/10.1.0.20")).unwrap();
    lock.lock().unwrap();
    let timeouts = Timeouts { call: Duration::from_millis(50), lock: Duration::from_secs(30) };
    let registry = FileRegistry::open(bench.dir(), timeouts).unwrap();
    let failure = registry.write(&Write::UpdateStaticIp(stored.clone())).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (RegistryKind::Unavailable, Effect::Unknown));
    assert!(failure.detail.contains("update StaticIP 10.1.0.20"), "{failure}");
    drop(lock);
    // The abandoned write gets the lock now and must notice that its deadline has passed. It leaves
    // its staged file behind, so the test waits for that file.
    let staged = bench.path("staticips/.10.1.0.20.new");
    tokio::time::timeout(Duration::from_secs(20), async {
        while !staged.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the abandoned write created its staged file");
    let again = bench.registry.write(&Write::UpdateStaticIp(stored)).await;
    again.expect("the version is still the one that was read");
}

#[test]
fn a_missing_directory_is_not_an_empty_registry() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no/such");
    let failure = FileRegistry::open(&missing, Timeouts::default()).unwrap_err();
    assert_eq!(failure.kind, RegistryKind::Unavailable);
    assert!(failure.detail.contains("no/such"), "{failure}");
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let failure = FileRegistry::open(&file, Timeouts::default()).unwrap_err();
    assert_eq!(failure.kind, RegistryKind::Refused);
    assert!(failure.detail.contains("not a directory"), "{failure}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn a_registry_that_disappears_is_an_error_and_not_empty() {
    let (bench, stored) = Bench::with_address().await;
    bench.registry.write(&Write::CreateClaim(bench.claim())).await.unwrap();
    let moved = bench.dir().with_extension("moved");
    for unmounted in [false, true] {
        fs::rename(bench.dir(), &moved).unwrap();
        if unmounted {
            fs::create_dir(bench.dir()).unwrap();
        }
        let wanted = if unmounted { RegistryKind::NotFound } else { RegistryKind::Unavailable };
        let member = conformance::member(0).unwrap();
        let kinds = [
            bench.registry.static_ip(ADDRESS).await.unwrap_err().kind,
            bench.registry.member(&member, Some(&bench.pool.name)).await.unwrap_err().kind,
            bench.registry.allocated(&bench.pool.name).await.unwrap_err().kind,
            bench.registry.write(&Write::CreateClaim(bench.claim())).await.unwrap_err().kind,
            bench.registry.write(&Write::UpdateStaticIp(stored.clone())).await.unwrap_err().kind,
        ];
        assert_eq!(kinds, [wanted; 5], "unmounted: {unmounted}");
        if unmounted {
            fs::remove_dir(bench.dir()).expect("nothing was written there");
        }
        fs::rename(&moved, bench.dir()).unwrap();
    }
    assert_eq!(bench.registry.static_ip(ADDRESS).await.unwrap(), Some(stored));
}

#[tokio::test]
async fn a_failed_disk_write_changes_nothing_and_the_error_names_the_file() {
    let (bench, stored) = Bench::with_address().await;
    // A directory in place of the staged file also stops root, unlike permissions.
    let staged = bench.path("staticips/.10.1.0.20.new");
    fs::create_dir(&staged).unwrap();
    let failure = bench.registry.write(&Write::UpdateStaticIp(stored.clone())).await.unwrap_err();
    assert_eq!(failure.effect, Effect::None, "{failure}");
    assert!(failure.detail.contains("10.1.0.20"), "{failure}");
    assert_eq!(bench.registry.static_ip(ADDRESS).await.unwrap(), Some(stored));
}

#[tokio::test]
async fn a_name_that_is_too_long_for_a_file_is_rejected() {
    let bench = Bench::new().await;
    let long = vec!["a".repeat(63); 3].join(".") + "." + &"b".repeat(61);
    let member = Member::new("prod", &long).unwrap();
    let claim = Claim { member: member.clone(), ..bench.claim() };
    let failure = bench.registry.write(&Write::CreateClaim(claim)).await.unwrap_err();
    assert_eq!(failure.kind, RegistryKind::Refused, "{failure}");
    assert!(failure.detail.contains("250 characters"), "{failure}");
    let longest = Member::new("prod", &long[..250]).unwrap();
    let claim = Claim { member: longest.clone(), ..bench.claim() };
    bench.registry.write(&Write::CreateClaim(claim.clone())).await.unwrap();
    let read = bench.registry.member(&longest, None).await.unwrap().claim.unwrap();
    assert_eq!(read.object, claim);
    let update = Write::UpdateClaim(Stored { version: read.version, object: claim });
    bench.registry.write(&update).await.unwrap();
}

#[tokio::test]
async fn objects_are_world_readable_and_locks_are_not() {
    let (bench, _stored) = Bench::with_address().await;
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(bench.path(".locks/staticips/10.1.0.20")) & 0o077, 0);
    assert_eq!(mode(bench.ip_file()) & 0o133, 0, "not writable by others, not executable");
}

#[tokio::test]
async fn ten_thousand_addresses_are_listed_without_reading_the_files() {
    let bench = Bench::new().await;
    let dir = bench.path("staticips");
    fs::create_dir(&dir).unwrap();
    // Empty files: reading them would make the list fail.
    for index in 0..10_000_u32 {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 0)) + index);
        fs::write(dir.join(format!("{address}.yaml")), "").unwrap();
    }
    let before = tokio::time::Instant::now();
    let taken = bench.registry.allocated(&bench.pool.name).await.unwrap();
    let took = before.elapsed();
    println!("10,000 objects listed in {took:?}");
    assert_eq!(taken.len(), 17, "the ranges of the pool");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_resource_version_that_would_overflow_is_an_error() {
    let (bench, _stored) = Bench::with_address().await;
    let text = fs::read_to_string(bench.ip_file()).unwrap();
    let edited =
        text.replace("resourceVersion: \"1\"", &format!("resourceVersion: \"{}\"", u64::MAX));
    assert_ne!(edited, text);
    fs::write(bench.ip_file(), &edited).unwrap();
    let read = bench.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    let failure = bench.registry.write(&Write::UpdateStaticIp(read)).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (RegistryKind::Invalid, Effect::None), "{failure}");
    assert_eq!(fs::read_to_string(bench.ip_file()).unwrap(), edited);
}

#[tokio::test]
async fn an_update_that_would_exceed_the_size_limit_fails_and_loses_nothing() {
    let (bench, _stored) = Bench::with_address().await;
    let text = fs::read_to_string(bench.ip_file()).unwrap();
    // Escapes make the written text longer than the one that was read.
    let label = "a\t".repeat(firecamp_registry::api::MAX_BYTES / 2 - 2000);
    let edited = text.replace("spec:\n", &format!("  labels:\n    a: \"{label}\"\nspec:\n"));
    fs::write(bench.ip_file(), &edited).unwrap();
    let read = bench.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    let failure = bench.registry.write(&Write::UpdateStaticIp(read)).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (RegistryKind::Refused, Effect::None));
    assert!(failure.detail.contains("at most 1048576"), "{failure}");
    assert_eq!(fs::read_to_string(bench.ip_file()).unwrap(), edited);
}

/// The list shows the files' content, including users' additions; an unreadable object hides no
/// other.
#[tokio::test]
async fn every_object_is_listed_as_its_file_holds_it() {
    let (bench, _stored) = Bench::with_address().await;
    let other = conformance::member(1).unwrap();
    let second = Claim { member: other, ..bench.claim() };
    for claim in [bench.claim(), second] {
        bench.registry.write(&Write::CreateClaim(claim)).await.unwrap();
    }
    fs::create_dir(bench.path("staticipclaims/.git")).unwrap();
    fs::write(bench.path("staticipclaims/prod/redis-1.yaml"), "garbled").unwrap();
    let claims = bench.registry.objects::<StaticIPClaimSpec>().await.unwrap();
    let [Ok(first), Err(why)] = claims.as_slice() else { panic!("{claims:?}") };
    assert_eq!(first.label(), "StaticIPClaim prod/redis-0");
    assert!(why.detail.contains("StaticIPClaim prod/redis-1"), "{why}");
    let ips = bench.registry.objects::<StaticIPSpec>().await.unwrap();
    let [Ok(ip)] = ips.as_slice() else { panic!("{ips:?}") };
    assert!(ip.metadata.uid.is_some() && ip.spec.attachment.is_some());
    fs::remove_dir_all(bench.dir()).unwrap();
    bench.registry.objects::<StaticIPSpec>().await.unwrap_err();
}
