//! The network of the pods: a plugin of the CNI project on each node and, as flannel makes it, an
//! overlay between the nodes. A VPC does not deliver packets with addresses of pods.

use std::process::Command;

use serde_json::{Value, json};

use crate::topology::{Layout, WORKERS, Worker};
use crate::{Outcome, failed};

/// The bridge of a node's pods.
pub(crate) const BRIDGE: &str = "pods0";
/// The ranges of the pods and the Services of a cluster.
pub(crate) const PODS: &str = "10.244.0.0/16";
pub(crate) const SERVICES: &str = "10.96.0.0/16";
/// What the encapsulation leaves of the VPC's 1500 bytes.
const MTU: u32 = 1450;

/// The CNI configuration of a node.
pub(crate) fn configuration(worker: Worker, layout: Layout) -> Value {
    let mut plugin = json!({
        "mtu": MTU,
        "ipam": {
            "type": "host-local",
            "ranges": [[{ "subnet": worker.pods }]],
            "routes": [{ "dst": "0.0.0.0/0" }],
        },
    });
    if layout == Layout::Ptp {
        plugin["type"] = json!("ptp");
    } else {
        plugin["type"] = json!("bridge");
        plugin["bridge"] = json!(BRIDGE);
        plugin["isGateway"] = json!(true);
        // As kubenet and flannel set it: a pod reaches itself by its own Service.
        plugin["hairpinMode"] = json!(true);
    }
    json!({ "cniVersion": "1.0.0", "name": "pods", "plugins": [plugin] })
}

/// Connects the pods of this node to those of the others. What they send out of the cluster has the
/// node's address. Run it on the node.
pub(crate) fn connect(worker: Worker, layout: Layout) -> Outcome {
    let ended = Command::new("sh").args(["-ec", &script(worker, layout)]).output();
    let ended = ended.map_err(failed("connect the pods"))?;
    let errors = String::from_utf8_lossy(&ended.stderr);
    if ended.status.success() { Ok(()) } else { Err(format!("connect the pods: {errors}")) }
}

fn script(worker: Worker, layout: Layout) -> String {
    let others = WORKERS.iter().filter(|other| other.name != worker.name).map(|other| {
        format!(
            "bridge fdb append 00:00:00:00:00:00 dev overlay dst {}\n\
             ip route add {} via {} dev overlay onlink\n",
            other.address(layout),
            other.pods,
            first(*other),
        )
    });
    format!(
        "ip link delete overlay 2>/dev/null || true\n\
         ip link add overlay mtu {MTU} type vxlan id 1 dstport 8472 local {own}\n\
         ip address add {first}/32 dev overlay\n\
         ip link set overlay up\n\
         {others}\
         echo 'table ip pods\n\
         delete table ip pods\n\
         table ip pods {{\n\
         chain postrouting {{\n\
         type nat hook postrouting priority srcnat\n\
         ip saddr {pods} ip daddr != {{ {PODS}, {SERVICES} }} masquerade\n\
         }}\n\
         }}' | nft -f -\n",
        own = worker.address(layout),
        first = first(worker),
        others = others.collect::<String>(),
        pods = worker.pods,
    )
}

/// The first address of a node's range, which no pod gets: it is that of the overlay's link.
fn first(worker: Worker) -> &'static str {
    worker.pods.split('/').next().unwrap_or_default()
}
