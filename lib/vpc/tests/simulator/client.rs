//! A minimal EC2 client without the SDK.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use firecamp_vpc::{Exchange, Profile, Simulator, Spec, WireRequest};

pub const EPOCH: Duration = Duration::from_secs(1_790_000_000);

pub const SPEC: &str = r#"
[vpc]
cidr = "10.0.0.0/16"
[[subnets]]
name = "a"
id = "subnet-0000000000000000a"
cidr = "10.0.1.0/26"
zone = "us-east-1a"
[[nodes]]
name = "node-1"
subnet = "a"
instance_type = "t3.medium"
[[nodes.enis]]
id = "eni-00000000000000001"
subnet = "a"
device_index = 1
[[nodes]]
name = "node-2"
subnet = "a"
instance_type = "t3.medium"
[[nodes.enis]]
id = "eni-00000000000000002"
subnet = "a"
device_index = 1
[[foreign]]
name = "other"
id = "eni-0000000000000000f"
subnet = "a"
"#;

pub fn simulator(profile: &Profile, seed: u64) -> Simulator {
    Simulator::new(&Spec::from_toml(SPEC).unwrap(), *profile, seed, EPOCH).unwrap()
}

/// A request to EC2 with this body, signed with the caller's credentials.
pub fn signed(simulator: &Simulator, caller: &str, now: Duration, body: &str) -> WireRequest {
    let own = simulator.credentials(caller).unwrap();
    let token = own.session_token.clone();
    let own = Credentials::new(own.access_key, own.secret_key, token, None, "simulator").into();
    let params = v4::SigningParams::builder()
        .identity(&own)
        .region("us-east-1")
        .name("ec2")
        .time(SystemTime::UNIX_EPOCH + EPOCH + now)
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let kind = "application/x-www-form-urlencoded";
    let headers = [("content-type", kind), ("host", "ec2.local")];
    let whole = SignableBody::Bytes(body.as_bytes());
    let signable = SignableRequest::new("POST", "http://ec2.local/", headers.into_iter(), whole);
    let (instructions, _) = sign(signable.unwrap(), &params).unwrap().into_parts();
    let mut request = WireRequest::new("POST", "/").with_body(body);
    for (name, value) in headers.into_iter().chain(instructions.headers()) {
        request = request.with_header(name, value);
    }
    request
}

pub fn send(simulator: &mut Simulator, caller: &str, now: Duration, body: &str) -> Exchange {
    let body = format!("Version=2016-11-15&{body}");
    let request = signed(simulator, caller, now, &body);
    simulator.ec2(now, Some(caller), &request)
}

pub fn assign(eni: &str, address: &str, force: bool) -> String {
    format!(
        "Action=AssignPrivateIpAddresses&NetworkInterfaceId={eni}&PrivateIpAddress.1={address}\
         &AllowReassignment={force}"
    )
}
