//! The VPC, and which machine is in which subnet.

use std::net::Ipv4Addr;

use crate::external_dns;

/// How the workers are connected to the VPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All in one subnet, so that an address can move to each of them.
    OneSubnet,
    /// Each in a zone of its own.
    Zones,
    /// In one subnet, with the CNI plugin ptp in place of bridge.
    Ptp,
    /// In one subnet, with Amazon's VPC CNI: it manages the primary interfaces, and members use
    /// interfaces that FireCamp makes.
    VpcCni,
}

/// A subnet of the VPC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subnet {
    name: &'static str,
    pub(crate) id: &'static str,
    pub(crate) zone: &'static str,
    /// The third byte of its addresses.
    number: u8,
}

/// The subnets of the workers: one for each.
const SUBNETS: [Subnet; 3] = [
    Subnet { name: "a", id: "subnet-0a1b2c3d4e5f60718", zone: "us-east-1a", number: 1 },
    Subnet { name: "b", id: "subnet-0b1b2c3d4e5f60718", zone: "us-east-1b", number: 2 },
    Subnet { name: "c", id: "subnet-0c1b2c3d4e5f60718", zone: "us-east-1c", number: 3 },
];

/// A further subnet in the zone of the first one, without a machine.
pub(crate) const OTHER_SUBNET: Subnet =
    Subnet { name: "other", id: "subnet-0d1b2c3d4e5f60718", zone: "us-east-1a", number: 4 };

/// The private subnet that `eksctl` makes in the first zone (docs/install.md). The range that
/// CloudFormation reserves is reserved.
const EKS_SUBNET: &str = "[[subnets]]\nname = \"eks\"\nid = \"subnet-0e1b2c3d4e5f60718\"\n\
    cidr = \"10.0.64.0/19\"\nzone = \"us-east-1a\"\nreservations = [\"10.0.80.0/27\"]\n";

/// A worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Worker {
    pub(crate) name: &'static str,
    /// CIDR of its pods that are not in the host network.
    pub(crate) pods: &'static str,
    /// Its subnet with [`Layout::Zones`].
    own: Subnet,
    /// The last byte of its address.
    host: u8,
    /// Its machine with [`Layout::VpcCni`].
    machine: Machine,
}

/// A machine whose interfaces the VPC CNI fills, and for so many pods that some are left.
#[derive(Debug, Clone, Copy)]
struct Machine {
    instance_type: &'static str,
    max_pods: u32,
}

/// Three interfaces for pods and one for members.
const ONE_LEFT: Machine = Machine { instance_type: "m5.xlarge", max_pods: 3 * 14 + 2 };
/// Two interfaces for pods and two for members.
const TWO_LEFT: Machine = Machine { instance_type: "m5.xlarge", max_pods: 2 * 14 + 2 };
/// Two interfaces for pods and one for members.
const SMALL: Machine = Machine { instance_type: "m5.large", max_pods: 2 * 9 + 2 };

/// The workers.
pub(crate) const WORKERS: [Worker; 3] = {
    let [a, b, c] = SUBNETS;
    [
        Worker { name: "node-a", pods: "10.244.1.0/24", own: a, host: 11, machine: ONE_LEFT },
        Worker { name: "node-b", pods: "10.244.2.0/24", own: b, host: 12, machine: TWO_LEFT },
        Worker { name: "node-c", pods: "10.244.3.0/24", own: c, host: 13, machine: SMALL },
    ]
};

impl Worker {
    pub(crate) fn subnet(self, layout: Layout) -> Subnet {
        let [first, ..] = SUBNETS;
        match layout {
            Layout::OneSubnet | Layout::Ptp | Layout::VpcCni => first,
            Layout::Zones => self.own,
        }
    }

    pub(crate) fn address(self, layout: Layout) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, self.subnet(layout).number, self.host)
    }

    /// The kubelet's maximum of pods, if that is not its default.
    pub(crate) fn max_pods(self, layout: Layout) -> Option<u32> {
        (layout == Layout::VpcCni).then_some(self.machine.max_pods)
    }

    /// The worker for `vpcbox run`.
    fn spec(self, layout: Layout) -> String {
        let (name, subnet) = (self.name, self.subnet(layout).name);
        let node = format!(
            "[[nodes]]\nname = \"{name}\"\nsubnet = \"{subnet}\"\naddress = \"{}\"\n",
            self.address(layout)
        );
        if layout != Layout::VpcCni {
            return format!("{node}instance_type = \"m5.16xlarge\"\n");
        }
        // Without the cluster's tag, as EKS makes them.
        format!("{node}instance_type = \"{}\"\ncluster = \"\"\n", self.machine.instance_type)
    }
}

/// The machine of the control plane; it is not a Kubernetes node.
pub(crate) const CONTROL: &str = "control";
pub(crate) const CONTROL_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
pub(crate) const API_PORT: u16 = 6443;
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const VPC: &str = "vpc-0a1b2c3d4e5f60718";
/// The value of the tag on the workers' ENIs.
pub(crate) const CLUSTER: &str = "prod";

/// The API server's URL inside the VPC.
pub(crate) fn api_url() -> String {
    format!("https://{CONTROL_ADDRESS}:{API_PORT}")
}

/// The worker of this name.
pub(crate) fn worker(name: &str) -> Result<Worker, String> {
    let found = WORKERS.iter().find(|worker| worker.name == name);
    found.copied().ok_or_else(|| format!("{name:?} is not a worker: use node-a, node-b or node-c"))
}

impl Subnet {
    pub(crate) fn cidr(self) -> String {
        format!("10.0.{}.0/24", self.number)
    }

    /// The first and the last address of a range that it reserves for a pool.
    pub(crate) fn range(self) -> (Ipv4Addr, Ipv4Addr) {
        (Ipv4Addr::new(10, 0, self.number, 64), Ipv4Addr::new(10, 0, self.number, 127))
    }

    /// The subnet for `vpcbox run`. It reserves the ranges of pool.yaml and pool-zones.yaml, so
    /// that EC2 never picks their addresses itself.
    fn spec(self) -> String {
        let Self { name, id, zone, number } = self;
        let net = format!("10.0.{number}");
        format!(
            "[[subnets]]\nname = \"{name}\"\nid = \"{id}\"\n\
             cidr = \"{net}.0/24\"\nzone = \"{zone}\"\nreservations = [\
             \"{net}.64/26\", \"{net}.136/29\", \"{net}.144/28\", \"{net}.160/27\"]\n"
        )
    }
}

/// The VPC, for `vpcbox run`.
pub(crate) fn spec(layout: Layout) -> String {
    let machines = WORKERS.map(|worker| worker.spec(layout));
    let subnets = SUBNETS.into_iter().chain([OTHER_SUBNET]);
    format!(
        "cluster = \"{CLUSTER}\"\nzones = [\"{}\"]\n\
         [vpc]\nid = \"{VPC}\"\ncidr = \"10.0.0.0/16\"\n{}{EKS_SUBNET}\
         [[clients]]\nname = \"{CONTROL}\"\nsubnet = \"a\"\naddress = \"{CONTROL_ADDRESS}\"\n\
         [[clients]]\nname = \"client\"\nsubnet = \"a\"\naddress = \"10.0.1.200\"\n{}",
        external_dns::zone(),
        subnets.map(Subnet::spec).collect::<String>(),
        machines.concat()
    )
}
