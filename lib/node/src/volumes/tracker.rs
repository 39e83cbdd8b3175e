//! Turns repeated observations into a table that changes only when it matters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firecamp_core::ids::{PodUid, VolumeId};
use firecamp_core::time::Moment;

use crate::volumes::assign_to_volume::{Backing, Joined, Key, Row, join};
use crate::volumes::detect_problem::{self, Context, Fresh, judge};
use crate::volumes::identify_device::{is_shared, iscsi_link};
use crate::volumes::latest_observation::{latest, published_attachments, sorted};
use crate::volumes::observation::{BlockDevice, ClusterView, Observation, Pod};
use crate::volumes::path::{How, Place};
use crate::volumes::pod_volumes::{PodVolumes, ReportedVolume, pods as served_pods};
use crate::volumes::problem_debounce::Watch;
use crate::volumes::reason::Reason;
use crate::volumes::recheck::Recheck;
use crate::volumes::space_steps;
use crate::volumes::table::{
    MOUNTS_SHOWN, MountShown, PodShown, Problem, SpaceShown, Table, VolumeKind, VolumeRow,
};

/// The tracker of a node's volumes: a state machine without clock and I/O.
#[derive(Debug, Clone)]
pub struct Tracker {
    kubelet: String,
    /// The latest observation of each part.
    known: Observation,
    memory: BTreeMap<String, VolumeMemory>,
    /// The state of volumes that were published before a restart and not observed since, until one
    /// complete observation.
    unseen: BTreeMap<String, VolumeMemory>,
    pods: Vec<PodVolumes>,
    lacked: BTreeSet<VolumeId>,
    /// How soon EC2 should be asked again if there is no problem.
    settled: Recheck,
}

/// The state of one volume.
#[derive(Debug, Clone, Default)]
struct VolumeMemory {
    watches: BTreeMap<Reason, Watch>,
    /// Whether its filesystem accepted writes.
    writable: bool,
    space: Option<SpaceShown>,
}

impl Tracker {
    /// A tracker without observations. `kubelet` is the kubelet's directory.
    pub fn new(kubelet: &str) -> Self {
        Self {
            kubelet: kubelet.to_owned(),
            known: Observation::default(),
            memory: BTreeMap::new(),
            unseen: BTreeMap::new(),
            pods: Vec::new(),
            lacked: BTreeSet::new(),
            settled: Recheck::Never,
        }
    }

    /// A tracker that resumes from the table that was published last, so that a restart publishes
    /// nothing.
    pub fn resume(kubelet: &str, published: &Table) -> Self {
        let remembered = |row: &VolumeRow| {
            let watch = |problem: &Problem| (problem.reason, Watch::reported(&problem.message));
            let watches: BTreeMap<Reason, Watch> = row.problems.iter().map(watch).collect();
            // A filesystem reported as read-only accepted writes before.
            let writable = watches.contains_key(&Reason::ReadOnly);
            (row.name.clone(), VolumeMemory { watches, writable, space: row.space })
        };
        let unseen = published.volumes.iter().map(remembered).collect();
        let known =
            Observation { cloud: published_attachments(published), ..Observation::default() };
        Self { known, unseen, ..Self::new(kubelet) }
    }

    /// Processes an observation and returns the table. Parts that could not be read keep their last
    /// known state and change no verdict.
    pub fn step(&mut self, now: Moment, seen: Observation) -> Table {
        let seen = sorted(seen);
        let before = &self.known.node;
        let devices =
            seen.node.devices.is_some() || before.devices.is_some() && before.mounts.is_some();
        let fresh = Fresh {
            cloud: seen.cloud.is_some(),
            devices: seen.node.devices.is_some(),
            // Without its device a mount cannot be assigned to its volume, and a mount that is
            // newer than the last list of devices counts for none.
            mounts: seen.node.mounts.is_some() && devices,
            cluster: seen.cluster.is_some(),
        };
        self.known = latest(std::mem::take(&mut self.known), seen);
        let joined = join(&self.known, &self.kubelet);
        let context = Context {
            fresh,
            zone: self.known.cloud.as_ref().map(|cloud| &cloud.zone),
            cluster: self.known.cluster.is_some(),
            pods: pods(&self.known).map(|pod| &pod.uid).collect(),
            space: &self.known.node.space,
            nitro: joined.nitro,
        };
        let mut memory = std::mem::take(&mut self.memory);
        let mut kept = BTreeMap::new();
        let mut volumes = Vec::new();
        let rows = named(&joined);
        for (name, key, row) in &rows {
            let unseen = self.unseen.remove(name);
            let mut own = memory.remove(name).or(unseen).unwrap_or_default();
            own.take_in(now, (key, row), &context);
            volumes.push(shown(name, (key, row), &own, self.known.cluster.as_ref()));
            kept.insert(name.clone(), own);
        }
        if fresh.devices && fresh.mounts && self.known.cluster.is_some() {
            self.unseen.clear();
        }
        self.memory = kept;
        let observed = rows.iter().map(|(name, _, row)| {
            let own = self.memory.get(name);
            ReportedVolume {
                name,
                row,
                problems: own.map(|own| own.reported(now)).unwrap_or_default(),
            }
        });
        let observed: Vec<ReportedVolume<'_>> = observed.collect();
        self.pods = served_pods(self.known.cluster.as_ref(), &observed);
        self.lacked = joined.rows.iter().filter_map(|(key, row)| lacked(key, row)).collect();
        let devices = self.known.node.devices.as_deref().unwrap_or_default();
        let of_rows = joined.rows.iter().map(|(key, row)| Recheck::of_volume(key, row));
        self.settled = of_rows.fold(Recheck::of_devices(devices), Recheck::max);
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Table { volumes }
    }

    /// The pods of this node that claim volumes, as of the last step; none before the first list
    /// from Kubernetes.
    pub fn pods(&self) -> Option<&[PodVolumes]> {
        self.known.cluster.as_ref().map(|_| self.pods.as_slice())
    }

    /// The EBS volumes that pods of this node lack and EC2 does not show here, as of the last step:
    /// the caller looks up whether another instance has them.
    pub fn lacked(&self) -> &BTreeSet<VolumeId> {
        &self.lacked
    }

    /// How many volumes the EBS CSI driver offers on this node, if known.
    pub fn offered(&self) -> Option<u32> {
        self.known.cluster.as_ref()?.offered
    }

    /// How soon EC2 should be asked again, as of the last step.
    pub fn recheck(&self) -> Recheck {
        if self.is_pending() { Recheck::Now } else { self.settled }
    }

    /// Whether any problem is present or reported.
    pub fn is_pending(&self) -> bool {
        self.memory.values().any(|memory| memory.watches.values().any(Watch::is_open))
    }

    /// For how long each cause of a problem has lasted, whether it is reported yet or not: for
    /// metrics, since the table carries no ages. Names of volumes as in the table.
    pub fn lasting(&self, now: Moment) -> impl Iterator<Item = (&str, Reason, Duration)> {
        self.memory.iter().flat_map(move |(name, memory)| {
            let lasting = memory.watches.iter();
            lasting.filter_map(move |(reason, watch)| {
                Some((name.as_str(), *reason, watch.lasted(now)?))
            })
        })
    }
}

fn lacked(key: &Key, row: &Row<'_>) -> Option<VolumeId> {
    match key {
        Key::Ebs(volume) if row.attachment.is_none() => row.missing().map(|_| volume.clone()),
        Key::Ebs(_) | Key::Named(..) | Key::Filesystem(_) | Key::Wanted(_) | Key::Device(_) => None,
    }
}

fn pods(seen: &Observation) -> impl Iterator<Item = &Pod> {
    seen.cluster.iter().flat_map(|cluster| &cluster.pods)
}

impl VolumeMemory {
    fn take_in(&mut self, now: Moment, volume: (&Key, &Row<'_>), context: &Context<'_>) {
        let (_, row) = volume;
        if context.fresh.mounts {
            let takes = row.mounts.iter().any(|placed| !placed.mount.filesystem_read_only);
            self.writable = takes || (self.writable && !row.mounts.is_empty());
        }
        for reason in Reason::ALL {
            let verdict = judge(reason, volume, context, self.writable);
            let watch = self.watches.entry(reason).or_default();
            watch.step(now, verdict, reason.patience());
        }
        if context.fresh.mounts && row.mounts.is_empty() {
            self.space = None;
        } else if let Some(usage) = detect_problem::usage(row, context.space) {
            self.space = Some(space_steps::rounded(self.space, usage));
        }
    }

    /// What is reported, and for how long it has been so.
    fn reported(&self, now: Moment) -> Vec<(Reason, &str, Option<Duration>)> {
        let all = self.watches.iter();
        all.filter_map(|(reason, watch)| Some((*reason, watch.message()?, watch.lasted(now))))
            .collect()
    }

    fn problems(&self) -> Vec<Problem> {
        let reported = self.watches.iter().filter_map(|(reason, watch)| {
            Some(Problem { reason: *reason, message: watch.message()?.to_owned() })
        });
        reported.collect()
    }
}

/// The rows with names that no two share and that follow from the row alone, so that they stay.
fn named<'j, 'a>(joined: &'j Joined<'a>) -> Vec<(String, &'j Key, &'j Row<'a>)> {
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for (key, row) in &joined.rows {
        *count.entry(short(key, row)).or_default() += 1;
    }
    let mut used = BTreeSet::new();
    let mut all = Vec::new();
    for (key, row) in &joined.rows {
        let mut name = short(key, row);
        if count.get(&name).is_some_and(|count| *count > 1) {
            name = format!("{name} ({})", detail(key));
        }
        while !used.insert(name.clone()) {
            name.push('+');
        }
        all.push((name, key, row));
    }
    all
}

fn short(key: &Key, row: &Row<'_>) -> String {
    match key {
        Key::Ebs(volume) => volume.to_string(),
        Key::Named(volume, _) | Key::Wanted(volume) => volume.clone(),
        Key::Device(name) => name.clone(),
        Key::Filesystem(Backing::Source(source)) => source.clone(),
        Key::Filesystem(Backing::Device(number)) => match row.devices.first() {
            Some(device) => iscsi_link(device).unwrap_or(&device.name).to_owned(),
            None => number.to_string(),
        },
    }
}

fn detail(key: &Key) -> String {
    match key {
        Key::Ebs(_) => "EBS".to_owned(),
        Key::Wanted(_) => "wanted".to_owned(),
        Key::Device(_) => "device".to_owned(),
        Key::Named(_, Backing::Source(source)) => format!("from {source}"),
        Key::Named(_, Backing::Device(number)) => format!("from {number}"),
        Key::Filesystem(Backing::Source(source)) => format!("filesystem {source}"),
        Key::Filesystem(Backing::Device(number)) => format!("filesystem {number}"),
    }
}

fn shown(
    name: &str,
    (key, row): (&Key, &Row<'_>),
    memory: &VolumeMemory,
    cluster: Option<&ClusterView>,
) -> VolumeRow {
    let attachment = row.attachment;
    let (first, volume) = (row.mounts.first(), row.persistent_volumes.first());
    let device = row.devices.first();
    let mounts = row.mounts.iter().take(MOUNTS_SHOWN);
    let claim = volume.and_then(|volume| volume.claim.as_ref()).map(ToString::to_string);
    let more = row.mounts.len().saturating_sub(MOUNTS_SHOWN);
    VolumeRow {
        name: name.to_owned(),
        kind: kind(key, row),
        volume_id: if let Key::Ebs(volume) = key { Some(volume.clone()) } else { None },
        attachment: attachment.map(|attachment| attachment.state),
        label: attachment.map(|attachment| attachment.label.clone()),
        delete_on_termination: attachment.map(|attachment| attachment.delete_on_termination),
        zone: attachment.map(|attachment| attachment.zone.clone()),
        device: device.map(|device| device.name.clone()),
        size: device.map(|d| d.bytes).or_else(|| attachment.map(|a| a.bytes)),
        source: source(row),
        filesystem: first.filter(|f| !is_raw(&f.place)).map(|f| f.mount.fstype.clone()),
        space: memory.space,
        persistent_volume: volume.map(|volume| volume.name.clone()),
        claim: claim.or_else(|| wanted_claim(row)),
        volume_attachment: row.volume_attachments.first().map(|va| va.name.clone()),
        mounts: mounts.map(|placed| mount_shown(placed.mount, &placed.place, cluster)).collect(),
        more_mounts: u32::try_from(more).unwrap_or(u32::MAX),
        problems: memory.problems(),
    }
}

fn wanted_claim(row: &Row<'_>) -> Option<String> {
    let wanting = row.wanting.first()?;
    Some(format!("{}/{}", wanting.pod.namespace, wanting.claim.claim))
}

fn is_raw(place: &Place) -> bool {
    matches!(place, Place::Pod(pod) if pod.how == How::Block)
}

fn source(row: &Row<'_>) -> Option<String> {
    let shared = row.mounts.iter().find(|placed| is_shared(&placed.mount.fstype));
    let lun = || row.devices.iter().find_map(|device| iscsi_link(device)).map(str::to_owned);
    shared.map(|placed| placed.mount.source.clone()).or_else(lun)
}

fn mount_shown(
    mount: &crate::volumes::observation::Mount,
    place: &Place,
    cluster: Option<&ClusterView>,
) -> MountShown {
    let pod = match place {
        Place::Pod(pod) => Some(&pod.pod),
        Place::Ephemeral | Place::Global | Place::Elsewhere => None,
    };
    let name_of = |uid: &PodUid| {
        let known = cluster?.pods.iter().find(|pod| pod.uid == *uid)?;
        Some(format!("{}/{}", known.namespace, known.name))
    };
    MountShown {
        point: mount.point.clone(),
        pod: pod.map(|uid| PodShown { uid: uid.clone(), name: name_of(uid) }),
        read_only: mount.read_only || mount.filesystem_read_only,
    }
}

fn kind(key: &Key, row: &Row<'_>) -> VolumeKind {
    let fstype = row.mounts.first().map(|placed| placed.mount.fstype.as_str());
    let local = |place: &Place| matches!(place, Place::Pod(pod) if pod.how == How::Local);
    let lun = |device: &BlockDevice| iscsi_link(device).is_some();
    let store = |device: &BlockDevice| {
        device
            .model
            .as_deref()
            .is_some_and(|model| model == crate::volumes::identify_device::INSTANCE_STORE_MODEL)
    };
    let ebs = matches!(key, Key::Ebs(_) | Key::Device(_))
        || row.persistent_volumes.iter().any(|volume| volume.ebs.is_some());
    if row.mounts.iter().any(|placed| local(&placed.place)) {
        VolumeKind::Local
    } else if ebs {
        VolumeKind::Ebs
    } else if row.devices.iter().any(|device| lun(device)) {
        VolumeKind::Iscsi
    } else if row.devices.iter().any(|device| store(device)) {
        VolumeKind::InstanceStore
    } else {
        match fstype {
            Some("nfs" | "nfs4") => VolumeKind::Nfs,
            Some("fuse.glusterfs") => VolumeKind::Glusterfs,
            Some(_) | None => VolumeKind::Other,
        }
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "restart_tests.rs"]
mod restarts;
