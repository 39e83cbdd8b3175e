//! The volumes of this node, looked at beside the loop: what hangs there holds up nothing else.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::time::Moment;
use firecamp_host::volumes::{NodeVolumes, Places};
use firecamp_node::volumes::pace::{EARLIER_WITHIN, NODE_EVERY, NODE_PAUSE, Pace};
use firecamp_node::volumes::path::KUBELET;
use firecamp_node::volumes::seen::{ClusterView, Seen};
use firecamp_node::volumes::{Change, Table, Tracker, VolumeKind, VolumesFailure, observe};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::publish::Bulletin;
use crate::status::{Problems, Status, System, Volumes};

/// A filesystem that does not say within this how much room it has does not respond.
const WITHIN: Duration = Duration::from_secs(2);

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
pub(crate) async fn run<V: firecamp_node::volumes::Volumes, C: Cluster>(
    (volumes, cluster): (&V, Option<&C>),
    bulletin: &Bulletin,
    status: &Status,
    end: &CancellationToken,
) {
    let all = async {
        let tracker = begin(bulletin, cluster.is_some()).await;
        let (origin, pace) = (Instant::now(), Pace::default());
        let mut it = Looking { volumes, cluster, tracker, origin, pace };
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
    while online && began.elapsed() < EARLIER_WITHIN {
        if let Some(earlier) = bulletin.earlier() {
            return Tracker::resume(KUBELET, &earlier);
        }
        sleep(NODE_PAUSE).await;
    }
    Tracker::new(KUBELET)
}

struct Looking<'a, V, C> {
    volumes: &'a V,
    cluster: Option<&'a C>,
    tracker: Tracker,
    origin: Instant,
    pace: Pace,
}

impl<V: firecamp_node::volumes::Volumes, C: Cluster> Looking<'_, V, C> {
    async fn look(&mut self, bulletin: &Bulletin, status: &Status) {
        status.asks(System::Volumes);
        let (node, failures) = observe(self.volumes, KUBELET).await;
        let read = failures.first().map_or(Ok(()), Err);
        status.read(System::Volumes, &read);
        let cloud = bulletin.take_cloud();
        let cluster = self.ask(cloud.is_some(), status).await;
        let seen = Seen { cloud, node, cluster };
        let now = self.now();
        let table = self.tracker.step(now, seen);
        count(&table, &self.tracker, now, status);
        bulletin.volumes(table, self.tracker.pods().map(<[_]>::to_vec));
        bulletin.suspect_volumes(self.tracker.is_pending());
        bulletin.lack_volumes(self.tracker.lacked());
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    async fn ask(&mut self, cloud: bool, status: &Status) -> Option<ClusterView> {
        let cluster = self.cluster?;
        let (now, suspects) = (self.now(), self.tracker.is_pending());
        if !self.pace.asks_cluster(now, suspects, cloud) {
            return None;
        }
        status.asks(System::Claims);
        let read = cluster.look().await;
        status.read(System::Claims, &read);
        self.pace.answered(read.is_ok());
        read.ok()
    }

    async fn wait(&mut self) {
        match self.volumes.changed(NODE_EVERY).await {
            Ok(Change::Nothing) => return,
            Ok(Change::Mounts | Change::Devices) => self.pace.moved(),
            Err(VolumesFailure { detail, .. }) => {
                tracing::warn!(error = detail, "The kernel does not tell of volumes");
                sleep(NODE_EVERY).await;
            }
        }
        sleep(NODE_PAUSE).await;
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
