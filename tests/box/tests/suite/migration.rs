//! Addresses of the original FireCamp that were imported: EC2 has them on a node, its kernel has
//! them without our protocol number, and clients use them all along.

use std::net::Ipv4Addr;

use firecamp_cli::common::reader::RegistryReader;
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
use crate::support::world::{NAMESPACE, World};

const NODE: &str = "node-a";
/// RegistryArguments a member moves to.
const OTHER: &str = "node-b";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 100);
const SERVICE: &str = "0123456789abcdef0123456789abcdef";
/// Nobody is kept waiting longer than this while nothing is away.
const SILENCE_US: u64 = 300_000;

/// What the original has left: the address in EC2 and in the kernel of the node, and its records.
struct Original<'w> {
    world: &'w World,
    cluster: Cluster<'w>,
}

impl<'w> Original<'w> {
    fn new(world: &'w World) -> Self {
        let cluster = Cluster::start(world);
        let mut vpc = world.ask();
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
        eventually("the original's address is on its node", || {
            let seen = world.ask().address(ADDRESS).unwrap()?;
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
        let original = Self { world, cluster };
        original.config_map(&format!("firecamp-staticip-{ADDRESS}"), &address);
        original.config_map(&format!("firecamp-servicemember-{SERVICE}-redis-0"), &member);
        original
    }

    fn config_map(&self, name: &str, data: &serde_json::Value) {
        let object = json!({ "metadata": {}, "data": data });
        self.cluster.api.set("configmaps", (Some(NAMESPACE), name), object);
    }

    /// What a person does.
    #[track_caller]
    fn is_imported(&self) {
        // A client needs the runtime that it was made in.
        let outcome = World::block_on(async {
            let (client, namespace) = (self.cluster.api.client(), NAMESPACE.to_owned());
            let book =
                RegistryReader::of_client(client, Timeouts::default(), namespace, "box".to_owned());
            import::of(&book, None, true).await.unwrap()
        });
        assert!(outcome.failed.is_none(), "{outcome:?}");
        assert_eq!((outcome.report.end(), outcome.report.imported.len()), (Imported::All, 1));
        assert_eq!(self.cluster.record(ADDRESS).attachment.unwrap().state, State::Parked);
    }

    /// The original's service on a node, and a client that it answers.
    fn serves(&self) -> (Process, Client) {
        // At all addresses, as a container's may: a socket at exactly this one is waited for.
        let mut server = self.world.tool(NODE, &["serve", "0.0.0.0", "old"]);
        server.prints("listening");
        let client = Client::dials(self.world, ADDRESS);
        client.is_answered_by("old", 0);
        (server, client)
    }

    /// The init container of a pod of the new template, beside whatever else is on the node.
    #[track_caller]
    fn starts(&self, pod: &Pod<'_>) -> Started {
        self.cluster.shows(pod);
        let init = self.cluster.init(pod).set(env::PREDECESSOR_GRACE, "1s");
        pod.started(&init.end())
    }

    /// The lines of the kernel about the address on a link of this node.
    fn in_kernel(&self, node: &str) -> Vec<String> {
        let mut lines = self.world.kernel(node);
        lines.retain(|line| line.starts_with(&format!("{ADDRESS}/")));
        lines
    }
}

#[test]
fn f098_a_first_start_where_the_address_is_loses_no_connection_and_changes_nothing_in_ec2() {
    let world = World::start();
    let original = Original::new(&world);
    let (_here, _there) = (original.cluster.reach(NODE), original.cluster.reach(OTHER));
    let (server, client) = original.serves();
    let kernel = original.in_kernel(NODE);
    assert!(kernel.len() == 1 && !kernel[0].contains("proto 201"), "{kernel:?}");
    let mut watch = world.tool(NODE, &["watch", &ADDRESS.to_string()]);
    watch.prints("watching\n");
    let before = world.ask().router(0).unwrap().last().map_or(0, |event| event.seq);
    let since = world.now();

    let _agent = original.cluster.agent(NODE);
    original.is_imported();
    let pod = Pod::new(&world, "redis-0", "pod-1", NODE);
    let started = original.starts(&pod);
    assert_eq!(started.address, ADDRESS);
    assert_eq!(started.report["path"], "same-node", "{}", started.report);
    // For long enough that an outage of any length would be in the attempts.
    client.is_answered_by("old", started.at_us + SILENCE_US);
    let attempts = client.attempts();
    // Some may be late on a busy machine: whether the address was away for a moment is seen in the
    // kernel and at the router.
    let alike = |one: &Attempt, next: &Attempt| one.answer.is_none() == next.answer.is_none();
    let is_long = |run: &&[Attempt]| {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        first.answer.is_none() && last.to_us - first.from_us > SILENCE_US
    };
    let lost: Vec<_> = attempts.chunk_by(alike).filter(is_long).collect();
    assert!(attempts.len() > 20 && lost.is_empty(), "{lost:?} of {}", attempts.len());
    let routes = world.ask().router(before).unwrap();
    let moved: Vec<_> = routes.iter().filter(|event| event.routed.address == ADDRESS).collect();
    assert!(moved.is_empty(), "{moved:?}");
    assert_eq!(Cost::of(&world.ec2(ADDRESS, since), "").mutating, 0);
    assert_eq!(watch.out(), "watching\n", "the kernel had it all along, and as it was");
    world.was_never_lost(ADDRESS);
    let record = original.cluster.record(ADDRESS);
    assert_eq!((record.epoch.0, record.attachment.unwrap().state), (2, State::Attached));
    assert_eq!(pod.file(), Some(ADDRESS.to_string()));

    // Its own service takes over at the address, and what is foreign in the kernel stays so.
    drop(server);
    let server = pod.serves(ADDRESS);
    client.is_answered_by("pod-1", started.at_us);
    assert_eq!(original.in_kernel(NODE), kernel);
    drop(server);
    original.cluster.deletes(&pod);
    original.cluster.stop(&pod, "release").end().succeeded();
    assert_eq!(original.in_kernel(NODE), kernel);
    assert_eq!(original.cluster.record(ADDRESS).attachment.unwrap().state, State::Parked);
    assert_eq!(Cost::of(&world.ec2(ADDRESS, since), "").mutating, 0);
}

#[test]
fn f098_a_first_start_elsewhere_is_one_reassignment_from_the_recorded_interface() {
    let world = World::start();
    let original = Original::new(&world);
    let (_here, _there) = (original.cluster.reach(NODE), original.cluster.reach(OTHER));
    original.is_imported();
    let since = world.now();
    let pod = Pod::new(&world, "redis-0", "pod-1", OTHER);
    let started = original.starts(&pod);
    assert_eq!(started.address, ADDRESS);
    let calls = world.ec2(ADDRESS, since);
    let changes: Vec<_> = calls.iter().filter(|call| call.mutating).collect();
    let [assign] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(assign.action, "AssignPrivateIpAddresses");
    let forced = assign.parameters.get("AllowReassignment").map(String::as_str);
    assert_eq!(forced, Some("true"), "{assign:?}");
    world.was_never_lost(ADDRESS);
    let _server = pod.serves(ADDRESS);
    Client::dials(&world, ADDRESS).is_answered_by("pod-1", started.at_us);
}
