//! The inputs of the state machines.

use std::time::Duration;

use firecamp_core::attach::{AttachInput, UnwantedEnis};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::timing;
use firecamp_core::ports::SocketScope;
use firecamp_core::release::{ReleaseInput, Releaser};

use crate::level::Spawn;
use crate::names::{Names, ProcessId};
use crate::scenario::{Scenario, StopKind};

/// The input of an init container whose run ID ends with this number.
pub fn attach(scenario: &Scenario, names: &Names, spawn: Spawn, run: u32) -> AttachInput {
    let shape = &scenario.shape;
    let rule = if shape.secondary { EniRule::DeviceIndex(1) } else { EniRule::Primary };
    AttachInput {
        member: names.member(spawn.member).clone(),
        pod: names.uid(spawn.pod),
        node: names.node(spawn.node).name.clone(),
        cluster: names.cluster.clone(),
        pool: None,
        pool_is_approved: false,
        rule,
        unwanted: UnwantedEnis::default(),
        metadata_poll: timing::METADATA_POLL,
        run: names.run(ProcessId(run)),
        deadline: shape.deadline(),
        predecessor_grace: shape.predecessor_grace(),
        looked_up: None,
    }
}

/// The input of a stop container whose run ID ends with this number.
pub fn release(
    names: &Names,
    (spawn, run): (Spawn, u32),
    kind: StopKind,
    grace: Duration,
) -> ReleaseInput {
    let sidecar = kind == StopKind::Sidecar;
    ReleaseInput {
        member: names.member(spawn.member).clone(),
        pod: names.uid(spawn.pod),
        run: names.run(ProcessId(run)),
        unassign: false,
        await_stop: sidecar,
        by: Releaser::Stop,
        scope: if sidecar { SocketScope::All } else { SocketScope::Connections },
        drain: if sidecar { Duration::MAX } else { timing::DRAIN },
        grace,
    }
}
