//! The types of conditions and their reasons. Their names are public and stable.

use std::fmt;

use crate::preflight::condition::{Severity, Status};

macro_rules! kinds {
    ($($name:ident $doc:literal;)*) => {
        /// The type of a condition. *True* is good.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $doc] $name,)*
        }

        impl Kind {
            /// All types, in the order in which they are reported.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name that is published.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What *True* means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

kinds! {
    PreflightPassed "Static addresses can be attached to this node and kept there.";
    MetadataReachable "The instance metadata service answers IMDSv2 requests.";
    Ec2Allowed "EC2 accepts the node's credentials and allows the actions that FireCamp needs.";
    EniUsable "FireCamp alone manages the addresses of the network interface that members get.";
    EniTagged "That interface carries the cluster's tag.";
    EniLinked "The kernel has a link for that interface, and the link is up.";
    EniSurvivesTermination "That interface, and the addresses on it, survive the termination of \
        the instance.";
    RangesReserved "Explicit CIDR reservations keep EC2 from assigning addresses of pools to \
        others.";
    SecurityGroupsAgree "All interfaces of a subnet that may carry an address have the same \
        security groups.";
    VolumeSlotsCounted "The instance has free slots for volumes, with every network interface \
        counted.";
    NodeAddressPinned "The node's InternalIP is and stays its own primary address.";
    NoConflictingRules "No foreign routing rule matches the traffic of an address of a pool.";
    SourceAddressPreserved "Nothing on the node rewrites the source address of what members send.";
    NetworkdPreservesConfig "systemd-networkd keeps addresses, rules and routes that it did not \
        configure.";
    EnisUnmanaged "NetworkManager manages no network interface except the primary one.";
    NetUtilsAbsent "amazon-ec2-net-utils does not configure the same addresses.";
    NetAdminCapability "The process may configure the kernel's network.";
    EndpointServed "Pods without privileges can ask the agent for their address.";
    ClockSynchronized "The node's clock agrees with the clocks of EC2 and the metadata service.";
    RunDirReady "The directory of the node-local locks is a writable tmpfs.";
}

macro_rules! reasons {
    ($(
        $name:ident $($kind:ident)?, $status:ident, $severity:ident, $doc:literal, $remedy:literal;
    )*) => {
        /// Why a condition is what it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $doc] $name,)*
        }

        impl Reason {
            /// All reasons, in the order of their types.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name that is published.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The condition type that it belongs to; none for a reason of any type.
            pub fn kind(self) -> Option<Kind> {
                match self { $(Self::$name => None$(.or(Some(Kind::$kind)))?,)* }
            }

            /// The condition's status.
            pub fn status(self) -> Status {
                match self { $(Self::$name => Status::$status,)* }
            }

            /// How serious it is for the node.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }

            /// What to do about it; empty if nothing has to be done.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    Passed PreflightPassed, True, Ok, "Every check passed.", "";
    PassedIncomplete PreflightPassed, True, Unknown,
        "No check found a problem; some results are unknown.", "";
    PassedWithWarnings PreflightPassed, True, Warning,
        "Addresses work; something may disturb them.", "";
    Blocked PreflightPassed, False, Blocking,
        "Addresses cannot be attached to this node or cannot be kept on it.",
        "See the conditions that this one names";

    Reachable MetadataReachable, True, Ok, "The metadata service answers.", "";
    MetadataUnreachable MetadataReachable, False, Blocking,
        "The metadata service does not answer.",
        "Run the process in the host's network, or raise the instance's metadata hop limit to 2; \
         allow 169.254.169.254 in firewalls and network policies";
    MetadataRefused MetadataReachable, False, Blocking,
        "The metadata service refuses requests: it is disabled, or a proxy answers in its place.",
        "Enable the instance's metadata service (HttpEndpoint=enabled) and exclude its address \
         from proxies";
    MetadataOverloaded MetadataReachable, Unknown, Unknown,
        "The metadata service throttles this node's requests.",
        "Find the process on this node that queries it so often";

    Allowed Ec2Allowed, True, Ok, "EC2 allows every action that could be tested.", "";
    Denied Ec2Allowed, False, Blocking,
        "EC2 denies an action, or rejects the credentials.",
        "Grant the actions of FireCamp's policy to the role of the node or the agent, and check \
         the policy's conditions on tags, VPC and region";
    OptionalDenied Ec2Allowed, False, Warning,
        "EC2 denies an action that no address depends on; what it returns is not checked or shown.",
        "Grant the actions of FireCamp's policy to the role of the node or the agent, or do \
         without the feature that needs the action (docs/iam.md)";

    Usable EniUsable, True, Ok,
        "Members get an interface whose addresses FireCamp alone manages.", "";
    ManagedByVpcCni EniUsable, False, Blocking,
        "The Amazon VPC CNI manages the interface: it assigns the interface's addresses to pods, \
         unassigns free ones, and may delete the interface.",
        "Attach a separate interface in that subnet, created with the tag \
         node.k8s.amazonaws.com/no_manage=true. Members then use it, unless FIRECAMP_ENI selects \
         another one";
    ManagedByService EniUsable, False, Blocking,
        "An AWS service manages the interface.",
        "Attach a separate interface for static addresses";
    TakenByCni EniUsable, False, Blocking,
        "A CNI plugin gives the addresses of the interfaces that FireCamp makes to pods.",
        "Change the plugin's setting that the condition InterfacesMade names";
    PrimaryBesideUnknownCni EniUsable, False, Blocking,
        "Members would get the primary interface, and a CNI plugin may assign its addresses to pods.",
        "Attach a separate interface for static addresses, and exclude it from the plugin (Cilium: \
         exclude-interface-tags)";
    InterfaceRemoved EniUsable, False, Blocking,
        "FireCamp removes the interface that members would get.",
        "Wait until FireCamp has made another one, or keep members away from this node";
    NoPool EniUsable, Unknown, Unknown,
        "No pool exists yet, so no interface has to carry an address.",
        "Create a StaticIPPool for a subnet in which this node has an interface";
    NoEniInSubnet EniUsable, False, Blocking,
        "No interface of this node is in a subnet of a pool.",
        "Attach an interface in such a subnet, or add this node's subnet to a pool; ignore this \
         if no member is to run on this node";

    Tagged EniTagged, True, Ok, "The interface carries the tag.", "";
    NotTagged EniTagged, False, Warning,
        "The interface has no cluster tag, or the tag of another cluster.",
        "Tag the interface firecamp.io/cluster=CLUSTER: without the tag a policy that requires it \
         denies the calls, and FireCamp does not reclaim unrecorded addresses from the interface";

    Linked EniLinked, True, Ok, "The link exists and is up.", "";
    LinkMissing EniLinked, False, Warning,
        "No link has the interface's MAC address.",
        "After an attach this takes up to a minute; if it persists, look for the driver (ena) in \
         the kernel log";
    LinkDown EniLinked, False, Warning,
        "The link is down.",
        "The agent sets the link up when it first appears, and a member sets it up when it adds \
         an address; if it stays down, set it up (ip link set LINK up)";

    Survives EniSurvivesTermination, True, Ok,
        "EC2 keeps the interface when it terminates the instance.", "";
    DeletedOnTermination EniSurvivesTermination, False, Warning,
        "EC2 deletes the interface with the instance, and frees every address on it.",
        "Attach a separate interface, or run: aws ec2 modify-network-interface-attribute \
         --network-interface-id ENI --attachment \
         AttachmentId=ATTACHMENT,DeleteOnTermination=false";

    Reserved RangesReserved, True, Ok, "Reservations cover every range of every pool.", "";
    NotReserved RangesReserved, False, Warning,
        "EC2 may assign an address of a pool that is on no interface to anyone who requests any \
         address of the subnet.",
        "Cover the ranges with explicit reservations: aws ec2 create-subnet-cidr-reservation \
         --subnet-id SUBNET --cidr BLOCK --reservation-type explicit";

    GroupsAgree SecurityGroupsAgree, True, Ok, "The security groups are the same.", "";
    GroupsDiffer SecurityGroupsAgree, False, Warning,
        "The security groups differ: after a move other rules filter an address's traffic.",
        "Assign the same security groups to all these interfaces";

    SlotsAvailable VolumeSlotsCounted, True, Ok, "The instance has free slots.", "";
    SlotsExhausted VolumeSlotsCounted, False, Warning,
        "No slot is free: the next volume cannot be attached.",
        "Use a larger instance type or one with dedicated volume slots, or run fewer members with \
         volumes on this node";
    SlotsOvercounted VolumeSlotsCounted, False, Warning,
        "The EBS CSI driver reports more slots than exist: it counted them before an interface was \
         attached.",
        "In the Helm chart aws-ebs-csi-driver, set node.reservedVolumeAttachments to the largest \
         number that any node reports; or let Kubernetes update the count \
         (MutableCSINodeAllocatableCount, Kubernetes 1.34); or restart the driver's pod on this \
         node";

    Pinned NodeAddressPinned, True, Ok, "The node's InternalIP is its primary address.", "";
    NodeAddressOfPool NodeAddressPinned, False, Blocking,
        "The node's InternalIP is an address of a pool: the node becomes unreachable when the \
         address's member moves.",
        "Start the kubelet with --node-ip set to the node's primary address";
    NodeAddressForeign NodeAddressPinned, False, Warning,
        "The node's InternalIP is not the primary address of the primary interface.",
        "Start the kubelet with --node-ip set to the node's primary address, unless the other \
         address is intended";
    NodeAddressNotPinned NodeAddressPinned, False, Warning,
        "The kubelet runs without --node-ip, and members get the interface that has the node's own \
         address: the kubelet may report a member's address as the node's.",
        "Start the kubelet with --node-ip set to the node's primary address, or attach a separate \
         interface for members";

    NoConflict NoConflictingRules, True, Ok, "No such rule exists.", "";
    ConflictingRule NoConflictingRules, False, Warning,
        "A foreign rule routes the traffic elsewhere, perhaps to a pod that is gone.",
        "Find out which program made the rule (ip rule), and delete the rule if nothing needs it; \
         FireCamp deletes only its own";

    Preserved SourceAddressPreserved, True, Ok, "Nothing is known to rewrite it.", "";
    SourceAddressRewritten SourceAddressPreserved, False, Warning,
        "The VPC CNI rewrites the source of traffic that leaves the VPC to the node's primary \
         address, even if the traffic leaves by another interface, where EC2 drops it.",
        "Set AWS_VPC_K8S_CNI_EXTERNALSNAT=true, or list the ranges of the peers in \
         AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS, in the DaemonSet aws-node";

    SourceNatFound SourceAddressPreserved, False, Warning,
        "Chains of nf_tables apply SNAT; the check does not read what they match.",
        "Inspect the chains (nft list chain), and exclude the ranges of the pools if they match \
         what members send";

    ConfigPreserved NetworkdPreservesConfig, True, Ok,
        "systemd-networkd does not run, or keeps them.", "";
    NetworkdDropsAddresses NetworkdPreservesConfig, False, Warning,
        "systemd-networkd removes addresses that it did not configure whenever it starts or \
         reconfigures the link; the agent restores them within milliseconds.",
        "Set KeepConfiguration=yes in the [Network] section of the link's .network file, or leave \
         the link unmanaged";
    NetworkdDropsRoutes NetworkdPreservesConfig, False, Warning,
        "systemd-networkd removes rules or routes that it did not configure; the agent restores \
         them.",
        "Set ManageForeignRoutes=no and ManageForeignRoutingPolicyRules=no in the [Network] \
         section of networkd.conf";

    Unmanaged EnisUnmanaged, True, Ok,
        "NetworkManager manages no such interface, or is not there.", "";
    ManagedByNetworkManager EnisUnmanaged, False, Warning,
        "NetworkManager runs DHCP on the interface. Its default route may lead traffic of the node \
         or of pods to the wrong interface, where EC2 drops it.",
        "List the interfaces in unmanaged-devices in the [keyfile] section of NetworkManager's \
         configuration, and disable nm-cloud-setup (docs/nodes.md)";

    NotInstalled NetUtilsAbsent, True, Ok, "It is not installed, or its udev rule is masked.", "";
    NetUtilsActive NetUtilsAbsent, False, Warning,
        "amazon-ec2-net-utils adds and removes addresses to match the metadata service, up to a \
         minute late.",
        "Mask its udev rule: ln -s /dev/null /etc/udev/rules.d/99-vpc-policy-routes.rules, and \
         disable its timers";

    CapabilityPresent NetAdminCapability, True, Ok, "CAP_NET_ADMIN is effective.", "";
    CapabilityMissing NetAdminCapability, False, Blocking,
        "CAP_NET_ADMIN is not effective.",
        "Add NET_ADMIN to the capabilities of the container's securityContext, and run the \
         container as root";

    Listening EndpointServed, True, Ok, "The agent listens.", "";
    NoEndpoint EndpointServed, True, Ok,
        "The agent runs without an endpoint: pods attach their addresses themselves.", "";
    NotListening EndpointServed, False, Blocking,
        "The agent cannot listen at its endpoint, so pods that ask there get no address.",
        "If another process has the port (ss -ltnp), move it, or change endpoint.port in the \
         chart's values (the agent's --endpoint-listen) and inject the pods anew; if no pod uses \
         the endpoint, set endpoint.enabled=false";

    Synchronized ClockSynchronized, True, Ok, "The clock is less than a minute off.", "";
    Skewed ClockSynchronized, False, Warning,
        "The clock is a minute off or more.",
        "Make chrony use the Amazon Time Sync Service (169.254.169.123)";
    SkewTooLarge ClockSynchronized, False, Blocking,
        "The clock is five minutes off or more: AWS rejects the signatures of requests.",
        "Make chrony use the Amazon Time Sync Service (169.254.169.123), and step the clock now";

    Ready RunDirReady, True, Ok, "The directory is a writable tmpfs.", "";
    NotTmpfs RunDirReady, False, Warning,
        "The directory is not on a tmpfs: its records outlive the boot that they describe.",
        "Put the directory below /run, or mount a tmpfs there";
    NotWritable RunDirReady, False, Blocking,
        "The process cannot write to the directory.",
        "Mount the directory from the host (hostPath, DirectoryOrCreate), writable and owned by \
         root";

    NotChecked, Unknown, Unknown, "The check has not run.", "";
    Unknown, Unknown, Unknown, "The check could not read what it needs.", "";
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
