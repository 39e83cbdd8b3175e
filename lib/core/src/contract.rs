//! Every constant that users and other programs can see. No other module contains a path, a
//! variable, a tag, an exit code or a kernel number as a literal.

pub mod cluster;
mod command_exit;
pub mod endpoint;
pub mod event;
pub mod exit;
pub mod names;
pub mod original;
pub mod protocol;
pub mod service;

/// Names of environment variables. The first six are those of the original FireCamp.
pub mod env {
    /// Name of the FireCamp cluster.
    pub const CLUSTER: &str = "CLUSTER";
    /// Name of the stateful service.
    pub const SERVICE_NAME: &str = "SERVICE_NAME";
    /// Name of the pod, which is the name of the member.
    pub const POD_NAME: &str = "POD_NAME";
    /// Namespace of the pod.
    pub const K8S_NAMESPACE: &str = "K8S_NAMESPACE";
    /// Registry of the original FireCamp: `k8sdb` or `clouddb`.
    pub const DB_TYPE: &str = "DB_TYPE";
    /// `true`: do nothing and exit with 0.
    pub const TESTMODE: &str = "TESTMODE";
    /// UID of the pod.
    pub const POD_UID: &str = "POD_UID";
    /// Name of the node that the pod runs on.
    pub const NODE_NAME: &str = "NODE_NAME";
    /// Host of the API server, which the kubelet sets in every container.
    pub const KUBERNETES_SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";
    /// URL of the registry: `kubernetes:`, `kubernetes:///KUBECONFIG` or `file:///DIR`.
    pub const REGISTRY: &str = "FIRECAMP_REGISTRY";
    /// Debug builds only: the step boundary at which the process crashes (`attach.7`).
    pub const CRASH_AT: &str = "FIRECAMP_CRASH_AT";
    /// Debug builds only: `kill` (default) or `freeze`.
    pub const CRASH_HOW: &str = "FIRECAMP_CRASH_HOW";
    /// Debug builds for tests only: the file to which a run appends its trace.
    pub const TRACE: &str = "FIRECAMP_TRACE";
    /// Debug builds only: the version that the process claims to be. `4:3:0.2.0` speaks protocol 4,
    /// understands 3 and later, and is version 0.2.0.
    pub const PASSES_FOR: &str = "FIRECAMP_PASSES_FOR";
    /// Prefix of the variable of each flag.
    pub const PREFIX: &str = "FIRECAMP_";
    /// Pool of a member that has no claim yet.
    pub const POOL: &str = "FIRECAMP_POOL";
    /// Which ENI carries the address: `auto`, `primary` or a device index.
    pub const ENI: &str = "FIRECAMP_ENI";
    /// Directory of the static-IP file.
    pub const CONF_DIR: &str = "FIRECAMP_CONF_DIR";
    /// Directory of the node-local locks.
    pub const RUN_DIR: &str = "FIRECAMP_RUN_DIR";
    /// Deadline of the init container.
    pub const TIMEOUT: &str = "FIRECAMP_TIMEOUT";
    /// How long the init container waits for a terminating predecessor on this node.
    pub const PREDECESSOR_GRACE: &str = "FIRECAMP_PREDECESSOR_GRACE";
    /// Whether the static-IP file must be on a mount of its own, not on the container's root.
    pub const REQUIRE_MOUNT: &str = "FIRECAMP_REQUIRE_MOUNT";
    /// Print the plan and change nothing.
    pub const DRY_RUN: &str = "FIRECAMP_DRY_RUN";
    /// Format of the output on stdout.
    pub const OUTPUT: &str = "FIRECAMP_OUTPUT";
    /// Format of the log.
    pub const LOG_FORMAT: &str = "FIRECAMP_LOG_FORMAT";
    /// Filter of the log.
    pub const LOG_LEVEL: &str = "FIRECAMP_LOG_LEVEL";
    /// Filter of the log, by the usual name of Rust programs; [`LOG_LEVEL`] takes precedence.
    pub const RUST_LOG: &str = "RUST_LOG";
    /// File for the container's termination message.
    pub const TERMINATION_LOG: &str = "FIRECAMP_TERMINATION_LOG";
    /// The longest that a preStop hook drains connections.
    pub const DRAIN: &str = "FIRECAMP_DRAIN";
    /// What is left of the pod's grace period if the registry does not report it.
    pub const GRACE: &str = "FIRECAMP_GRACE";
    /// Loopback address and port of the agent's probes and metrics.
    pub const LISTEN: &str = "FIRECAMP_LISTEN";
    /// Address and port at which clients on other hosts may read the agent's metrics.
    pub const METRICS_LISTEN: &str = "FIRECAMP_METRICS_LISTEN";
    /// Address and port of the agent's endpoint; in the containers it selects that mode.
    pub const ENDPOINT: &str = "FIRECAMP_ENDPOINT";
    /// Where the agent's endpoint listens.
    pub const ENDPOINT_LISTEN: &str = "FIRECAMP_ENDPOINT_LISTEN";
    /// The ranges of the cluster's pods and Services, for pods with a network of their own.
    pub const CLUSTER_CIDRS: &str = "FIRECAMP_CLUSTER_CIDRS";
    /// Whether the leader keeps the names of members.
    pub const NAMES: &str = "FIRECAMP_NAMES";
    /// The DNS zones in which members may have records.
    pub const DNS_ZONES: &str = "FIRECAMP_DNS_ZONES";
    /// Directory with the network namespaces of pods.
    pub const NETNS_DIR: &str = "FIRECAMP_NETNS_DIR";
    /// The pod's token for the endpoint.
    pub const TOKEN_FILE: &str = "FIRECAMP_TOKEN_FILE";
    /// The file with the member's address, written after an attach through the endpoint.
    pub const ADDRESS_FILE: &str = "FIRECAMP_ADDRESS_FILE";
    /// Unassign the address in EC2 at release.
    pub const UNASSIGN: &str = "FIRECAMP_UNASSIGN";
}

/// The variable that glibc's allocator reads, and its value for the agent, which keeps the agent's
/// memory constant: one arena for all threads, no per-thread caches, and thresholds that freeing a
/// block does not adjust. Large blocks have a mapping of their own; the rest of the heap is kept
/// (glibc manual, "Memory Allocation Tunables"). `docs/decisions/0022` has the measurements.
pub const ALLOCATOR: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0:\
     glibc.malloc.mmap_threshold=20480:glibc.malloc.trim_threshold=1048576:\
     glibc.malloc.top_pad=4096",
);

/// Paths on a node and in a pod.
pub mod path {
    /// Mount point of the member's data volume.
    pub const DATA_DIR: &str = "/data";
    /// Directory of the member's configuration.
    pub const CONF_DIR: &str = "/data/conf";
    /// Name of the static-IP file in the configuration directory.
    pub const STATIC_IP_FILE: &str = "firecamp-service-staticip";
    /// Directory of the node-local locks, on a tmpfs of the host, 0700 root.
    pub const RUN_DIR: &str = "/run/firecamp";
    /// Directory of the per-address locks below [`RUN_DIR`].
    pub const LOCK_SUBDIR: &str = "ip";
    /// Directory of the notes of Assign calls that this node sent, below [`RUN_DIR`].
    pub const NOTE_SUBDIR: &str = "assigned";
    /// Name of the agent's last snapshot below [`RUN_DIR`].
    pub const SNAPSHOT: &str = "agent-snapshot";
    /// Name of the agent's list of ENIs that FireCamp must not use, below [`RUN_DIR`].
    pub const EXCLUDED_ENIS: &str = "excluded-enis";
    /// Name of the agent's list of all ENIs that FireCamp may use, below [`RUN_DIR`]. It exists
    /// where the VPC CNI runs, which attaches ENIs of its own at any time.
    pub const USABLE_ENIS: &str = "usable-enis";
    /// Name of the agent's list of ENIs that members get only if there is no other, below
    /// [`RUN_DIR`].
    pub const AVOIDED_ENIS: &str = "avoided-enis";
    /// Name of the file with the UID of this cluster, below [`RUN_DIR`]. The agent writes it once a
    /// pool wants interfaces.
    pub const CLUSTER_UID: &str = "cluster-uid";
    /// Name of the file in which the agent reports its protocol numbers, below [`RUN_DIR`].
    pub const AGENT_PROTOCOL: &str = "agent-protocol.json";
    /// Name of the lock that allows one agent on each node, below [`RUN_DIR`].
    pub const AGENT_LOCK: &str = "agent.lock";
    /// Where container runtimes keep the network namespaces of pods.
    pub const NETNS_DIR: &str = "/run/netns";
    /// Directory below [`RUN_DIR`] with a file for each pod of this node with a network of its own.
    pub const POD_SUBDIR: &str = "pods";
    /// Name of the lock of the routing tables below [`RUN_DIR`]. Addresses of one ENI share a
    /// table.
    pub const ROUTING_LOCK: &str = "routing";
    /// Where the kubelet reads a container's termination message.
    pub const TERMINATION_LOG: &str = "/dev/termination-log";
}

/// Numbers that mark kernel objects as FireCamp's.
pub mod kernel {
    /// Protocol of FireCamp's addresses (IFA_PROTO), rules (FRA_PROTOCOL) and routes
    /// (rtm_protocol). Free in `/etc/iproute2/rt_protos`, above what routing daemons use there
    /// (186-192).
    pub const PROTOCOL: u8 = 201;
    /// Routing table of the ENI with device index 0 on network card 0. Disjoint from the numbers of
    /// the VPC CNI (1 and up) and of amazon-ec2-net-utils (10000 and up).
    pub const TABLE_BASE: u32 = 20_000;
    /// Tables per network card.
    pub const TABLES_PER_CARD: u32 = 100;
    /// Highest routing table of FireCamp.
    pub const TABLE_MAX: u32 = 29_999;
    /// The table that the kernel looks up if no rule selects another one (`RT_TABLE_MAIN`).
    pub const MAIN_TABLE: u32 = 254;
    /// Priority of the `from ADDRESS` rules: after the VPC CNI's 512, before its 1024.
    pub const RULE_PRIORITY: u32 = 700;
    /// Priority of the rules `to ADDRESS lookup main`, if a pod's own network has the address.
    pub const DELIVERY_PRIORITY: u32 = 690;
    /// Priority of the rules `from ADDRESS to RANGE lookup main` for the ranges of the cluster.
    pub const CLUSTER_PRIORITY: u32 = 695;
}

/// Tags in EC2.
pub mod tag {
    /// Tag of the ENIs between which FireCamp may move addresses; its value is the cluster's name.
    pub const CLUSTER: &str = "firecamp.io/cluster";
    /// Tag of the ENIs that the VPC CNI does not manage; only the value `true` counts.
    pub const CNI_NO_MANAGE: &str = "node.k8s.amazonaws.com/no_manage";
    /// Tag of an interface that FireCamp made: the UID of the cluster, which is that of its
    /// namespace `kube-system`. Two clusters may have the same name.
    pub const CLUSTER_UID: &str = "firecamp.io/cluster-uid";
    /// Tag of an interface that FireCamp made: the UID of its record.
    pub const INTERFACE: &str = "firecamp.io/interface";
    /// Tag of an interface that FireCamp made: the instance that it was made for.
    pub const INSTANCE: &str = "firecamp.io/instance";
    /// Tag of an interface that `firecamp verify-ec2` made; its value is `true`. Every run deletes
    /// the interfaces with this tag in its subnet.
    pub const VERIFY_EC2: &str = "firecamp.io/verify-ec2";
    /// Tag of such an interface: the ID of the run.
    pub const VERIFY_EC2_RUN: &str = "firecamp.io/verify-ec2-run";
    /// Tag of such an interface: `ENI ADDRESS`, an interface of a node and the address that the run
    /// assigns to it for a moment. After a crash, the next run unassigns it there.
    pub const VERIFY_EC2_ON_NODE: &str = "firecamp.io/verify-ec2-on-node";
}

/// The Kubernetes API of the records.
pub mod api {
    /// Group and version.
    pub const VERSION: &str = "firecamp.io/v1alpha1";
    /// Kind of a pool.
    pub const POOL: &str = "StaticIPPool";
    /// Kind of a static IP.
    pub const STATIC_IP: &str = "StaticIP";
    /// Kind of a member's claim.
    pub const CLAIM: &str = "StaticIPClaim";
    /// Kind of the list of what is attached to a node.
    pub const NODE_ATTACHMENTS: &str = "NodeAttachments";
    /// Kind of an interface that FireCamp makes.
    pub const NODE_INTERFACE: &str = "NodeInterface";
    /// The extended resource that a member requests: one address on the ENIs of its node. A pool
    /// may have a name of its own, which begins with this one and `-`.
    pub const EXTENDED_RESOURCE: &str = "firecamp.io/static-ip";
    /// Reporting controller of the agent's Events.
    pub const AGENT: &str = "firecamp.io/agent";
    /// Reporting controller of the init container's Events.
    pub const INIT: &str = "firecamp.io/initcontainer";
    /// Reporting controller of the stop container's Events.
    pub const STOP: &str = "firecamp.io/stopcontainer";
}

/// Durations of the protocol, each with its reason.
pub mod timing {
    use std::time::Duration;

    /// Assumption A1: a call takes effect within T of the read that authorised it, or never.
    pub const CALL_BOUND: Duration = Duration::from_secs(5);
    /// How long an owner look-up from before an attach may lead to its Assign, counted to the write
    /// of the epoch: half of T.
    pub const EARLY_LOOK_UP: Duration = Duration::from_millis(2_500);
    /// What must be left of T to send a call; with less, the machine reads the registry again
    /// first.
    pub const CALL_MINIMUM: Duration = Duration::from_secs(2);
    /// With less than this left of T, a call that waited for others is not sent either: EC2 answers
    /// an Assign within 1.5 s at the 99th percentile (ec2-semantics, timing model).
    pub const QUEUED_CALL_MINIMUM: Duration = Duration::from_millis(1_500);
    /// How long to wait after an Assign that IMDS cannot prove, before a Describe that agrees:
    /// EC2's remap takes 2.5 s at the 99th percentile (ec2-semantics, timing model).
    pub const SETTLE: Duration = Duration::from_secs(3);
    /// How far Describe may lag: two reads this far apart that agree are right (ec2-semantics,
    /// timing model; the simulator's hard bound is far beyond).
    pub const DESCRIBE_LAG: Duration = Duration::from_secs(10);
    /// How far IMDS may lag when it begins to list an address (ec2-semantics, timing model: 1 s at
    /// the median, 60 s at worst). For this long after an Assign takes effect (at most
    /// [`CALL_BOUND`] after it was sent), a listed address may be the result of that earlier
    /// Assign.
    pub const METADATA_LAG: Duration = Duration::from_mins(1);
    /// How often an init container in direct mode polls IMDS for the address after its Assign, for
    /// [`METADATA_OFTEN`]. A read is a connection, five packets of the 1,024 a second that IMDS and
    /// DNS accept together (ec2-semantics, IMDSv2): five such containers use all.
    pub const METADATA_POLL: Duration = Duration::from_millis(25);
    /// Between two such reads of an agent, which reads for all attaches of its node. They use half
    /// of these packets.
    pub const METADATA_SPACING: Duration = Duration::from_millis(10);
    /// How often an attach in an agent polls. Shorter than the distance of the reads, so that all
    /// attaches that wait share the next one.
    pub const QUEUED_METADATA_POLL: Duration = Duration::from_millis(5);
    /// After this long, polls become rarer: EC2 takes 1.2 s at the median.
    pub const METADATA_OFTEN: Duration = Duration::from_secs(2);
    /// How often to poll the sockets of a terminating predecessor.
    pub const SOCKET_POLL: Duration = Duration::from_millis(25);
    /// How long to poll IMDS for the address before Describe decides instead (frozen IMDS).
    pub const METADATA_PATIENCE: Duration = Duration::from_secs(15);
    /// After this long an init container fails and the kubelet starts it again.
    pub const ATTACH_DEADLINE: Duration = Duration::from_mins(2);
    /// Kubernetes' default terminationGracePeriodSeconds: the longest wait for a predecessor.
    pub const PREDECESSOR_GRACE: Duration = Duration::from_secs(30);
    /// What is left to a stop container if nothing reports its grace period (a kubelet leaves about
    /// 2 s).
    pub const UNKNOWN_GRACE: Duration = Duration::from_millis(1_500);
    /// How long a sidecar tries to read its epoch: in effect for as long as it runs.
    pub const SIDECAR_DEADLINE: Duration = Duration::from_hours(24 * 365);
    /// What a release reserves for itself when it drains: its essential part needs under 100 ms.
    pub const RELEASE_RESERVE: Duration = Duration::from_secs(1);
    /// The longest that a preStop hook drains connections.
    pub const DRAIN: Duration = Duration::from_secs(5);
    /// After this long an operation of the agent fails, and the agent plans again.
    pub const OPERATION_DEADLINE: Duration = Duration::from_secs(30);
    /// Between two re-asserts of one address: a Describe must show the effect of the first one
    /// ([`DESCRIBE_LAG`]) before the second is due.
    pub const REASSERT_PAUSE: Duration = Duration::from_secs(20);
    /// The minimum age at which the agent collects what no record claims. A record is created
    /// before anything else of its address exists, so this covers only reads that lag.
    pub const COLLECT_GRACE: Duration = Duration::from_mins(2);
    /// The minimum age at which the agent adopts an address that EC2 has and no record claims, if
    /// the pool's policy allows it. An init container creates the record before its Assign, so a
    /// crash leaves no such address. The time is for people: after a StaticIP was deleted by force
    /// or lost in a restore, they can create it again, restart its member, or change the pool's
    /// policy.
    pub const ADOPT_GRACE: Duration = Duration::from_mins(10);
    /// Between two EC2 reads of one kind by one agent. The request quota is per account: a hundred
    /// nodes with one read a minute use a twelfth of its refill rate.
    pub const EC2_PERIOD: Duration = Duration::from_mins(1);
    /// How far apart two looks must be that show an interface detached and without addresses,
    /// before it is deleted. An attach that chose it must be in the registry by then: the metadata
    /// service lists a detached interface for at most [`METADATA_LAG`], and an attach ends at most
    /// [`LONGEST_ATTACH`] after it read it.
    pub const EMPTY_INTERFACE_GRACE: Duration = Duration::from_mins(5);
    /// The longest timeout that an attach may be given.
    pub const LONGEST_ATTACH: Duration = Duration::from_mins(3);
    /// How far apart two reads must be that call an instance terminated or unknown, before its
    /// interface is removed: a new instance may be unknown to EC2 for a while.
    pub const LOST_INSTANCE_GRACE: Duration = Duration::from_mins(10);
    /// First delay of a backoff; it doubles.
    pub const BACKOFF_BASE: Duration = Duration::from_millis(200);
    /// First delay after a throttle; it doubles.
    pub const THROTTLE_BASE: Duration = Duration::from_millis(750);
    /// For this many throttles in a row (about 12 s) the delay does not grow. When 150 members
    /// start at once, EC2's bucket needs 10 s, and the last member adds at most its delay to that.
    pub const THROTTLE_STEADY: u32 = 32;
    /// Longest delay of a backoff.
    pub const BACKOFF_CAP: Duration = Duration::from_secs(8);
    /// Longest pause of all attaches of an agent while EC2 throttles: 333 nodes that return with a
    /// zone look up about 14 times a second then, of the 20 that EC2 allows (ec2-semantics,
    /// throttling).
    pub const THROTTLE_PAUSE_CAP: Duration = Duration::from_secs(32);
}
