//! The metadata service and EC2's endpoint over the wire, the call log, faults and terminations.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use vpcbox::protocol::Condition;
use vpcbox::testing::RunningBox;
use vpcbox::vpc::Act;

use crate::support::{TIMEOUT, User, as_root_and_user, output_text, text};

const IMDS: &str = "http://169.254.169.254/latest";
const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds: 60";

fn http<'a>(
    running: &RunningBox,
    user: User,
    node: &str,
    arguments: impl AsRef<[&'a str]>,
) -> String {
    let mut command = running.exec(node, user.binary());
    text(command.args(["probe", "http"]).args(arguments.as_ref()))
}

fn metadata(running: &RunningBox, user: User, node: &str, path: &str) -> String {
    let token_url = format!("{IMDS}/api/token");
    let put = [token_url.as_str(), "--method", "PUT", "--header", TTL, "--body-only"];
    let token = http(running, user, node, put);
    let header = format!("X-aws-ec2-metadata-token: {token}");
    let url = format!("{IMDS}/meta-data/{path}");
    http(running, user, node, [url.as_str(), "--header", &header, "--body-only"])
}

#[test]
fn each_node_reads_its_own_metadata_only_with_a_token() {
    as_root_and_user(|user| {
        let mut running = user.start();
        let truth = running.client().truth().unwrap();
        for node in &truth.nodes {
            assert_eq!(metadata(&running, user, &node.name, "instance-id"), node.instance);
            let macs = metadata(&running, user, &node.name, "network/interfaces/macs/");
            for eni in &node.enis {
                assert!(macs.contains(&eni.mac), "{macs} does not contain {}", eni.mac);
            }
        }
        let bare = http(&running, user, "node-a", [format!("{IMDS}/meta-data/mac").as_str()]);
        assert!(bare.starts_with("HTTP/1.1 401"), "{bare}");
        let not_a_node = http(&running, user, "client-a", [IMDS]);
        assert!(
            not_a_node.contains("no node of this box has the address 10.0.1.200"),
            "{not_a_node}"
        );
    });
}

#[test]
fn the_call_log_has_caller_time_and_outcome() {
    as_root_and_user(|user| {
        let mut running = user.start();
        let before = running.client().clock().now_us();
        metadata(&running, user, "node-b", "instance-id");
        let after = running.client().clock().now_us();
        let calls = running.client().calls(0).unwrap();
        assert_eq!(calls.len(), 2, "{calls:#?}");
        for call in &calls {
            assert_eq!((call.caller.as_str(), call.service.as_str()), ("node-b", "imds"));
            assert_eq!(call.status, Some(200));
            let answered = call.answered_at_us.unwrap();
            assert!(before <= call.at_us && call.at_us <= answered && answered <= after);
        }
        assert!(calls[1].action.contains("instance-id"), "{:?}", calls[1].action);
        assert_eq!(running.client().calls(calls[1].seq).unwrap(), []);
        let printed = text(
            user.vpcbox(&["calls", "--box", &running.pid().to_string()]).args(["--since", "1"]),
        );
        assert!(printed.contains("instance-id") && !printed.contains("api/token"), "{printed}");
    });
}

#[test]
fn ec2_refuses_an_unsigned_request_with_its_own_xml() {
    as_root_and_user(|user| {
        let running = user.start();
        let body = "Action=DescribeSubnets&Version=2016-11-15";
        let form = "Content-Type: application/x-www-form-urlencoded";
        let arguments =
            ["http://198.18.0.10/", "--method", "POST", "--header", form, "--body", body];
        let answer = http(&running, user, "node-a", arguments);
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(answer.contains("<Response><Errors><Error><Code>"), "{answer}");
    });
}

#[test]
fn a_reboot_kills_the_processes_of_a_node_and_restores_its_links() {
    as_root_and_user(|user| {
        let mut running = user.start();
        let mut sleeper = running.exec("node-a", "sh");
        sleeper.args(["-c", "echo here; exec sleep 1000"]).stdout(Stdio::piped());
        let mut sleeper = sleeper.spawn().unwrap();
        // Processes that enter the node only after the reboot keep running.
        let mut here = [0; 4];
        sleeper.stdout.as_mut().unwrap().read_exact(&mut here).unwrap();
        let reboot = Act::Reboot { node: "node-a".to_owned(), imds_missing_ms: 60_000 };
        running.client().act(reboot).unwrap();
        assert!(!sleeper.wait().unwrap().success(), "the reboot kills it");
        let truth = running.client().truth().unwrap();
        let node = truth.nodes.iter().find(|node| node.name == "node-a").unwrap();
        assert_eq!((node.boots, node.state.as_str()), (1, "running"));
        assert!(node.enis.iter().all(|eni| eni.plugged && eni.link.is_some()), "{node:?}");
        assert_eq!(metadata(&running, user, "node-a", "instance-id"), node.instance);
        let macs = metadata(&running, user, "node-a", "network/interfaces/macs/");
        let listed: Vec<bool> = node.enis.iter().map(|eni| macs.contains(&eni.mac)).collect();
        assert_eq!(listed, [true, false], "{macs}");
        let root = truth.volumes.iter().find(|v| v.name.as_deref() == Some("node-a/root"));
        assert_eq!(root.unwrap().attachments[0].state, "attached");
    });
}

fn set_fault(running: &mut RunningBox, fault: &str) -> u64 {
    running.client().fault_set(serde_json::from_str(fault).unwrap()).unwrap()
}

#[test]
fn a_silent_metadata_service_keeps_the_connection_open_until_the_client_times_out() {
    as_root_and_user(|user| {
        let mut running = user.start();
        let id =
            set_fault(&mut running, r#"{"fault":{"kind":"imds_down"},"when":{"caller":"node-a"}}"#);
        let url = format!("{IMDS}/meta-data/mac");
        let ask = |running: &RunningBox, node: &str| {
            let mut command = running.exec(node, user.binary());
            command.args(["probe", "http", &url, "--timeout", "0.3"]).output().unwrap()
        };
        let silent = ask(&running, "node-a");
        assert_eq!(silent.status.code(), Some(124), "{}", output_text(&silent));
        assert_eq!(
            ask(&running, "node-b").status.code(),
            Some(0),
            "the fault is restricted to node-a"
        );
        let listed = running.client().fault_list().unwrap();
        assert_eq!(listed[0]["fired"], 1, "{listed:?}");
        running.client().fault_clear(Some(id)).unwrap();
        assert_eq!(ask(&running, "node-a").status.code(), Some(0));
    });
}

#[test]
fn a_lost_response_is_a_closed_connection() {
    as_root_and_user(|user| {
        let mut running = user.start();
        set_fault(&mut running, r#"{"fault":{"kind":"lost_response"},"when":{"count":1}}"#);
        let body = "Action=DescribeSubnets&Version=2016-11-15";
        let mut command = running.exec("node-a", user.binary());
        command.args(["probe", "http", "http://198.18.0.10/", "--method", "POST", "--body", body]);
        let lost = command.output().unwrap();
        assert_eq!(lost.status.code(), Some(125), "{}", output_text(&lost));
        assert!(
            output_text(&lost).contains("connection closed without a response"),
            "{}",
            output_text(&lost)
        );
        assert!(command.output().unwrap().status.success(), "the fault fires once");
    });
}

#[test]
fn a_terminated_node_loses_its_processes_links_and_addresses() {
    as_root_and_user(|user| {
        let mut running = user.start();
        let mut child = running.exec("node-b", "sleep").arg("1000").spawn().unwrap();
        let place = running.client().place("node-b").unwrap();
        assert!(place.holder > 1);
        let act = Act::Terminate { node: "node-b".to_owned(), delete_on_termination: None };
        running.client().act(act).unwrap();
        assert!(!child.wait().unwrap().success(), "its processes are killed");
        let gone = running.client().place("node-b").unwrap_err().chain();
        assert!(gone.contains("no running node or client node-b"), "{gone}");
        let address = "10.0.1.12".parse().unwrap();
        let unrouted = Condition::Routed { address, node: None };
        running.client().wait(&unrouted, TIMEOUT).unwrap();
        assert_eq!(text(running.exec("node-a", "hostname").arg("-s")), "node-a");
    });
}

#[test]
fn a_restarted_node_has_its_addresses_and_an_empty_run() {
    as_root_and_user(|user| {
        let mut running = user.start();
        text(running.exec("node-a", "touch").arg("/run/before"));
        let node = || "node-a".to_owned();
        running.client().act(Act::Stop { node: node() }).unwrap();
        assert!(running.client().place("node-a").is_err());
        running.client().act(Act::Start { node: node() }).unwrap();
        let files = text(running.exec("node-a", "ls").arg("/run"));
        assert_eq!(files, "vpcbox", "/run is new after a boot");
        running.wait_routed("10.0.1.50".parse().unwrap(), "node-a", TIMEOUT).unwrap();
        metadata(&running, user, "node-a", "mac");
    });
}

#[test]
fn a_detached_eni_disappears_from_its_node() {
    as_root_and_user(|user| {
        let mut running = user.start();
        let eni = "eni-0000000000000a001".to_owned();
        running.client().act(Act::Detach { eni }).unwrap();
        crate::support::eventually("the link is gone", || {
            !text(running.exec("node-a", "ls").arg("/sys/class/net")).contains("ens6")
        });
        let address = "10.0.1.60".parse().unwrap();
        let unrouted = Condition::Routed { address, node: None };
        running.client().wait(&unrouted, Duration::from_secs(10)).unwrap();
    });
}
