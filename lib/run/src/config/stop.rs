//! The stop container's configuration.

use std::time::Duration;

use firecamp_core::contract::{env, timing};
use firecamp_core::ids::ClusterName;

use super::{Identity, Places};
use crate::config_errors::{Faults, Setting};
use crate::flags::{ReleaseFlags, StopFlags, StopMode};
use crate::parse;
use crate::pod_identity::Surroundings;

/// The stop container's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopConfig {
    /// When to release.
    pub mode: StopMode,
    /// The member and its pod.
    pub identity: Identity,
    /// The cluster, if given.
    pub cluster: Option<ClusterName>,
    /// The registry and the lock directory.
    pub places: Places,
    /// The longest drain of `release`.
    pub drain: Duration,
    /// The assumed rest of the grace period if the registry does not know it.
    pub grace: Duration,
    /// Unassign the address in EC2, independent of the pool's policy.
    pub unassign: bool,
}

impl StopConfig {
    pub(crate) fn parse(
        flags: &StopFlags,
        around: &Surroundings,
        mut faults: Faults,
    ) -> Result<Self, Faults> {
        let StopFlags { mode, identity, registry, release, .. } = flags;
        let cluster =
            faults.optional(super::cluster(identity.cluster.as_ref()), super::cluster_name);
        let service =
            faults.optional(super::identity::service(identity), super::identity::service_name);
        let identity = super::identity::read(identity, around, &mut faults);
        if let (Some(identity), Some(service)) = (&identity, &service) {
            super::identity::member_of_service(&identity.member, service, &mut faults);
        }
        let places = super::places(registry, around, &mut faults);
        let release = self::release(release, *mode, &mut faults);
        let config = identity.zip(places).zip(release);
        let config = config.map(|((identity, places), (drain, grace, unassign))| Self {
            mode: mode.unwrap_or_default(),
            identity,
            cluster,
            places,
            drain,
            grace,
            unassign,
        });
        faults.unless(config)
    }
}

/// The longest drain of `release`, the assumed rest of the grace period, and whether to unassign.
pub(super) fn release(
    flags: &ReleaseFlags,
    mode: Option<StopMode>,
    faults: &mut Faults,
) -> Option<(Duration, Duration, bool)> {
    let drain = Setting::new("drain", env::DRAIN, flags.drain.as_ref());
    let drain = faults.required(drain, parse::duration);
    let grace = Setting::new("grace", env::GRACE, flags.grace.as_ref());
    let grace = faults.optional(grace, parse::duration);
    let unassign = Setting::new("unassign", env::UNASSIGN, flags.unassign.as_ref());
    let unassign = faults.required(unassign, parse::boolean);
    let grace = grace.unwrap_or(assumed_grace(mode.unwrap_or_default()));
    Some((drain?, grace, unassign?))
}

/// A kubelet leaves about 2 s to a sidecar. A preStop hook runs at the start of the grace period,
/// whose default in Kubernetes is 30 s.
fn assumed_grace(mode: StopMode) -> Duration {
    match mode {
        StopMode::Wait => timing::UNKNOWN_GRACE,
        StopMode::Release => timing::PREDECESSOR_GRACE,
    }
}
