//! Calls as one-liners.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::types::{Filter, NetworkInterface};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use firecamp_vpc::{Call, Fault, FaultId, Selector, WireRequest};

use crate::clock::EPOCH;
use crate::harness::{Refused, TestVpc, refused};

pub type Outcome<T = ()> = Result<T, Refused>;

/// Asserts that the call was refused with this status, code and message.
pub fn is(outcome: &Outcome<impl std::fmt::Debug>, status: u16, code: &str, message: &str) {
    let error = outcome.as_ref().expect_err("the call is refused");
    assert_eq!((error.status, error.code.as_str()), (status, code), "{}", error.message);
    assert_eq!(error.message, message);
    assert_eq!(error.request_id.len(), 36, "every response has a request ID");
}

/// A filter.
pub fn filter(name: &str, values: &[&str]) -> Filter {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

fn owned(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|item| (*item).to_owned()).collect())
}

impl TestVpc {
    /// Assigns addresses.
    pub async fn assign(
        &self,
        caller: &str,
        eni: &str,
        addresses: &[&str],
        force: bool,
    ) -> Outcome<Vec<String>> {
        let call = self.ec2(caller).assign_private_ip_addresses().network_interface_id(eni);
        let call = call.set_private_ip_addresses(owned(addresses)).allow_reassignment(force);
        let answer = call.send().await.map_err(|error| refused(&error))?;
        let assigned = answer.assigned_private_ip_addresses();
        Ok(assigned.iter().filter_map(|a| a.private_ip_address()).map(str::to_owned).collect())
    }

    /// Unassigns addresses.
    pub async fn unassign(&self, caller: &str, eni: &str, addresses: &[&str]) -> Outcome {
        let call = self.ec2(caller).unassign_private_ip_addresses().network_interface_id(eni);
        let call = call.set_private_ip_addresses(owned(addresses));
        call.send().await.map(|_| ()).map_err(|error| refused(&error))
    }

    /// The ENIs that match the filters.
    pub async fn enis(
        &self,
        caller: &str,
        filters: &[(&str, &[&str])],
    ) -> Outcome<Vec<NetworkInterface>> {
        let filters = filters.iter().map(|(name, values)| filter(name, values)).collect();
        let call = self.ec2(caller).describe_network_interfaces().set_filters(Some(filters));
        let answer = call.max_results(100).send().await.map_err(|error| refused(&error))?;
        assert_eq!(answer.next_token(), None);
        Ok(answer.network_interfaces.unwrap_or_default())
    }

    /// The IDs of the ENIs that match the filters.
    pub async fn ids(&self, filters: &[(&str, &[&str])]) -> Vec<String> {
        let enis = self.enis("admin", filters).await.unwrap();
        let mut ids: Vec<String> =
            enis.into_iter().filter_map(|e| e.network_interface_id).collect();
        ids.sort();
        ids
    }

    /// The ENI that Describe shows as the owner of an address.
    pub async fn owner(&self, address: &str) -> Option<String> {
        self.ids(&[("addresses.private-ip-address", &[address])]).await.pop()
    }

    /// The actual owner of an address.
    pub fn truth_of(&self, address: &str) -> firecamp_vpc::AddressTruth {
        let now = self.clock.now();
        let truth = self.simulator().truth(now);
        let address: std::net::Ipv4Addr = address.parse().unwrap();
        truth
            .addresses
            .into_iter()
            .find(|a| a.address == address)
            .expect("the address has a history")
    }

    /// A query with arbitrary parameters, signed as the SDK signs.
    pub async fn query(
        &self,
        caller: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Outcome<String> {
        let mut body = format!("Action={action}&Version=2016-11-15");
        for (name, value) in parameters {
            body.extend(["&", name, "=", value]);
        }
        self.body(caller, body).await
    }

    /// Replaces the body of one of the SDK's requests.
    pub async fn body(&self, caller: &str, body: String) -> Outcome<String> {
        let request = signed(self, caller, &body);
        let response = self.raw_ec2(&request).await;
        let text = String::from_utf8(response.body.clone()).unwrap();
        if response.status == 200 {
            return Ok(text);
        }
        let between = |open: &str, close: &str| {
            let rest = text.split_once(open).map(|(_, rest)| rest).unwrap_or_default();
            rest.split_once(close).map(|(value, _)| value.to_owned()).unwrap_or_default()
        };
        Err(Refused {
            status: response.status,
            code: between("<Code>", "</Code>"),
            message: between("<Message>", "</Message>"),
            request_id: response.header("x-amzn-requestid").unwrap_or_default().to_owned(),
        })
    }

    /// The last call of the log.
    pub fn last_call(&self) -> Call {
        self.simulator().calls(0).pop().expect("a call")
    }

    /// Sets a fault for the first call of an action.
    pub fn once(&self, op: &str, fault: Fault) -> FaultId {
        let when = Selector { op: Some(op.to_owned()), count: Some(1), ..Selector::default() };
        self.fault_when(fault, when)
    }

    /// A client with the SDK's own retries.
    pub fn retrying(&self, caller: &str) -> aws_sdk_ec2::Client {
        self.ec2_with(caller, RetryConfig::standard())
    }
}

/// A request with this body, signed with the caller's credentials.
pub fn signed(vpc: &TestVpc, caller: &str, body: &str) -> WireRequest {
    let own = vpc.simulator().credentials(caller).unwrap();
    let token = own.session_token.clone();
    let own = Credentials::new(own.access_key, own.secret_key, token, None, "simulator").into();
    let at = SystemTime::UNIX_EPOCH + EPOCH + vpc.clock.now();
    let params = v4::SigningParams::builder()
        .identity(&own)
        .region("us-east-1")
        .name("ec2")
        .time(at)
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let kind = "application/x-www-form-urlencoded";
    let headers = [("content-type", kind), ("host", "ec2.us-east-1.amazonaws.com")];
    let whole = SignableBody::Bytes(body.as_bytes());
    let uri = "https://ec2.us-east-1.amazonaws.com/";
    let signable = SignableRequest::new("POST", uri, headers.into_iter(), whole).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = WireRequest::new("POST", "/").with_body(body);
    for (name, value) in headers.into_iter().chain(instructions.headers()) {
        request = request.with_header(name, value);
    }
    request
}
