//! The kinds of conditions and their reasons. Names are stable: they are published.

use std::fmt;

use crate::preflight::condition::{Status, Weight};

macro_rules! kinds {
    ($($name:ident $doc:literal;)*) => {
        /// The type of a condition. *True* is good.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $doc] $name,)*
        }

        impl Kind {
            /// All of them, in the order in which they are reported.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What *True* says.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

kinds! {
    PreflightPassed "Nothing keeps static addresses from being attached to this node and kept.";
    MetadataReachable "The instance metadata service answers version 2 requests.";
    Ec2Allowed "EC2 takes this node's credentials, and lets it do what it was asked for.";
    EniUsable "The network interface that carries addresses is nobody else's.";
    EniTagged "That interface carries the cluster's tag.";
    EniLinked "The kernel has a link for that interface, and the link is up.";
    EniKept "That interface outlives its instance, and its addresses with it.";
    RangesReserved "Explicit CIDR reservations keep EC2 from giving addresses of pools to others.";
    SecurityGroupsAgree "All interfaces of a subnet that may carry an address have the same \
        security groups.";
    VolumeSlotsCounted "Volumes find slots on the instance, with every network interface counted.";
    NodeAddressFixed "The node's InternalIP is its own primary address, whatever else it carries.";
    RulesClear "No foreign routing rule catches the traffic of an address of a pool.";
    SourceKept "Nobody rewrites the source address of what members send.";
    NetworkdTolerant "systemd-networkd leaves addresses, rules and routes that it did not make.";
    NetUtilsAbsent "amazon-ec2-net-utils does not configure the same addresses.";
    NetAdminHeld "The process may configure the kernel's network.";
    ClockRight "The node's clock agrees with the clocks of those it talks to.";
    RunDirReady "The directory of the node-local locks is on a tmpfs and can be written.";
}

macro_rules! reasons {
    ($(
        $name:ident $($kind:ident)?, $status:ident, $weight:ident, $doc:literal, $remedy:literal;
    )*) => {
        /// Why a condition is what it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $doc] $name,)*
        }

        impl Reason {
            /// All of them, in the order of their kinds.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The kind that it belongs to; none if it may be any kind's.
            pub fn kind(self) -> Option<Kind> {
                match self { $(Self::$name => None$(.or(Some(Kind::$kind)))?,)* }
            }

            /// The status that goes with it.
            pub fn status(self) -> Status {
                match self { $(Self::$name => Status::$status,)* }
            }

            /// What it means for the node.
            pub fn weight(self) -> Weight {
                match self { $(Self::$name => Weight::$weight,)* }
            }

            /// What it says.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }

            /// What to do about it; empty if there is nothing to do.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    Passed PreflightPassed, True, Fine, "Every check is fine.", "";
    PassedSoFar PreflightPassed, True, Open, "Nothing is wrong, and something is not known.", "";
    PassedWithWarnings PreflightPassed, True, Warns,
        "Addresses work, and something may disturb them.", "";
    Blocked PreflightPassed, False, Blocks,
        "Addresses cannot be attached or cannot be kept.",
        "See the conditions that it names";

    Reachable MetadataReachable, True, Fine, "It answered.", "";
    MetadataSilent MetadataReachable, False, Blocks,
        "It does not answer.",
        "Run the process in the host's network, or raise the instance's metadata hop limit to 2; \
         allow 169.254.169.254 in firewalls and network policies";
    MetadataRefuses MetadataReachable, False, Blocks,
        "It refuses: it is switched off, or a proxy is in between.",
        "Switch the instance's metadata service on (HttpEndpoint=enabled) and keep its address \
         out of proxies";
    MetadataOverloaded MetadataReachable, Unknown, Open,
        "It answers that there are too many requests.",
        "Find what else on this node asks it so often";

    Allowed Ec2Allowed, True, Fine, "Everything that could be tried is allowed.", "";
    Denied Ec2Allowed, False, Blocks,
        "EC2 denies an action, or refuses the credentials.",
        "Give the node's or the agent's role the actions of FireCamp's policy, and check its \
         conditions on tags, VPC and region";
    OptionalDenied Ec2Allowed, False, Warns,
        "EC2 denies an action that no address depends on: what it tells is not checked or shown.",
        "Give the node's or the agent's role the actions of FireCamp's policy, or do without what \
         the action is for (docs/iam.md)";

    Usable EniUsable, True, Fine,
        "Addresses go to an interface that nobody else gives addresses to.", "";
    ManagedByVpcCni EniUsable, False, Blocks,
        "The Amazon VPC CNI manages the interface: it gives its addresses to pods, takes free ones \
         away, and may delete it.",
        "Attach an interface of its own that was created with the tag \
         node.k8s.amazonaws.com/no_manage=true, and let members choose it (FIRECAMP_ENI, or a \
         subnet in which it is the only one)";
    ManagedByService EniUsable, False, Blocks,
        "A service of AWS manages the interface.",
        "Attach an interface of its own for static addresses";
    NoPool EniUsable, Unknown, Open,
        "There is no pool yet, so no interface is to carry an address.",
        "Create a StaticIPPool for a subnet that this node has an interface in";
    NoEniInSubnet EniUsable, False, Blocks,
        "No interface of this node is in a subnet of a pool.",
        "Attach one in such a subnet, or give a pool addresses of this node's subnet; if no member \
         is to run here, this is as it should be";

    Tagged EniTagged, True, Fine, "It carries the tag.", "";
    NotTagged EniTagged, False, Warns,
        "The tag is missing or names another cluster.",
        "Tag the interface firecamp.io/cluster=CLUSTER: a policy that asks for the tag denies \
         without it, and an address that is found there and is not on record is not taken back";

    Linked EniLinked, True, Fine, "The link is there and up.", "";
    LinkMissing EniLinked, False, Warns,
        "No link has the interface's MAC.",
        "After an attach this takes up to a minute; if it stays, look for the driver (ena) in the \
         kernel's log";
    LinkDown EniLinked, False, Warns,
        "The link is down.",
        "The agent brings it up when it first appears; later it is up once it carries an address";

    Kept EniKept, True, Fine, "EC2 keeps it when the instance is terminated.", "";
    GoesWithInstance EniKept, False, Warns,
        "EC2 deletes it with the instance, and frees every address that is on it.",
        "Attach an interface of its own, or: aws ec2 modify-network-interface-attribute \
         --network-interface-id ENI --attachment \
         AttachmentId=ATTACHMENT,DeleteOnTermination=false";

    Reserved RangesReserved, True, Fine, "They cover every range of every pool.", "";
    NotReserved RangesReserved, False, Warns,
        "An address of a pool that is on no interface may be given to anybody who asks EC2 for \
         some address of the subnet.",
        "aws ec2 create-subnet-cidr-reservation --subnet-id SUBNET --cidr BLOCK \
         --reservation-type explicit, until the ranges are covered";

    GroupsAgree SecurityGroupsAgree, True, Fine, "They are the same.", "";
    GroupsDiffer SecurityGroupsAgree, False, Warns,
        "They differ: an address is filtered by other rules after a move.",
        "Give all these interfaces the same security groups";

    SlotsLeft VolumeSlotsCounted, True, Fine, "There are some.", "";
    SlotsGone VolumeSlotsCounted, False, Warns,
        "None is left: the next volume does not attach.",
        "Use an instance type with dedicated volume slots or a larger one, or let fewer members \
         with volumes run here";
    SlotsMiscounted VolumeSlotsCounted, False, Warns,
        "The EBS CSI driver offers more than there are: it counted before an interface was \
         attached.",
        "Attach the interface before the driver starts on the node, restart the driver's pod \
         there now, or set its --reserved-volume-attachments";

    Fixed NodeAddressFixed, True, Fine, "It is, and stays so.", "";
    NodeAddressOfPool NodeAddressFixed, False, Blocks,
        "The cluster takes an address of a pool for the node's own: the node is not reached once \
         its member moves.",
        "Give the kubelet --node-ip with the primary address of the node, and restart it";
    NodeAddressForeign NodeAddressFixed, False, Warns,
        "It is not the primary address of the primary interface.",
        "Give the kubelet --node-ip with the primary address of the node, unless another is meant";
    NodeAddressFree NodeAddressFixed, False, Warns,
        "The kubelet was not given --node-ip, and members' addresses go to the interface that the \
         node's own address is on: one of them may be taken for it.",
        "Give the kubelet --node-ip with the primary address of the node, or attach an interface \
         of its own for members";

    NoneCatches RulesClear, True, Fine, "There is none.", "";
    RuleCatches RulesClear, False, Warns,
        "A rule of somebody else sends it elsewhere, perhaps to a pod that is gone.",
        "Find out who made the rule (ip rule), and remove it if nobody needs it: FireCamp removes \
         nothing that is not its own";

    SourcesKept SourceKept, True, Fine, "Nobody is known to.", "";
    SourcesRewritten SourceKept, False, Warns,
        "The VPC CNI gives what leaves the VPC the primary address of the node as its source, also \
         if it leaves by another interface, where EC2 drops it.",
        "Set AWS_VPC_K8S_CNI_EXTERNALSNAT=true, or list the ranges of the peers in \
         AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS, in the DaemonSet aws-node";

    SourceNatFound SourceKept, False, Warns,
        "Chains of nf_tables rewrite the sources of what they match; what that is was not read.",
        "Look at them (nft list chain), and spare the ranges of the pools if they match what \
         members send";

    NothingStripped NetworkdTolerant, True, Fine, "It does not run, or leaves them alone.", "";
    NetworkdDropsAddresses NetworkdTolerant, False, Warns,
        "It drops addresses that it did not configure whenever it starts or configures the link \
         anew; the agent puts them back within milliseconds.",
        "Set KeepConfiguration=yes in the [Network] section of the link's .network file, or leave \
         the link unmanaged";
    NetworkdDropsRoutes NetworkdTolerant, False, Warns,
        "It drops rules or routes that it did not configure; the agent puts them back.",
        "Set ManageForeignRoutes=no and ManageForeignRoutingPolicyRules=no in the [Network] \
         section of networkd.conf";

    NetUtilsOut NetUtilsAbsent, True, Fine, "It is not installed, or its udev rule is masked.", "";
    NetUtilsActs NetUtilsAbsent, False, Warns,
        "It adds and removes addresses of interfaces by what the metadata service lists, up to a \
         minute late.",
        "Mask its udev rule: ln -s /dev/null /etc/udev/rules.d/99-vpc-policy-routes.rules, and \
         disable its timers";

    Held NetAdminHeld, True, Fine, "CAP_NET_ADMIN is effective.", "";
    NotHeld NetAdminHeld, False, Blocks,
        "CAP_NET_ADMIN is not effective.",
        "Add NET_ADMIN to the capabilities of the container's securityContext, and run it as root";

    Agrees ClockRight, True, Fine, "It is less than a minute off.", "";
    Skewed ClockRight, False, Warns,
        "It is a minute off or more.",
        "Let chrony follow 169.254.169.123";
    FarOff ClockRight, False, Blocks,
        "It is five minutes off or more: signatures are refused.",
        "Let chrony follow 169.254.169.123, and step the clock now";

    Ready RunDirReady, True, Fine, "It is.", "";
    NotTmpfs RunDirReady, False, Warns,
        "It is not on a tmpfs: what it says outlives the boot that it was true in.",
        "Put it below /run, or mount a tmpfs there";
    NotWritable RunDirReady, False, Blocks,
        "It cannot be written.",
        "Mount it from the host (hostPath, DirectoryOrCreate), writable, owned by root";

    NotAsked, Unknown, Open, "It was not asked.", "";
    NotKnown, Unknown, Open, "It could not be found out.", "";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
