//! The flags of the agent.

use std::ffi::OsString;

use clap::{ArgAction, Args, Parser};
use firecamp_core::contract::{env, path};

use super::{LogFlags, RegistryFlags, exit_codes};

/// The default of `--listen`.
const LISTEN: &str = "127.0.0.1:9810";

const AGENT_EXAMPLES: &str = "\
Examples:
  On a node, with a JSON log:
    CLUSTER=prod NODE_NAME=node-1 FIRECAMP_REGISTRY=file:///var/lib/firecamp \\
      firecamp-agent --log-format=json

  Check readiness and metrics:
    curl -s http://127.0.0.1:9810/readyz
    curl -s http://127.0.0.1:9810/metrics

Flags can have one dash or two. Each flag has an environment variable with the same meaning; the
flag takes precedence. On SIGTERM the agent starts nothing new, removes nothing, and exits with 0.

Exit codes (the last line of the log, which is also the termination message, has the cause):
";

/// Reconciles the static IP addresses of this node
///
/// It compares the registry with the node's kernel, the metadata service and EC2. It restores what
/// others removed, withdraws addresses that are held elsewhere, completes releases whose stop
/// container did not run, and re-asserts addresses in EC2. It can be stopped and started at any
/// time without effect on addresses. One agent runs on each node.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "firecamp-agent", version, max_term_width = 100, args_override_self = true,
          after_help = exit_codes(AGENT_EXAMPLES))]
pub struct AgentFlags {
    #[command(flatten)]
    pub(crate) node: NodeFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

/// The node, and the addresses that the agent serves.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The node")]
pub struct NodeFlags {
    /// Name of the FireCamp cluster: the value of the tag `firecamp.io/cluster` of the ENIs
    /// between which addresses may be moved
    #[arg(long, env = env::CLUSTER, value_name = "NAME", hide_env_values = true)]
    pub(crate) cluster: Option<OsString>,

    /// Name of the node. Default: the host name in lower case
    #[arg(long, env = env::NODE_NAME, value_name = "NAME", hide_env_values = true)]
    pub(crate) node_name: Option<OsString>,

    /// Network interface of the members, like --eni of the init container: auto, primary, or a
    /// device index
    #[arg(long, env = env::ENI, value_name = "RULE", default_value = "auto",
          hide_env_values = true)]
    pub(crate) eni: Option<OsString>,

    /// Loopback address and port of /livez, /readyz and /metrics
    #[arg(long, env = env::LISTEN, value_name = "ADDRESS:PORT", default_value = LISTEN,
          hide_env_values = true)]
    pub(crate) listen: Option<OsString>,

    /// Additional address and port that serves only /metrics, for a Prometheus on another node. By
    /// default, metrics are served only on --listen
    #[arg(long, env = env::METRICS_LISTEN, value_name = "ADDRESS:PORT", hide_env_values = true)]
    pub(crate) metrics_listen: Option<OsString>,

    /// Address and port at which pods of this node ask for their address: a link-local one, which
    /// the agent adds to a link of its own, or 127.0.0.1. By default, pods cannot ask. Needs
    /// the Kubernetes API
    #[arg(long, env = env::ENDPOINT_LISTEN, value_name = "ADDRESS:PORT", hide_env_values = true)]
    pub(crate) endpoint_listen: Option<OsString>,

    /// Ranges of the cluster's pods and Services, separated by commas: 10.244.0.0/16,10.96.0.0/12.
    /// With them the endpoint also serves pods with a network of their own, which keep their own
    /// address towards these ranges. Needs --endpoint-listen and the capability SYS_ADMIN
    #[arg(long, env = env::CLUSTER_CIDRS, value_name = "RANGES", hide_env_values = true)]
    pub(crate) cluster_cidrs: Option<OsString>,

    /// Directory in which the container runtime keeps the network namespaces of pods
    #[arg(long, env = env::NETNS_DIR, value_name = "DIRECTORY", default_value = path::NETNS_DIR,
          hide_env_values = true)]
    pub(crate) netns_dir: Option<OsString>,

    /// Keep the names of members: the leader writes EndpointSlices for the Services that have the
    /// label firecamp.io/statefulset. Needs the Kubernetes API
    #[arg(long, env = env::NAMES, value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true", default_value = "false",
          action = ArgAction::Set, hide_env_values = true)]
    pub(crate) names: Option<OsString>,

    /// DNS zones, separated by commas, in which members may have records: with the annotation
    /// firecamp.io/dns-zone of such a Service the leader writes a DNSEndpoint for ExternalDNS.
    /// `default` stands for CLUSTER-firecamp.com. Needs --names
    #[arg(long, env = env::DNS_ZONES, value_name = "ZONES", hide_env_values = true)]
    pub(crate) dns_zones: Option<OsString>,
}
