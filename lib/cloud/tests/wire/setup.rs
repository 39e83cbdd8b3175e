//! Clients that look at nothing but what a test gives them.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::{AwsCloud, CloudConfig, Credentials};
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::outside::Cloud;

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 9);
pub(crate) const ENI: &str = "eni-0123456789abcdef0";
pub(crate) const SUBNET: &str = "subnet-0123456789abcdef0";

/// Nothing listens on the discard port.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:9";

/// What a call gets that is answered: more than any busy machine needs.
pub(crate) const PATIENT: Duration = Duration::from_mins(1);

/// What a call gets that is never answered.
pub(crate) const SHORT: Duration = Duration::from_millis(600);

/// Within this a call must have ended that got [`SHORT`], on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(15);

pub(crate) fn eni() -> EniId {
    EniId::new(ENI).unwrap()
}

pub(crate) fn subnet() -> SubnetId {
    SubnetId::new(SUBNET).unwrap()
}

pub(crate) fn keys() -> Credentials {
    Credentials::Fixed { key_id: "AKIDTEST".to_owned(), secret: "secret".to_owned() }
}

pub(crate) fn config(ec2: &str, imds: &str) -> CloudConfig {
    CloudConfig {
        region: Some("us-east-1".to_owned()),
        ec2_endpoint: Some(ec2.to_owned()),
        imds_endpoint: Some(imds.to_owned()),
        credentials: keys(),
        describe_within: PATIENT,
        imds_within: PATIENT,
        ..CloudConfig::default()
    }
}

/// EC2 only; a read of the metadata service would be refused.
pub(crate) fn ec2(url: &str) -> AwsCloud {
    AwsCloud::connect(config(url, NOWHERE)).unwrap()
}

/// The metadata service only.
pub(crate) fn imds(url: &str) -> AwsCloud {
    AwsCloud::connect(config(NOWHERE, url)).unwrap()
}

/// One of the three calls of EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Owner,
    Assign,
    Unassign,
}

pub(crate) async fn ask(cloud: &AwsCloud, which: Ask) -> Result<(), CloudFailure> {
    ask_within(cloud, which, PATIENT).await
}

/// A look-up takes its deadline from the settings.
pub(crate) async fn ask_within(
    cloud: &AwsCloud,
    which: Ask,
    within: Duration,
) -> Result<(), CloudFailure> {
    match which {
        Ask::Owner => cloud.owner(ADDRESS, &subnet()).await.map(drop),
        Ask::Assign => cloud.assign(&eni(), ADDRESS, true, within).await,
        Ask::Unassign => cloud.unassign(&eni(), ADDRESS, within).await,
    }
}

/// Set in a process that runs one test in an environment of its own.
pub(crate) const CHILD: &str = "FIRECAMP_TEST_CHILD";

/// Runs this test again, alone in a process with no environment but these variables.
pub(crate) async fn again(test: &str, variables: &[(&str, &str)]) {
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env_clear()
        .envs(variables.iter().copied())
        .env(CHILD, "1")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && told.contains("1 passed"), "{variables:?}: {told}");
}

pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}
