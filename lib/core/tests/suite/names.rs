//! Which texts are identifiers, and the texts of each exit code.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::exit::{CheckExit, Cleaned, Exit, Imported};
use firecamp_core::ids::{
    ClusterName, EniId, Epoch, InstanceId, Mac, Member, NodeName, PodUid, PoolName, RunId, SetName,
    SubnetId, Version, VolumeId, Zone, parse_address,
};
use firecamp_core::time::Moment;

fn is<T: std::str::FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

#[test]
fn a_kubernetes_name_is_made_of_labels_of_lower_case_letters_digits_and_hyphens() {
    let long = "a".repeat(63);
    for good in ["a", "9", "a-b", "node-1", &long, "a.b", "ip-10-0-1-5.ec2.internal"] {
        let all = is::<NodeName>(good) && is::<PoolName>(good) && is::<SetName>(good);
        assert!(all, "{good:?}");
    }
    let too_long = "a".repeat(64);
    for wrong in ["", "A", "a_b", "-a", "a-", "a b", "ä", ".", "a.", ".a", "a..b", &too_long] {
        let any = is::<NodeName>(wrong) || is::<PoolName>(wrong) || is::<SetName>(wrong);
        assert!(!any, "{wrong:?}");
    }
    let labels = |count: usize| vec![long.as_str(); count].join(".");
    assert!(is::<NodeName>(&format!("{}.{}", labels(3), "a".repeat(61))), "253 characters");
    assert!(!is::<NodeName>(&format!("{}.{}", labels(3), "a".repeat(62))), "254 characters");
}

#[test]
fn a_member_is_a_label_and_a_name() {
    let member: Member = "prod/redis-0".parse().expect("a member");
    assert_eq!((member.namespace(), member.name()), ("prod", "redis-0"));
    assert_eq!(member.to_string(), "prod/redis-0");
    assert!(Member::new("prod", "redis.0").is_ok());
    assert!(Member::new("prod.eu", "redis-0").is_err(), "a namespace is one label");
    for wrong in ["redis-0", "prod/", "/redis-0", "prod/redis/0", "Prod/redis-0", ""] {
        assert!(!is::<Member>(wrong), "{wrong:?}");
    }
}

#[test]
fn an_ec2_id_is_its_prefix_and_8_or_17_lower_case_hexadecimal_digits() {
    let (short, long) = ("0123abcf", "0123456789abcdef0");
    for digits in [short, long] {
        assert!(is::<EniId>(&format!("eni-{digits}")));
        assert!(is::<InstanceId>(&format!("i-{digits}")));
        assert!(is::<SubnetId>(&format!("subnet-{digits}")));
        assert!(is::<VolumeId>(&format!("vol-{digits}")));
        assert!(!is::<EniId>(&format!("i-{digits}")) && !is::<EniId>(digits));
        assert!(!is::<EniId>(&format!("eni{digits}")) && !is::<EniId>(&format!("eni-{digits}0")));
    }
    for wrong in ["eni-", "eni-0123abcg", "eni-0123ABCF", "eni-0123abc", "eni-0123456789abcdeg0"] {
        assert!(!is::<EniId>(wrong), "{wrong:?}");
    }
}

#[test]
fn a_token_is_short_and_has_letters_digits_and_three_signs() {
    let most = |count| "x".repeat(count);
    for good in ["a", "A-b_c.9", "0"] {
        assert!(is::<PodUid>(good) && is::<ClusterName>(good) && is::<Version>(good));
        assert!(is::<RunId>(good) && is::<Zone>(good));
    }
    for wrong in ["", "a b", "a/b", "ä", "a:b", "\n"] {
        assert!(!is::<PodUid>(wrong) && !is::<RunId>(wrong), "{wrong:?}");
    }
    assert!(is::<PodUid>(&most(128)) && !is::<PodUid>(&most(129)));
    assert!(is::<RunId>(&most(64)) && !is::<RunId>(&most(65)));
    assert!(is::<Zone>(&most(64)) && !is::<Zone>(&most(65)));
}

#[test]
fn a_mac_is_six_pairs_of_hexadecimal_digits_and_printed_in_lower_case() {
    let mac: Mac = "06:AB:00:00:ff:01".parse().expect("a MAC");
    assert_eq!(mac.bytes(), [6, 0xab, 0, 0, 0xff, 1]);
    assert_eq!(mac, Mac::from_bytes([6, 0xab, 0, 0, 0xff, 1]));
    assert_eq!(mac.to_string(), "06:ab:00:00:ff:01");
    for wrong in [
        "",
        "06:ab:00:00:ff",
        "06:ab:00:00:ff:01:02",
        "6:ab:00:00:ff:01",
        "006:ab:00:00:ff:01",
        "+6:ab:00:00:ff:01",
        "0g:ab:00:00:ff:01",
        "06-ab-00-00-ff-01",
    ] {
        assert!(!is::<Mac>(wrong), "{wrong:?}");
    }
}

#[test]
fn an_invalid_identifier_error_names_the_kind_and_shortens_the_text() {
    let wrong = "Ä".repeat(200).parse::<NodeName>().expect_err("not a name");
    assert_eq!((wrong.kind, wrong.text.chars().count()), ("node name", 80));
    assert!(wrong.to_string().contains("RFC 1123"), "{wrong}");
}

#[test]
fn an_address_is_four_decimal_numbers_and_nothing_else() {
    assert_eq!(parse_address("10.0.1.50"), Ok(Ipv4Addr::new(10, 0, 1, 50)));
    for wrong in ["", "10.0.1", "10.0.1.256", "10.0.1.50/32", " 10.0.1.50", "::1", "10.0.1.050"] {
        assert!(parse_address(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn epochs_and_moments_increase_and_saturate() {
    assert_eq!(Epoch(5).next(), Epoch(6));
    assert_eq!(Epoch(u64::MAX).next(), Epoch(u64::MAX));
    let (early, second) = (Moment(Duration::from_secs(5)), Duration::from_secs(1));
    assert_eq!(early.plus(second).0, Duration::from_secs(6));
    assert_eq!(early.plus(second).since(early), second);
    assert_eq!(early.since(early.plus(second)), Duration::ZERO);
    assert_eq!(early.plus(Duration::MAX).0, Duration::MAX);
}

/// Part of the contract: users' scripts and alerts depend on these.
const EXITS: [(Exit, u8, &str, bool); 20] = [
    (Exit::Success, 0, "Success", false),
    (Exit::Usage, 2, "UsageError", false),
    (Exit::Superseded, 10, "Superseded", false),
    (Exit::AddressUnavailable, 11, "AddressUnavailable", false),
    (Exit::NoCapacity, 12, "NoCapacity", true),
    (Exit::CloudRefused, 13, "CloudRefused", true),
    (Exit::TimedOut, 14, "TimedOut", true),
    (Exit::RegistryUnavailable, 15, "RegistryUnavailable", true),
    (Exit::RegistryInvalid, 16, "RegistryInvalid", false),
    (Exit::NodeUnsuitable, 17, "NodeUnsuitable", true),
    (Exit::DiskRefused, 18, "DiskRefused", true),
    (Exit::KernelRefused, 19, "KernelRefused", true),
    (Exit::RegistryRefused, 22, "RegistryRefused", true),
    (Exit::VersionMismatch, 23, "VersionMismatch", false),
    (Exit::ControllerMismatch, 24, "ControllerMismatch", false),
    (Exit::AgentUnavailable, 25, "AgentUnavailable", true),
    (Exit::TokenRefused, 26, "TokenRefused", true),
    (Exit::NamespaceNotAllowed, 27, "NamespaceNotAllowed", false),
    (Exit::Internal, 70, "InternalError", false),
    (Exit::Interrupted, 143, "Interrupted", true),
];

#[test]
fn every_exit_has_its_own_code_and_reason_and_has_advice() {
    assert_eq!(EXITS.map(|(exit, ..)| exit), Exit::ALL);
    for (exit, code, reason, retryable) in EXITS {
        assert_eq!((exit.code(), exit.reason(), exit.retryable()), (code, reason, retryable));
        assert!(exit.advice().len() >= "nothing".len(), "{exit:?}");
    }
    let advice: BTreeSet<_> = Exit::ALL.into_iter().map(Exit::advice).collect();
    assert_eq!(advice.len(), Exit::ALL.len());
}

#[test]
fn results_of_check_cleanup_and_import_have_their_own_codes_and_meanings() {
    let look = [(CheckExit::Fine, 0), (CheckExit::Problems, 20), (CheckExit::Unchecked, 21)];
    assert_eq!(CheckExit::ALL.map(|one| (one, one.code())), look);
    let cleaned = [(Cleaned::All, 0), (Cleaned::InUse, 20), (Cleaned::NotKnown, 21)];
    assert_eq!(Cleaned::ALL.map(|one| (one, one.code())), cleaned);
    let imported = [(Imported::All, 0), (Imported::Refused, 20), (Imported::NotKnown, 21)];
    assert_eq!(Imported::ALL.map(|one| (one, one.code())), imported);
    let meanings = [
        CheckExit::ALL.map(CheckExit::meaning),
        Cleaned::ALL.map(Cleaned::meaning),
        Imported::ALL.map(Imported::meaning),
    ]
    .concat();
    let different: BTreeSet<_> = meanings.iter().filter(|text| !text.is_empty()).collect();
    assert_eq!(different.len(), meanings.len());
}
