//! AssignPrivateIpAddresses: section 2.1.

use crate::harness::{Lab, NODE_1};

#[test]
fn a_free_address_is_assigned() {
    let lab = Lab::new();
    let ec2 = lab.ec2("node-1");
    let answer = lab
        .run(
            ec2.assign_private_ip_addresses()
                .network_interface_id(NODE_1)
                .private_ip_addresses("10.0.1.200")
                .send(),
        )
        .unwrap();
    assert_eq!(answer.network_interface_id(), Some(NODE_1));
}
