//! `firecamp cleanup` as a process, on nodes in separate network namespaces.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot do its work has failed"
)]

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, ExitCode, Output};

use firecamp_core::contract::exit::Cleaned;
use firecamp_core::ids::{Epoch, Mac, PodUid};
use firecamp_core::ports::{Holder, HostNet, KernelTarget, Routing};
use firecamp_host::{AgentLock, HostTimeouts, LinuxHost};
use firecamp_testkit::netns::{Case, Net, run};
use serde_json::{Value, json};

const RUN: &str = "/run/firecamp";
const TABLE: u32 = 20_001;
/// A member whose address is in use, and one whose address is left over.
const BUSY: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
const LEFT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 20);

const CASES: &[Case] = &[
    Case {
        name: "f099_a_dry_run_shows_what_a_real_run_removes",
        run: f099_a_dry_run_shows_what_a_real_run_removes,
    },
    Case {
        name: "f099_without_a_reachable_cluster_addresses_are_kept",
        run: f099_without_a_reachable_cluster_addresses_are_kept,
    },
    Case {
        name: "f099_while_an_agent_runs_everything_is_kept",
        run: f099_while_an_agent_runs_everything_is_kept,
    },
    Case {
        name: "a_missing_permission_is_reported_with_advice",
        run: a_missing_permission_is_reported_with_advice,
    },
];

fn main() -> ExitCode {
    run(CASES)
}

/// A node with two members' addresses on its second interface, and objects of other programs.
struct Node {
    net: Net,
    _router: Net,
}

impl Node {
    fn new() -> Self {
        let (net, router) = (Net::current(), Net::new());
        net.veth("eth1", &router, "port1");
        net.add_address("eth1", [10, 0, 1, 4].into(), 24, None);
        net.add_address("eth1", [10, 0, 1, 12].into(), 32, Some(18));
        net.add_rule(LEFT, 2, 1536, 4);
        net.add_route(([10, 51, 0, 0].into(), 16), None, "eth1", 10_001);
        Self { net, _router: router }
    }

    fn attach(&self, address: Ipv4Addr) {
        let subnet = "10.0.1.0/24".parse().unwrap();
        let routing = Some(Routing { table: TABLE, gateway: [10, 0, 1, 1].into(), subnet });
        let target = KernelTarget { address, mac: Mac::from_bytes(self.net.mac("eth1")), routing };
        let holder = Holder { pod: PodUid::new("uid-1").unwrap(), epoch: Epoch(3) };
        let host = LinuxHost::new(Path::new(RUN), HostTimeouts::default());
        self.net.block_on(|| async {
            host.add_address(&target, &holder).await.unwrap();
            host.add_routing(&target, &holder).await.unwrap();
        });
    }
}

/// The command without the environment variables that select a cluster.
fn cleanup(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firecamp"));
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if ["FIRECAMP_", "KUBE"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&key);
        }
    }
    command.env("HOME", "/nonexistent").env("NODE_NAME", "node-a").arg("cleanup").args(arguments);
    command
}

fn output_of(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout) + &text(stderr))
}

fn report_of(arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, text) = output_of(cleanup(&[arguments, &["-o", "json"]].concat()));
    (code, serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}")))
}

fn addresses(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().filter_map(|one| one["address"].as_str()).collect()
}

fn f099_a_dry_run_shows_what_a_real_run_removes() {
    let node = Node::new();
    let nothing = format!("Result: {}.\n", Cleaned::All.meaning());
    assert_eq!(output_of(cleanup(&[])), (Some(0), nothing.clone()));
    let foreign = node.net.everything();
    node.attach(BUSY);
    let busy = node.net.everything();
    node.attach(LEFT);
    let both = node.net.everything();
    let listener = TcpListener::bind((BUSY, 0)).unwrap();

    let (code, planned) = report_of(&["--members-gone", "--dry-run"]);
    assert_eq!(code, Some(20), "{planned}");
    assert_eq!(addresses(&planned["removed"]), [LEFT.to_string()]);
    assert_eq!(addresses(&planned["kept"]), [BUSY.to_string()]);
    assert_eq!(planned["kept"][0]["reason"], "SocketsInUse");
    let (_, text) = output_of(cleanup(&["--members-gone", "--dry-run"]));
    for words in ["address 10.0.1.20/32 on eth1", "would be removed", "1 listeners", "real run"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(node.net.everything(), both);

    let (code, first) = report_of(&["--members-gone"]);
    assert_eq!(code, Some(20), "{first}");
    assert_eq!((&first["removed"], &first["kept"]), (&planned["removed"], &planned["kept"]));
    assert_eq!(node.net.everything(), busy);
    let (code, again) = report_of(&["--members-gone"]);
    assert_eq!((code, &again["removed"], &again["kept"]), (Some(20), &json!([]), &first["kept"]));
    assert_eq!(node.net.everything(), busy);

    drop(listener);
    let (code, last) = report_of(&["--members-gone"]);
    assert_eq!((code, &last["kept"]), (Some(0), &json!([])), "{last}");
    assert_eq!(node.net.everything(), foreign);
    assert_eq!(output_of(cleanup(&[])), (Some(0), nothing.clone()));
}

fn f099_without_a_reachable_cluster_addresses_are_kept() {
    let node = Node::new();
    node.attach(LEFT);
    let before = node.net.everything();
    let registry = tempfile::tempdir().unwrap();
    let url = format!("file://{}", registry.path().display());
    for place in [&["--registry", &url][..], &[]] {
        let (code, report) = report_of(place);
        assert_eq!(code, Some(21), "{report}");
        assert_eq!(
            (&report["removed"], &report["kept"][0]["reason"]),
            (&json!([]), &json!("PodNotKnown"),)
        );
    }
    assert_eq!(node.net.everything(), before);
}

fn f099_while_an_agent_runs_everything_is_kept() {
    let node = Node::new();
    node.attach(LEFT);
    let before = node.net.everything();
    let agent = AgentLock::take(Path::new(RUN)).unwrap().unwrap();
    let (code, report) = report_of(&["--members-gone"]);
    assert_eq!(code, Some(20), "{report}");
    assert_eq!(report["kept"][0]["reason"], "AgentRuns");
    assert_eq!(node.net.everything(), before);
    drop(agent);
    assert_eq!(report_of(&["--members-gone"]).0, Some(0));
}

fn a_missing_permission_is_reported_with_advice() {
    let node = Node::new();
    node.attach(LEFT);
    // A file instead of the lock directory fails like a missing permission.
    std::fs::remove_dir_all(RUN).unwrap();
    std::fs::write(RUN, "").unwrap();
    let (code, text) = output_of(cleanup(&["--members-gone"]));
    assert_eq!(code, Some(19), "{text}");
    assert!(text.contains(RUN) && text.contains("as root"), "{text}");
}
