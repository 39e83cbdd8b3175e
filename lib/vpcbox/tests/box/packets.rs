//! Delivery of packets.

use std::time::Duration;

use vpcbox::protocol::{Condition, KernelAct};
use vpcbox::testing::RunningBox;
use vpcbox::vpc::Act;

use crate::support::{Server, TIMEOUT, as_root_and_user, ask, text, who_answers};

const MEMBER: &str = "10.0.1.50:7000";
const MEMBER_IP: &str = "10.0.1.50";
const ON_SECOND_ENI: &str = "10.0.1.60";
const SECOND_ENI_OF_B: &str = "eni-0000000000000b001";

fn add(running: &mut RunningBox, node: &str, address: &str, link: &str) {
    let act = KernelAct::KernelAdd {
        node: node.to_owned(),
        address: address.parse().unwrap(),
        link: Some(link.to_owned()),
    };
    running.client().kernel(act).unwrap();
}

fn up(running: &mut RunningBox, node: &str, link: &str) {
    let act = KernelAct::LinkUp { node: node.to_owned(), link: Some(link.to_owned()) };
    running.client().kernel(act).unwrap();
}

fn primary_eni(running: &mut RunningBox, node: &str) -> String {
    let truth = running.client().truth().unwrap();
    let node = truth.nodes.iter().find(|n| n.name == node).unwrap();
    node.enis.iter().find(|eni| eni.device_index == 0).unwrap().id.clone()
}

fn reassign(running: &mut RunningBox, address: &str, to: String) {
    let act = Act::Reassign { address: address.parse().unwrap(), to: Some(to) };
    running.client().act(act).unwrap();
}

fn wait_routed(running: &mut RunningBox, address: &str, node: &str) {
    running.wait_routed(address.parse().unwrap(), node, TIMEOUT).unwrap();
}

#[test]
fn packets_reach_the_owner_from_a_client_in_the_vpc_one_outside_and_another_zone() {
    as_root_and_user(|user| {
        let mut running = user.start();
        add(&mut running, "node-a", MEMBER_IP, "ens5");
        let _server = Server::start(&running, user, "node-a", MEMBER);
        for from in ["client-a", "onprem", "node-b", "node-c", "node-a"] {
            assert_eq!(who_answers(&running, user, from, MEMBER).as_deref(), Some("node-a"));
        }
        let datagram = ask(&running, user, "client-a", &[MEMBER, "--udp"]);
        assert_eq!(datagram.as_deref(), Some("node-a"));
    });
}

#[test]
fn after_a_move_clients_reach_the_new_holder_and_packets_of_the_stale_one_are_dropped() {
    as_root_and_user(|user| {
        let mut running = user.start();
        for node in ["node-a", "node-b"] {
            add(&mut running, node, MEMBER_IP, "ens5");
        }
        let _stale = Server::start(&running, user, "node-a", MEMBER);
        let _fresh = Server::start(&running, user, "node-b", MEMBER);
        let _client = Server::start(&running, user, "client-a", "10.0.1.200:7001");
        let as_member =
            |running: &RunningBox, node: &str| ask(running, user, node, &FROM_MEMBER_TO_CLIENT);
        assert_eq!(who_answers(&running, user, "client-a", MEMBER).as_deref(), Some("node-a"));
        assert_eq!(as_member(&running, "node-a").as_deref(), Some("client-a"));
        assert_eq!(as_member(&running, "node-b"), None, "its source address is not node-b's yet");

        let eni = primary_eni(&mut running, "node-b");
        reassign(&mut running, MEMBER_IP, eni);
        wait_routed(&mut running, MEMBER_IP, "node-b");

        assert_eq!(who_answers(&running, user, "client-a", MEMBER).as_deref(), Some("node-b"));
        assert_eq!(as_member(&running, "node-a"), None, "a stale holder's packets are dropped");
        assert_eq!(as_member(&running, "node-b").as_deref(), Some("client-a"));
        // On the old node itself the leftover address hides the new holder (F071).
        assert_eq!(who_answers(&running, user, "node-a", MEMBER).as_deref(), Some("node-a"));
    });
}

const FROM_MEMBER_TO_CLIENT: [&str; 6] =
    ["10.0.1.200:7001", "--udp", "--from", MEMBER_IP, "--timeout", "0.5"];

#[test]
fn a_pod_on_a_node_has_a_network_of_its_own_until_its_sandbox_ends() {
    as_root_and_user(|user| {
        let mut running = user.start();
        let sandbox = |name, own| {
            Server::of(running.exec("node-a", user.binary()).args(["pod", name, own]), "ready")
        };
        let (web, _other) = (sandbox("web", "10.244.1.5"), sandbox("other", "10.244.1.6"));
        let at = "10.244.1.5:7000";
        let server = Server::start(&running, user, "node-a/web", at);
        for from in ["node-a", "node-a/other"] {
            assert_eq!(who_answers(&running, user, from, at).as_deref(), Some("node-a"));
        }
        let links = |place| text(running.exec(place, "cat").arg("/proc/net/dev"));
        assert!(links("node-a/web").contains("eth0") && !links("node-a/web").contains("ens5"));
        web.end();
        assert!(!links("node-a").contains("vethweb") && links("node-a").contains("vethother"));
        assert!(!running.exec("node-a/web", "true").status().unwrap().success());
        running.client().act(Act::Stop { node: "node-a".to_owned() }).unwrap();
        assert!(server.ended_by_signal(), "a pod dies with its node");
    });
}

#[test]
fn packets_to_an_unassigned_or_unconfigured_address_are_dropped_silently() {
    as_root_and_user(|user| {
        let running = user.start();
        for from in ["client-a", "node-b", "onprem"] {
            assert_eq!(who_answers(&running, user, from, "10.0.1.99:7000"), None, "unassigned");
        }
        for from in ["client-a", "onprem"] {
            let answer = ask(&running, user, from, &[MEMBER, "--udp", "--timeout", "0.3"]);
            assert_eq!(answer, None, "node-a's ENI has the address, but its kernel does not");
        }
    });
}

fn received(running: &RunningBox, node: &str, link: &str) -> u64 {
    let path = format!("/sys/class/net/{link}/statistics/rx_packets");
    text(running.exec(node, "cat").arg(path)).parse().unwrap()
}

#[test]
fn an_eni_without_an_address_receives_packets_and_cannot_answer_from_another_eni() {
    as_root_and_user(|user| {
        let mut running = user.start();
        up(&mut running, "node-a", "ens6");
        let before = received(&running, "node-a", "ens6");
        let to = format!("{ON_SECOND_ENI}:7000");
        let datagram = [to.as_str(), "--udp", "--timeout", "0.3"];
        assert_eq!(ask(&running, user, "client-a", &datagram), None);
        assert!(received(&running, "node-a", "ens6") > before, "delivered by MAC, without ARP");

        // With the address but without policy routing the answer leaves by ens5, whose ENI does not
        // own the address: EC2's source check drops it (F065).
        add(&mut running, "node-a", ON_SECOND_ENI, "ens6");
        let _server = Server::start(&running, user, "node-a", &to);
        assert_eq!(ask(&running, user, "client-a", &datagram), None);
    });
}

#[test]
fn additional_enis_start_down_or_up_without_an_address() {
    as_root_and_user(|user| {
        for (arguments, state) in
            [(&["--extra-enis", "down"][..], "down"), (&["--extra-enis", "up"][..], "up")]
        {
            let mut running = user.start_with(arguments);
            let shown = text(running.exec("node-a", "cat").arg("/sys/class/net/ens6/operstate"));
            assert_eq!(shown, state);
            let mac = text(running.exec("node-a", "cat").arg("/sys/class/net/ens6/address"));
            let truth = running.client().truth().unwrap();
            let enis = &truth.nodes[0].enis;
            let eni = enis.iter().find(|eni| eni.device_index == 1).unwrap();
            assert_eq!((eni.mac.as_str(), eni.link.as_deref()), (mac.as_str(), Some("ens6")));
            let routes = text(running.exec("node-a", "cat").arg("/proc/net/fib_trie"));
            assert!(!routes.contains("10.0.1.21"), "ens6 has no address: {routes}");
        }
    });
}

#[test]
fn a_moved_address_is_routed_to_an_eni_whose_link_is_still_down() {
    as_root_and_user(|user| {
        let mut running = user.start();
        reassign(&mut running, MEMBER_IP, SECOND_ENI_OF_B.to_owned());
        wait_routed(&mut running, MEMBER_IP, SECOND_ENI_OF_B);
        up(&mut running, "node-b", "ens6");
        let before = received(&running, "node-b", "ens6");
        let datagram = [MEMBER, "--udp", "--timeout", "0.3"];
        assert_eq!(ask(&running, user, "client-a", &datagram), None);
        assert!(received(&running, "node-b", "ens6") > before);
    });
}

#[test]
fn packets_to_a_foreign_holder_are_dropped() {
    as_root_and_user(|user| {
        let mut running = user.start();
        add(&mut running, "node-a", MEMBER_IP, "ens5");
        let _server = Server::start(&running, user, "node-a", MEMBER);
        let address = MEMBER_IP.parse().unwrap();
        running.client().act(Act::Unassign { address }).unwrap();
        running.client().wait(&Condition::Routed { address, node: None }, TIMEOUT).unwrap();
        assert_eq!(who_answers(&running, user, "client-a", MEMBER), None);
    });
}

#[test]
fn kernel_acts_remove_an_address_and_flap_a_link() {
    as_root_and_user(|user| {
        let mut running = user.start();
        add(&mut running, "node-a", MEMBER_IP, "ens5");
        let server = Server::start(&running, user, "node-a", MEMBER);
        let node = || "node-a".to_owned();
        let flap = KernelAct::LinkFlap { node: node(), link: None, down_ms: 20 };
        running.client().kernel(flap).unwrap();
        let state = text(running.exec("node-a", "cat").arg("/sys/class/net/ens5/operstate"));
        assert_eq!(state, "up");
        drop(server);
        let strip = KernelAct::KernelStrip { node: node(), address: MEMBER_IP.parse().unwrap() };
        running.client().kernel(strip.clone()).unwrap();
        let again = running.client().kernel(strip).unwrap_err().chain();
        assert!(again.contains("no link of node-a has 10.0.1.50"), "{again}");
    });
}

#[test]
fn the_route_switches_quickly_and_before_the_metadata_service_shows_it() {
    as_root_and_user(|user| {
        let mut running = user.start();
        let address: std::net::Ipv4Addr = MEMBER_IP.parse().unwrap();
        let eni = primary_eni(&mut running, "node-b");
        reassign(&mut running, MEMBER_IP, eni.clone());
        let listed = Condition::Listed { address, node: "node-b".to_owned() };
        running.client().wait(&listed, TIMEOUT).unwrap();
        let record = running.client().address(address).unwrap().unwrap();
        let owner = record.history.iter().find(|owner| owner.eni.as_ref() == Some(&eni)).unwrap();
        let events = running.client().router(0).unwrap();
        let routed = events.iter().map(|event| &event.routed);
        let routed = routed.filter(|r| r.address == address && r.eni.as_ref() == Some(&eni));
        let at = routed.map(|r| r.at_us).next().unwrap();
        let late = Duration::from_micros(at - owner.data_path_at_us);
        // Milliseconds on an idle machine; the bound allows for parallel tests.
        assert!(late < Duration::from_secs(1), "the router switched {late:?} late");
        assert!(owner.imds_added_at_us.unwrap() >= owner.data_path_at_us);
        assert_eq!(record.routed_node.as_deref(), Some("node-b"));
    });
}
