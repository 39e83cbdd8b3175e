//! The YAML of objects: it round-trips, and errors name the mistake.

use std::fmt::Debug;

use firecamp_core::record::{Claim, Pool, StaticIp};
use firecamp_registry::api::{
    Condition, InvalidObject, Kind, Object, StaticIP, StaticIPClaim, StaticIPPool, Status, parse,
    render,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::support::{claims, config, pools, static_ips};

const POOL: &str = include_str!("../../../../docs/examples/registry/pool.yaml");
const POOL_OF_ONE_MACHINE: &str = include_str!("../../../../deploy/examples/edge/pool.yaml");

const STATIC_IP: &str = r#"apiVersion: firecamp.io/v1alpha1
kind: StaticIP
metadata:
  name: "10.1.0.20"
spec:
  address: "10.1.0.20"
  pool: a
  subnet: subnet-00000001
  cidr: 10.1.0.0/24
  zone: us-east-1a
  claimRef:
    namespace: prod
    name: redis-0
  epoch: 2
  attachment:
    state: Attached
    podUID: 0b0d3ed4
    nodeName: node-1
    eni: eni-00000001
    run: init-1
  reservedOn: eni-00000001
  pendingMutations:
  - mutation: Assign
    eni: eni-00000001
    run: init-1
...
"#;

const CLAIM: &str = r#"apiVersion: firecamp.io/v1alpha1
kind: StaticIPClaim
metadata:
  name: redis-0
  namespace: prod
spec:
  pool: a
  requestedAddress: "10.1.0.20"
  address: "10.1.0.20"
...
"#;

fn round_trip<S, T>(record: &T) -> Object<S>
where
    S: Kind + Serialize + DeserializeOwned + PartialEq + Debug,
    T: PartialEq + Debug + for<'a> TryFrom<&'a Object<S>, Error = InvalidObject>,
    for<'a> Object<S>: From<&'a T>,
{
    let object = Object::<S>::from(record);
    let text = render(&object).unwrap();
    let back: Object<S> = parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(back, object, "{text}");
    assert_eq!(&T::try_from(&back).unwrap(), record, "{text}");
    assert_eq!(render(&back).unwrap(), text, "rendering twice gives the same bytes");
    object
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn f078_every_static_ip_round_trips(record in static_ips()) {
        round_trip::<_, StaticIp>(&record);
    }

    #[test]
    fn f078_every_claim_round_trips(record in claims()) {
        round_trip::<_, Claim>(&record);
    }

    #[test]
    fn f078_every_pool_round_trips(record in pools()) {
        round_trip::<_, Pool>(&record);
    }

    #[test]
    fn metadata_and_status_round_trip(
        record in claims(),
        texts in prop::collection::btree_map(".{0,40}", "(?s).{0,120}", 0..4),
        line in "(?s).{0,200}",
    ) {
        let mut object = StaticIPClaim::from(&record);
        object.metadata.labels.clone_from(&texts);
        object.metadata.annotations = texts;
        object.metadata.finalizers = vec![line.clone()];
        object.metadata.creation_timestamp = Some("2026-11-20T08:36:46Z".to_owned());
        object.status = Some(Status { conditions: vec![Condition {
            kind: "Ready".to_owned(),
            status: "True".to_owned(),
            reason: line.clone(),
            message: line,
            last_transition_time: None,
            observed_generation: Some(3),
        }] });
        let text = render(&object).unwrap();
        let back = parse(text.as_bytes());
        prop_assert!(back.is_ok(), "{:?}\n{}", back, text);
        prop_assert_eq!(back.unwrap(), object);
    }

    #[test]
    fn f073_an_object_with_a_random_field_value_is_rejected_or_round_trips(
        record in static_ips(),
        field in 0_usize..64,
        text in odd_texts(),
    ) {
        let mut object = StaticIP::from(&record);
        // Pending mutations are a set, so their order is not preserved.
        object.spec.pending_mutations.truncate(1);
        *text_of(&mut object, field) = text;
        let text = render(&object).unwrap();
        let object: StaticIP = parse(text.as_bytes()).unwrap();
        if let Ok(record) = StaticIp::try_from(&object) {
            prop_assert_eq!(StaticIP::from(&record).spec, object.spec);
            prop_assert!(firecamp_core::allocate::is_assignable(record.cidr, record.address));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(?s).{0,300}") {
        for text in [text.clone(), format!("{text}\n..."), format!("{CLAIM}{text}\n...")] {
            prop_assert!(parse::<<StaticIP as Spec>::Of>(text.as_bytes()).is_err());
        }
    }

    #[test]
    fn no_inserted_line_makes_the_parser_panic(
        at in any::<prop::sample::Index>(),
        line in "[ \t]{0,6}[-?:&*!|>'\"%@`{}\\[\\],#a-z0-9<.]{0,30}",
    ) {
        let mut lines: Vec<&str> = STATIC_IP.lines().collect();
        lines.insert(at.index(lines.len()), &line);
        let text = lines.join("\n");
        let parsed = parse::<<StaticIP as Spec>::Of>(text.as_bytes());
        if let Ok(object) = parsed {
            let _either = StaticIp::try_from(&object);
        }
    }
}

/// Almost valid texts, and arbitrary ones.
fn odd_texts() -> impl Strategy<Value = String> {
    let nearly = [
        "",
        " ",
        "10.0.0.9",
        "010.0.0.9",
        "10.0.0.9 ",
        "10.0.0",
        "::1",
        "10.0.0.0/24",
        "10.0.0.1/24",
        "10.0.0.0/33",
        "eni-0123456789abcdef0",
        "eni-0123456",
        "ENI-01234567",
        "subnet-01234567",
        "../x",
        "a/b",
        "a..b",
        "-a",
        ".",
        "...",
        "a\nb",
        "\u{0}",
        "\u{202e}",
    ];
    prop_oneof![prop::sample::select(nearly.to_vec()).prop_map(str::to_owned), "(?s).{0,30}"]
}

/// One of the string fields of an object.
fn text_of(object: &mut StaticIP, field: usize) -> &mut String {
    let StaticIP { api_version, kind, metadata, spec, status: _ } = object;
    let mut texts = vec![
        &mut spec.address,
        &mut spec.pool,
        &mut spec.subnet,
        &mut spec.cidr,
        &mut spec.zone,
        &mut spec.claim_ref.namespace,
        &mut spec.claim_ref.name,
        &mut metadata.name,
        api_version,
        kind,
    ];
    if let Some(attachment) = &mut spec.attachment {
        texts.extend([&mut attachment.pod_uid, &mut attachment.node_name, &mut attachment.run]);
        texts.extend(attachment.eni.as_mut());
    }
    texts.extend(spec.reserved_on.as_mut());
    texts.extend(spec.pending_mutations.iter_mut().flat_map(|mark| [&mut mark.eni, &mut mark.run]));
    let index = field % texts.len();
    texts.swap_remove(index)
}

/// The spec type of an object type.
trait Spec {
    type Of;
}

impl<S> Spec for Object<S> {
    type Of = S;
}

#[test]
fn the_samples_match_the_serialized_objects() {
    let ip: StaticIP = parse(STATIC_IP.as_bytes()).unwrap();
    assert_eq!(render(&ip).unwrap(), STATIC_IP);
    let claim: StaticIPClaim = parse(CLAIM.as_bytes()).unwrap();
    assert_eq!(render(&claim).unwrap(), CLAIM);
    StaticIp::try_from(&ip).unwrap();
    Claim::try_from(&claim).unwrap();
}

#[test]
fn the_pools_of_the_documentation_are_valid() {
    for text in [POOL, POOL_OF_ONE_MACHINE] {
        let pool: StaticIPPool = parse(text.as_bytes()).unwrap();
        assert!(!Pool::try_from(&pool).unwrap().subnets.is_empty());
    }
}

/// Applies one textual change and returns the error of the result.
fn complaint<S, T>(sample: &str, from: &str, to: &str) -> String
where
    S: Kind + DeserializeOwned,
    T: for<'a> TryFrom<&'a Object<S>, Error = InvalidObject> + Debug,
{
    assert!(sample.contains(from), "{from:?} is in the sample");
    let text = sample.replacen(from, to, 1);
    match parse::<S>(text.as_bytes()) {
        Err(wrong) => wrong.to_string(),
        Ok(object) => T::try_from(&object).expect_err(&text).to_string(),
    }
}

#[test]
fn f073_the_error_for_an_invalid_static_ip_names_object_field_and_value() {
    let cases = [
        ("v1alpha1", "v1", "StaticIP 10.1.0.20: apiVersion: \"firecamp.io/v1\""),
        ("kind: StaticIP", "kind: Pod", "kind: \"Pod\""),
        (
            "  name: \"10.1.0.20\"",
            "  name: 10.1.0.21",
            "spec.address: \"10.1.0.20\" is not the object's",
        ),
        ("  name: \"10", "  namespace: x\n  name: \"10", "metadata.namespace: \"x\""),
        ("metadata:\n", "metadata:\n  uuid: x\n", "line 4"),
        ("address: \"10.1", "address: \"010.1", "spec.address: \"010.1.0.20\""),
        (
            "cidr: 10.1.0.0/24",
            "cidr: 10.2.0.0/24",
            "spec.address: 10.1.0.20 is not inside 10.2.0.0/24",
        ),
        ("cidr: 10.1.0.0/24", "cidr: 10.1.0.16/30", "spec.cidr: 10.1.0.16/30 cannot be"),
        ("cidr: 10.1.0.0/24", "cidr: 10.1.0.5/24", "spec.cidr: \"10.1.0.5/24\""),
        ("cidr: 10.1.0.0/24", "cidr: 10.1.0.17/28", "spec.cidr: \"10.1.0.17/28\""),
        ("subnet-00000001", "subnet-1", "spec.subnet: \"subnet-1\""),
        ("zone: us-east-1a", "zone: us east", "spec.zone: \"us east\""),
        ("namespace: prod", "namespace: ../../etc", "spec.claimRef: \"../../etc\""),
        ("name: redis-0", "name: Redis", "spec.claimRef: \"Redis\""),
        ("epoch: 2", "epoch: -1", "line 14"),
        ("epoch: 2", "epoch: two", "line 14"),
        ("epoch: 2", "epoch: 0", "spec.epoch: is 0 with an attachment"),
        ("epoch: 2", "epoch: 9223372036854775808", "spec.epoch: 9223372036854775808 is more"),
        ("epoch: 2", "epoch: 99999999999999999999", "line 14"),
        ("epoch: 2", "epoch: 2\n  epoch: 3", "line 15"),
        ("  epoch: 2\n", "", "epoch"),
        ("state: Attached", "state: Detached", "line 16"),
        ("state: Attached", "state: Released", "spec.attachment.eni: is eni-00000001"),
        (
            "    eni: eni-00000001\n    run: init-1\n  res",
            "    run: init-1\n  res",
            "eni: is missing",
        ),
        ("podUID: 0b0d3ed4", "podUID: \"a b\"", "spec.attachment.podUID: \"a b\""),
        ("podUID", "podUid", "podUid"),
        ("nodeName: node-1", "nodeName: Node_1", "spec.attachment.nodeName: \"Node_1\""),
        ("reservedOn: eni-00000001", "reservedOn: eni-x", "spec.reservedOn: \"eni-x\""),
        ("mutation: Assign", "mutation: Detach", "line 23"),
        (
            "  - mutation: Assign\n    eni: eni-00000001",
            "  - mutation: Assign\n    eni: x",
            "spec.pendingMutations[0].eni: \"x\"",
        ),
        ("spec:", "spec: []\nmore:", "line 5"),
    ];
    for (from, to, wanted) in cases {
        let error = complaint::<_, StaticIp>(STATIC_IP, from, to);
        assert!(error.contains(wanted), "{from:?} -> {to:?}: {error}");
    }
}

#[test]
fn the_error_for_an_invalid_claim_names_object_field_and_value() {
    let cases = [
        ("  namespace: prod\n", "", "StaticIPClaim redis-0: metadata.namespace: is missing"),
        ("namespace: prod", "namespace: a.b", "metadata: \"a.b\" is not a valid namespace"),
        ("pool: a", "pool: A", "spec.pool: \"A\""),
        ("pool: a", "pool: ''", "spec.pool: \"\""),
        (
            "requestedAddress: \"10.1.0.20\"",
            "requestedAddress: any",
            "spec.requestedAddress: \"any\"",
        ),
        ("  address: \"10.1.0.20\"", "  address: 10.1.0", "spec.address: \"10.1.0\""),
        ("requestedAddress", "requested", "requested"),
    ];
    for (from, to, wanted) in cases {
        let error = complaint::<_, Claim>(CLAIM, from, to);
        assert!(error.contains(wanted), "{from:?} -> {to:?}: {error}");
    }
}

const TWO_SUBNETS: &str = "\
apiVersion: firecamp.io/v1alpha1
kind: StaticIPPool
metadata:
  name: a
spec:
  releasePolicy: Keep
  subnets:
  - subnet: subnet-00000001
    cidr: 10.1.0.0/24
    zone: us-east-1a
    ranges:
    - start: 10.1.0.16
      end: 10.1.0.31
    - start: 10.1.0.40
      end: 10.1.0.40
  - subnet: subnet-00000002
    cidr: 10.1.1.0/24
    zone: us-east-1b
    ranges:
    - start: 10.1.1.16
      end: 10.1.1.31
...
";

#[test]
fn the_error_for_an_invalid_pool_names_object_field_and_value() {
    let cases = [
        (
            "start: 10.1.0.16",
            "start: 10.1.0.32",
            "StaticIPPool a: spec.subnets[0].ranges[0]: start 10.1.0.32 is after end 10.1.0.31",
        ),
        ("end: 10.1.0.31", "end: 10.1.1.31", "spec.subnets[0].ranges[0]: 10.1.0.16 to 10.1.1.31"),
        (
            "start: 10.1.0.40",
            "start: 10.1.0.30",
            "spec.subnets[0].ranges[1]: 10.1.0.30 to 10.1.0.40",
        ),
        ("end: 10.1.0.31", "end: nowhere", "spec.subnets[0].ranges[0].end: \"nowhere\""),
        (
            "subnet-00000002",
            "subnet-00000001",
            "spec.subnets[1].subnet: subnet-00000001 is a duplicate",
        ),
        ("cidr: 10.1.1.0/24", "cidr: 10.1.0.0/20", "spec.subnets[1].cidr: 10.1.0.0/20 overlaps"),
        ("cidr: 10.1.0.0/24", "cidr: 10.0.0.0/8", "spec.subnets[0].cidr: 10.0.0.0/8 cannot be"),
        ("zone: us-east-1b", "zone: ''", "spec.subnets[1].zone: \"\""),
        ("releasePolicy: Keep", "releasePolicy: Delete", "line 6"),
        ("releasePolicy: Keep", "resource: firecamp.io/slots", "spec.resource: \"firecamp"),
        (
            "ranges:\n    - start: 10.1.1.16\n      end: 10.1.1.31\n",
            "ranges: []\n",
            "spec.subnets[1].ranges: is empty",
        ),
        (
            "start: 10.1.1.16\n      end: 10.1.1.31",
            "start: 10.1.1.0\n      end: 10.1.1.3",
            "spec.subnets[1].ranges: contain only addresses that AWS reserves",
        ),
    ];
    for (from, to, wanted) in cases {
        let error = complaint::<_, Pool>(TWO_SUBNETS, from, to);
        assert!(error.contains(wanted), "{from:?} -> {to:?}: {error}");
    }
    let none = TWO_SUBNETS.split("  subnets:").next().unwrap().to_owned() + "  subnets: []\n...\n";
    let object: StaticIPPool = parse(none.as_bytes()).unwrap();
    let error = Pool::try_from(&object).unwrap_err().to_string();
    assert!(error.contains("spec.subnets: is empty"), "{error}");
}
