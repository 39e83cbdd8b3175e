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

fn main() {
    if std::env::var_os("VPCBOX_NODE").is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(reassign_address());
        return;
    }
    let test_binary = std::env::current_exe().expect("our own path");
    let binary = Path::new(env!("CARGO_BIN_EXE_vpcbox"));
    a_move_by_the_sdk_is_routed_listed_and_logged_with_every_time(binary, &test_binary, Vec::new());
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
    let refused = cloud.assign(&eni.id, MEMBER, false, T).await.expect_err("without force");
    assert!(refused.detail.contains("move is not allowed"), "{refused}");
    cloud.assign(&eni.id, MEMBER, true, T).await.expect("with force");
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
