//! The VPC of a scenario, with the names that the orchestrator uses.

use crate::names::{FOREIGN_ENI, Names, SLOTS};
use crate::scenario::{Fault, Scenario};
use firecamp_sim_tests::EPOCH;
use firecamp_vpc::{Distribution, Profile, Simulator, Spec};

/// Six addresses on an ENI, as in every scenario's shape.
const INSTANCE_TYPE: &str = "t3.medium";

/// The reservations keep EC2 from choosing pool addresses.
const HEAD: &str = r#"
[vpc]
cidr = "10.0.0.0/16"
[[subnets]]
name = "a"
id = "subnet-0000000a"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
reservations = ["10.0.1.0/28", "10.0.1.48/28"]
"#;

/// An idle VPC.
pub(crate) fn world(scenario: &Scenario, names: &Names) -> Simulator {
    let text = text(scenario.shape.nodes, names);
    let spec = Spec::from_toml(&text).expect("a spec of this file");
    Simulator::new(&spec, profile(scenario), scenario.seed, EPOCH).expect("a world")
}

fn text(nodes: u8, names: &Names) -> String {
    let mut text = HEAD.to_owned();
    for node in names.nodes.iter().take(usize::from(nodes)) {
        for (slot, eni) in node.enis.iter().enumerate().take(usize::from(SLOTS)) {
            let (id, mac, primary) = (&eni.id, eni.mac, eni.primary);
            let own = format!("mac = \"{mac}\"\naddress = \"{primary}\"\nsubnet = \"a\"\n");
            let more = if slot == 0 {
                let (name, instance) = (&node.name, &node.instance);
                format!(
                    "[[nodes]]\nname = \"{name}\"\nid = \"{instance}\"\neni = \"{id}\"\n\
                     instance_type = \"{INSTANCE_TYPE}\"\n{own}"
                )
            } else {
                format!(
                    "[[nodes.enis]]\nid = \"{id}\"\ndevice_index = {slot}\n\
                     delete_on_termination = true\n{own}"
                )
            };
            text.push_str(&more);
        }
    }
    let foreign = names.eni(FOREIGN_ENI);
    let (id, primary) = (&foreign.id, foreign.primary);
    let foreign = format!(
        "[[foreign]]\nname = \"stranger\"\nsubnet = \"a\"\nid = \"{id}\"\naddress = \"{primary}\"\n"
    );
    text.push_str(&foreign);
    text
}

/// Latencies similar to those of the model. The slow ones are lags of the whole VPC here: single
/// commits cannot be slowed down from outside.
fn profile(scenario: &Scenario) -> Profile {
    let is_on = |fault| scenario.swarm.rate(fault) > 0;
    let either = |slow: bool, a: (f64, f64, f64), b: (f64, f64, f64)| {
        let (p50, p99, max) = if slow { a } else { b };
        Distribution::new(p50, p99, max)
    };
    let (switch, metadata) = (is_on(Fault::SwitchSlow), is_on(Fault::MetadataSlow));
    Profile {
        describe_latency: Distribution::new(60.0, 110.0, 120.0),
        assign_latency: Distribution::new(150.0, 290.0, 310.0),
        data_path_remap: either(switch, (200.0, 1_800.0, 2_400.0), (25.0, 58.0, 60.0)),
        describe_lag: Distribution::new(0.0, 0.0, 0.0),
        imds_add_lag: either(metadata, (150.0, 5_000.0, 20_000.0), (25.0, 58.0, 60.0)),
        imds_removal_lag: either(metadata, (5_000.0, 25_000.0, 30_000.0), (100.0, 190.0, 200.0)),
        imds_latency: Distribution::new(0.8, 3.0, 4.0),
        ..Profile::fast()
    }
}
