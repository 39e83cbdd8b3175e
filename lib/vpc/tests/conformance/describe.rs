//! The Describe actions: sections 2.3, 2.4, 2.5 and 2.11, and pagination and filters of 2.0.

use std::time::Duration;

use aws_sdk_ec2::types::{
    AttachmentLimitType, InstanceStateName, InstanceType, NetworkInterfaceStatus,
    SubnetCidrReservationType, SubnetState,
};
use firecamp_vpc::{Act, Fault, Profile};

use crate::harness::{MANAGED, NODE_1, NODE_2, OTHER, SUBNET_A, SUBNET_B, TestVpc, refused};
use crate::verbs::{filter, is};

#[test]
fn the_owner_of_an_address_is_found_by_filter() {
    let vpc = TestVpc::new();
    let filters: [(&str, &[&str]); 2] =
        [("addresses.private-ip-address", &["10.0.1.101"]), ("subnet-id", &[SUBNET_A])];
    let eni = vpc.run(vpc.enis("node-1", &filters)).unwrap().pop().unwrap();
    assert_eq!(eni.network_interface_id(), Some(NODE_2));
    assert_eq!(eni.subnet_id(), Some(SUBNET_A));
    assert_eq!(eni.availability_zone(), Some("us-east-1a"));
    assert_eq!(eni.status().map(NetworkInterfaceStatus::as_str), Some("in-use"));
    let addresses: Vec<(&str, bool)> = eni
        .private_ip_addresses()
        .iter()
        .map(|a| (a.private_ip_address().unwrap(), a.primary().unwrap()))
        .collect();
    assert_eq!(addresses, [("10.0.1.22", true), ("10.0.1.101", false), ("10.0.1.102", false)]);
    let attachment = eni.attachment().unwrap();
    assert_eq!(attachment.instance_id(), Some("i-00000000000000002"));
    assert_eq!((attachment.device_index(), attachment.network_card_index()), (Some(2), Some(0)));
    assert_eq!(attachment.delete_on_termination(), Some(false));
    let tag = &eni.tag_set()[0];
    assert_eq!((tag.key(), tag.value()), (Some("firecamp.io/cluster"), Some("demo")));
    assert_eq!(eni.mac_address().unwrap().len(), 17);
    assert_eq!((eni.source_dest_check(), eni.requester_managed()), (Some(true), Some(false)));
}

#[test]
fn interface_filters_narrow_and_unknown_ones_are_refused() {
    let vpc = TestVpc::new();
    let cases: [(&str, &[&str], usize); 12] = [
        ("attachment.instance-id", &["i-00000000000000002"], 2),
        ("network-interface-id", &[NODE_1, NODE_2], 2),
        ("attachment.device-index", &["1"], 1),
        ("attachment.status", &["attached"], 6),
        ("status", &["available"], 1),
        ("tag:firecamp.io/cluster", &["demo"], 5),
        ("tag-key", &["firecamp.io/cluster"], 5),
        ("vpc-id", &["vpc-0000000000000000a"], 7),
        ("availability-zone", &["us-east-1b"], 1),
        ("interface-type", &["interface"], 7),
        ("addresses.private-ip-address", &["10.0.1.1??"], 2),
        ("addresses.private-ip-address", &["10.0.9.9"], 0),
    ];
    for (name, values, count) in cases {
        assert_eq!(vpc.run(vpc.ids(&[(name, values)])).len(), count, "{name} {values:?}");
    }
    let both: [(&str, &[&str]); 2] = [("status", &["in-use"]), ("vpc-id", &["vpc-*"])];
    assert_eq!(vpc.run(vpc.ids(&both)).len(), 6);
    let outcome = vpc.run(vpc.enis("admin", &[("no-such", &["x"])]));
    is(&outcome, 400, "InvalidParameterValue", "The filter 'no-such' is invalid");
}

#[test]
fn the_first_unknown_id_fails_the_whole_call() {
    let vpc = TestVpc::new();
    let (a, b) = ("eni-0000000000000dead", "eni-0000000000000beef");
    let call = vpc.ec2("admin").describe_network_interfaces();
    let call = call.network_interface_ids(NODE_1).network_interface_ids(a).network_interface_ids(b);
    let error = refused(&vpc.run(call.send()).unwrap_err());
    assert_eq!(error.code, "InvalidNetworkInterfaceID.NotFound");
    assert_eq!(error.message, format!("The networkInterface ID '{a}' does not exist"));
    let call = vpc.ec2("admin").describe_network_interfaces().network_interface_ids("eni-x");
    let error = refused(&vpc.run(call.send()).unwrap_err());
    assert_eq!(error.code, "InvalidNetworkInterfaceId.Malformed");
}

#[test]
fn ids_and_a_page_size_cannot_be_combined() {
    let vpc = TestVpc::new();
    let call = vpc.ec2("admin").describe_network_interfaces();
    let call = call.network_interface_ids(NODE_1).max_results(10);
    assert_eq!(refused(&vpc.run(call.send()).unwrap_err()).code, "InvalidParameterCombination");
    let call = vpc.ec2("admin").describe_instances().instance_ids("i-00000000000000001");
    let error = vpc.run(call.max_results(10).send()).unwrap_err();
    assert_eq!(refused(&error).code, "InvalidParameterCombination");
}

#[test]
fn addresses_of_a_prefix_are_not_listed_one_by_one() {
    let vpc = TestVpc::new();
    assert_eq!(vpc.run(vpc.owner("10.0.1.130")), None);
    let found: [(&str, &[&str]); 1] = [("network-interface-id", &[OTHER])];
    let eni = vpc.run(vpc.enis("admin", &found)).unwrap().pop().unwrap();
    let prefixes: Vec<&str> = eni.ipv4_prefixes().iter().filter_map(|p| p.ipv4_prefix()).collect();
    assert_eq!(prefixes, ["10.0.1.128/28"]);
}

#[test]
fn a_hidden_eni_is_shown_only_on_request() {
    let vpc = TestVpc::new();
    assert_eq!(vpc.run(vpc.owner("10.0.1.70")), None);
    let call = vpc.ec2("admin").describe_network_interfaces();
    let filters = filter("addresses.private-ip-address", &["10.0.1.70"]);
    let answer = vpc.run(call.filters(filters).include_managed_resources(true).send()).unwrap();
    let eni = &answer.network_interfaces()[0];
    assert_eq!(eni.network_interface_id(), Some(MANAGED));
    let operator = eni.operator().unwrap();
    assert_eq!((operator.managed(), operator.principal()), (Some(true), Some("eks.amazonaws.com")));
    let act = Act::HideEni { eni: NODE_1.to_owned(), hidden: true };
    vpc.simulator().act(Duration::ZERO, &act).unwrap();
    vpc.run(vpc.settle());
    assert_eq!(vpc.run(vpc.owner("10.0.1.12")), None);
}

#[test]
fn a_dry_run_would_have_succeeded() {
    let vpc = TestVpc::new();
    let text = "Request would have succeeded, but DryRun flag is set.";
    let error = vpc.run(vpc.ec2("admin").describe_network_interfaces().dry_run(true).send());
    let error = refused(&error.unwrap_err());
    assert_eq!((error.status, error.code.as_str()), (412, "DryRunOperation"));
    assert_eq!(error.message, text);
}

#[test]
fn every_page_size_gives_the_same_listing() {
    let vpc = TestVpc::new();
    let all = vpc.run(vpc.ids(&[("vpc-id", &["*"])]));
    let pages = |size: i32| {
        vpc.run(async {
            let (mut found, mut token) = (Vec::new(), None);
            loop {
                let call = vpc.ec2("admin").describe_network_interfaces().max_results(size);
                let call = call.filters(filter("vpc-id", &["*"]));
                let page = call.set_next_token(token).send().await.unwrap();
                let ids = page.network_interfaces().iter().map(|e| e.network_interface_id());
                found.extend(ids.map(|id| id.unwrap().to_owned()));
                token = page.next_token().map(str::to_owned);
                if token.is_none() {
                    found.sort();
                    return found;
                }
            }
        })
    };
    vpc.fault(Fault::ShortPages { items: 2 });
    assert_eq!((pages(5), pages(1_000)), (all.clone(), all));
}

#[test]
fn page_sizes_have_bounds() {
    let vpc = TestVpc::new();
    for (size, good) in [(4, false), (5, true), (1_000, true), (1_001, false)] {
        let call = vpc.ec2("admin").describe_network_interfaces().max_results(size);
        assert_eq!(vpc.run(call.send()).is_ok(), good, "{size}");
    }
    for (size, good) in [(4, false), (5, true), (100, true), (101, false)] {
        let call = vpc.ec2("admin").describe_instance_types().max_results(size);
        assert_eq!(vpc.run(call.send()).is_ok(), good, "{size}");
    }
}

#[test]
fn a_foreign_or_expired_token_is_refused() {
    let vpc = TestVpc::new();
    let call = vpc.ec2("admin").describe_subnets().next_token("eyJ0b2tlbiI6IngifQ==");
    assert_eq!(refused(&vpc.run(call.send()).unwrap_err()).code, "InvalidNextToken");
    let page = vpc.run(vpc.ec2("admin").describe_network_interfaces().max_results(5).send());
    let token = page.unwrap().next_token().unwrap().to_owned();
    let fault = vpc.fault(Fault::TokenExpires {});
    let call = vpc.ec2("admin").describe_network_interfaces().max_results(5).next_token(token);
    assert_eq!(refused(&vpc.run(call.send()).unwrap_err()).code, "InvalidNextToken");
    assert_eq!(vpc.fired(fault), 1);
}

#[test]
fn a_page_may_be_empty_and_have_a_next_token() {
    let vpc = TestVpc::new();
    let fault = vpc.once("DescribeNetworkInterfaces", Fault::EmptyPageWithToken {});
    let ec2 = vpc.ec2("admin");
    let pages = ec2.describe_network_interfaces().max_results(5).into_paginator().items().send();
    let all = vpc.run(pages.try_collect()).unwrap();
    assert_eq!((all.len(), vpc.fired(fault)), (7, 1));
}

#[test]
fn a_looping_token_ends_the_paginator_of_the_sdk_without_an_error() {
    let vpc = TestVpc::new();
    vpc.fault(Fault::LoopingToken {});
    let ec2 = vpc.ec2("admin");
    let pages = ec2.describe_network_interfaces().max_results(5).into_paginator().send();
    let pages = vpc.run(pages.try_collect()).unwrap();
    assert_eq!(pages.len(), 2);
}

#[test]
fn instances_are_described_with_their_enis() {
    let vpc = TestVpc::new();
    let call = vpc.ec2("node-1").describe_instances();
    let answer = vpc.run(call.filters(filter("instance-id", &["i-00000000000000002"])).send());
    let answer = answer.unwrap();
    let instance = &answer.reservations()[0].instances()[0];
    assert_eq!(instance.instance_id(), Some("i-00000000000000002"));
    assert_eq!(instance.instance_type().map(InstanceType::as_str), Some("m5.large"));
    let state = instance.state().unwrap();
    assert_eq!(
        (state.code(), state.name().map(InstanceStateName::as_str)),
        (Some(16), Some("running"))
    );
    assert_eq!(instance.private_ip_address(), Some("10.0.1.21"));
    assert_eq!(instance.subnet_id(), Some(SUBNET_A));
    assert_eq!(instance.network_interfaces().len(), 2);
    assert!(instance.launch_time().is_some());
}

#[test]
fn instance_filters_narrow() {
    let vpc = TestVpc::new();
    for (name, value, count) in [
        ("instance-state-name", "running", 4),
        ("tag:Name", "node-?", 3),
        ("vpc-id", "vpc-0000000000000000a", 4),
        ("private-dns-name", "ip-10-0-1-11.ec2.internal", 1),
        ("network-interface.addresses.private-ip-address", "10.0.1.102", 1),
        ("instance-type", "t3.medium", 1),
    ] {
        let call = vpc.ec2("admin").describe_instances().filters(filter(name, &[value]));
        let answer = vpc.run(call.send()).unwrap();
        assert_eq!(answer.reservations().len(), count, "{name}");
    }
    let call = vpc.ec2("admin").describe_instances();
    let call = call.filters(filter("block-device-mapping.no-such", &["vol-1"]));
    assert_eq!(refused(&vpc.run(call.send()).unwrap_err()).code, "InvalidParameterValue");
}

#[test]
fn an_unknown_instance_is_refused() {
    let vpc = TestVpc::new();
    let id = "i-0000000000000dead";
    let call = vpc.ec2("admin").describe_instances().instance_ids(id);
    let error = refused(&vpc.run(call.send()).unwrap_err());
    assert_eq!(error.code, "InvalidInstanceID.NotFound");
    assert_eq!(error.message, format!("The instance ID '{id}' does not exist"));
}

#[test]
fn a_terminated_instance_stays_listed_for_an_hour() {
    let vpc = TestVpc::new();
    let act = Act::Terminate { node: "node-2".to_owned(), delete_on_termination: None };
    vpc.simulator().act(Duration::ZERO, &act).unwrap();
    let describe = |vpc: &TestVpc| {
        let call = vpc.ec2("admin").describe_instances().instance_ids("i-00000000000000002");
        vpc.run(call.send()).map_err(|error| refused(&error))
    };
    vpc.run(vpc.settle());
    let answer = describe(&vpc).unwrap();
    let instance = &answer.reservations()[0].instances()[0];
    assert_eq!(instance.state().unwrap().code(), Some(48));
    assert!(instance.network_interfaces().is_empty() && instance.subnet_id().is_none());
    vpc.run(vpc.clock.pass(Duration::from_hours(1)));
    assert_eq!(describe(&vpc).unwrap_err().code, "InvalidInstanceID.NotFound");
}

#[test]
fn enis_without_delete_on_termination_survive_their_instance() {
    let vpc = TestVpc::new();
    let act = Act::Terminate { node: "node-2".to_owned(), delete_on_termination: None };
    vpc.simulator().act(Duration::ZERO, &act).unwrap();
    vpc.run(vpc.settle());
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2));
    assert_eq!(
        vpc.run(vpc.ids(&[("status", &["available"]), ("subnet-id", &[SUBNET_A])])).len(),
        2
    );
    assert_eq!(vpc.truth_of("10.0.1.100").owner, None, "of the primary ENI");
    let vpc = TestVpc::new();
    let act = Act::Terminate { node: "node-2".to_owned(), delete_on_termination: Some(true) };
    vpc.simulator().act(Duration::ZERO, &act).unwrap();
    assert_eq!(vpc.truth_of("10.0.1.101").owner, None);
}

#[test]
fn a_stopped_instance_keeps_its_addresses() {
    let vpc = TestVpc::new();
    vpc.simulator().act(Duration::ZERO, &Act::Stop { node: "node-2".to_owned() }).unwrap();
    vpc.run(vpc.settle());
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2));
    let call = vpc.ec2("admin").describe_instances();
    let answer = vpc.run(call.filters(filter("instance-state-name", &["stopped"])).send());
    assert_eq!(answer.unwrap().reservations().len(), 1);
}

#[test]
fn subnets_are_described_with_their_free_addresses() {
    let vpc = TestVpc::new();
    let call = vpc.ec2("node-1").describe_subnets().filters(filter("subnet-id", &[SUBNET_B]));
    let answer = vpc.run(call.send()).unwrap();
    let subnet = &answer.subnets()[0];
    assert_eq!(subnet.cidr_block(), Some("10.0.2.0/28"));
    assert_eq!(subnet.availability_zone(), Some("us-east-1b"));
    assert_eq!(subnet.availability_zone_id(), Some("use1-az2"));
    assert_eq!(subnet.available_ip_address_count(), Some(10));
    assert_eq!(subnet.state().map(SubnetState::as_str), Some("available"));
    for (name, value) in [("availability-zone", "us-east-1b"), ("cidr-block", "10.0.2.0/28")] {
        let call = vpc.ec2("admin").describe_subnets().filters(filter(name, &[value]));
        assert_eq!(vpc.run(call.send()).unwrap().subnets().len(), 1, "{name}");
    }
}

#[test]
fn an_unknown_subnet_is_refused() {
    let vpc = TestVpc::new();
    let call = vpc.ec2("admin").describe_subnets().subnet_ids("subnet-0000000000000dead");
    assert_eq!(refused(&vpc.run(call.send()).unwrap_err()).code, "InvalidSubnetID.NotFound");
}

#[test]
fn the_explicit_reservations_of_a_subnet_are_listed() {
    let vpc = TestVpc::new();
    let ask = |subnet: &str| vpc.ec2("node-1").get_subnet_cidr_reservations().subnet_id(subnet);
    let answer = vpc.run(ask(SUBNET_A).send()).unwrap();
    let [one] = answer.subnet_ipv4_cidr_reservations() else { panic!("{answer:?}") };
    assert_eq!(one.cidr(), Some("10.0.1.224/27"));
    assert_eq!(one.subnet_id(), Some(SUBNET_A));
    assert_eq!(one.reservation_type().map(SubnetCidrReservationType::as_str), Some("explicit"));
    assert!(one.subnet_cidr_reservation_id().is_some_and(|id| id.starts_with("scr-0")));
    assert_eq!((answer.subnet_ipv6_cidr_reservations(), answer.next_token()), (&[][..], None));
    let none = vpc.run(ask(SUBNET_B).send()).unwrap();
    assert_eq!(none.subnet_ipv4_cidr_reservations(), []);
    let of_prefixes = ask(SUBNET_A).filters(filter("reservationType", &["prefix"]));
    assert_eq!(vpc.run(of_prefixes.send()).unwrap().subnet_ipv4_cidr_reservations(), []);
}

#[test]
fn invalid_reservation_requests_are_refused() {
    let vpc = TestVpc::new();
    let ask = |subnet: &str| vpc.ec2("admin").get_subnet_cidr_reservations().subnet_id(subnet);
    let filtered = ask(SUBNET_A).filters(filter("cidr", &["10.0.1.224/27"]));
    for (call, code) in [
        (ask("subnet-0000000000000dead"), "InvalidSubnetID.NotFound"),
        (ask(""), "MissingParameter"),
        (filtered, "InvalidParameterValue"),
        (ask(SUBNET_A).dry_run(true), "DryRunOperation"),
    ] {
        assert_eq!(refused(&vpc.run(call.send()).unwrap_err()).code, code);
    }
}

#[test]
fn the_free_count_includes_16_addresses_per_prefix_and_lags() {
    let vpc = TestVpc::with(&Profile::realistic(), 7);
    let free = |vpc: &TestVpc| {
        let call = vpc.ec2("admin").describe_subnets().subnet_ids(SUBNET_A);
        vpc.run(call.send()).unwrap().subnets()[0].available_ip_address_count()
    };
    // 256 - 5 - (2 + 1 + 2 + 3 + 1 + 2 + 1 + 16).
    assert_eq!(free(&vpc), Some(224));
    let act = Act::AddPrefixes { eni: NODE_1.to_owned(), count: 1 };
    vpc.simulator().act(Duration::ZERO, &act).unwrap();
    assert_eq!(free(&vpc), Some(224), "half a second is the shortest lag");
    vpc.run(vpc.settle());
    assert_eq!(free(&vpc), Some(208));
}

#[test]
fn instance_types_are_described_with_their_limits() {
    let vpc = TestVpc::new();
    for (kind, enis, ips, volumes, limit) in [
        ("t3.medium", 3, 6, 28, "shared"),
        ("m5.16xlarge", 15, 50, 28, "shared"),
        ("m5.4xlarge", 8, 30, 28, "shared"),
        ("m7i.large", 3, 10, 32, "dedicated"),
        ("i4i.xlarge", 4, 15, 27, "shared"),
        ("t2.medium", 3, 6, 39, "shared"),
    ] {
        let call = vpc.ec2("node-1").describe_instance_types().instance_types(kind.into());
        let answer = vpc.run(call.send()).unwrap();
        let info = &answer.instance_types()[0];
        let network = info.network_info().unwrap();
        assert_eq!(network.maximum_network_interfaces(), Some(enis), "{kind}");
        assert_eq!(network.ipv4_addresses_per_interface(), Some(ips), "{kind}");
        let ebs = info.ebs_info().unwrap();
        assert_eq!(ebs.maximum_ebs_attachments(), Some(volumes), "{kind}");
        assert_eq!(
            ebs.attachment_limit_type().map(AttachmentLimitType::as_str),
            Some(limit),
            "{kind}"
        );
    }
    let call = vpc.ec2("admin").describe_instance_types().filters(filter("hypervisor", &["xen"]));
    assert_eq!(vpc.run(call.send()).unwrap().instance_types().len(), 3);
    let call = vpc.ec2("admin").describe_instance_types().instance_types("x9.huge".into());
    assert_eq!(refused(&vpc.run(call.send()).unwrap_err()).code, "InvalidInstanceType");
}
