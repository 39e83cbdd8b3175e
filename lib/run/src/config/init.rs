//! The init container's configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::{env, path};
use firecamp_core::ids::{ClusterName, PoolName};

use super::{Identity, Places};
use crate::config_errors::{Faults, Setting};
use crate::flags::{AddressFlags, InitFlags};
use crate::parse::{self, InvalidSetting, invalid};
use crate::pod_identity::Surroundings;

/// The output format of the plan on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// Text.
    #[default]
    Human,
    /// One JSON document.
    Json,
}

/// The init container's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitConfig {
    /// The member and its pod.
    pub identity: Identity,
    /// The cluster between whose ENIs addresses may move.
    pub cluster: ClusterName,
    /// The registry and the lock directory.
    pub places: Places,
    /// How the address is attached.
    pub address: AddressConfig,
}

/// How the address is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressConfig {
    /// The pool of a member without a claim.
    pub pool: Option<PoolName>,
    /// Which ENI carries the address.
    pub eni: EniRule,
    /// Directory of the static-IP file.
    pub conf_dir: PathBuf,
    /// Whether that directory must be on a separate mount.
    pub require_mount: bool,
    /// The timeout of the whole attach.
    pub timeout: Duration,
    /// How long to wait for a terminating predecessor on this node.
    pub predecessor_grace: Duration,
    /// Print the plan and change nothing.
    pub dry_run: bool,
    /// The output format of the plan.
    pub output: Output,
}

impl InitConfig {
    pub(crate) fn parse(
        flags: &InitFlags,
        around: &Surroundings,
        mut faults: Faults,
    ) -> Result<Self, Faults> {
        let InitFlags { identity, registry, address, .. } = flags;
        let cluster =
            faults.required(super::cluster(identity.cluster.as_ref()), super::cluster_name);
        let service =
            faults.required(super::identity::service(identity), super::identity::service_name);
        let identity = super::identity::read(identity, around, &mut faults);
        if let (Some(identity), Some(service)) = (&identity, &service) {
            super::identity::member_of_service(&identity.member, service, &mut faults);
        }
        let places = super::places(registry, around, &mut faults);
        let address = AddressConfig::parse(address, &mut faults);
        let parsed = identity.zip(cluster).zip(places).zip(address);
        let config = parsed.map(|(((identity, cluster), places), address)| Self {
            identity,
            cluster,
            places,
            address,
        });
        faults.unless(config)
    }
}

impl AddressConfig {
    fn parse(flags: &AddressFlags, faults: &mut Faults) -> Option<Self> {
        let AddressFlags {
            pool,
            eni,
            conf_dir,
            require_mount,
            timeout,
            predecessor_grace,
            dry_run,
            output,
            address_file: _of_the_endpoint,
        } = flags;
        let pool = faults.optional(Setting::new("pool", env::POOL, pool.as_ref()), PoolName::new);
        let eni =
            faults.required(Setting::new("eni", env::ENI, eni.as_ref()), str::parse::<EniRule>);
        let conf_dir = Setting::new("conf-dir", env::CONF_DIR, conf_dir.as_ref());
        let conf_dir = faults.required(conf_dir, parse::absolute_path);
        let mount = Setting::new("require-mount", env::REQUIRE_MOUNT, require_mount.as_ref());
        let mount = faults.optional(mount, parse::boolean);
        let timeout = Setting::new("timeout", env::TIMEOUT, timeout.as_ref());
        let timeout = faults.required(timeout, parse::attach_timeout);
        let grace =
            Setting::new("predecessor-grace", env::PREDECESSOR_GRACE, predecessor_grace.as_ref());
        let grace = faults.required(grace, parse::duration);
        let dry_run = Setting::new("dry-run", env::DRY_RUN, dry_run.as_ref());
        let dry_run = faults.required(dry_run, parse::boolean);
        let output = Setting::new("output", env::OUTPUT, output.as_ref());
        let output = faults.required(output, output_format);
        let conf_dir = conf_dir?;
        Some(Self {
            pool,
            eni: eni?,
            require_mount: mount.unwrap_or(conf_dir == Path::new(path::CONF_DIR)),
            conf_dir,
            timeout: timeout?,
            predecessor_grace: grace?,
            dry_run: dry_run?,
            output: output?,
        })
    }
}

fn output_format(text: &str) -> Result<Output, InvalidSetting> {
    match text {
        "human" => Ok(Output::Human),
        "json" => Ok(Output::Json),
        _ => Err(invalid("an output format", "human or json", text)),
    }
}
