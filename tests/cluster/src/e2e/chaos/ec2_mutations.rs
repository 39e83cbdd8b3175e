//! Checks the mutating calls in EC2's call log.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use vpcbox::protocol::Call;

use super::disruptions::ASSIGN;

/// Mutating calls that no member needs. Members only start and move, so each call must assign one
/// member's address to an ENI, and no call may leave an address without an ENI.
pub(super) fn unexpected(calls: &[Call], members: &BTreeMap<String, Ipv4Addr>) -> BTreeSet<String> {
    let known: BTreeSet<Ipv4Addr> = members.values().copied().collect();
    let mutations = calls.iter().filter(|call| call.mutating);
    let rejected = mutations.filter(|call| !is_expected(call, &known));
    rejected
        .map(|call| {
            let Call { action, caller, app, parameters, .. } = call;
            format!("{caller} ({app}) called {action} with {parameters:?}")
        })
        .collect()
}

fn is_expected(call: &Call, known: &BTreeSet<Ipv4Addr>) -> bool {
    let named = call.parameters.iter().filter(|(name, _)| name.starts_with("PrivateIpAddress"));
    let named: Vec<Option<Ipv4Addr>> = named.map(|(_, text)| text.parse().ok()).collect();
    let [Some(address)] = named.as_slice() else { return false };
    let kept = call.effects.iter().all(|it| it.after.is_some() && it.address == *address);
    call.action == ASSIGN && known.contains(address) && kept
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn call(action: &str, addresses: &[&str], effects: &Value) -> Call {
        let numbered = addresses.iter().zip(1..);
        let parameters: BTreeMap<String, &str> =
            numbered.map(|(address, n)| (format!("PrivateIpAddress.{n}"), *address)).collect();
        let call = json!({
            "seq": 1, "at_us": 1, "service": "ec2", "caller": "node-a", "action": action,
            "parameters": parameters, "request_id": "1", "delivery": "answered",
            "mutating": true, "committed": true, "faults": [], "effects": effects,
        });
        serde_json::from_value(call).unwrap()
    }

    fn effect(address: &str, after: Option<&str>) -> Value {
        json!([{ "address": address, "before": "eni-1", "after": after, "committed_at_us": 2 }])
    }

    fn count_unexpected(call: Call) -> usize {
        let members = BTreeMap::from([("chaos-0".to_owned(), Ipv4Addr::new(10, 0, 1, 50))]);
        unexpected(&[call], &members).len()
    }

    #[test]
    fn assigning_and_moving_a_members_address_is_expected() {
        assert_eq!(count_unexpected(call(ASSIGN, &["10.0.1.50"], &json!([]))), 0);
        let to = effect("10.0.1.50", Some("eni-2"));
        assert_eq!(count_unexpected(call(ASSIGN, &["10.0.1.50"], &to)), 0);
    }

    #[test]
    fn every_other_mutation_is_unexpected() {
        let unassign = "UnassignPrivateIpAddresses";
        assert_eq!(count_unexpected(call(unassign, &["10.0.1.50"], &json!([]))), 1);
        assert_eq!(
            count_unexpected(call(ASSIGN, &["10.0.1.51"], &json!([]))),
            1,
            "address of no member"
        );
        assert_eq!(count_unexpected(call(ASSIGN, &[], &json!([]))), 1, "address chosen by EC2");
        assert_eq!(count_unexpected(call(ASSIGN, &["10.0.1.50", "10.0.1.51"], &json!([]))), 1);
        let gone = effect("10.0.1.50", None);
        assert_eq!(count_unexpected(call(ASSIGN, &["10.0.1.50"], &gone)), 1, "on no ENI");
        let other = effect("10.0.1.51", Some("eni-2"));
        assert_eq!(
            count_unexpected(call(ASSIGN, &["10.0.1.50"], &other)),
            1,
            "another address moved"
        );
        assert_eq!(count_unexpected(call("DetachNetworkInterface", &[], &json!([]))), 1);
        let read = call("DescribeNetworkInterfaces", &[], &json!([]));
        assert_eq!(
            count_unexpected(Call { mutating: false, ..read }),
            0,
            "a read is not a mutation"
        );
    }
}
