//! Impossible specs are refused, and the error names the field.

use std::time::Duration;

use firecamp_vpc::{Act, Profile, Simulator, Spec};

use crate::client::{EPOCH, SPEC, simulator};

/// The error of the spec with one text replaced by another.
fn error(from: &str, to: &str) -> String {
    assert!(SPEC.contains(from), "{from}");
    Spec::from_toml(&SPEC.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn errors_name_the_field() {
    for (from, to, expected) in [
        ("cidr = \"10.0.0.0/16\"", "cidr = \"10.0.0.0/8\"", "vpc.cidr: the prefix of 10.0.0.0/8"),
        ("10.0.1.0/26", "10.1.1.0/26", "subnets[0].cidr: 10.1.1.0/26 is not in 10.0.0.0/16"),
        ("10.0.1.0/26", "10.0.1.7/26", "subnets[0].cidr: 10.0.1.7/26 has host bits"),
        ("us-east-1a", "eu-west-1a", "subnets[0].zone: \"eu-west-1a\" is not a zone of us-east-1"),
        ("instance_type = \"t3.medium\"", "instance_type = \"x9\"", "nodes[0].instance_type:"),
        ("device_index = 1", "device_index = 0", "nodes[0].enis[0].device_index: must be from 1"),
        ("name = \"node-2\"", "name = \"node-1\"", "nodes.name: \"node-1\" is a duplicate"),
        ("name = \"node-2\"", "name = \"Node/2\"", "nodes.name: \"Node/2\" is not 1 to 63"),
        ("eni-00000000000000002", "eni-00000000000000001", "nodes[1].enis[0].id:"),
        ("eni-00000000000000002", "eni-2", "id \"eni-2\": expected eni-"),
        ("device_index = 1", "device_index = 1\nmac = \"02:0\"", "mac \"02:0\": expected six"),
        ("device_index = 1", "device_index = 1\naddress = \"10.0.1.3\"", "is reserved by the VPC"),
        ("device_index = 1", "device_index = 1\naddress = \"10.9.1.3\"", "is not in 10.0.1.0/26"),
    ] {
        let error = error(from, to);
        assert!(error.contains(expected), "{error:?} has no {expected:?}");
    }
}

#[test]
fn explicit_ids_and_macs_are_used() {
    let own = "name = \"node-1\"\neni = \"eni-0000000a\"\nmac = \"02:00:00:00:00:10\"";
    let text = SPEC.replacen("name = \"node-1\"", own, 1);
    let text =
        text.replacen("device_index = 1", "device_index = 1\nmac = \"02:00:00:00:00:11\"", 1);
    let spec = Spec::from_toml(&text).unwrap();
    let simulator = Simulator::new(&spec, Profile::fast(), 1, EPOCH).unwrap();
    let nodes = simulator.nodes();
    let enis: Vec<_> = nodes[0].enis.iter().map(|e| (e.id.as_str(), e.mac.as_str())).collect();
    let first = ("eni-0000000a", "02:00:00:00:00:10");
    assert_eq!(enis, [first, ("eni-00000000000000001", "02:00:00:00:00:11")]);
}

#[test]
fn acts_create_enis_and_change_prefixes() {
    let mut simulator = simulator(&Profile::fast(), 1);
    let address = "10.0.1.50".parse().unwrap();
    let create = |id: &str| Act::CreateEni { id: id.to_owned(), address };
    simulator.act(Duration::ZERO, &create("eni-0000000b")).unwrap();
    assert!(
        simulator.act(Duration::ZERO, &create("eni-0000000c")).is_err(),
        "the address is in use"
    );
    let owner = |simulator: &mut Simulator| {
        let truth = simulator.truth(Duration::ZERO);
        truth.addresses.into_iter().find(|a| a.address == address).and_then(|a| a.owner)
    };
    assert_eq!(owner(&mut simulator).as_deref(), Some("eni-0000000b"));
    simulator.act(Duration::ZERO, &Act::DeleteEni { eni: "eni-0000000b".to_owned() }).unwrap();
    assert_eq!(owner(&mut simulator), None);
    let eni = "eni-00000000000000001".to_owned();
    simulator.act(Duration::ZERO, &Act::AddPrefixes { eni: eni.clone(), count: 1 }).unwrap();
    assert_eq!(simulator.nodes()[0].enis[1].prefixes.len(), 1);
    simulator.act(Duration::ZERO, &Act::DropPrefixes { eni }).unwrap();
    assert!(simulator.nodes()[0].enis[1].prefixes.is_empty());
}

#[test]
fn unknown_fields_are_refused() {
    let error = error("name = \"other\"", "name = \"other\"\ncolour = \"red\"");
    assert!(error.contains("colour"), "{error}");
}

#[test]
fn too_many_enis_for_a_subnet_are_refused() {
    let many = (0..60).map(|n| format!("[[foreign]]\nname = \"f{n}\"\nsubnet = \"a\"\n"));
    let text = format!("{SPEC}\n{}", many.collect::<Vec<_>>().concat());
    let error = Spec::from_toml(&text).unwrap_err().to_string();
    assert!(error.contains("no free address in 10.0.1.0/26"), "{error}");
}
