//! What EC2 was asked to change all the while, by its own record.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use vpcbox::protocol::Call;

use super::disruptions::ASSIGN;

/// What was ordered that nobody had to order. Members live and move, so each order assigns one
/// address of one of them to an ENI, and none ever ends with an address on no ENI.
pub(super) fn strange(calls: &[Call], members: &BTreeMap<String, Ipv4Addr>) -> BTreeSet<String> {
    let known: BTreeSet<Ipv4Addr> = members.values().copied().collect();
    let orders = calls.iter().filter(|call| call.mutating);
    let wrong = orders.filter(|order| !is_theirs(order, &known));
    wrong
        .map(|order| {
            let Call { action, caller, app, parameters, .. } = order;
            format!("{caller} ({app}) ordered {action} of {parameters:?}")
        })
        .collect()
}

fn is_theirs(order: &Call, known: &BTreeSet<Ipv4Addr>) -> bool {
    let named = order.parameters.iter().filter(|(name, _)| name.starts_with("PrivateIpAddress"));
    let named: Vec<Option<Ipv4Addr>> = named.map(|(_, text)| text.parse().ok()).collect();
    let [Some(address)] = named.as_slice() else { return false };
    let kept = order.effects.iter().all(|it| it.after.is_some() && it.address == *address);
    order.action == ASSIGN && known.contains(address) && kept
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn order(action: &str, addresses: &[&str], effects: &Value) -> Call {
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

    fn moved(address: &str, after: Option<&str>) -> Value {
        json!([{ "address": address, "before": "eni-1", "after": after, "committed_at_us": 2 }])
    }

    fn strange_ones(order: Call) -> usize {
        let members = BTreeMap::from([("chaos-0".to_owned(), Ipv4Addr::new(10, 0, 1, 50))]);
        strange(&[order], &members).len()
    }

    #[test]
    fn a_members_own_address_may_be_assigned_and_moved() {
        assert_eq!(strange_ones(order(ASSIGN, &["10.0.1.50"], &json!([]))), 0);
        let to = moved("10.0.1.50", Some("eni-2"));
        assert_eq!(strange_ones(order(ASSIGN, &["10.0.1.50"], &to)), 0);
    }

    #[test]
    fn whatever_else_is_ordered_is_strange() {
        let unassign = "UnassignPrivateIpAddresses";
        assert_eq!(strange_ones(order(unassign, &["10.0.1.50"], &json!([]))), 1);
        assert_eq!(strange_ones(order(ASSIGN, &["10.0.1.51"], &json!([]))), 1, "a stranger's");
        assert_eq!(strange_ones(order(ASSIGN, &[], &json!([]))), 1, "EC2 chooses");
        assert_eq!(strange_ones(order(ASSIGN, &["10.0.1.50", "10.0.1.51"], &json!([]))), 1);
        let gone = moved("10.0.1.50", None);
        assert_eq!(strange_ones(order(ASSIGN, &["10.0.1.50"], &gone)), 1, "on no ENI");
        let other = moved("10.0.1.51", Some("eni-2"));
        assert_eq!(strange_ones(order(ASSIGN, &["10.0.1.50"], &other)), 1, "moved another");
        assert_eq!(strange_ones(order("DetachNetworkInterface", &[], &json!([]))), 1);
        let read = order("DescribeNetworkInterfaces", &[], &json!([]));
        assert_eq!(
            strange_ones(Call { mutating: false, ..read }),
            0,
            "who only reads orders nothing"
        );
    }
}
