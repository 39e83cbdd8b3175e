//! The flags of containers and agent, each with its environment variable.
//!
//! Values are raw here. [`crate::config`] parses them, so that all errors are reported together and
//! untrusted text is escaped.

mod agent;

use std::ffi::OsString;

use clap::{ArgAction, Args, Parser, Subcommand};
use firecamp_core::contract::{endpoint, env, path};

pub use self::agent::{AgentFlags, NodeFlags};

/// The default of `--timeout`; a test compares it with the protocol's constant.
pub(crate) const TIMEOUT: &str = "120s";
/// The default of `--predecessor-grace`.
pub(crate) const PREDECESSOR_GRACE: &str = "30s";
/// The default of `--drain`.
pub(crate) const DRAIN: &str = "5s";

const INIT_EXAMPLES: &str = "\
Examples:
  In a pod (the variables come from the pod template and the downward API):
    CLUSTER=prod SERVICE_NAME=redis POD_NAME=redis-0 K8S_NAMESPACE=demo POD_UID=... \\
      NODE_NAME=... firecamp-initcontainer

  Dry run: print the plan and change nothing:
    firecamp-initcontainer -cluster=prod -service-name=redis -member-name=redis-0 \\
      --namespace=demo --pod-uid=u1 --registry=file:///var/lib/firecamp --dry-run

Flags can have one dash or two. Each flag has an environment variable with the same meaning; the
flag takes precedence. With TESTMODE=true the program does nothing and exits with 0. The flags of
glog (-logtostderr, -v=2, ...) are accepted and ignored.

Exit codes (the last line of the log, which is also the termination message, has the cause):
";

const STOP_EXAMPLES: &str = "\
Examples:
  As a native sidecar: wait for SIGTERM, then release the member's address:
    SERVICE_NAME=redis POD_NAME=redis-0 K8S_NAMESPACE=demo POD_UID=... firecamp-stopcontainer

  As a preStop hook: release now, drain connections for at most 3 s:
    firecamp-stopcontainer release --drain=3s

Flags can have one dash or two, before or after the command. Each flag has an environment variable
with the same meaning; the flag takes precedence. With TESTMODE=true the program changes nothing:
`wait` waits for SIGTERM, `release` exits immediately, both with 0.

Exit codes (the last line of the log, which is also the termination message, has the cause):
";

fn exit_codes(before: &str) -> String {
    use firecamp_core::contract::exit::Exit;
    let lines = Exit::ALL.map(|exit| {
        let again = if exit.retryable() { "  (retryable)" } else { "" };
        format!("  {:>3}  {}{again}\n", exit.code(), exit.reason())
    });
    format!("{before}{}\ndocs/exit-codes.md explains what to do about each.", lines.concat())
}

/// The member, its pod and its node.
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

    /// Namespace of the pod; there is no default
    #[arg(long, env = env::K8S_NAMESPACE, value_name = "NAME", hide_env_values = true,
          global = true)]
    pub(crate) namespace: Option<OsString>,

    /// UID of the pod. Default: read from the kubelet's mount of /etc/hosts
    #[arg(long, env = env::POD_UID, value_name = "UID", hide_env_values = true, global = true)]
    pub(crate) pod_uid: Option<OsString>,

    /// Name of the node. Default: the host name in lower case
    #[arg(long, env = env::NODE_NAME, value_name = "NAME", hide_env_values = true, global = true)]
    pub(crate) node_name: Option<OsString>,
}

/// The registry and the lock directory.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Records and locks")]
pub struct RegistryFlags {
    /// The registry: kubernetes: (the API of this pod's cluster), kubernetes:///PATH (the API of
    /// the cluster in this kubeconfig) or file:///DIR. Default in a pod, where
    /// KUBERNETES_SERVICE_HOST is set: kubernetes:. Required otherwise
    #[arg(long, env = env::REGISTRY, value_name = "URL", hide_env_values = true, global = true)]
    pub(crate) registry: Option<OsString>,

    /// Registry type of the original FireCamp: k8sdb (the Kubernetes API, the default of
    /// --registry) or clouddb (DynamoDB; not supported)
    #[arg(long, env = env::DB_TYPE, value_name = "TYPE", default_value = "k8sdb",
          hide_env_values = true, global = true)]
    pub(crate) dbtype: Option<OsString>,

    /// Directory of the node-local locks, on a tmpfs of the node that all its pods share
    #[arg(long, env = env::RUN_DIR, value_name = "DIR", default_value = path::RUN_DIR,
          hide_env_values = true, global = true)]
    pub(crate) run_dir: Option<OsString>,
}

/// The agent's endpoint, for pods without privileges.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The agent's endpoint")]
pub struct EndpointFlags {
    /// Address and port of the endpoint of this node's agent, which then attaches and releases the
    /// address: this container needs no privilege, no registry and no name of its member. Without
    /// it, this container attaches and releases by itself
    #[arg(long, env = env::ENDPOINT, value_name = "ADDRESS:PORT", hide_env_values = true,
          global = true)]
    pub(crate) endpoint: Option<OsString>,

    /// File with the pod's token for the endpoint: a projected ServiceAccount token with the
    /// audience firecamp.io
    #[arg(long, env = env::TOKEN_FILE, value_name = "FILE", hide_env_values = true,
          default_value = endpoint::TOKEN_FILE, global = true)]
    pub(crate) token_file: Option<OsString>,
}

/// Log and termination message.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Log")]
pub struct LogFlags {
    /// Log format on stderr: human or json
    #[arg(long, env = env::LOG_FORMAT, value_name = "FORM", default_value = "human",
          hide_env_values = true, global = true)]
    pub(crate) log_format: Option<OsString>,

    /// Log level: error, warn, info, debug or trace, or a tracing filter such as
    /// `info,firecamp_engine=debug`. Default: RUST_LOG, then info
    #[arg(long, env = env::LOG_LEVEL, value_name = "LEVEL", hide_env_values = true,
          global = true)]
    pub(crate) log_level: Option<OsString>,

    /// File for the termination message (one line of JSON, at most 4096 bytes). The default file
    /// is written only if it exists; any other file is created
    #[arg(long, env = env::TERMINATION_LOG, value_name = "FILE",
          default_value = path::TERMINATION_LOG, hide_env_values = true, global = true)]
    pub(crate) termination_log: Option<OsString>,
}

/// Attaches the static IP address of a StatefulSet member to this node
///
/// It acquires the member's address in the registry, assigns it to this node's network interface in
/// EC2, configures it in the kernel, and writes it to the static-IP file. It exits with 0 only when
/// EC2, kernel and file agree. It is idempotent.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "firecamp-initcontainer", version, max_term_width = 100,
          args_override_self = true, after_help = exit_codes(INIT_EXAMPLES))]
pub struct InitFlags {
    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
    #[command(flatten)]
    pub(crate) endpoint: EndpointFlags,
    #[command(flatten)]
    pub(crate) address: AddressFlags,
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

/// How the address is attached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The address")]
pub struct AddressFlags {
    /// Pool of a member that has no address yet. Default: the only pool
    #[arg(long, env = env::POOL, value_name = "NAME", hide_env_values = true)]
    pub(crate) pool: Option<OsString>,

    /// Network interface for the address: auto (the lowest device index in the address's
    /// subnet), primary, or a device index
    #[arg(long, env = env::ENI, value_name = "RULE", default_value = "auto",
          hide_env_values = true)]
    pub(crate) eni: Option<OsString>,

    /// Directory of the static-IP file
    #[arg(long, env = env::CONF_DIR, value_name = "DIR", default_value = path::CONF_DIR,
          hide_env_values = true)]
    pub(crate) conf_dir: Option<OsString>,

    /// File for the member's address after an attach through --endpoint, which also writes the
    /// static-IP file if the directory above --conf-dir is a mount
    #[arg(long, env = env::ADDRESS_FILE, value_name = "FILE", hide_env_values = true,
          default_value = endpoint::ADDRESS_FILE)]
    pub(crate) address_file: Option<OsString>,

    /// Fail if the directory of the static-IP file is not on a separate mount. Default: true for
    /// the default --conf-dir and for --address-file, otherwise false
    #[arg(long, env = env::REQUIRE_MOUNT, value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true", action = ArgAction::Set,
          hide_env_values = true)]
    pub(crate) require_mount: Option<OsString>,

    /// Timeout of the attach (more than 3m counts as 3m); the kubelet then restarts the container
    #[arg(long, env = env::TIMEOUT, value_name = "DURATION", default_value = TIMEOUT,
          hide_env_values = true)]
    pub(crate) timeout: Option<OsString>,

    /// How long to wait for sockets of a predecessor on this node: its
    /// terminationGracePeriodSeconds
    #[arg(long, env = env::PREDECESSOR_GRACE, value_name = "DURATION",
          default_value = PREDECESSOR_GRACE, hide_env_values = true)]
    pub(crate) predecessor_grace: Option<OsString>,

    /// Print the plan on stdout and change nothing
    #[arg(long, env = env::DRY_RUN, value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true", default_value = "false",
          action = ArgAction::Set, hide_env_values = true)]
    pub(crate) dry_run: Option<OsString>,

    /// Output format of the plan: human or json
    #[arg(long, env = env::OUTPUT, value_name = "FORM", default_value = "human",
          hide_env_values = true)]
    pub(crate) output: Option<OsString>,
}

/// Releases a member's static IP address when its pod terminates
///
/// It waits until no socket uses the address, removes the address from the kernel, and records the
/// release. It changes nothing if another pod of the member holds the address. The address stays
/// assigned to this node's network interface in EC2, unless the pool or --unassign specifies
/// otherwise.
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
    pub(crate) endpoint: EndpointFlags,
    #[command(flatten)]
    pub(crate) release: ReleaseFlags,
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

/// When the stop container releases the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Subcommand)]
pub enum StopMode {
    /// Wait for SIGTERM, then release (for a native sidecar; the default)
    #[default]
    Wait,
    /// Release now (for a preStop hook)
    Release,
}

/// How the address is released.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The release")]
pub struct ReleaseFlags {
    /// How long `release` waits at most for connections to end; it runs before the service gets its
    /// SIGTERM
    #[arg(long, env = env::DRAIN, value_name = "DURATION", default_value = DRAIN,
          hide_env_values = true, global = true)]
    pub(crate) drain: Option<OsString>,

    /// The rest of the pod's grace period, if the registry does not know it. Default: 1500ms for
    /// `wait` (a kubelet leaves about 2 s), 30s for `release`, which runs at its start
    #[arg(long, env = env::GRACE, value_name = "DURATION", hide_env_values = true, global = true)]
    pub(crate) grace: Option<OsString>,

    /// Unassign the address in EC2, regardless of the pool's policy
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
    fn the_definitions_are_valid_for_clap() {
        InitFlags::command().debug_assert();
        StopFlags::command().debug_assert();
        AgentFlags::command().debug_assert();
    }

    #[test]
    fn the_defaults_match_the_protocol() {
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
