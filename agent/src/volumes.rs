//! The volumes of this node, looked at beside the loop: what hangs there holds up nothing else.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::time::Moment;
use firecamp_volumes::node::{NodeVolumes, Places};
use firecamp_volumes::path::KUBELET;
use firecamp_volumes::seen::{ClusterView, Seen};
use firecamp_volumes::{Change, Table, Tracker, VolumeKind, VolumesFailure, observe};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::publish::Bulletin;
use crate::status::{Problems, Status, System, Volumes};

/// A filesystem that does not say within this how much room it has does not respond.
const WITHIN: Duration = Duration::from_secs(2);
/// How often the node is looked at though it tells of no change.
const EVERY: Duration = Duration::from_secs(15);
/// Changes come in crowds: one look for all that come within this.
const PAUSE: Duration = Duration::from_secs(1);
/// So long what an earlier process published is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often Kubernetes is asked while nothing changes.
const CLUSTER_EVERY: Duration = Duration::from_mins(5);
/// How often it is asked while mounts change, or something seems wrong.
const CLUSTER_SOON: Duration = Duration::from_secs(30);

/// What Kubernetes says of the volumes of this node.
pub(crate) trait Cluster {
    /// One look.
    fn look(&self) -> impl Future<Output = Result<ClusterView, RegistryFailure>>;
}

/// Looks at this node until the end.
pub(crate) async fn follow<C: Cluster>(
    cluster: Option<&C>,
    bulletin: &Bulletin,
    status: &Status,
    end: &CancellationToken,
) {
    match NodeVolumes::open(Places::default(), WITHIN) {
        Ok(volumes) => run((&volumes, cluster), bulletin, status, end).await,
        Err(why) => {
            tracing::error!(error = %why, "The volumes of this node cannot be followed");
            status.read(System::Volumes, &Err::<(), _>(why));
        }
    }
}

/// Looks until the end. `cluster` is none where there is no Kubernetes.
pub(crate) async fn run<V: firecamp_volumes::Volumes, C: Cluster>(
    (volumes, cluster): (&V, Option<&C>),
    bulletin: &Bulletin,
    status: &Status,
    end: &CancellationToken,
) {
    let all = async {
        let tracker = begin(bulletin, cluster.is_some()).await;
        let (origin, asked) = (Instant::now(), None);
        let mut it = Looking { volumes, cluster, tracker, origin, asked, moved: true };
        loop {
            it.look(bulletin, status).await;
            it.wait().await;
        }
    };
    tokio::select! {
        () = end.cancelled() => {}
        () = all => {}
    }
}

/// Goes on from what stands in the API, so that a restart changes nothing there.
async fn begin(bulletin: &Bulletin, online: bool) -> Tracker {
    let began = Instant::now();
    while online && began.elapsed() < PATIENCE {
        if let Some(earlier) = bulletin.earlier() {
            return Tracker::resume(KUBELET, &earlier);
        }
        sleep(PAUSE).await;
    }
    Tracker::new(KUBELET)
}

struct Looking<'a, V, C> {
    volumes: &'a V,
    cluster: Option<&'a C>,
    tracker: Tracker,
    origin: Instant,
    /// When Kubernetes was asked last.
    asked: Option<Instant>,
    /// Something has changed since.
    moved: bool,
}

impl<V: firecamp_volumes::Volumes, C: Cluster> Looking<'_, V, C> {
    async fn look(&mut self, bulletin: &Bulletin, status: &Status) {
        status.asks(System::Volumes);
        let (node, failures) = observe(self.volumes, KUBELET).await;
        let read = failures.first().map_or(Ok(()), Err);
        status.read(System::Volumes, &read);
        let cloud = bulletin.take_cloud();
        // What EC2 and Kubernetes say is compared as of one moment.
        self.moved |= cloud.is_some();
        let cluster = self.ask(status).await;
        let seen = Seen { cloud, node, cluster };
        let now = Moment(self.origin.elapsed());
        let table = self.tracker.step(now, seen);
        count(&table, &self.tracker, now, status);
        bulletin.volumes(table, self.tracker.pods().map(<[_]>::to_vec));
        bulletin.suspect_volumes(self.tracker.is_pending());
        bulletin.lack_volumes(self.tracker.lacked());
    }

    async fn ask(&mut self, status: &Status) -> Option<ClusterView> {
        let cluster = self.cluster?;
        let soon = self.moved || self.tracker.is_pending();
        let pause = if soon { CLUSTER_SOON } else { CLUSTER_EVERY };
        if self.asked.is_some_and(|at| at.elapsed() < pause) {
            return None;
        }
        self.asked = Some(Instant::now());
        status.asks(System::Claims);
        let read = cluster.look().await;
        status.read(System::Claims, &read);
        self.moved = read.is_err();
        read.ok()
    }

    async fn wait(&mut self) {
        match self.volumes.changed(EVERY).await {
            Ok(Change::Nothing) => return,
            Ok(Change::Mounts | Change::Devices) => self.moved = true,
            Err(VolumesFailure { detail, .. }) => {
                tracing::warn!(error = detail, "The kernel does not tell of volumes");
                sleep(EVERY).await;
            }
        }
        sleep(PAUSE).await;
    }
}

fn count(table: &Table, tracker: &Tracker, now: Moment, status: &Status) {
    let mut kinds: BTreeMap<&'static str, i64> = BTreeMap::new();
    let mut problems: BTreeMap<&'static str, i64> = BTreeMap::new();
    for row in &table.volumes {
        *kinds.entry(name(row.kind)).or_default() += 1;
        for problem in &row.problems {
            *problems.entry(problem.reason.name()).or_default() += 1;
        }
    }
    status.volumes.clear();
    for (kind, count) in kinds {
        status.volumes.get_or_create(&Volumes { kind }).set(count);
    }
    status.volume_problems.clear();
    for (reason, count) in problems {
        status.volume_problems.get_or_create(&Problems { reason }).set(count);
    }
    let mut ages: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (_, reason, lasted) in tracker.lasting(now) {
        let oldest = ages.entry(reason.name()).or_default();
        *oldest = (*oldest).max(lasted.as_secs());
    }
    status.volume_ages.clear();
    for (reason, seconds) in ages {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        status.volume_ages.get_or_create(&Problems { reason }).set(seconds);
    }
}

fn name(kind: VolumeKind) -> &'static str {
    match kind {
        VolumeKind::Ebs => "Ebs",
        VolumeKind::InstanceStore => "InstanceStore",
        VolumeKind::Iscsi => "Iscsi",
        VolumeKind::Nfs => "Nfs",
        VolumeKind::Glusterfs => "Glusterfs",
        VolumeKind::Local => "Local",
        VolumeKind::Other => "Other",
    }
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
