//! Credentials: which ones sign, when they are requested, and failures without credentials.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use firecamp_cloud::{AwsCloud, CloudConfig, Credentials};
use firecamp_core::failure::CloudKind::{Auth, Transient};
use firecamp_core::failure::Effect;
use firecamp_core::ports::Cloud;

use crate::imds::{Imds, PRIMARY};
use crate::server::{Reply, Server};
use crate::setup::{Ec2Call, SOON, call, call_with_deadline, config, ec2, is_child, run_in_child};

const ROLES: &str = "iam/security-credentials/";

fn role(key_id: &str) -> String {
    role_until(key_id, "2099-01-01T00:00:00Z")
}

fn role_until(key_id: &str, expiry: &str) -> String {
    format!(
        r#"{{"Code":"Success","LastUpdated":"2026-11-20T00:00:00Z","Type":"AWS-HMAC","AccessKeyId":"{key_id}","SecretAccessKey":"s","Token":"t","Expiration":"{expiry}"}}"#
    )
}

async fn instance_with_role() -> Imds {
    let imds = Imds::start(&[PRIMARY]).await;
    imds.set(ROLES, "node-role");
    imds.set("iam/security-credentials/node-role", &role("AKIDROLE"));
    imds
}

fn by_role(ec2: &str, imds: &Imds) -> AwsCloud {
    let credentials = Credentials::InstanceRole;
    AwsCloud::connect(CloudConfig { credentials, ..config(ec2, &imds.server.url) }).unwrap()
}

#[tokio::test]
async fn an_identity_makes_no_request_for_credentials_and_none_to_ec2() {
    let server = Server::always(Reply::text(200, "")).await;
    let imds = instance_with_role().await;
    by_role(&server.url, &imds).identity().await.unwrap();
    assert_eq!(server.connections(), 0);
    assert!(imds.reads().iter().all(|path| !path.contains("iam")), "{:?}", imds.reads());
}

#[tokio::test]
async fn the_role_of_the_instance_signs_and_is_requested_once() {
    let server = Server::always(Reply::text(200, "")).await;
    let imds = instance_with_role().await;
    let cloud = by_role(&server.url, &imds);
    for _ in 0..3 {
        call(&cloud, Ec2Call::Unassign).await.unwrap();
    }
    let reads = imds.reads().iter().filter(|path| path.ends_with("node-role")).count();
    assert_eq!(reads, 1);
    let requests = server.requests();
    let signature = requests[0].header("authorization").unwrap();
    assert!(signature.contains("Credential=AKIDROLE/"), "{signature}");
    assert!(signature.contains("/us-east-1/ec2/aws4_request"), "{signature}");
    assert!(requests[0].header("user-agent").unwrap().contains("aws-sdk-rust"));
    assert!(requests[0].header("x-amz-user-agent").unwrap().contains("app/firecamp"));
}

#[derive(Debug, Clone)]
struct TestClock(Arc<Mutex<SystemTime>>);

impl TimeSource for TestClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

#[tokio::test]
async fn credentials_that_expire_within_a_minute_are_loaded_again() {
    let server = Server::always(Reply::text(200, "")).await;
    let imds = instance_with_role().await;
    let path = "iam/security-credentials/node-role";
    let began = UNIX_EPOCH + Duration::from_hours(500_000);
    let clock = TestClock(Arc::new(Mutex::new(began)));
    imds.set(path, &role_until("AKIDOLD", "2027-01-15T09:00:00Z"));
    let config = CloudConfig {
        credentials: Credentials::InstanceRole,
        clock: Some(SharedTimeSource::new(clock.clone())),
        ..config(&server.url, &imds.server.url)
    };
    let cloud = AwsCloud::connect(config).unwrap();
    call(&cloud, Ec2Call::Unassign).await.unwrap();
    imds.set(path, &role("AKIDNEW"));
    // They expire an hour after the start.
    for minutes in [58, 2] {
        *clock.0.lock().unwrap() += Duration::from_mins(minutes);
        call(&cloud, Ec2Call::Unassign).await.unwrap();
    }
    let requests = server.requests();
    let signed = requests.iter().map(|one| one.header("authorization").unwrap());
    let keys = ["AKIDOLD", "AKIDOLD", "AKIDNEW"];
    assert!(signed.zip(keys).all(|(by, key)| by.contains(key)), "{requests:?}");
    assert_eq!(requests.len(), 3);
}

/// Nothing was sent, so a change has no effect.
#[tokio::test]
async fn credentials_that_do_not_come_have_a_bound_of_their_own() {
    let server = Server::always(Reply::text(200, "")).await;
    let imds = instance_with_role().await;
    imds.reply(ROLES, Reply::Silence(Vec::new()));
    let credentials_within = Duration::from_millis(200);
    let config = CloudConfig {
        credentials: Credentials::InstanceRole,
        credentials_within,
        ..config(&server.url, &imds.server.url)
    };
    let cloud = AwsCloud::connect(config).unwrap();
    for which in [Ec2Call::Assign, Ec2Call::Owner] {
        let failure = call(&cloud, which).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (Transient, Effect::None), "{failure}");
        assert!(failure.detail.contains("no region or credentials within 200ms"), "{failure}");
    }
    let within = Duration::from_millis(100);
    let failure = call_with_deadline(&cloud, Ec2Call::Assign, within).await.unwrap_err();
    assert!(
        failure.detail.contains("credentials within 50ms"),
        "half is for the answer: {failure}"
    );
    assert_eq!(server.connections(), 0);
    imds.set(ROLES, "node-role");
    call(&cloud, Ec2Call::Unassign).await.unwrap();
}

#[tokio::test]
async fn f048_the_default_region_comes_from_the_metadata_service() {
    let server = Server::always(Reply::text(200, "")).await;
    let imds = Imds::start(&[PRIMARY]).await;
    imds.set("placement/region", "eu-central-1");
    let config = CloudConfig { region: None, ..config(&server.url, &imds.server.url) };
    call(&AwsCloud::connect(config).unwrap(), Ec2Call::Unassign).await.unwrap();
    let requests = server.requests();
    assert!(requests[0].header("authorization").unwrap().contains("/eu-central-1/ec2/"));
}

#[tokio::test]
async fn f053_nothing_is_sent_without_credentials_and_the_failure_names_the_cause() {
    let server = Server::always(Reply::text(200, "")).await;
    let imds = Imds::start(&[PRIMARY]).await;
    let failure = call(&by_role(&server.url, &imds), Ec2Call::Assign).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (Auth, Effect::None), "{failure}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn f053_an_impaired_metadata_service_is_not_a_missing_permission() {
    let server = Server::always(Reply::text(200, "")).await;
    let imds = instance_with_role().await;
    imds.reply(ROLES, Reply::text(503, "busy"));
    let failure = call(&by_role(&server.url, &imds), Ec2Call::Assign).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (Transient, Effect::None), "{failure}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn f053_denials_expiry_and_skew_name_the_action_and_change_nothing() {
    let rows = [
        (401, "AuthFailure", "AWS was not able to validate the provided access credentials"),
        (403, "UnauthorizedOperation", "You are not authorized to perform this operation."),
        (400, "RequestExpired", "Request has expired."),
        (403, "SignatureDoesNotMatch", "The request signature we calculated does not match"),
    ];
    for (status, code, message) in rows {
        let server = Server::always(Reply::error(status, code, message)).await;
        let failure = call(&ec2(&server.url), Ec2Call::Assign).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (Auth, Effect::None), "{failure}");
        assert!(failure.detail.contains("AssignPrivateIpAddresses"), "{failure}");
        assert!(failure.detail.contains(code) && failure.detail.contains("req-0123"), "{failure}");
        assert_eq!(server.requests().len(), 1, "{code} was repeated");
    }
}

#[tokio::test]
async fn f053_after_a_denial_the_credentials_are_read_again() {
    let server = Server::start(|request| {
        let fresh = request.header("authorization").unwrap().contains("AKIDNEW");
        if fresh { Reply::text(200, "") } else { Reply::error(400, "RequestExpired", "expired") }
    })
    .await;
    let imds = instance_with_role().await;
    let cloud = by_role(&server.url, &imds);
    assert_eq!(call(&cloud, Ec2Call::Unassign).await.unwrap_err().kind, Auth);
    imds.set("iam/security-credentials/node-role", &role("AKIDNEW"));
    imds.revoke();
    call(&cloud, Ec2Call::Unassign).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

/// A process loads certificates once, so each case needs its own process.
#[tokio::test]
async fn without_ca_roots_an_https_endpoint_fails_clearly_and_http_works() {
    if is_child() {
        return without_roots().await;
    }
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.pem");
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&garbage, pem).unwrap();
    for file in [dir.path().join("missing.pem"), garbage] {
        let test = "credentials::without_ca_roots_an_https_endpoint_fails_clearly_and_http_works";
        run_in_child(test, &[("SSL_CERT_FILE", file.to_str().unwrap())]).await;
    }
}

async fn without_roots() {
    let failure = call(&ec2("https://127.0.0.1:9"), Ec2Call::Assign).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (Auth, Effect::None), "{failure}");
    assert!(failure.detail.contains("no usable CA certificates"), "{failure}");
    assert!(failure.detail.contains("SSL_CERT_FILE"), "{failure}");
    let server = Server::always(Reply::text(200, "")).await;
    call(&ec2(&server.url), Ec2Call::Unassign).await.unwrap();
}

#[tokio::test]
async fn construction_sends_nothing_and_is_fast() {
    let server = Server::always(Reply::text(500, "")).await;
    let started = tokio::time::Instant::now();
    let cloud = AwsCloud::connect(config(&server.url, &server.url)).unwrap();
    assert!(started.elapsed() < SOON);
    drop(cloud);
    assert_eq!(server.connections(), 0);
}
