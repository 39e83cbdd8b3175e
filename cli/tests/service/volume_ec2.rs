//! What EC2 reports about a volume that is to be imported.

use firecamp_sim_tests::{Carrier, SharedSim, VPC};
use firecamp_vpc::Profile;

const VOLUMES: &str = r#"
[[volumes]]
name = "attached"
id = "vol-00000000000000001"
node = "node-a"
size_gib = 100
[[volumes]]
name = "free"
id = "vol-00000000000000002"
zone = "us-east-1b"
size_gib = 7
"#;

#[tokio::test(start_paused = true)]
async fn ec2_reports_the_zone_the_size_and_the_instance_of_a_volume() {
    let vpc = SharedSim::of(&format!("{VPC}{VOLUMES}"), &Profile::fast());
    let node = vpc.world().nodes().into_iter().find(|node| node.name == "node-a").unwrap();
    let cloud = Carrier::new(vpc, "node-a").cloud();
    let describe = async |id: &str| cloud.volume(&id.parse().unwrap()).await.unwrap();
    let attached = describe("vol-00000000000000001").await.unwrap();
    assert_eq!((attached.zone.as_str(), attached.gib), ("us-east-1a", 100));
    assert_eq!(attached.state, "in-use");
    assert_eq!(attached.instances, [node.instance]);
    let free = describe("vol-00000000000000002").await.unwrap();
    assert_eq!((free.zone.as_str(), free.gib), ("us-east-1b", 7));
    assert_eq!((free.state.as_str(), free.instances.len()), ("available", 0));
    assert_eq!(describe("vol-00000000000000003").await, None);
}
