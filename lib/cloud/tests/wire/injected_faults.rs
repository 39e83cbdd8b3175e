//! The simulator's faults: how FireCamp's client reports each, and the actual state afterwards.

use std::time::Duration;

use firecamp_core::failure::CloudKind::{Auth, HeldElsewhere, Transient};
use firecamp_core::failure::{CloudKind, Effect};
use firecamp_core::ports::{Cloud, Owner};
use firecamp_vpc::{Body, CutAt, Fault, OwnAnswer};

use crate::assignments::{ADDRESS, kind};
use crate::two_nodes::TwoNodes;

const ASSIGN: &str = "AssignPrivateIpAddresses";
const DESCRIBE: &str = "DescribeNetworkInterfaces";

/// Checks one faulty Assign: the reported failure, and whether the address moved.
async fn assign(fault: Fault, wanted: (CloudKind, Effect), moved: bool) {
    let two = TwoNodes::start().await;
    two.break_once(ASSIGN, fault.clone());
    assert_eq!(kind(two.assign(0, ADDRESS, true).await), wanted, "{fault:?}");
    assert_eq!(two.holder(ADDRESS).is_some(), moved, "{fault:?}");
    let requests = two.ec2.requests().len();
    assert_eq!(requests, 1, "{fault:?} was sent more than once");
}

#[tokio::test]
async fn f052_a_broken_response_after_the_commit_is_an_unknown_effect() {
    let lost = (Transient, Effect::Unknown);
    for at in [CutAt::Headers, CutAt::Body] {
        assign(Fault::DropConn { at, bytes: 20 }, lost, true).await;
    }
    for body in [Body::Xml, Body::Html, Body::Empty] {
        for after_commit in [true, false] {
            assign(Fault::HttpStatus { status: 503, body, after_commit }, lost, after_commit).await;
        }
    }
}

#[tokio::test]
async fn f051_a_hanging_call_times_out_with_an_unknown_effect() {
    for after_commit in [true, false] {
        let two = TwoNodes::start().await;
        two.break_once(ASSIGN, Fault::Hang { after_commit });
        let within = Duration::from_secs(2);
        let answer = two.clouds[0].assign(&two.enis[0], &[ADDRESS], true, within).await;
        assert_eq!(kind(answer), (Transient, Effect::Unknown));
        assert_eq!(two.holder(ADDRESS).is_some(), after_commit);
        assert_eq!(two.ec2.requests().len(), 1);
    }
}

#[tokio::test]
async fn f052_a_call_that_timed_out_may_take_effect_later() {
    let two = TwoNodes::start().await;
    two.break_once(ASSIGN, Fault::LateLanding { after_ms: 2_000, silent: true });
    let within = Duration::from_millis(500);
    let answer = two.clouds[0].assign(&two.enis[0], &[ADDRESS], true, within).await;
    assert_eq!(kind(answer), (Transient, Effect::Unknown));
    let landed = async {
        while two.holder(ADDRESS).is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), landed).await.unwrap();
    assert_eq!(two.ec2.requests().len(), 1);
}

#[tokio::test]
async fn f053_denials_expired_credentials_and_a_wrong_clock_change_nothing() {
    let refused = (Auth, Effect::None);
    assign(Fault::IamDeny {}, refused, false).await;
    assign(Fault::CredentialsExpire {}, refused, false).await;
    let two = TwoNodes::start().await;
    two.break_all(Fault::ClockSkew { ms: 20 * 60 * 1000 });
    assert_eq!(kind(two.assign(0, ADDRESS, true).await), refused);
    assert_eq!(two.holder(ADDRESS), None);
}

#[tokio::test]
async fn every_error_for_a_held_address_has_one_class() {
    let held = (HeldElsewhere, Effect::None);
    let two = TwoNodes::start().await;
    two.assign(0, ADDRESS, false).await.unwrap();
    two.assign(0, ADDRESS, false).await.unwrap();
    two.break_all(Fault::AssignOwn { answer: OwnAnswer::Error });
    assert_eq!(kind(two.assign(0, ADDRESS, false).await), held);
    two.break_all(Fault::ResourceAlreadyAssignedCode {});
    assert_eq!(kind(two.assign(1, ADDRESS, false).await), held);
    assert_eq!(two.holder(ADDRESS), Some(0));
}

#[tokio::test]
async fn f060_pages_that_are_short_empty_or_loop_never_hide_an_owner() {
    let two = TwoNodes::start().await;
    let own = std::net::Ipv4Addr::new(10, 0, 1, 10);
    let lookup = async || two.clouds[0].owner(own, &two.subnet).await;
    let is_primary = |owner: &Owner| matches!(owner, Owner::Eni(eni) if eni.primary);
    assert!(is_primary(&lookup().await.unwrap()));
    two.break_once(DESCRIBE, Fault::EmptyPageWithToken {});
    assert!(is_primary(&lookup().await.unwrap()));
    two.break_once(DESCRIBE, Fault::DescribeOmits {});
    assert_eq!(lookup().await.unwrap(), Owner::Unassigned);
    two.break_all(Fault::LoopingToken {});
    assert_eq!(lookup().await.unwrap_err().kind, Transient);
}

#[tokio::test]
async fn f047_an_impaired_metadata_service_never_hides_enis_silently() {
    let whole = TwoNodes::start().await.clouds[1].identity().await.unwrap();
    assert_eq!(whole.enis.len(), 2);
    let partial = |key: &str| Fault::ImdsPartial { keys: vec![key.to_owned()] };
    let rows = [
        (Fault::ImdsEmpty {}, Transient),
        (Fault::ImdsError { status: 503 }, Transient),
        (Fault::ImdsError { status: 403 }, Auth),
        (partial("subnet-id"), Transient),
        (partial("local-ipv4s"), Transient),
        (Fault::ImdsMissing { device_index: 0 }, Transient),
    ];
    for (fault, wanted) in rows {
        let two = TwoNodes::start().await;
        two.break_all(fault.clone());
        let failure = two.clouds[1].identity().await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (wanted, Effect::None), "{fault:?} {failure}");
    }
}

#[tokio::test]
async fn f047_enis_that_the_metadata_service_shows_incompletely_are_skipped() {
    let rows = [
        (Fault::ImdsGhost {}, 2),
        (Fault::ImdsMissing { device_index: 1 }, 1),
        (Fault::ImdsDeviceNumberZero {}, 1),
    ];
    for (fault, enis) in rows {
        let two = TwoNodes::start().await;
        two.break_all(fault.clone());
        let node = two.clouds[1].identity().await.unwrap();
        assert_eq!(node.enis.len(), enis, "{fault:?}");
        assert!(node.enis.iter().any(|eni| eni.device_index == 0 && eni.id == two.enis[1]));
    }
}

#[tokio::test]
async fn f049_a_revoked_token_and_a_low_hop_limit_are_distinguished() {
    let two = TwoNodes::start().await;
    two.clouds[0].identity().await.unwrap();
    two.break_all(Fault::ImdsToken401 {});
    two.clouds[0].identity().await.unwrap();
    let two = TwoNodes::start().await;
    two.break_all(Fault::ImdsHopTimeout {});
    let failure = two.clouds[0].identity().await.unwrap_err();
    assert_eq!(failure.kind, Transient, "{failure}");
    assert!(failure.detail.contains("hop limit"), "{failure}");
}

#[tokio::test]
async fn f053_nothing_is_sent_without_a_metadata_service() {
    let two = TwoNodes::start().await;
    two.break_all(Fault::ImdsDown {});
    let within = Duration::from_secs(2);
    let answer = two.clouds[0].assign(&two.enis[0], &[ADDRESS], true, within).await;
    assert_eq!(kind(answer), (Transient, Effect::None));
    assert!(two.ec2.requests().is_empty());
}
