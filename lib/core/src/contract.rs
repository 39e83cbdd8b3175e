//! Every constant that the outside world can see, in one place. Nothing outside this module
//! spells a path, a variable, a tag, an exit code or a kernel number.

pub mod cluster;
pub mod event;
pub mod exit;
pub mod original;
pub mod protocol;

/// Names of environment variables. The first six are the original FireCamp's contract.
pub mod env {
    /// Name of the FireCamp cluster.
    pub const CLUSTER: &str = "CLUSTER";
    /// Name of the stateful service.
    pub const SERVICE_NAME: &str = "SERVICE_NAME";
    /// Name of the pod, which is the name of the member.
    pub const POD_NAME: &str = "POD_NAME";
    /// Namespace of the pod.
    pub const K8S_NAMESPACE: &str = "K8S_NAMESPACE";
    /// Registry of the original: `k8sdb` or `clouddb`.
    pub const DB_TYPE: &str = "DB_TYPE";
    /// `true`: do nothing and succeed.
    pub const TESTMODE: &str = "TESTMODE";
    /// UID of the pod.
    pub const POD_UID: &str = "POD_UID";
    /// Name of the node that the pod runs on.
    pub const NODE_NAME: &str = "NODE_NAME";
    /// Set by the kubelet in every container: the API server of the cluster.
    pub const KUBERNETES_SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";
    /// URL of the registry: `kubernetes:`, `kubernetes:///KUBECONFIG` or `file:///DIR`.
    pub const REGISTRY: &str = "FIRECAMP_REGISTRY";
    /// Debug builds only: the step boundary at which the process crashes (`attach.7`).
    pub const CRASH_AT: &str = "FIRECAMP_CRASH_AT";
    /// Debug builds only: `kill` (default) or `freeze`.
    pub const CRASH_HOW: &str = "FIRECAMP_CRASH_HOW";
    /// Debug builds for tests only: the file to which a run appends its trace.
    pub const TRACE: &str = "FIRECAMP_TRACE";
    /// Debug builds only: the version that the process passes for, `3:2:0.2.0`: it speaks protocol
    /// 3, understands 2 and later, and is 0.2.0.
    pub const PASSES_FOR: &str = "FIRECAMP_PASSES_FOR";
    /// Tests of the tests only: the deliberate bug of this process.
    pub const BUG: &str = "FIRECAMP_BUG";
    /// What every flag of ours begins with as a variable.
    pub const PREFIX: &str = "FIRECAMP_";
    /// Pool of a member that has no claim yet.
    pub const POOL: &str = "FIRECAMP_POOL";
    /// Which ENI carries the address.
    pub const ENI: &str = "FIRECAMP_ENI";
    /// Directory of the static-IP file.
    pub const CONF_DIR: &str = "FIRECAMP_CONF_DIR";
    /// Directory of the node-local locks.
    pub const RUN_DIR: &str = "FIRECAMP_RUN_DIR";
    /// Deadline of the init container.
    pub const TIMEOUT: &str = "FIRECAMP_TIMEOUT";
    /// How long a dying predecessor on this node is waited for.
    pub const PREDECESSOR_GRACE: &str = "FIRECAMP_PREDECESSOR_GRACE";
    /// Whether the static-IP file must be on a mount of its own.
    pub const REQUIRE_MOUNT: &str = "FIRECAMP_REQUIRE_MOUNT";
    /// Print the plan and change nothing.
    pub const DRY_RUN: &str = "FIRECAMP_DRY_RUN";
    /// Form of what is printed on stdout.
    pub const OUTPUT: &str = "FIRECAMP_OUTPUT";
    /// Form of the log.
    pub const LOG_FORMAT: &str = "FIRECAMP_LOG_FORMAT";
    /// What is logged.
    pub const LOG_LEVEL: &str = "FIRECAMP_LOG_LEVEL";
    /// What is logged, as Rust programs commonly take it; yields to [`LOG_LEVEL`].
    pub const RUST_LOG: &str = "RUST_LOG";
    /// File for a container's last words.
    pub const TERMINATION_LOG: &str = "FIRECAMP_TERMINATION_LOG";
    /// The most that a preStop hook drains.
    pub const DRAIN: &str = "FIRECAMP_DRAIN";
    /// What is left of the pod's grace period when nobody else can tell.
    pub const GRACE: &str = "FIRECAMP_GRACE";
    /// Loopback address and port of the agent's probes and metrics.
    pub const LISTEN: &str = "FIRECAMP_LISTEN";
    /// Address and port at which others than the node itself may read the agent's metrics.
    pub const METRICS_LISTEN: &str = "FIRECAMP_METRICS_LISTEN";
    /// Take the address out of EC2 at release.
    pub const UNASSIGN: &str = "FIRECAMP_UNASSIGN";
}

/// The variable that glibc's allocator reads, and what an agent's is set to so that its memory
/// stays as it is: one arena for all threads, no caches of a thread's own, and thresholds that no
/// freed block moves: a large block is a mapping of its own, and the rest of the heap is kept
/// (glibc manual, "Memory Allocation Tunables"). `docs/decisions/0022` has
/// figures.
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
    /// Directory of the notes of Assigns that were sent from this node, below [`RUN_DIR`].
    pub const NOTE_SUBDIR: &str = "assigned";
    /// Name of the agent's last snapshot below [`RUN_DIR`].
    pub const SNAPSHOT: &str = "agent-snapshot";
    /// Name of the agent's list of ENIs that carry no address of ours, below [`RUN_DIR`].
    pub const BARRED_ENIS: &str = "barred-enis";
    /// Name of the file in which the agent says which versions it works with, below [`RUN_DIR`].
    pub const AGENT_PROTOCOL: &str = "agent-protocol.json";
    /// Name of the lock of the agent itself below [`RUN_DIR`]: one on each node.
    pub const AGENT_LOCK: &str = "agent.lock";
    /// Name of the lock of the routing tables below [`RUN_DIR`]: addresses of one ENI share one.
    pub const ROUTING_LOCK: &str = "routing";
    /// Where the kubelet reads a container's last words.
    pub const TERMINATION_LOG: &str = "/dev/termination-log";
}

/// Numbers by which the kernel's objects are known to be ours.
pub mod kernel {
    /// Protocol of our addresses (IFA_PROTO), rules (FRA_PROTOCOL) and routes (rtm_protocol).
    /// Free in `/etc/iproute2/rt_protos`, above what routing daemons use there (186-192).
    pub const PROTOCOL: u8 = 201;
    /// Routing table of the ENI with device index 0 on network card 0. Free of the VPC CNI's
    /// (1 and up) and of amazon-ec2-net-utils' (10000 and up) numbers.
    pub const TABLE_BASE: u32 = 20_000;
    /// Tables per network card.
    pub const TABLES_PER_CARD: u32 = 100;
    /// Highest table of ours.
    pub const TABLE_MAX: u32 = 29_999;
    /// Priority of our `from ADDRESS` rules: after the VPC CNI's 512, before its 1024.
    pub const RULE_PRIORITY: u32 = 700;
}

/// Tags in EC2.
pub mod tag {
    /// Tag of the ENIs that addresses may be moved between; its value is the cluster's name.
    pub const CLUSTER: &str = "firecamp.io/cluster";
    /// The VPC CNI's tag of ENIs that it leaves alone; only the value `true` counts.
    pub const CNI_NO_MANAGE: &str = "node.k8s.amazonaws.com/no_manage";
}

/// The Kubernetes API of the records.
pub mod api {
    /// Group and version.
    pub const VERSION: &str = "firecamp.io/v1alpha1";
    /// Kind of a pool.
    pub const POOL: &str = "StaticIPPool";
    /// Kind of an address.
    pub const STATIC_IP: &str = "StaticIP";
    /// Kind of a member's claim.
    pub const CLAIM: &str = "StaticIPClaim";
    /// Kind of what is attached to a node.
    pub const NODE_ATTACHMENTS: &str = "NodeAttachments";
    /// The extended resource of a node that a member asks for: an address that its ENIs take.
    pub const EXTENDED_RESOURCE: &str = "firecamp.io/static-ip";
    /// Who reports the agent's Events.
    pub const AGENT: &str = "firecamp.io/agent";
    /// Who reports the init container's.
    pub const INIT: &str = "firecamp.io/initcontainer";
    /// Who reports the stop container's.
    pub const STOP: &str = "firecamp.io/stopcontainer";
}

/// Times of the protocol, each with its reason.
pub mod timing {
    use std::time::Duration;

    /// Assumption A1: a call takes effect within T of the read that authorised it, or never.
    pub const CALL_BOUND: Duration = Duration::from_secs(5);
    /// What must be left of T for a call to be worth sending; else the authority is read anew.
    pub const CALL_MINIMUM: Duration = Duration::from_secs(2);
    /// After an Assign whose proof cannot come from IMDS: EC2's remap takes 2.5 s at the 99th
    /// percentile (ec2-semantics, timing model), so this long, and a Describe that agrees.
    pub const SETTLE: Duration = Duration::from_secs(3);
    /// How far Describe may lag: two reads this far apart agree about the truth
    /// (ec2-semantics, timing model; the simulator's hard bound is far beyond).
    pub const DESCRIBE_LAG: Duration = Duration::from_secs(10);
    /// How far IMDS may lag when it begins to list an address (ec2-semantics, timing model: 1 s at
    /// the median, 60 s at worst). Within that of an Assign's landing (at most [`CALL_BOUND`] after
    /// it was sent) a presence may be news of an earlier life of the address.
    pub const METADATA_LAG: Duration = Duration::from_mins(1);
    /// How often IMDS is asked for the address while the data path is expected to switch: EC2
    /// takes 1.2 s at the median, so this costs about 50 local reads.
    pub const METADATA_POLL: Duration = Duration::from_millis(25);
    /// How often IMDS is asked after [`SETTLE`] has passed.
    pub const METADATA_POLL_SLOW: Duration = Duration::from_millis(250);
    /// How often the sockets of a dying predecessor are looked at.
    pub const SOCKET_POLL: Duration = Duration::from_millis(25);
    /// How long IMDS is asked for the address before Describe decides instead (frozen IMDS).
    pub const METADATA_PATIENCE: Duration = Duration::from_secs(15);
    /// An init container gives up after this long and the kubelet starts it again.
    pub const ATTACH_DEADLINE: Duration = Duration::from_mins(2);
    /// Kubernetes' default terminationGracePeriodSeconds: the most that a dying predecessor gets.
    pub const PREDECESSOR_GRACE: Duration = Duration::from_secs(30);
    /// What is left to a stop container when nobody can tell (a kubelet leaves about 2 s).
    pub const UNKNOWN_GRACE: Duration = Duration::from_millis(1_500);
    /// How long a sidecar tries to fix its epoch: for as long as it runs, in effect.
    pub const SIDECAR_LIFE: Duration = Duration::from_hours(24 * 365);
    /// What a release keeps for itself when it drains: its essential part needs under 100 ms.
    pub const RELEASE_RESERVE: Duration = Duration::from_secs(1);
    /// The most that a preStop hook drains.
    pub const DRAIN: Duration = Duration::from_secs(5);
    /// An errand of the agent gives up after this long, and the agent plans anew.
    pub const ERRAND_DEADLINE: Duration = Duration::from_secs(30);
    /// Between two re-asserts of one address: a Describe must have shown the first one's effect
    /// ([`DESCRIBE_LAG`]) before the second is due.
    pub const REASSERT_PAUSE: Duration = Duration::from_secs(20);
    /// What no record claims is collected after this long at the earliest. A record is created
    /// before anything else of its address exists, so this only covers reads that lag.
    pub const COLLECT_GRACE: Duration = Duration::from_mins(2);
    /// What EC2 has and nobody claims is adopted after this long at the earliest, where a pool
    /// says so. An init container that dies between its Assign and any other trace has a record
    /// before; so this covers people: a StaticIP that was deleted by force or lost in a restore
    /// can be made again by hand, its member restarted, or the pool's policy taken back.
    pub const ADOPT_GRACE: Duration = Duration::from_mins(10);
    /// Between two looks of one agent at EC2 while all is well. Its bucket belongs to the whole
    /// account: a hundred nodes that ask once a minute take a twelfth of what it refills.
    pub const EC2_PERIOD: Duration = Duration::from_mins(1);
    /// First delay of a backoff; it doubles.
    pub const BACKOFF_BASE: Duration = Duration::from_millis(200);
    /// First delay after a throttle; it doubles.
    pub const THROTTLE_BASE: Duration = Duration::from_millis(750);
    /// So many throttles in a row keep the first delay, for about 12 s: when 150 members start at
    /// once, EC2's bucket needs 10 s, and the last one's delay, at most the first one, is what is
    /// added to that.
    pub const THROTTLE_STEADY: u32 = 32;
    /// Longest delay of a backoff.
    pub const BACKOFF_CAP: Duration = Duration::from_secs(8);
}
