//! In the simulator every fact holds; the report is complete, stable and without identities.

use std::collections::BTreeSet;

use firecamp_cli::verify_ec2::{self, Outcome, Report};
use firecamp_vpc::{Fault, Profile, Selector};
use serde_json::Value;

use crate::vpc::TestVpc;

const NEVER: [&str; 9] = [
    "address-limit",
    "attach-index-in-use",
    "attach-keeps",
    "attach-limit",
    "call-bound",
    "data-path",
    "detach-takes-time",
    "instance-termination",
    "request-rate",
];
const ON_NODE: [&str; 3] = ["imds-drops", "imds-identity", "imds-lists"];

/// The facts with this outcome.
fn with(report: &Report, outcome: Outcome) -> BTreeSet<&'static str> {
    let facts = report.facts.iter().filter(|fact| fact.outcome == outcome);
    facts.map(|fact| fact.id).collect()
}

#[tokio::test(start_paused = true)]
async fn every_fact_holds_in_the_simulator_and_nothing_is_left() {
    for (profile, seed) in [(Profile::fast(), 7), (Profile::realistic(), 7)] {
        let vpc = TestVpc::new(&profile, seed);
        let before = vpc.owners();
        let (report, _) = vpc.run(&["--on-node"]).await.unwrap();
        let other: Vec<_> = report
            .facts
            .iter()
            .filter(|fact| !matches!(fact.outcome, Outcome::Holds | Outcome::NotObservable))
            .collect();
        assert!(other.is_empty(), "{other:#?}");
        assert_eq!(with(&report, Outcome::NotObservable), BTreeSet::from(NEVER));
        assert_eq!((report.code(), report.cleanup.left.as_slice()), (0, &[][..]));
        assert_eq!(vpc.owners(), before);
        assert!(report.mutating_calls > 40 && report.longest_call_ms > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_instance_the_facts_of_one_are_not_observable() {
    let vpc = TestVpc::fast();
    let (report, _) = vpc.run(&[]).await.unwrap();
    let expected = NEVER.into_iter().chain(ON_NODE).collect();
    assert_eq!(with(&report, Outcome::NotObservable), expected);
    assert_eq!((with(&report, Outcome::Holds).len(), report.code()), (28, 0));
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_a_cni_plugin_manages_is_used_only_if_it_is_named() {
    let vpc = TestVpc::fast();
    let primary = vpc.world().nodes()[1].enis[0].id.clone();
    let (report, _) = vpc.run(&["--on-node", "--interface", &primary]).await.unwrap();
    // It is an interface of another instance.
    let expected = NEVER.into_iter().chain(ON_NODE).collect();
    assert_eq!(with(&report, Outcome::NotObservable), expected);
    let primary = vpc.world().nodes()[0].enis[0].id.clone();
    let (report, _) = vpc.run(&["--on-node", "--interface", &primary]).await.unwrap();
    assert_eq!(with(&report, Outcome::NotObservable), BTreeSet::from(NEVER));
}

/// The codes that EC2 documents instead, and the answers that FireCamp accepts instead.
#[tokio::test(start_paused = true)]
async fn other_answers_of_the_same_class_hold_too() {
    let vpc = TestVpc::fast();
    let assign =
        || Selector { op: Some("AssignPrivateIpAddresses".to_owned()), ..Selector::default() };
    vpc.fault_when(Fault::ResourceAlreadyAssignedCode {}, assign());
    let answer = firecamp_vpc::OwnAnswer::Error;
    vpc.fault_when(Fault::AssignOwn { answer }, assign());
    let (report, _) = vpc.run(&[]).await.unwrap();
    assert_eq!((with(&report, Outcome::Holds).len(), report.code()), (28, 0));
    let text = report.facts.iter().find(|fact| fact.id == "assign-held").unwrap();
    assert!(text.observed.contains("Resource.AlreadyAssigned"), "{text:?}");
    vpc.clear_faults();
}

#[tokio::test(start_paused = true)]
async fn the_json_report_is_stable_and_names_no_account_and_no_identity() {
    let vpc = TestVpc::fast();
    let message = "You are not authorized to perform this operation. User: \
                   arn:aws:iam::123456789012:user/joe is not authorized, account (123456789012). \
                   Encoded authorization failure message: c2VjcmV0";
    let denied = Fault::Error {
        code: "UnauthorizedOperation".to_owned(),
        message: message.to_owned(),
        status: 403,
    };
    vpc.fault("UnassignPrivateIpAddresses", denied);
    let (report, _) = vpc.run(&["--on-node"]).await.unwrap();
    assert!(with(&report, Outcome::FailedToTry).contains("unassign"));
    assert_eq!(report.code(), 21);
    let json = serde_json::to_value(&report).unwrap();
    let text = json.to_string();
    for secret in ["123456789012", "arn:", "joe", "c2VjcmV0"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(&json),
        [
            "cleanup",
            "facts",
            "firecamp",
            "interrupted",
            "longestCallMs",
            "mutatingCalls",
            "onNode",
            "origin",
            "reportVersion",
            "time"
        ]
    );
    assert_eq!(keys(&json["origin"]), ["endpoint", "note", "provesEc2", "region"]);
    assert_eq!(keys(&json["cleanup"]), ["earlierDeleted", "left"]);
    let fact = ["expected", "id", "observed", "observedOnAws", "outcome", "source", "what"];
    for one in json["facts"].as_array().unwrap() {
        assert_eq!(keys(one), fact);
    }
    assert_eq!((&json["reportVersion"], &json["origin"]["provesEc2"]), (&1.into(), &false.into()));
    assert!(json["origin"]["note"].as_str().unwrap().contains("not EC2"), "{text}");
}

#[test]
fn only_the_endpoints_of_ec2_at_aws_prove_ec2() {
    for (region, url, proves) in [
        ("us-east-1", "https://ec2.us-east-1.amazonaws.com/", true),
        ("us-east-1", "https://ec2-fips.us-east-1.api.aws/", true),
        ("cn-north-1", "https://ec2.cn-north-1.amazonaws.com.cn/", true),
        ("us-iso-east-1", "https://ec2.us-iso-east-1.c2s.ic.gov/", true),
        ("us-east-1", "https://vpce-0a1b.ec2.us-east-1.vpce.amazonaws.com:443/", true),
        ("us-east-1", "http://ec2.us-east-1.amazonaws.com/", false),
        ("us-east-1", "https://ec2.us-east-1.amazonaws.com.example/", false),
        ("us-east-1", "https://ec2.us-east-1.amazonaws.com@127.0.0.1/", false),
        ("us-east-1", "https://a1b2.execute-api.us-east-1.amazonaws.com/", false),
        ("us-east-1", "https://ec2-192-0-2-1.compute-1.amazonaws.com/", false),
        // Buckets with the name `ec2`, and a name of a load balancer.
        ("us-east-1", "https://ec2.s3.us-east-1.amazonaws.com/", false),
        ("us-east-1", "https://ec2.s3.amazonaws.com/", false),
        ("us-west-2", "https://ec2.s3-us-west-2.amazonaws.com/", false),
        ("us-east-1", "https://ec2.us-east-1.elb.amazonaws.com/", false),
        ("us-east-1", "https://vpce-0a1b.s3.us-east-1.vpce.amazonaws.com/", false),
        ("us-east-1", "https://ec2.vpce-0a1b.s3.us-east-1.vpce.amazonaws.com/", false),
        ("us-east-1", "", false),
    ] {
        let origin = verify_ec2::origin(region.to_owned(), url);
        assert_eq!((origin.proves_ec2, origin.note.is_none()), (proves, proves), "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_text_says_what_the_answers_prove_and_what_nobody_has_observed() {
    let vpc = TestVpc::fast();
    let (report, lines) = vpc.run(&["--on-node"]).await.unwrap();
    let text = report.people(false);
    for part in [
        "31 hold, 0 differ, 9 not observable this way, 0 failed",
        "not EC2",
        "Not observed on AWS yet: tags-at-creation, ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(lines.iter().any(|line| line == "move: holds"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn the_page_names_every_fact() {
    let page = include_str!("../../../docs/verify-ec2.md");
    let (report, _) = TestVpc::fast().run(&[]).await.unwrap();
    for fact in report.facts {
        assert!(page.contains(&format!("`{}`", fact.id)), "docs/verify-ec2.md lacks {}", fact.id);
    }
}
