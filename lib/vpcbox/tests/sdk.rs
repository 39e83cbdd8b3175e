//! The real AWS SDK in a node of a box, as the containers use it: credentials of the node's role
//! from the metadata service, and signed calls to EC2.
//!
//! A target without the test harness, because it has two roles: started by `cargo test` it starts
//! boxes and asserts; in a node (`VPCBOX_NODE` is set) it is the program under test.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and without the harness it reports itself"
)]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use aws_sdk_ec2::types::{AttributeBooleanValue, NetworkInterfaceAttachmentChanges};
use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::ids::SubnetId;
use firecamp_core::ports::{Cloud, Owner};
use vpcbox::testing::{Options, RunningBox};

const SPEC: &str = r#"
[vpc]
cidr = "10.0.0.0/16"

[[subnets]]
name = "a"
cidr = "10.0.1.0/24"
zone = "us-east-1a"

[[nodes]]
name = "node-a"
subnet = "a"
instance_type = "m5.large"
address = "10.0.1.11"
secondary = ["10.0.1.50"]

[[nodes]]
name = "node-b"
subnet = "a"
instance_type = "m5.large"
address = "10.0.1.12"
"#;

const MEMBER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
const TIMEOUT: Duration = Duration::from_secs(30);
const T: Duration = Duration::from_secs(5);
/// Argument of the program in a node that attaches an ENI.
const ATTACH: &str = "attach";

fn main() {
    if std::env::var_os("VPCBOX_NODE").is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            if std::env::args().any(|argument| argument == ATTACH) {
                attach_interface().await;
            } else {
                reassign_address().await;
            }
        });
        return;
    }
    let test_binary = std::env::current_exe().expect("our own path");
    let binary = Path::new(env!("CARGO_BIN_EXE_vpcbox"));
    a_move_by_the_sdk_is_routed_listed_and_logged_with_every_time(binary, &test_binary, Vec::new());
    an_eni_that_is_attached_later_appears_as_a_link_without_address(binary, &test_binary);
    if nix::unistd::geteuid().is_root() {
        let dir = readable_copies(&[binary, &test_binary]);
        let prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
        a_move_by_the_sdk_is_routed_listed_and_logged_with_every_time(
            &dir.path().join("0"),
            &dir.path().join("1"),
            prefix.iter().map(|&word| word.to_owned()).collect(),
        );
    }
}

/// Copies that an ordinary user can execute.
fn readable_copies(files: &[&Path]) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;

    let open = || std::fs::Permissions::from_mode(0o755);
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::set_permissions(dir.path(), open()).expect("its mode");
    for (number, file) in files.iter().enumerate() {
        let copy: PathBuf = dir.path().join(number.to_string());
        std::fs::copy(file, &copy).expect("a copy");
        std::fs::set_permissions(&copy, open()).expect("its mode");
    }
    dir
}

/// In node-b: finds the owner, reassigns the address, and waits until IMDS lists it.
async fn reassign_address() {
    let cloud = AwsCloud::connect(CloudConfig::from_env()).expect("a client");
    let me = cloud.identity().await.expect("the identity");
    assert_eq!((me.region.as_str(), me.instance_type.as_str()), ("us-east-1", "m5.large"));
    let eni = &me.enis[0];
    assert_eq!(eni.primary_address, Ipv4Addr::new(10, 0, 1, 12));
    let subnet: &SubnetId = &eni.subnet;
    let before = cloud.owner(MEMBER, subnet).await.expect("the owner before");
    let Owner::Eni(owner) = before else { panic!("no ENI holds {MEMBER}") };
    assert_ne!(owner.id, eni.id);
    assert_eq!(owner.cluster.as_deref(), Some("demo"));
    let refused = cloud.assign(&eni.id, &[MEMBER], false, T).await.expect_err("without force");
    assert!(refused.detail.contains("move is not allowed"), "{refused}");
    cloud.assign(&eni.id, &[MEMBER], true, T).await.expect("with force");
    let deadline = SystemTime::now() + TIMEOUT;
    loop {
        let listed: BTreeSet<Ipv4Addr> = cloud.listed(eni.mac).await.expect("the listing");
        if listed.contains(&MEMBER) {
            break;
        }
        assert!(SystemTime::now() < deadline, "IMDS does not list {MEMBER}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn a_move_by_the_sdk_is_routed_listed_and_logged_with_every_time(
    binary: &Path,
    program: &Path,
    prefix: Vec<String>,
) {
    let arguments = vec!["--profile".to_owned(), "fast".to_owned()];
    let options = Options { arguments, prefix };
    let mut running = RunningBox::start_with(binary, SPEC, &options)
        .unwrap_or_else(|failure| panic!("{}: run `vpcbox doctor`", failure.chain()));
    let status = running
        .exec("node-b", program)
        .stdin(Stdio::null())
        .status()
        .expect("the program in node-b starts");
    assert!(status.success(), "the program in node-b: {status}");

    let record = running.client().address(MEMBER).expect("the state").expect("a record");
    assert_eq!(record.node.as_deref(), Some("node-b"));
    assert_eq!(record.routed_node.as_deref(), Some("node-b"));
    let calls = running.client().calls(0).expect("the calls");
    let ec2: Vec<_> = calls.iter().filter(|call| call.service == "ec2").collect();
    let actions: Vec<&str> = ec2.iter().map(|call| call.action.as_str()).collect();
    let assign = "AssignPrivateIpAddresses";
    assert_eq!(actions, ["DescribeNetworkInterfaces", assign, assign]);
    assert!(ec2.iter().all(|call| call.caller == "node-b"), "the key identifies the caller");
    assert_eq!(ec2[1].code.as_deref(), Some("InvalidParameterValue"));
    let moved = ec2[2];
    assert!(moved.committed && moved.mutating);
    let effect = &moved.effects[0];
    let times = [
        Some(moved.at_us),
        Some(effect.committed_at_us),
        effect.data_path_at_us,
        effect.routed_at_us,
    ];
    assert!(times.iter().all(Option::is_some) && times.is_sorted(), "{times:?}");
    assert!(effect.imds_at_us >= effect.data_path_at_us, "{effect:?}");
    let proven = moved.proven_after_us().expect("the proof was shown");
    let shown = effect.routed_at_us.max(effect.imds_at_us).expect("both");
    assert_eq!(proven, shown - moved.at_us);
    // The program observed it, so it had been shown by then.
    assert!(proven < running.client().clock().now_us());
    assert_eq!(
        running.client().truth().expect("the state").violations,
        Vec::<serde_json::Value>::new()
    );
    println!("test a_move_by_the_sdk_is_routed_listed_and_logged_with_every_time ... ok");
}

/// In node-b: creates an ENI, attaches it, and switches off the source check of the primary ENI.
async fn attach_interface() {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let imds = aws_config::provider_config::ProviderConfig::empty().with_http_client(http.clone());
    let role = aws_config::imds::credentials::ImdsCredentialsProvider::builder();
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .http_client(http)
        .credentials_provider(role.configure(&imds).build());
    let ec2 = aws_sdk_ec2::Client::new(&config.load().await);
    let cloud = AwsCloud::connect(CloudConfig::from_env()).expect("a client");
    let me = cloud.identity().await.expect("the identity");
    let primary = &me.enis[0];
    let call = ec2.create_network_interface().subnet_id(primary.subnet.as_str());
    let eni = call.send().await.expect("an ENI").network_interface.expect("an ENI");
    let eni = eni.network_interface_id.expect("an ID");
    let call = ec2.attach_network_interface().network_interface_id(&eni);
    let call = call.instance_id(me.instance.as_str()).device_index(1);
    let attachment = call.send().await.expect("an attachment").attachment_id.expect("an ID");
    let changes = NetworkInterfaceAttachmentChanges::builder().attachment_id(attachment);
    let changes = changes.delete_on_termination(true).build();
    let call = ec2.modify_network_interface_attribute().network_interface_id(eni);
    call.attachment(changes).send().await.expect("the attachment is modified");
    let off = AttributeBooleanValue::builder().value(false).build();
    let call = ec2.modify_network_interface_attribute().network_interface_id(primary.id.as_str());
    call.source_dest_check(off).send().await.expect("the source check is off");
}

fn output(command: &mut std::process::Command) -> String {
    let output = command.output().expect("the command starts");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Whether a datagram that node-b sends from node-a's address reaches the client.
fn foreign_source_passes(running: &RunningBox, binary: &Path) -> bool {
    // No port of the client is open, but its kernel counts what arrives.
    let received = || output(running.exec("client", "grep").args(["^Udp:", "/proc/net/snmp"]));
    let before = received();
    let dial = ["probe", "dial", "10.0.1.200:7001", "--udp", "--from", "10.0.1.50"];
    running.exec("node-b", binary).args(dial).args(["--timeout", "0.5"]).output().expect("a probe");
    received() != before
}

fn an_eni_that_is_attached_later_appears_as_a_link_without_address(binary: &Path, program: &Path) {
    let client = "[[clients]]\nname = \"client\"\nsubnet = \"a\"\naddress = \"10.0.1.200\"\n";
    let mut running = RunningBox::start(binary, &format!("{SPEC}{client}"))
        .unwrap_or_else(|failure| panic!("{}: run `vpcbox doctor`", failure.chain()));
    let foreign = vpcbox::protocol::KernelAct::KernelAdd {
        node: "node-b".to_owned(),
        address: MEMBER,
        link: None,
    };
    running.client().kernel(foreign).expect("node-a's address in node-b");
    assert!(!foreign_source_passes(&running, binary), "EC2 checks the source");
    let status = running.exec("node-b", program).arg(ATTACH).status().expect("the program starts");
    assert!(status.success(), "the program in node-b: {status}");
    let deadline = SystemTime::now() + TIMEOUT;
    // EC2 dropped the ARP requests too, so node-b resolves the client again only after a while.
    while !foreign_source_passes(&running, binary) {
        assert!(SystemTime::now() < deadline, "the check is off");
    }
    let link = || output(running.exec("node-b", "ip").args(["-o", "address", "show", "ens6"]));
    let state = || output(running.exec("node-b", "cat").arg("/sys/class/net/ens6/operstate"));
    while state().is_empty() {
        assert!(SystemTime::now() < deadline, "no link appears in node-b");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((state().as_str(), link().as_str()), ("down", ""), "as EC2 leaves it");
    let nodes = running.client().truth().expect("the state").nodes;
    let node = nodes.iter().find(|node| node.name == "node-b").expect("node-b");
    assert_eq!(node.enis.len(), 2);
    println!("test an_eni_that_is_attached_later_appears_as_a_link_without_address ... ok");
}
