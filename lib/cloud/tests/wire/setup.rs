//! Clients with only the configuration of the test.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::{AwsCloud, CloudConfig, Credentials};
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{EniId, InstanceId, SubnetId};
use firecamp_core::managed_interface::{InterfaceFilter, NewInterface};
use firecamp_core::ports::{Cloud, CloudInterfaces};

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 9);
pub(crate) const ENI: &str = "eni-0123456789abcdef0";
pub(crate) const SUBNET: &str = "subnet-0123456789abcdef0";

/// The discard port, where nothing listens.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:9";

/// The deadline of calls with a response: enough for a busy machine.
pub(crate) const PATIENT: Duration = Duration::from_mins(1);

/// The deadline of calls without a response.
pub(crate) const SHORT: Duration = Duration::from_millis(600);

/// A call with the deadline [`SHORT`] must end within this time, on a busy machine.
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
        answer_within: PATIENT,
        imds_within: PATIENT,
        ..CloudConfig::default()
    }
}

/// EC2 only; reads of the metadata service are refused.
pub(crate) fn ec2(url: &str) -> AwsCloud {
    AwsCloud::connect(config(url, NOWHERE)).unwrap()
}

/// The metadata service only.
pub(crate) fn imds(url: &str) -> AwsCloud {
    AwsCloud::connect(config(NOWHERE, url)).unwrap()
}

pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";
pub(crate) const ATTACHMENT: &str = "eni-attach-0123456789abcdef0";

pub(crate) fn instance() -> InstanceId {
    INSTANCE.parse().unwrap()
}

pub(crate) fn new_interface() -> NewInterface {
    NewInterface {
        subnet: subnet(),
        groups: ["sg-00000001".to_owned(), "sg-00000002".to_owned()].into(),
        description: "FireCamp".to_owned(),
        tags: vec![("firecamp.io/cluster".to_owned(), "demo".to_owned())],
        token: "uid-1".to_owned(),
    }
}

/// One of the calls of the ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ec2Call {
    Owner,
    Assign,
    Unassign,
    Create,
    Attach,
    Detach,
    Delete,
    Describe,
    Instance,
}

impl Ec2Call {
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Self::Owner | Self::Describe | Self::Instance)
    }

    /// The object that every failure of the call names.
    pub(crate) fn object(self) -> String {
        match self {
            Self::Owner | Self::Assign | Self::Unassign => ADDRESS.to_string(),
            Self::Create => SUBNET.to_owned(),
            Self::Attach | Self::Delete | Self::Describe => ENI.to_owned(),
            Self::Detach => ATTACHMENT.to_owned(),
            Self::Instance => INSTANCE.to_owned(),
        }
    }
}

pub(crate) async fn call(cloud: &AwsCloud, which: Ec2Call) -> Result<(), CloudFailure> {
    call_with_deadline(cloud, which, PATIENT).await
}

/// A read takes its deadline from the settings.
pub(crate) async fn call_with_deadline(
    cloud: &AwsCloud,
    which: Ec2Call,
    within: Duration,
) -> Result<(), CloudFailure> {
    match which {
        Ec2Call::Owner => cloud.owner(ADDRESS, &subnet()).await.map(drop),
        Ec2Call::Assign => cloud.assign(&eni(), &[ADDRESS], true, within).await,
        Ec2Call::Unassign => cloud.unassign(&eni(), ADDRESS, within).await,
        Ec2Call::Create => cloud.create_interface(&new_interface(), within).await.map(drop),
        Ec2Call::Attach => cloud.attach_interface(&eni(), &instance(), 2, within).await,
        Ec2Call::Detach => cloud.detach_interface(ATTACHMENT, within).await,
        Ec2Call::Delete => cloud.delete_interface(&eni(), within).await,
        Ec2Call::Describe => cloud.describe_interfaces(&InterfaceFilter::Id(eni())).await.map(drop),
        Ec2Call::Instance => cloud.instance_state(&instance()).await.map(drop),
    }
}

/// Set in a child process that runs one test in its own environment.
pub(crate) const CHILD: &str = "FIRECAMP_TEST_CHILD";

/// Runs this test again, alone in a process with only these environment variables.
pub(crate) async fn run_in_child(test: &str, variables: &[(&str, &str)]) {
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env_clear()
        .envs(variables.iter().copied())
        .env(CHILD, "1")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{variables:?}: {output}");
}

pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}
