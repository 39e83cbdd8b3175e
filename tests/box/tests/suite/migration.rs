//! Imported addresses of the original FireCamp: EC2 has them on a node, the node's kernel has them
//! without FireCamp's protocol number, and clients use them during the migration.

use std::net::Ipv4Addr;

use firecamp_cli::common::registry_reader::RegistryReader;
use firecamp_cli::import;
use firecamp_core::contract::env;
use firecamp_core::contract::exit::Imported;
use firecamp_core::record::State;
use firecamp_kube::Timeouts;
use firecamp_vpc::Act;
use serde_json::json;
use vpcbox::protocol::KernelAct;

use crate::support::client::{Attempt, Client};
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::member::Cost;
use crate::support::pod::{Pod, Started};
use crate::support::process::Process;
use crate::support::test_box::{NAMESPACE, TestBox};

const NODE: &str = "node-a";
/// The node that a member moves to.
const OTHER: &str = "node-b";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 100);
const SERVICE: &str = "0123456789abcdef0123456789abcdef";
/// A longer time without an answer is an outage.
const OUTAGE_US: u64 = 300_000;

/// The state of the original: the address in EC2 and in the node's kernel, and its ConfigMaps.
struct Original<'w> {
    test_box: &'w TestBox,
    cluster: Cluster<'w>,
}

impl<'w> Original<'w> {
    fn new(test_box: &'w TestBox) -> Self {
        let cluster = Cluster::start(test_box);
        let mut vpc = test_box.control();
        for node in vpc.truth().unwrap().nodes {
            let provider = format!("aws:///{}/{}", node.zone, node.instance);
            let object = json!({ "metadata": {}, "spec": { "providerID": provider } });
            cluster.api.set("nodes", (None, &node.name), object);
        }
        let node = vpc.truth().unwrap().nodes.into_iter().find(|node| node.name == NODE).unwrap();
        let eni = &node.enis[0].id;
        vpc.act(Act::Reassign { address: ADDRESS, to: Some(eni.clone()) }).unwrap();
        let kernel = KernelAct::KernelAdd { node: NODE.to_owned(), address: ADDRESS, link: None };
        vpc.kernel(kernel).unwrap();
        eventually("the router delivers the original's address to its node", || {
            let seen = test_box.control().address(ADDRESS).unwrap()?;
            (seen.routed_node.as_deref() == Some(NODE)).then_some(())
        });
        let spec = json!({
            "ServiceUUID": SERVICE,
            "AvailableZone": node.zone,
            "ServerInstanceID": node.instance,
            "NetworkInterfaceID": eni,
        });
        let address = json!({
            "StaticIP": ADDRESS.to_string(),
            "Revision": "1",
            "StaticIPSpec": spec.to_string(),
        });
        let spec = json!({ "AvailableZone": node.zone, "StaticIP": ADDRESS.to_string() });
        let member = json!({
            "ServiceUUID": SERVICE,
            "MemberName": "redis-0",
            "Revision": "1",
            "MemberMeta": "{}",
            "MemberSpec": spec.to_string(),
        });
        let original = Self { test_box, cluster };
        original.config_map(&format!("firecamp-staticip-{ADDRESS}"), &address);
        original.config_map(&format!("firecamp-servicemember-{SERVICE}-redis-0"), &member);
        original
    }

    fn config_map(&self, name: &str, data: &serde_json::Value) {
        let object = json!({ "metadata": {}, "data": data });
        self.cluster.api.set("configmaps", (Some(NAMESPACE), name), object);
    }

    /// Runs `firecamp import`, which must import the address.
    #[track_caller]
    fn import(&self) {
        // A kube client works only in the runtime in which it was created.
        let outcome = TestBox::block_on(async {
            let (client, namespace) = (self.cluster.api.client(), NAMESPACE.to_owned());
            let reader =
                RegistryReader::of_client(client, Timeouts::default(), namespace, "box".to_owned());
            import::of(&reader, None, true).await.unwrap()
        });
        assert!(outcome.failed.is_none(), "{outcome:?}");
        assert_eq!((outcome.report.end(), outcome.report.imported.len()), (Imported::All, 1));
        assert_eq!(self.cluster.record(ADDRESS).attachment.unwrap().state, State::Parked);
    }

    /// Starts the original's service on the node and a client, and waits for an answer.
    fn start_service(&self) -> (Process, Client) {
        // It listens on 0.0.0.0, because init would wait for a socket on exactly this address.
        let mut server = self.test_box.tool(NODE, &["serve", "0.0.0.0", "old"]);
        server.wait_for_output("listening");
        let client = Client::start(self.test_box, ADDRESS);
        client.wait_for_answer_of("old", 0);
        (server, client)
    }

    /// Runs the init container of a pod of the new template.
    #[track_caller]
    fn run_init(&self, pod: &Pod<'_>) -> Started {
        self.cluster.set_pod(pod);
        let init = self.cluster.init(pod).set(env::PREDECESSOR_GRACE, "1s");
        pod.started(&init.end())
    }

    /// The lines of the node's kernel about the address on a link.
    fn in_kernel(&self, node: &str) -> Vec<String> {
        let mut lines = self.test_box.kernel(node);
        lines.retain(|line| line.starts_with(&format!("{ADDRESS}/")));
        lines
    }
}

#[test]
fn f098_first_start_on_the_current_node_loses_no_connection_and_changes_nothing_in_ec2() {
    let test_box = TestBox::start();
    let original = Original::new(&test_box);
    let _forwards = (original.cluster.connect(NODE), original.cluster.connect(OTHER));
    let (server, client) = original.start_service();
    let kernel = original.in_kernel(NODE);
    assert!(kernel.len() == 1 && !kernel[0].contains("proto 201"), "{kernel:?}");
    let mut watch = test_box.tool(NODE, &["watch", &ADDRESS.to_string()]);
    watch.wait_for_output("watching\n");
    let before = test_box.control().router(0).unwrap().last().map_or(0, |event| event.seq);
    let since = test_box.last_call();

    let _agent = original.cluster.agent(NODE);
    original.import();
    let pod = Pod::new(&test_box, "redis-0", "pod-1", NODE);
    let started = original.run_init(&pod);
    assert_eq!(started.address, ADDRESS);
    assert_eq!(started.report["path"], "same-node", "{}", started.report);
    // Long enough for any outage to appear in the attempts.
    client.wait_for_answer_of("old", started.at_us + OUTAGE_US);
    let attempts = client.attempts();
    // Single attempts may fail on a busy machine. The kernel and the router show short absences.
    let alike = |one: &Attempt, next: &Attempt| one.answer.is_none() == next.answer.is_none();
    let is_long = |run: &&[Attempt]| {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        first.answer.is_none() && last.to_us - first.from_us > OUTAGE_US
    };
    let outages: Vec<_> = attempts.chunk_by(alike).filter(is_long).collect();
    assert!(attempts.len() > 20 && outages.is_empty(), "{outages:?} of {}", attempts.len());
    let routes = test_box.control().router(before).unwrap();
    let moved: Vec<_> = routes.iter().filter(|event| event.routed.address == ADDRESS).collect();
    assert!(moved.is_empty(), "{moved:?}");
    assert_eq!(Cost::of(&test_box.ec2_calls(ADDRESS, since), "").mutating, 0);
    assert_eq!(watch.out(), "watching\n", "the kernel's address changed");
    test_box.assert_always_on_an_eni(ADDRESS);
    let record = original.cluster.record(ADDRESS);
    assert_eq!((record.epoch.0, record.attachment.unwrap().state), (2, State::Attached));
    assert_eq!(pod.file(), Some(ADDRESS.to_string()));

    // The new pod's service takes over. FireCamp does not modify the original's kernel address.
    drop(server);
    let server = pod.start_service(ADDRESS);
    client.wait_for_answer_of("pod-1", started.at_us);
    assert_eq!(original.in_kernel(NODE), kernel);
    drop(server);
    original.cluster.terminate_pod(&pod);
    original.cluster.stop(&pod, "release").end().succeeded();
    assert_eq!(original.in_kernel(NODE), kernel);
    assert_eq!(original.cluster.record(ADDRESS).attachment.unwrap().state, State::Parked);
    assert_eq!(Cost::of(&test_box.ec2_calls(ADDRESS, since), "").mutating, 0);
}

#[test]
fn f098_first_start_on_another_node_is_one_reassignment_from_the_recorded_interface() {
    let test_box = TestBox::start();
    let original = Original::new(&test_box);
    let _forwards = (original.cluster.connect(NODE), original.cluster.connect(OTHER));
    original.import();
    let since = test_box.last_call();
    let pod = Pod::new(&test_box, "redis-0", "pod-1", OTHER);
    let started = original.run_init(&pod);
    assert_eq!(started.address, ADDRESS);
    let calls = test_box.ec2_calls(ADDRESS, since);
    let changes: Vec<_> = calls.iter().filter(|call| call.mutating).collect();
    let [assign] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(assign.action, "AssignPrivateIpAddresses");
    let forced = assign.parameters.get("AllowReassignment").map(String::as_str);
    assert_eq!(forced, Some("true"), "{assign:?}");
    test_box.assert_always_on_an_eni(ADDRESS);
    let _server = pod.start_service(ADDRESS);
    Client::start(&test_box, ADDRESS).wait_for_answer_of("pod-1", started.at_us);
}
