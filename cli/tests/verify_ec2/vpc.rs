//! A simulated VPC in virtual time, and runs in it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::Parser;
use firecamp_cli::args::{Cli, Command};
use firecamp_cli::failure::Failure;
use firecamp_cli::verify_ec2::{self, Ec2, Report, Stop, VerifyEc2Arguments};
use firecamp_cloud::AwsCloud;
use firecamp_sim_tests::{Carrier, EPOCH, SharedSim};
use firecamp_vpc::{Fault, FaultSpec, Profile, Selector, Simulator, Spec};
use tokio::sync::watch;

pub(crate) const SUBNET: &str = "subnet-0000000a";
pub(crate) const NODE_ENI: &str = "eni-00000000000000011";

/// The node `node-a` has an interface that no CNI plugin manages. The pools' range and a prefix of
/// another interface are at the end of the subnet, where the command chooses addresses.
pub(crate) const SPEC: &str = r#"
[vpc]
cidr = "10.0.0.0/16"
[[subnets]]
name = "a"
id = "subnet-0000000a"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
reservations = ["10.0.1.240/28"]
[[nodes]]
name = "node-a"
subnet = "a"
instance_type = "m5.large"
[[nodes.enis]]
id = "eni-00000000000000011"
subnet = "a"
device_index = 1
tags = { "node.k8s.amazonaws.com/no_manage" = "true" }
[[nodes]]
name = "node-b"
subnet = "a"
instance_type = "m5.large"
[[foreign]]
name = "stranger"
subnet = "a"
address = "10.0.1.239"
prefixes = ["10.0.1.208/28"]
[[foreign]]
name = "other"
subnet = "a"
secondary = ["10.0.1.238"]
[[foreign]]
name = "third"
subnet = "a"
"#;

/// The VPC.
pub(crate) struct TestVpc(SharedSim);

impl TestVpc {
    pub(crate) fn new(profile: &Profile, seed: u64) -> Self {
        let spec = Spec::from_toml(SPEC).unwrap();
        Self(SharedSim::new(Simulator::new(&spec, *profile, seed, EPOCH).unwrap()))
    }

    pub(crate) fn fast() -> Self {
        Self::new(&Profile::fast(), 7)
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, Simulator> {
        self.0.world()
    }

    /// The client of a program on node-a.
    pub(crate) fn cloud(&self) -> AwsCloud {
        Carrier::new(self.0.clone(), "node-a").cloud()
    }

    /// Sets a fault for the calls of an action.
    pub(crate) fn fault(&self, op: &str, fault: Fault) {
        self.fault_when(fault, Selector { op: Some(op.to_owned()), ..Selector::default() });
    }

    pub(crate) fn fault_when(&self, fault: Fault, when: Selector) {
        let now = self.0.now();
        self.world().fault_set(now, FaultSpec { fault, when }).unwrap();
    }

    /// Clears every fault. Each must have fired.
    pub(crate) fn clear_faults(&self) {
        let now = self.0.now();
        let cleared = self.world().fault_clear(now, None).unwrap();
        assert!(cleared.iter().all(|fault| fault.fired > 0), "{cleared:?}");
    }

    /// The interface of each address that is in use.
    pub(crate) fn owners(&self) -> BTreeMap<Ipv4Addr, String> {
        let now = self.0.now();
        let truth = self.world().truth(now);
        assert!(truth.buckets.values().all(|bucket| bucket.refused == 0), "it was throttled");
        assert_eq!(truth.violations, []);
        let owned = truth.addresses.into_iter();
        owned.filter_map(|one| Some((one.address, one.owner?))).collect()
    }

    /// A run, and its lines of progress.
    pub(crate) async fn run(&self, words: &[&str]) -> Result<(Report, Vec<String>), Failure> {
        run_with(&self.cloud(), words, usize::MAX).await
    }
}

pub(crate) fn arguments(words: &[&str]) -> VerifyEc2Arguments {
    let all = [&["firecamp", "verify-ec2", "--subnet", SUBNET], words].concat();
    let command = Cli::try_parse_from(all).unwrap().command;
    let Command::VerifyEc2(arguments) = command else { panic!("{command:?}") };
    arguments
}

static RUNS: AtomicU32 = AtomicU32::new(1);

/// A run that a signal stops after this many lines of progress.
pub(crate) async fn run_with(
    ec2: &impl Ec2,
    words: &[&str],
    stop_after: usize,
) -> Result<(Report, Vec<String>), Failure> {
    let (sender, receiver) = watch::channel(false);
    let mut lines = Vec::new();
    let mut progress = |line: &str| {
        lines.push(line.to_owned());
        if lines.len() >= stop_after {
            sender.send_replace(true);
        }
    };
    let arguments = arguments(words);
    // EC2 remembers client tokens, also after a deletion.
    let run = format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let stop = Stop::new(receiver);
    let observed = verify_ec2::of(ec2, &arguments, &run, stop, &mut progress).await?;
    let origin = verify_ec2::origin("us-east-1".to_owned(), "http://ec2.test");
    let time = "2026-11-27T06:00:00Z".to_owned();
    Ok((verify_ec2::report(&arguments, time, origin, observed), lines))
}
