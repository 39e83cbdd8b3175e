//! `firecamp doctor` on a node: its preflight, with facts from the cluster.

use std::collections::BTreeSet;
use std::path::Path;

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_cli::common::registry_reader::RegistryReader;
use firecamp_cli::doctor::finding::{Diagnosis, Level, Role};
use firecamp_cli::doctor::node_checks;
use firecamp_core::contract::exit::CheckExit;
use firecamp_core::ids::InstanceId;
use firecamp_core::node_identity::{Eni, NodeIdentity, TypeLimits, VolumeLimit};
use firecamp_host::preflight::NodeFiles;
use firecamp_node::preflight::Ec2Checks;
use firecamp_node::preflight::facts::Purpose;
use firecamp_testkit::sim::{Account, Instance, SimEc2};
use serde_json::{Value, json};

use super::doctor::{diagnosed, found, healthy};
use super::support::{NODE, address, golden, reader_of};

/// A node of which nothing can be read: everything is unknown.
#[tokio::test]
async fn each_preflight_condition_is_a_finding() {
    let instance = InstanceId::new("i-0123456789abcdef0").unwrap();
    let cloud = SimEc2::new(instance, Account::default());
    let root = tempfile::tempdir().unwrap();
    let files = NodeFiles::new(root.path(), Path::new("/run/firecamp"), true);
    let asked = (Purpose::default(), Ec2Checks::All);
    let findings = node_checks::findings(&cloud, &files, asked, None).await;
    let diagnosis = Diagnosis { registry: String::new(), findings };
    assert_ne!(diagnosis.exit(), CheckExit::Fine, "{diagnosis:#?}");
    golden("doctor-node.txt", &diagnosis.people(true));
}

/// An instance whose primary address is 10.1.0.4, with a limit of 28 volumes and interfaces. It is
/// a Node of the cluster.
fn instance() -> SimEc2 {
    let eni = Eni {
        id: "eni-00000001".parse().unwrap(),
        mac: "06:00:00:00:00:01".parse().unwrap(),
        device_index: 0,
        network_card: 0,
        subnet: "subnet-00000001".parse().unwrap(),
        cidr: "10.1.0.0/24".parse().unwrap(),
        primary_address: address(4),
        listed: BTreeSet::new(),
        prefixes: 0,
    };
    let identity = NodeIdentity {
        instance: "i-0123456789abcdef0".parse().unwrap(),
        instance_type: "m5.large".to_owned(),
        zone: "us-east-1a".parse().unwrap(),
        region: "us-east-1".to_owned(),
        enis: vec![eni],
    };
    let own = identity.instance.clone();
    let instance = Instance { identity: Some(identity), ..Instance::default() };
    let instances = [(own.to_string(), instance)].into();
    let volumes = Some(VolumeLimit { count: 28, shared: true });
    let limits = TypeLimits { name: "m5.large".to_owned(), enis: 3, addresses: 10, volumes };
    let types = [(limits.name.clone(), limits)].into();
    SimEc2::new(own, Account { instances, types, ..Account::default() })
}

fn node_of(internal: &str) -> Value {
    json!({
        "metadata": {},
        "spec": { "providerID": "aws:///us-east-1a/i-0123456789abcdef0" },
        "status": { "addresses": [{ "type": "InternalIP", "address": internal }] },
    })
}

/// The findings of a doctor on that instance, with this cluster.
async fn on_node(server: &ApiServer) -> Diagnosis {
    let reader = reader_of(server);
    let gathered = firecamp_cli::doctor::gather(&reader, Role::Viewer).await;
    let RegistryReader::Cluster(cluster) = &reader else { panic!("{reader:?}") };
    let all = &gathered.cluster.as_ref().unwrap().nodes;
    let nodes = node_checks::Nodes { inventory: &cluster.inventory, all };
    let cloud = instance();
    let range = (address(20), address(29));
    let subnets = [("subnet-00000001".parse().unwrap(), vec![range])];
    let purpose = Purpose { subnets: Some(subnets.into()), ..Purpose::default() };
    let asked = (purpose, Ec2Checks::All);
    let findings = node_checks::findings(&cloud, &cloud, asked, Some(&nodes)).await;
    Diagnosis { registry: String::new(), findings }
}

#[tokio::test]
async fn f070_a_members_address_as_internal_ip_is_found_remotely_and_on_the_node() {
    let server = healthy().await;
    server.set("nodes", (None, NODE), node_of("10.1.0.20"));
    let remote = diagnosed(&reader_of(&server)).await;
    let (level, object, text) = found(&remote, "NodeAddressOfPool");
    assert_eq!((level, object), (Level::Failed, &*format!("node {NODE}")));
    assert_eq!(text, "its InternalIP 10.1.0.20 is a StaticIP");
    let local = on_node(&server).await;
    assert_eq!(found(&local, "NodeAddressOfPool").0, Level::Failed);
    server.set("nodes", (None, NODE), node_of("10.1.0.4"));
    let local = on_node(&server).await;
    assert_eq!(
        found(&local, "NodeAddressNotPinned").0,
        Level::Warning,
        "the kubelet may choose another address"
    );
}

#[tokio::test]
async fn f067_f085_snat_and_volume_limits_of_the_cluster_are_checked_on_the_node() {
    let server = healthy().await;
    server.set("nodes", (None, NODE), node_of("10.1.0.4"));
    let env = json!([{ "name": "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS", "value": "10.9.0.0/16" }]);
    let spec = json!({ "template": { "spec": { "containers": [{ "env": env }] } } });
    server.set("daemonsets", (Some("kube-system"), "aws-node"), json!({ "spec": spec }));
    let driver = json!({ "name": "ebs.csi.aws.com", "allocatable": { "count": 99 } });
    server.set("csinodes", (None, NODE), json!({ "spec": { "drivers": [driver] } }));
    let local = on_node(&server).await;
    let (level, object, text) = found(&local, "SourceAddressRewritten");
    assert_eq!((level, object), (Level::Warning, "SourceAddressPreserved"));
    assert!(text.contains("ranges outside the VPC without SNAT: 10.9.0.0/16"), "{text}");
    assert_eq!(found(&local, "SlotsOvercounted").0, Level::Warning);
    assert_eq!(found(&local, "NotReserved").0, Level::Warning, "the subnet has no reservation");
    server.fail_next("GET", "nodes", Fault::Code(403, "Forbidden"));
    server.fail_next("GET", "daemonsets", Fault::Code(403, "Forbidden"));
    let denied = on_node(&server).await;
    for object in ["NodeAddressPinned", "SourceAddressPreserved"] {
        let of = denied.findings.iter().find(|one| one.object == object).unwrap();
        assert_eq!((of.level, of.reason.as_str()), (Level::Unknown, "Unknown"), "{of:?}");
    }
}
