//! The standard sources of credentials and endpoints, each in a child process whose environment
//! contains only the variables of the case.

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::failure::{CloudKind, Effect};

use crate::server::{Reply, Server};
use crate::setup::{Ec2Call, NOWHERE, call, is_child, run_in_child};

/// The expected result in the child: `Ok`, or class and effect.
const WANTED: &str = "FIRECAMP_TEST_WANTED";

/// The child: its whole configuration comes from the environment.
async fn child() {
    let cloud = AwsCloud::connect(CloudConfig::from_env()).unwrap();
    let answer = call(&cloud, Ec2Call::Unassign).await;
    let observed = match &answer {
        Ok(()) => "Ok".to_owned(),
        Err(failure) => format!("{:?} {:?}", failure.kind, failure.effect),
    };
    assert_eq!(observed, std::env::var(WANTED).unwrap(), "{answer:?}");
}

/// Runs the case and returns the key that signed the request, if one reached EC2.
async fn signer(test: &str, variables: &[(&str, &str)], wanted: &str) -> Option<String> {
    let ec2 = Server::always(Reply::text(200, "")).await;
    let mut all = vec![
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL_EC2", ec2.url.as_str()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", NOWHERE),
        (WANTED, wanted),
    ];
    all.extend(variables);
    run_in_child(test, &all).await;
    let requests = ec2.requests();
    assert!(requests.len() <= 1);
    let signature = requests.first()?.header("authorization")?;
    let (_, from_key) = signature.split_once("Credential=").unwrap();
    from_key.split('/').next().map(str::to_owned)
}

#[tokio::test]
async fn keys_from_the_environment_sign() {
    if is_child() {
        return child().await;
    }
    let keys = [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let signer = signer("chain::keys_from_the_environment_sign", &keys, "Ok").await;
    assert_eq!(signer.as_deref(), Some("AKIDENV"));
}

/// The proxy refuses every connection, and sees where they were to go.
#[tokio::test]
async fn an_ignored_endpoint_url_sends_the_request_to_the_region() {
    if is_child() {
        return child().await;
    }
    let proxy = Server::always(Reply::text(403, "")).await;
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_ENDPOINT_URL", NOWHERE),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
        ("HTTPS_PROXY", proxy.url.as_str()),
    ];
    let test = "chain::an_ignored_endpoint_url_sends_the_request_to_the_region";
    assert_eq!(signer(test, &variables, "Transient Unknown").await, None);
    let asked: Vec<_> = proxy.requests().into_iter().map(|one| one.path).collect();
    assert_eq!(asked, ["ec2.us-east-1.amazonaws.com:443"]);
}

/// The SDK knows them; the proxy sees where the requests were to go.
#[tokio::test]
async fn requests_go_to_the_endpoint_of_each_partition_and_for_fips() {
    if is_child() {
        return child().await;
    }
    let (fips, dual) = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT");
    for (region, setting, host) in [
        ("us-east-1", None, "ec2.us-east-1.amazonaws.com"),
        ("us-east-1", Some(fips), "ec2-fips.us-east-1.amazonaws.com"),
        ("us-east-1", Some(dual), "ec2.us-east-1.api.aws"),
        ("us-gov-west-1", None, "ec2.us-gov-west-1.amazonaws.com"),
        ("us-gov-west-1", Some(fips), "ec2.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", None, "ec2.cn-north-1.amazonaws.com.cn"),
        ("us-iso-east-1", None, "ec2.us-iso-east-1.c2s.ic.gov"),
    ] {
        let proxy = Server::always(Reply::text(403, "")).await;
        let mut variables = vec![
            ("AWS_REGION", region),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", NOWHERE),
            ("AWS_ACCESS_KEY_ID", "AKIDENV"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("HTTPS_PROXY", proxy.url.as_str()),
            (WANTED, "Transient Unknown"),
        ];
        variables.extend(setting.map(|name| (name, "true")));
        let test = "chain::requests_go_to_the_endpoint_of_each_partition_and_for_fips";
        run_in_child(test, &variables).await;
        let asked: Vec<_> = proxy.requests().into_iter().map(|one| one.path).collect();
        assert_eq!(asked, [format!("{host}:443")], "{region} {setting:?}");
    }
}

/// What only the configuration file says is found when the client is built.
#[tokio::test]
async fn an_endpoint_url_beside_fips_in_the_configuration_file_is_refused_with_advice() {
    if is_child() {
        let cloud = AwsCloud::connect(CloudConfig::from_env()).unwrap();
        let failure = call(&cloud, Ec2Call::Assign).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (CloudKind::Auth, Effect::None), "{failure}");
        assert!(failure.detail.contains("use_fips_endpoint selects an endpoint"), "{failure}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    std::fs::write(&file, "[default]\nuse_fips_endpoint = true\n").unwrap();
    let variables = [("AWS_CONFIG_FILE", file.to_str().unwrap())];
    let test =
        "chain::an_endpoint_url_beside_fips_in_the_configuration_file_is_refused_with_advice";
    assert_eq!(signer(test, &variables, "").await, None);
}

#[tokio::test]
async fn f053_nothing_is_sent_without_any_source_of_credentials() {
    if is_child() {
        return child().await;
    }
    let test = "chain::f053_nothing_is_sent_without_any_source_of_credentials";
    assert_eq!(signer(test, &[], "Auth None").await, None);
}

/// STS's response with a role's keys.
fn assumed() -> Reply {
    let xmlns = "https://sts.amazonaws.com/doc/2011-06-15/";
    Reply::text(
        200,
        &format!(
            r#"<AssumeRoleWithWebIdentityResponse xmlns="{xmlns}"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKIDWEB</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>r:s</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/s</Arn></AssumedRoleUser></AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>q</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>"#
        ),
    )
}

fn sts_error(status: u16, code: &str) -> Reply {
    let xmlns = "https://sts.amazonaws.com/doc/2011-06-15/";
    let body = format!(
        r#"<ErrorResponse xmlns="{xmlns}"><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error><RequestId>q</RequestId></ErrorResponse>"#
    );
    Reply::text(status, &body)
}

#[tokio::test]
async fn f053_the_role_of_a_service_account_signs_or_fails_with_the_reason() {
    if is_child() {
        return child().await;
    }
    let test = "chain::f053_the_role_of_a_service_account_signs_or_fails_with_the_reason";
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "a.jwt.of-the-service-account").unwrap();
    let rows = [
        (assumed(), "Ok", Some("AKIDWEB")),
        (sts_error(403, "AccessDenied"), "Auth None", None),
        (sts_error(400, "ExpiredTokenException"), "Auth None", None),
        (sts_error(400, "Throttling"), "Transient None", None),
        (sts_error(500, "InternalFailure"), "Transient None", None),
    ];
    for (reply, wanted, key) in rows {
        let sts = Server::always(reply).await;
        let variables = [
            ("AWS_ENDPOINT_URL_STS", sts.url.as_str()),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/firecamp"),
            ("AWS_ROLE_SESSION_NAME", "firecamp"),
        ];
        assert_eq!(signer(test, &variables, wanted).await.as_deref(), key, "{wanted}");
        assert_eq!(sts.requests().len(), 1, "{wanted}");
        let request = &sts.requests()[0];
        assert_eq!(request.field("Action").as_deref(), Some("AssumeRoleWithWebIdentity"));
    }
}

/// The proxy refuses every connection, and sees where they were to go.
#[tokio::test]
async fn a_role_is_assumed_at_the_endpoint_of_each_partition_and_for_fips() {
    if is_child() {
        return child().await;
    }
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "a.jwt.of-the-service-account").unwrap();
    for (region, fips, host) in [
        ("us-east-1", "true", "sts-fips.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "false", "sts.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "false", "sts.cn-north-1.amazonaws.com.cn"),
    ] {
        let proxy = Server::always(Reply::text(403, "")).await;
        let variables = [
            ("AWS_DEFAULT_REGION", region),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", NOWHERE),
            ("AWS_USE_FIPS_ENDPOINT", fips),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/firecamp"),
            ("HTTPS_PROXY", proxy.url.as_str()),
            (WANTED, "Transient None"),
        ];
        let test = "chain::a_role_is_assumed_at_the_endpoint_of_each_partition_and_for_fips";
        run_in_child(test, &variables).await;
        let asked: Vec<_> =
            proxy.requests().into_iter().map(|one| (one.method, one.path)).collect();
        assert_eq!(asked, [("CONNECT".to_owned(), format!("{host}:443"))], "{region}");
    }
}

#[tokio::test]
async fn keys_from_a_pod_identity_agent_sign() {
    if is_child() {
        return child().await;
    }
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "of-the-pod").unwrap();
    let agent = Server::always(Reply::text(
        200,
        r#"{"AccessKeyId":"AKIDPOD","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#,
    ))
    .await;
    let url = format!("{}/v1/credentials", agent.url);
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let test = "chain::keys_from_a_pod_identity_agent_sign";
    assert_eq!(signer(test, &variables, "Ok").await.as_deref(), Some("AKIDPOD"));
    assert_eq!(agent.requests()[0].header("authorization"), Some("of-the-pod"));
}
