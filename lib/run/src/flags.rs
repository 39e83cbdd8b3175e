//! The flags of both containers, each with its twin among the environment variables.
//!
//! Values stay raw here: [`crate::config`] parses them all, so that every fault is reported in
//! one go and hostile text is escaped.

use std::ffi::OsString;

use clap::{ArgAction, Args, Parser, Subcommand};
use firecamp_core::contract::{env, path};

/// The default of `--timeout`; a test compares it with the protocol's own number.
pub(crate) const TIMEOUT: &str = "120s";
/// The default of `--predecessor-grace`.
pub(crate) const PREDECESSOR_GRACE: &str = "30s";
/// The default of `--listen`.
pub(crate) const LISTEN: &str = "127.0.0.1:9810";
/// The default of `--drain`.
pub(crate) const DRAIN: &str = "5s";

const INIT_EXAMPLES: &str = "\
Examples:
  In a pod (the variables come from the pod's template and the downward API):
    CLUSTER=prod SERVICE_NAME=redis POD_NAME=redis-0 K8S_NAMESPACE=demo POD_UID=... \\
      NODE_NAME=... firecamp-initcontainer

  What would it do? Prints the plan and changes nothing:
    firecamp-initcontainer -cluster=prod -service-name=redis -member-name=redis-0 \\
      --namespace=demo --pod-uid=u1 --registry=file:///var/lib/firecamp --dry-run

Every flag may be written with one dash or two, and has a variable that does the same; the flag
wins. TESTMODE=true ends with 0 before anything is looked at. The flags of glog (-logtostderr,
-v=2, ...) are accepted and ignored.

Exit codes (the last line of the log, which is also the termination message, says why):
";

const STOP_EXAMPLES: &str = "\
Examples:
  As a native sidecar: sleeps until SIGTERM, then releases the member's address:
    SERVICE_NAME=redis POD_NAME=redis-0 K8S_NAMESPACE=demo POD_UID=... firecamp-stopcontainer

  As its container's preStop hook: releases now, draining connections for at most 3 s:
    firecamp-stopcontainer release --drain=3s

Every flag may be written with one dash or two, before or after the command, and has a variable
that does the same; the flag wins. With TESTMODE=true nothing is touched: `wait` sleeps until
SIGTERM, `release` ends at once, both with 0.

Exit codes (the last line of the log, which is also the termination message, says why):
";

const AGENT_EXAMPLES: &str = "\
Examples:
  On a node, beside its kubelet, with the log for machines:
    CLUSTER=prod NODE_NAME=node-1 FIRECAMP_REGISTRY=file:///var/lib/firecamp \\
      firecamp-agent --log-format=json

  Is it well, and what does it see?
    curl -s http://127.0.0.1:9810/readyz
    curl -s http://127.0.0.1:9810/metrics

Every flag may be written with one dash or two, and has a variable that does the same; the flag
wins. SIGTERM ends it with 0: nothing more is begun, and nothing is removed.

Exit codes (the last line of the log, which is also the termination message, says why):
";

fn exit_codes(before: &str) -> String {
    use firecamp_core::contract::exit::Exit;
    let lines = Exit::ALL.map(|exit| {
        let again = if exit.retryable() { "  (may pass by itself)" } else { "" };
        format!("  {:>3}  {}{again}\n", exit.code(), exit.reason())
    });
    format!("{before}{}\ndocs/exit-codes.md tells what to do about each.", lines.concat())
}

/// Who the member is, and where it runs.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The member")]
pub struct IdentityFlags {
    /// Name of the FireCamp cluster: the value of the tag `firecamp.io/cluster` of the ENIs
    /// between which addresses may be moved
    #[arg(long, env = env::CLUSTER, value_name = "NAME", hide_env_values = true, global = true)]
    pub(crate) cluster: Option<OsString>,

    /// Name of the service, which is the name of the StatefulSet
    #[arg(long, env = env::SERVICE_NAME, value_name = "NAME", hide_env_values = true,
          global = true)]
    pub(crate) service_name: Option<OsString>,

    /// Name of the member, which is the name of its pod: SERVICE-ORDINAL
    #[arg(long, env = env::POD_NAME, value_name = "NAME", hide_env_values = true, global = true)]
    pub(crate) member_name: Option<OsString>,

    /// Namespace of the pod. It has no default: half an identity is never guessed
    #[arg(long, env = env::K8S_NAMESPACE, value_name = "NAME", hide_env_values = true,
          global = true)]
    pub(crate) namespace: Option<OsString>,

    /// UID of the pod. If it is not given it is read from the kubelet's mount of /etc/hosts
    #[arg(long, env = env::POD_UID, value_name = "UID", hide_env_values = true, global = true)]
    pub(crate) pod_uid: Option<OsString>,

    /// Name of the node. If it is not given it is the host name in lower case
    #[arg(long, env = env::NODE_NAME, value_name = "NAME", hide_env_values = true, global = true)]
    pub(crate) node_name: Option<OsString>,
}

/// Where the records and the locks are.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Records and locks")]
pub struct RegistryFlags {
    /// The registry: kubernetes: (the API of this pod's cluster), kubernetes:///PATH (the API
    /// that this kubeconfig names) or file:///DIR. If it is not given: kubernetes: in a pod, where
    /// KUBERNETES_SERVICE_HOST is set; else it is a fault
    #[arg(long, env = env::REGISTRY, value_name = "URL", hide_env_values = true, global = true)]
    pub(crate) registry: Option<OsString>,

    /// Registry of the original FireCamp: k8sdb (the Kubernetes API, as if no --registry were
    /// given) or clouddb (DynamoDB; refused)
    #[arg(long, env = env::DB_TYPE, value_name = "TYPE", default_value = "k8sdb",
          hide_env_values = true, global = true)]
    pub(crate) dbtype: Option<OsString>,

    /// Directory of the node-local locks: on a tmpfs of the node, shared by all its pods
    #[arg(long, env = env::RUN_DIR, value_name = "DIR", default_value = path::RUN_DIR,
          hide_env_values = true, global = true)]
    pub(crate) run_dir: Option<OsString>,
}

/// What is told, and how.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Log")]
pub struct LogFlags {
    /// Form of the log on stderr: human or json
    #[arg(long, env = env::LOG_FORMAT, value_name = "FORM", default_value = "human",
          hide_env_values = true, global = true)]
    pub(crate) log_format: Option<OsString>,

    /// What is logged: error, warn, info, debug or trace, or a tracing filter such as
    /// `info,firecamp_engine=debug`. If it is not given RUST_LOG is taken, else info
    #[arg(long, env = env::LOG_LEVEL, value_name = "LEVEL", hide_env_values = true,
          global = true)]
    pub(crate) log_level: Option<OsString>,

    /// File for the last words (one line of JSON, at most 4096 bytes). The default is written
    /// only if it exists, another one is created
    #[arg(long, env = env::TERMINATION_LOG, value_name = "FILE",
          default_value = path::TERMINATION_LOG, hide_env_values = true, global = true)]
    pub(crate) termination_log: Option<OsString>,
}

/// Gives a StatefulSet member its static IP address, and ends when the address works
///
/// It takes the member's address in the registry, moves it to this node's network interface in
/// EC2, adds it in the kernel, and writes it to the static-IP file. It ends with 0 only when EC2,
/// kernel and file agree. It may be run again at any time.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "firecamp-initcontainer", version, max_term_width = 100,
          args_override_self = true, after_help = exit_codes(INIT_EXAMPLES))]
pub struct InitFlags {
    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
    #[command(flatten)]
    pub(crate) address: AddressFlags,
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

/// Keeps the static IP addresses of this node true
///
/// It compares what the registry says of this node with its kernel, the metadata service and EC2:
/// it puts back what something else removed, gives up what belongs elsewhere, finishes releases
/// whose stop container never ran, and re-asserts what EC2 lost. It may be stopped and started at
/// any time; that changes nothing. One runs on each node.
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

/// Which node it is, and where it tells of it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The node")]
pub struct NodeFlags {
    /// Name of the FireCamp cluster: the value of the tag `firecamp.io/cluster` of the ENIs
    /// between which addresses may be moved
    #[arg(long, env = env::CLUSTER, value_name = "NAME", hide_env_values = true)]
    pub(crate) cluster: Option<OsString>,

    /// Name of the node. If it is not given it is the host name in lower case
    #[arg(long, env = env::NODE_NAME, value_name = "NAME", hide_env_values = true)]
    pub(crate) node_name: Option<OsString>,

    /// Network interface that members get, as --eni of the init container: auto, primary, or a
    /// device index
    #[arg(long, env = env::ENI, value_name = "RULE", default_value = "auto",
          hide_env_values = true)]
    pub(crate) eni: Option<OsString>,

    /// Loopback address and port of /livez, /readyz and /metrics
    #[arg(long, env = env::LISTEN, value_name = "ADDRESS:PORT", default_value = LISTEN,
          hide_env_values = true)]
    pub(crate) listen: Option<OsString>,

    /// Address and port of /metrics alone, for a Prometheus that is not on this node. If it is not
    /// given nobody else reads them
    #[arg(long, env = env::METRICS_LISTEN, value_name = "ADDRESS:PORT", hide_env_values = true)]
    pub(crate) metrics_listen: Option<OsString>,
}

/// How the address is attached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The address")]
pub struct AddressFlags {
    /// Pool of a member that has no address yet. If it is not given the only pool there is
    #[arg(long, env = env::POOL, value_name = "NAME", hide_env_values = true)]
    pub(crate) pool: Option<OsString>,

    /// Network interface that carries the address: auto (the lowest device index in the address's
    /// subnet), primary, or a device index
    #[arg(long, env = env::ENI, value_name = "RULE", default_value = "auto",
          hide_env_values = true)]
    pub(crate) eni: Option<OsString>,

    /// Directory of the static-IP file
    #[arg(long, env = env::CONF_DIR, value_name = "DIR", default_value = path::CONF_DIR,
          hide_env_values = true)]
    pub(crate) conf_dir: Option<OsString>,

    /// Refuse to run if the static-IP file would not be on a mount of its own. If it is not
    /// given: true for the default --conf-dir, false for another one
    #[arg(long, env = env::REQUIRE_MOUNT, value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true", action = ArgAction::Set,
          hide_env_values = true)]
    pub(crate) require_mount: Option<OsString>,

    /// Give up after this long; the kubelet then starts the container again
    #[arg(long, env = env::TIMEOUT, value_name = "DURATION", default_value = TIMEOUT,
          hide_env_values = true)]
    pub(crate) timeout: Option<OsString>,

    /// Wait at most this long for a predecessor's sockets on this node: its
    /// terminationGracePeriodSeconds
    #[arg(long, env = env::PREDECESSOR_GRACE, value_name = "DURATION",
          default_value = PREDECESSOR_GRACE, hide_env_values = true)]
    pub(crate) predecessor_grace: Option<OsString>,

    /// Print the plan on stdout and change nothing
    #[arg(long, env = env::DRY_RUN, value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true", default_value = "false",
          action = ArgAction::Set, hide_env_values = true)]
    pub(crate) dry_run: Option<OsString>,

    /// Form of the plan: human or json
    #[arg(long, env = env::OUTPUT, value_name = "FORM", default_value = "human",
          hide_env_values = true)]
    pub(crate) output: Option<OsString>,
}

/// Takes a member's static IP address off this node when its pod ends
///
/// It waits until no socket uses the address, removes it from the kernel, and records the
/// release. It changes nothing if another pod holds the member by now. EC2 keeps the address on
/// this node as a reservation, unless the pool or --unassign says otherwise.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "firecamp-stopcontainer", version, max_term_width = 100,
          args_override_self = true, after_help = exit_codes(STOP_EXAMPLES))]
pub struct StopFlags {
    #[command(subcommand)]
    pub(crate) mode: Option<StopMode>,
    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
    #[command(flatten)]
    pub(crate) release: ReleaseFlags,
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

/// When the stop container releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Subcommand)]
pub enum StopMode {
    /// Sleep until SIGTERM, then release (a native sidecar; this is the default)
    #[default]
    Wait,
    /// Release now (its container's preStop hook)
    Release,
}

/// How the address is released.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The release")]
pub struct ReleaseFlags {
    /// The most that `release` waits for connections to end: it runs before the service has had
    /// its SIGTERM
    #[arg(long, env = env::DRAIN, value_name = "DURATION", default_value = DRAIN,
          hide_env_values = true, global = true)]
    pub(crate) drain: Option<OsString>,

    /// What is left of the pod's grace period, if the registry cannot tell. If it is not given:
    /// 1500ms for `wait` (a kubelet leaves about 2 s), 30s for `release`, which runs at its start
    #[arg(long, env = env::GRACE, value_name = "DURATION", hide_env_values = true, global = true)]
    pub(crate) grace: Option<OsString>,

    /// Give the address back to the subnet, whatever the pool says
    #[arg(long, env = env::UNASSIGN, value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true", default_value = "false",
          action = ArgAction::Set, hide_env_values = true, global = true)]
    pub(crate) unassign: Option<OsString>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use firecamp_core::contract::timing;

    use super::*;
    use crate::parse::duration;

    #[test]
    fn clap_finds_the_definitions_sound() {
        InitFlags::command().debug_assert();
        StopFlags::command().debug_assert();
        AgentFlags::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_protocols_numbers() {
        assert_eq!(duration(TIMEOUT).unwrap(), timing::ATTACH_DEADLINE);
        assert_eq!(duration(PREDECESSOR_GRACE).unwrap(), timing::PREDECESSOR_GRACE);
        assert_eq!(duration(DRAIN).unwrap(), timing::DRAIN);
    }

    #[test]
    fn every_flag_has_a_variable() {
        for command in [InitFlags::command(), StopFlags::command(), AgentFlags::command()] {
            for flag in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
                assert!(flag.get_env().is_some(), "{flag}");
                assert!(flag.is_hide_env_values_set(), "{flag} would print its variable");
            }
        }
    }
}
