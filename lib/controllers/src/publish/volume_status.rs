//! The published status of volumes.

use firecamp_node::volumes::observation::AttachmentState;
use firecamp_node::volumes::{self as volumes, SpaceShown, Table, VolumeRow};
use firecamp_registry::api::{
    BlockDevice, FileSystem, MountStatus, Problem, Space, VolumeKind, VolumeStatus, VolumeUser,
};

/// The published status of a volume.
pub(crate) fn status(row: &VolumeRow) -> VolumeStatus {
    let device = row.device.as_ref().map(|name| BlockDevice {
        path: format!("/dev/{name}"),
        bytes: row.size.unwrap_or_default(),
    });
    let file_system = row.filesystem.as_ref();
    VolumeStatus {
        id: row.name.clone(),
        kind: kind(row.kind),
        attachment: row.attachment.map(|state| attachment(state).to_owned()),
        label: row.label.clone(),
        zone: row.zone.as_ref().map(ToString::to_string),
        delete_on_termination: row.delete_on_termination,
        bytes: row.size,
        device,
        source: row.source.clone(),
        file_system: file_system
            .map(|kind| FileSystem { kind: kind.clone(), space: row.space.map(space) }),
        mounts: row.mounts.iter().map(mount).collect(),
        more_mounts: row.more_mounts,
        used_by: used_by(row),
        problems: row.problems.iter().map(problem).collect(),
    }
}

fn used_by(row: &VolumeRow) -> Option<VolumeUser> {
    let pod = row.mounts.iter().find_map(|mount| mount.pod.as_ref()?.name.clone());
    let user = VolumeUser {
        persistent_volume: row.persistent_volume.clone(),
        claim: row.claim.clone(),
        volume_attachment: row.volume_attachment.clone(),
        pod,
    };
    (user != VolumeUser::default()).then_some(user)
}

fn mount(mount: &volumes::MountShown) -> MountStatus {
    MountStatus {
        path: mount.point.clone(),
        read_only: mount.read_only,
        pod_uid: mount.pod.as_ref().map(|pod| pod.uid.to_string()),
        pod: mount.pod.as_ref().and_then(|pod| pod.name.clone()),
    }
}

fn problem(problem: &volumes::Problem) -> Problem {
    Problem { reason: problem.reason.to_string(), message: problem.message.clone() }
}

fn space(space: SpaceShown) -> Space {
    let SpaceShown { bytes_total, bytes_free, inodes_total, inodes_free } = space;
    Space { bytes: bytes_total, bytes_free, inodes: inodes_total, inodes_free }
}

fn kind(kind: volumes::VolumeKind) -> VolumeKind {
    match kind {
        volumes::VolumeKind::Ebs => VolumeKind::Ebs,
        volumes::VolumeKind::InstanceStore => VolumeKind::InstanceStore,
        volumes::VolumeKind::Iscsi => VolumeKind::Iscsi,
        volumes::VolumeKind::Nfs => VolumeKind::Nfs,
        volumes::VolumeKind::Glusterfs => VolumeKind::Glusterfs,
        volumes::VolumeKind::Local => VolumeKind::Local,
        volumes::VolumeKind::Other => VolumeKind::Other,
    }
}

pub(crate) fn attachment(state: AttachmentState) -> &'static str {
    match state {
        AttachmentState::Attaching => "attaching",
        AttachmentState::Attached => "attached",
        AttachmentState::Detaching => "detaching",
        AttachmentState::Busy => "busy",
    }
}

fn attachment_named(name: &str) -> Option<AttachmentState> {
    let all = [
        AttachmentState::Attaching,
        AttachmentState::Attached,
        AttachmentState::Detaching,
        AttachmentState::Busy,
    ];
    all.into_iter().find(|state| attachment(*state) == name)
}

/// The state from which a volume tracker resumes: published names, problems and numbers, and EC2's
/// attachments.
pub fn table(published: &[VolumeStatus]) -> Table {
    Table { volumes: published.iter().map(row).collect() }
}

fn row(published: &VolumeStatus) -> VolumeRow {
    // A reason that this version does not know is dropped; the problem is detected again.
    let problem = |problem: &Problem| {
        let reason = problem.reason.parse().ok()?;
        Some(volumes::Problem { reason, message: problem.message.clone() })
    };
    let space = published.file_system.as_ref().and_then(|fs| fs.space).map(|space| SpaceShown {
        bytes_total: space.bytes,
        bytes_free: space.bytes_free,
        inodes_total: space.inodes,
        inodes_free: space.inodes_free,
    });
    let attachment = published.attachment.as_deref().and_then(attachment_named);
    VolumeRow {
        name: published.id.clone(),
        kind: volumes::VolumeKind::Other,
        volume_id: published.id.parse().ok().filter(|_| attachment.is_some()),
        attachment,
        label: published.label.clone(),
        delete_on_termination: published.delete_on_termination,
        zone: published.zone.as_deref().and_then(|zone| zone.parse().ok()),
        device: None,
        size: published.bytes,
        source: None,
        filesystem: None,
        space,
        persistent_volume: None,
        claim: None,
        volume_attachment: None,
        mounts: Vec::new(),
        more_mounts: 0,
        problems: published.problems.iter().filter_map(problem).collect(),
    }
}
