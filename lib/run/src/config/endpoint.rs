//! The configuration of containers that ask the agent's endpoint.

use std::path::PathBuf;
use std::time::Duration;

use firecamp_core::contract::{endpoint, env};
use firecamp_core::ids::NodeName;

use super::Identity;
use crate::config_errors::{Faults, Setting};
use crate::endpoint::{DrainScope, EndpointClient, ReleaseRequest};
use crate::flags::{AddressFlags, EndpointFlags, IdentityFlags, InitFlags, StopFlags, StopMode};
use crate::parse;
use crate::pod_identity::Surroundings;

/// An init container that asks the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointInit {
    /// The member and its pod, if its variables name them: for log and termination message alone.
    pub identity: Option<Identity>,
    /// The agent's endpoint.
    pub client: EndpointClient,
    /// The file for the address.
    pub address_file: PathBuf,
    /// The directory of the static-IP file, which is written if it is on a mount of its own.
    pub conf_dir: PathBuf,
    /// Whether the file for the address must be on a mount of its own.
    pub require_mount: bool,
    /// The timeout of the whole attach.
    pub timeout: Duration,
}

/// A stop container that asks the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStop {
    /// When to release.
    pub mode: StopMode,
    /// The member and its pod, if its variables name them: for log and termination message alone.
    pub identity: Option<Identity>,
    /// The agent's endpoint.
    pub client: EndpointClient,
    /// What to ask for.
    pub request: ReleaseRequest,
    /// How long to wait for the outcome.
    pub timeout: Duration,
}

impl EndpointInit {
    pub(super) fn parse(
        flags: &InitFlags,
        around: &Surroundings,
        mut faults: Faults,
    ) -> Result<Self, Faults> {
        let address = &flags.address;
        let client = client(&flags.endpoint, &flags.identity, &mut faults);
        let file = address_file(address, &mut faults);
        let conf_dir = Setting::new("conf-dir", env::CONF_DIR, address.conf_dir.as_ref());
        let conf_dir = faults.required(conf_dir, parse::absolute_path);
        let timeout = Setting::new("timeout", env::TIMEOUT, address.timeout.as_ref());
        let timeout = faults.required(timeout, parse::attach_timeout);
        let dry_run = Setting::new("dry-run", env::DRY_RUN, address.dry_run.as_ref());
        if faults.required(dry_run, parse::boolean) == Some(true) {
            faults.add(format!("{dry_run} needs direct mode, without --endpoint"));
        }
        let mount = address.require_mount.as_ref();
        let mount = Setting::new("require-mount", env::REQUIRE_MOUNT, mount);
        let require_mount = faults.optional(mount, parse::boolean).unwrap_or(true);
        let identity = identity(&flags.identity, around);
        let parsed = client.zip(file).zip(conf_dir).zip(timeout);
        faults.unless(parsed.map(|(((client, address_file), conf_dir), timeout)| Self {
            identity,
            client,
            address_file,
            conf_dir,
            require_mount,
            timeout,
        }))
    }
}

impl EndpointStop {
    pub(super) fn parse(
        flags: &StopFlags,
        around: &Surroundings,
        mut faults: Faults,
    ) -> Result<Self, Faults> {
        let client = client(&flags.endpoint, &flags.identity, &mut faults);
        let release = super::stop::release(&flags.release, flags.mode, &mut faults);
        let identity = identity(&flags.identity, around);
        let mode = flags.mode.unwrap_or_default();
        if release.is_some_and(|(_drain, _grace, unassign)| unassign) {
            let unassign = format!("--unassign (or {})", env::UNASSIGN);
            faults.add(format!("{unassign} needs direct mode: set releasePolicy of the pool"));
        }
        faults.unless(client.zip(release).map(|(client, (drain, grace, _unassign))| {
            let (scope, drain_ms) = match mode {
                StopMode::Wait => (DrainScope::All, None),
                StopMode::Release => (DrainScope::Connections, Some(millis(drain))),
            };
            let request = ReleaseRequest { scope, drain_ms, grace_ms: millis(grace), epoch: None };
            // The kubelet ends the container when the grace period ends, which may be hours.
            let timeout = endpoint::LONGEST_RELEASE;
            Self { mode, identity, client, request, timeout }
        }))
    }
}

fn client(
    flags: &EndpointFlags,
    identity: &IdentityFlags,
    faults: &mut Faults,
) -> Option<EndpointClient> {
    let endpoint = setting(flags);
    let endpoint = faults.required(endpoint, parse::endpoint);
    let token = token_file(flags, faults);
    // Not the host name: without hostNetwork it is the pod's.
    let node = Setting::new("node-name", env::NODE_NAME, identity.node_name.as_ref());
    let node = Faults::default().optional(node, NodeName::new);
    Some(EndpointClient { endpoint: endpoint?, token_file: token?, node })
}

pub(super) fn token_file(flags: &EndpointFlags, faults: &mut Faults) -> Option<PathBuf> {
    let token = Setting::new("token-file", env::TOKEN_FILE, flags.token_file.as_ref());
    faults.required(token, parse::absolute_path)
}

pub(super) fn address_file(flags: &AddressFlags, faults: &mut Faults) -> Option<PathBuf> {
    let file = Setting::new("address-file", env::ADDRESS_FILE, flags.address_file.as_ref());
    faults.required(file, parse::absolute_path)
}

/// The setting that selects the endpoint.
pub(super) fn setting(flags: &EndpointFlags) -> Setting<'_> {
    Setting::new("endpoint", env::ENDPOINT, flags.endpoint.as_ref())
}

/// The agent knows the pod by its token, so a missing name is no error.
fn identity(flags: &IdentityFlags, around: &Surroundings) -> Option<Identity> {
    super::identity::read(flags, around, &mut Faults::default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
