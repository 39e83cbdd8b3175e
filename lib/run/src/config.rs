//! The configuration of containers and agent, parsed into the core's types.

mod agent;
mod endpoint;
mod identity;
mod init;
mod log;
mod stop;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

use firecamp_core::contract::env;
use firecamp_core::ids::{ClusterName, InvalidId};
use firecamp_registry::registry_url::{self, RegistryUrl};

pub use self::agent::{AgentConfig, PodNetworkSettings};
pub use self::endpoint::{EndpointInit, EndpointStop};
pub use self::identity::Identity;
pub use self::init::{InitConfig, Output};
pub use self::log::{LogConfig, LogFormat};
pub use self::stop::StopConfig;
use crate::config_errors::{Faults, Setting, escaped};
use crate::flags::{InitFlags, RegistryFlags, StopFlags, StopMode};
use crate::parse;
use crate::pod_identity::Surroundings;

/// The registry and the lock directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The registry.
    pub registry: RegistryUrl,
    /// Directory of the node-local locks.
    pub run_dir: PathBuf,
}

/// How an init container attaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitSettings {
    /// By itself.
    Direct(Box<InitConfig>),
    /// Through the agent's endpoint.
    Endpoint(Box<EndpointInit>),
}

/// How a stop container releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopSettings {
    /// By itself.
    Direct(Box<StopConfig>),
    /// Through the agent's endpoint.
    Endpoint(Box<EndpointStop>),
}

impl InitSettings {
    pub(crate) fn parse(
        flags: &InitFlags,
        around: &Surroundings,
        mut faults: Faults,
    ) -> Result<Self, Faults> {
        if endpoint::setting(&flags.endpoint).given() {
            let parsed = EndpointInit::parse(flags, around, faults);
            return parsed.map(Box::new).map(Self::Endpoint);
        }
        // Not used, but an invalid value is an error in either mode.
        endpoint::token_file(&flags.endpoint, &mut faults);
        endpoint::address_file(&flags.address, &mut faults);
        InitConfig::parse(flags, around, faults).map(|config| Self::Direct(Box::new(config)))
    }

    /// The member, if known.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Direct(config) => Some(&config.identity),
            Self::Endpoint(config) => config.identity.as_ref(),
        }
    }
}

impl StopSettings {
    pub(crate) fn parse(
        flags: &StopFlags,
        around: &Surroundings,
        mut faults: Faults,
    ) -> Result<Self, Faults> {
        if endpoint::setting(&flags.endpoint).given() {
            let parsed = EndpointStop::parse(flags, around, faults);
            return parsed.map(Box::new).map(Self::Endpoint);
        }
        endpoint::token_file(&flags.endpoint, &mut faults);
        StopConfig::parse(flags, around, faults).map(|config| Self::Direct(Box::new(config)))
    }

    /// The member, if known.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Direct(config) => Some(&config.identity),
            Self::Endpoint(config) => config.identity.as_ref(),
        }
    }

    /// When to release.
    pub fn mode(&self) -> StopMode {
        match self {
            Self::Direct(config) => config.mode,
            Self::Endpoint(config) => config.mode,
        }
    }
}

fn cluster(name: Option<&OsString>) -> Setting<'_> {
    Setting::new("cluster", env::CLUSTER, name)
}

fn places(flags: &RegistryFlags, around: &Surroundings, faults: &mut Faults) -> Option<Places> {
    let kind = Setting::new("dbtype", env::DB_TYPE, flags.dbtype.as_ref());
    let kind = faults.optional(kind, registry_type);
    let url = Setting::new("registry", env::REGISTRY, flags.registry.as_ref());
    let registry = if url.given() {
        faults.optional(url, registry_url::parse)
    } else {
        // The only accepted type is the Kubernetes API.
        let chosen = kind.map(|()| registry_url::default(around.in_cluster));
        let missing = |why| faults.add(format!("{url} is missing: {why}"));
        chosen.and_then(|chosen| chosen.map_err(missing).ok())
    };
    let run_dir = Setting::new("run-dir", env::RUN_DIR, flags.run_dir.as_ref());
    let run_dir = faults.required(run_dir, parse::absolute_path);
    Some(Places { registry: registry?, run_dir: run_dir? })
}

/// Parses the original's registry type. Only the Kubernetes API is supported.
fn registry_type(text: &str) -> Result<(), String> {
    match text {
        "k8sdb" => Ok(()),
        "clouddb" => Err("clouddb (DynamoDB), a registry of the original FireCamp, is not \
                          supported: use k8sdb"
            .to_owned()),
        other => Err(format!("{} is not a type of registry: expected k8sdb", escaped(other))),
    }
}

fn cluster_name(text: &str) -> Result<ClusterName, InvalidId> {
    ClusterName::new(text)
}
