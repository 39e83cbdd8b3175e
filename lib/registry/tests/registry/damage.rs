//! Damaged files: they are reported and never overwritten, and other members are not affected.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ports::Registry;
use firecamp_core::record::{Pool, Write};
use firecamp_registry::api::{StaticIPPool, parse, render};
use firecamp_registry::{api, conformance};
use proptest::prelude::*;

use super::support::{ADDRESS, Bench, config, pools};

/// Reads and writes an unreadable object: both fail, and the file is unchanged.
async fn left_alone(bench: &Bench, write: &Write, damaged: &[u8]) -> String {
    let file = bench.ip_file();
    fs::write(&file, damaged).unwrap();
    let read = invalid(bench.registry.static_ip(ADDRESS).await);
    let update = invalid(bench.registry.write(write).await);
    for error in [&read, &update] {
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
    assert_eq!(fs::read(&file).unwrap(), damaged);
    read
}

fn invalid<T: std::fmt::Debug>(answer: Result<T, RegistryFailure>) -> String {
    let failure = answer.expect_err("a damaged object is refused");
    assert_eq!((failure.kind, failure.effect), (RegistryKind::Invalid, Effect::None), "{failure}");
    failure.detail
}

#[tokio::test]
async fn an_object_truncated_at_any_byte_is_rejected_and_not_changed() {
    let (bench, stored) = Bench::with_address().await;
    let whole = fs::read(bench.ip_file()).unwrap();
    let end = whole.len() - "...\n".len();
    let write = Write::UpdateStaticIp(stored.clone());
    for length in 0..=end {
        left_alone(&bench, &write, &whole[..length]).await;
    }
    // From here on only a part of the end marker is missing, and then nothing.
    for length in end + 1..end + 3 {
        left_alone(&bench, &write, &whole[..length]).await;
    }
    fs::write(bench.ip_file(), &whole[..end + 3]).unwrap();
    let read = bench.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    assert_eq!(read.object, stored.object);
}

#[tokio::test]
async fn no_prefix_of_a_claim_parses_as_another_one() {
    let bench = Bench::new().await;
    let claim = bench.claim();
    bench.registry.write(&Write::CreateClaim(claim.clone())).await.unwrap();
    let path = bench.path("staticipclaims/prod/redis-0.yaml");
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        match bench.registry.member(&claim.member, Some(&bench.pool.name)).await {
            Err(failure) => assert_eq!(failure.kind, RegistryKind::Invalid, "{failure}"),
            Ok(read) => {
                assert_eq!(length, whole.len() - 1, "only the last line feed is missing");
                assert_eq!(read.claim.unwrap().object, claim);
            }
        }
        assert_eq!(fs::read(&path).unwrap(), &whole[..length]);
    }
}

#[tokio::test]
async fn a_pool_that_a_person_wrote_needs_no_end_marker() {
    let bench = Bench::new().await;
    let path = bench.path("staticippools/a.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let written = text.strip_suffix("...\n").unwrap();
    for ending in ["", "\n", "# the end\n", "...\n", "..."] {
        fs::write(&path, format!("# ours\n---\n{written}{ending}")).unwrap();
        let read = bench.registry.member(&bench.claim().member, None).await.unwrap();
        assert_eq!(read.pool.unwrap(), bench.pool, "{ending:?}");
    }
    fs::write(&path, written.trim_end()).unwrap();
    let error = invalid(bench.registry.allocated(&bench.pool.name).await);
    assert!(error.contains("the last line has no line feed"), "{error}");
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_truncated_pool_is_invalid_or_has_fewer_addresses(
        record in pools(),
        at in any::<prop::sample::Index>(),
        swapped in any::<bool>(),
    ) {
        let text = render(&StaticIPPool::from(&record)).unwrap();
        let text = text.strip_suffix("...\n").unwrap();
        let text = if swapped { with_start_last(text) } else { text.to_owned() };
        let cut = at.index(text.len());
        let parsed: Result<StaticIPPool, _> = parse(&text.as_bytes()[..cut]);
        if let Some(part) = parsed.ok().and_then(|object| Pool::try_from(&object).ok()) {
            for subnet in &part.subnets {
                let whole = record.subnets.iter().find(|it| it.subnet == subnet.subnet).unwrap();
                prop_assert_eq!((subnet.cidr, &subnet.zone), (whole.cidr, &whole.zone));
                prop_assert!(subnet.ranges.iter().all(|range| whole.ranges.contains(range)));
            }
        }
    }
}

/// The text of a pool in which the start of each range follows its end.
fn with_start_last(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for at in 1..lines.len() {
        let end = lines[at].trim_start().strip_prefix("end: ").map(str::to_owned);
        let start = lines[at - 1].trim_start().strip_prefix("- start: ").map(str::to_owned);
        if let (Some(start), Some(end)) = (start, end) {
            lines[at - 1] =
                lines[at - 1].replace(&format!("start: {start}"), &format!("end: {end}"));
            lines[at] = lines[at].replace(&format!("end: {end}"), &format!("start: {start}"));
        }
    }
    lines.join("\n") + "\n"
}

#[tokio::test]
async fn an_object_that_ends_in_zeros_is_rejected() {
    let (bench, stored) = Bench::with_address().await;
    let whole = fs::read(bench.ip_file()).unwrap();
    for kept in (0..whole.len() - 1).step_by(7) {
        let mut damaged = whole.clone();
        damaged[kept..].fill(0);
        left_alone(&bench, &Write::UpdateStaticIp(stored.clone()), &damaged).await;
    }
}

#[tokio::test]
async fn a_byte_that_is_not_utf_8_is_rejected_at_any_position() {
    let (bench, stored) = Bench::with_address().await;
    let whole = fs::read(bench.ip_file()).unwrap();
    for (index, bad) in (0..whole.len() - 1).flat_map(|index| [(index, 0), (index, 0xff)]) {
        let mut damaged = whole.clone();
        damaged[index] = bad;
        left_alone(&bench, &Write::UpdateStaticIp(stored.clone()), &damaged).await;
    }
}

#[tokio::test]
async fn the_error_for_a_damaged_object_names_file_and_line() {
    let (bench, stored) = Bench::with_address().await;
    let whole = fs::read_to_string(bench.ip_file()).unwrap();
    let line = 1 + whole.lines().position(|line| line.contains("epoch:")).unwrap();
    let damaged = whole.replace("epoch: 3", "epoch: ][");
    let error = left_alone(&bench, &Write::UpdateStaticIp(stored), damaged.as_bytes()).await;
    assert!(error.contains(&format!("line {line}")), "{error}");
    assert!(error.contains("the file was not changed"), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[tokio::test]
async fn a_damaged_object_keeps_its_address_and_affects_no_other_member() {
    let (bench, _stored) = Bench::with_address().await;
    fs::write(bench.ip_file(), "garbage").unwrap();
    let taken = bench.registry.allocated(&bench.pool.name).await.unwrap();
    assert!(taken.contains(&ADDRESS));
    let create = Write::CreateStaticIp(bench.attached(1));
    let failure = bench.registry.write(&create).await.unwrap_err();
    assert_eq!(failure.kind, RegistryKind::AlreadyExists);
    let other = conformance::member(1).unwrap();
    let given = conformance::allocate(&bench.registry, &other, &bench.pool).await.unwrap();
    assert_eq!(given, Some(Ipv4Addr::new(10, 1, 0, 16)));
    assert_eq!(fs::read_to_string(bench.ip_file()).unwrap(), "garbage");
}

#[tokio::test]
async fn an_object_whose_name_does_not_match_its_path_is_rejected() {
    let (bench, _stored) = Bench::with_address().await;
    fs::copy(bench.ip_file(), bench.path("staticips/10.1.0.21.yaml")).unwrap();
    let error = invalid(bench.registry.static_ip(Ipv4Addr::new(10, 1, 0, 21)).await);
    assert!(error.contains("contains StaticIP 10.1.0.20"), "{error}");
    fs::write(bench.path("staticips/notes.yaml"), "").unwrap();
    let error = invalid(bench.registry.allocated(&bench.pool.name).await);
    assert!(error.contains("notes.yaml"), "{error}");
}

#[tokio::test]
async fn links_and_special_files_are_rejected() {
    let (bench, stored) = Bench::with_address().await;
    let file = bench.ip_file();
    let elsewhere = bench.path("elsewhere.yaml");
    fs::rename(&file, &elsewhere).unwrap();
    let whole = fs::read(&elsewhere).unwrap();
    let make: [fn(&Path, &Path); 4] = [
        |file, elsewhere| std::os::unix::fs::symlink(elsewhere, file).unwrap(),
        |file, _| std::os::unix::fs::symlink("/nonexistent", file).unwrap(),
        |file, _| nix::unistd::mkfifo(file, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        |file, _| drop(std::os::unix::net::UnixListener::bind(file).unwrap()),
    ];
    for make in make {
        make(&file, &elsewhere);
        invalid(bench.registry.static_ip(ADDRESS).await);
        invalid(bench.registry.write(&Write::UpdateStaticIp(stored.clone())).await);
        let create = Write::CreateStaticIp(stored.object.clone());
        let failure = bench.registry.write(&create).await.unwrap_err();
        assert_eq!(failure.kind, RegistryKind::AlreadyExists, "{failure}");
        fs::remove_file(&file).unwrap();
    }
    fs::create_dir(&file).unwrap();
    invalid(bench.registry.static_ip(ADDRESS).await);
    assert_eq!(fs::read(&elsewhere).unwrap(), whole);
}

#[tokio::test]
async fn a_file_above_the_size_limit_is_rejected_without_reading_all_of_it() {
    let (bench, _stored) = Bench::with_address().await;
    let file = fs::File::options().write(true).open(bench.ip_file()).unwrap();
    // A sparse file: reading all of it would take minutes and all memory.
    file.set_len(1 << 40).unwrap();
    let error = invalid(bench.registry.static_ip(ADDRESS).await);
    assert!(error.contains(&api::MAX_BYTES.to_string()), "{error}");
}

#[tokio::test]
async fn the_error_for_an_inconsistent_object_names_field_and_value() {
    let (bench, stored) = Bench::with_address().await;
    let whole = fs::read_to_string(bench.ip_file()).unwrap();
    let cases = [
        ("zone: us-east-1a", "zone: 'no zone'", "spec.zone: \"no zone\""),
        ("resourceVersion: \"1\"", "resourceVersion: first", "resourceVersion: \"first\""),
    ];
    for (from, to, wanted) in cases {
        let damaged = whole.replace(from, to);
        assert_ne!(damaged, whole);
        fs::write(bench.ip_file(), &damaged).unwrap();
        let error = invalid(bench.registry.static_ip(ADDRESS).await);
        assert!(error.contains(wanted), "{error}");
        let write = Write::UpdateStaticIp(stored.clone());
        bench.registry.write(&write).await.expect_err("the version is another one");
        assert_eq!(fs::read_to_string(bench.ip_file()).unwrap(), damaged);
    }
}
