use std::cell::Cell;

use firecamp_controllers::publish::{Facts, table};
use firecamp_core::failure::{Effect as FailureEffect, RegistryKind};
use firecamp_node::volumes::observation::{
    Amount, Attachment, AttachmentState, CloudView, DeviceNumber, Mount, Pod, Usage,
};
use firecamp_node::volumes::{Recheck, Table};
use firecamp_registry::api::VolumeStatus;
use firecamp_testkit::sim::{SimStatusWriter, SimVolumes};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use super::*;
use crate::publish;
use crate::status::reads::Reads;

const UID: &str = "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e11";

/// A fake Kubernetes with one pod that counts its reads.
struct Api {
    asked: Cell<u32>,
    away: bool,
}

impl Cluster for Api {
    async fn view(&self) -> Result<ClusterView, RegistryFailure> {
        self.asked.set(self.asked.get() + 1);
        if self.away {
            let (kind, effect) = (RegistryKind::Unavailable, FailureEffect::None);
            return Err(RegistryFailure { kind, effect, detail: "away".to_owned() });
        }
        let pod = Pod {
            uid: UID.parse().unwrap(),
            namespace: "prod".to_owned(),
            name: "redis-0".to_owned(),
            ending: false,
            claims: Vec::new(),
        };
        Ok(ClusterView { pods: vec![pod], ..ClusterView::default() })
    }
}

fn api(away: bool) -> Rc<Api> {
    Rc::new(Api { asked: Cell::new(0), away })
}

/// A node with one Gluster volume mounted for the pod.
fn node() -> SimVolumes {
    let volumes = SimVolumes::default();
    let mount = Mount {
        device: DeviceNumber { major: 0, minor: 60 },
        root: "/".to_owned(),
        point: format!("{KUBELET}/pods/{UID}/volumes/kubernetes.io~glusterfs/pv-1"),
        fstype: "fuse.glusterfs".to_owned(),
        source: "gluster:/vol".to_owned(),
        read_only: false,
        filesystem_read_only: false,
    };
    let bytes = Amount { total: 1000, free: 500 };
    assert!(volumes.mount(mount, Usage { bytes, inodes: Amount::default() }));
    volumes
}

async fn watch(
    (volumes, cluster): (SimVolumes, &Rc<Api>),
    shared_status: &SharedStatus,
    seconds: u64,
) -> Status {
    let (status, end) = (Status::default(), CancellationToken::new());
    let ended = async {
        sleep(Duration::from_secs(seconds)).await;
        end.cancel();
    };
    let volumes = (Rc::new(volumes), Some(Rc::clone(cluster)));
    let observed = Box::pin(run(volumes, shared_status, &status, &end));
    LocalSet::new().run_until(async { tokio::join!(observed, ended) }).await;
    status
}

/// The volumes that were reported last.
fn reported(shared_status: &SharedStatus) -> Table {
    let mut reports = shared_status.take();
    reports.facts(Facts::new("node-1".parse().unwrap()));
    let mut facts = None;
    reports.apply(&mut facts);
    facts.unwrap().volumes.unwrap()
}

#[tokio::test(start_paused = true)]
async fn volume_is_reported_with_its_pod_and_counted() {
    let (shared_status, api) = (SharedStatus::default(), api(false));
    shared_status.set_published(Table::default());
    let status = watch((node(), &api), &shared_status, 250).await;
    let table = reported(&shared_status);
    let pod = table.volumes[0].mounts[0].pod.clone().unwrap();
    assert_eq!(pod.name.as_deref(), Some("prod/redis-0"));
    let gluster = Volumes { kind: "Glusterfs" };
    assert_eq!(status.volumes.counts.get(&gluster).map(|gauge| gauge.get()), Some(1));
    // One read at the start, and one for the mount event.
    assert_eq!(api.asked.get(), 2, "a quiet node asks Kubernetes every five minutes");
}

#[tokio::test(start_paused = true)]
async fn unavailable_kubernetes_is_retried_and_the_node_still_observed() {
    let (shared_status, api) = (SharedStatus::default(), api(true));
    let status = watch((node(), &api), &shared_status, 120).await;
    assert_eq!(reported(&shared_status).volumes.len(), 1);
    // The published status is awaited for thirty seconds.
    assert_eq!(api.asked.get(), 3);
    let claims = Reads { system: System::Claims };
    assert_eq!(status.reads.failures.get(&claims).map(|counter| counter.get()), Some(3));
}

#[tokio::test(start_paused = true)]
async fn observation_continues_from_the_published_status() {
    let published: VolumeStatus = serde_json::from_value(serde_json::json!({
        "id": "pv-1", "kind": "Glusterfs",
        "problems": [{ "reason": "AlmostFull", "message": "as it was" }],
    }))
    .unwrap();
    let shared_status = SharedStatus::default();
    shared_status.set_published(table(&[published]));
    watch((node(), &api(false)), &shared_status, 20).await;
    assert_eq!(reported(&shared_status).volumes[0].problems[0].message, "as it was");
    watch((node(), &api(false)), &shared_status, 120).await;
    assert_eq!(reported(&shared_status).volumes[0].problems, []);
}

#[tokio::test(start_paused = true)]
async fn f086_resolved_problem_is_cleared_after_one_minute() {
    let published: VolumeStatus = serde_json::from_value(serde_json::json!({
        "id": "pv-1", "kind": "Glusterfs",
        "problems": [{ "reason": "NotMounted", "message": "as it was" }],
    }))
    .unwrap();
    let (shared_status, api) = (SharedStatus::default(), api(false));
    shared_status.set_published(table(&[published]));
    watch((node(), &api), &shared_status, 130).await;
    assert_eq!(reported(&shared_status).volumes[0].problems, []);
    let asked = api.asked.get();
    assert!(asked <= 5, "Kubernetes was asked {asked} times");
}

#[tokio::test(start_paused = true)]
async fn f081_problem_shown_by_ec2_is_reported_and_suspected() {
    let (shared_status, api) = (SharedStatus::default(), api(false));
    shared_status.set_published(Table::default());
    let attaching = Attachment {
        volume: "vol-0123456789abcdef0".parse().unwrap(),
        state: AttachmentState::Attaching,
        age: Some(Duration::from_mins(2)),
        label: "/dev/sdf".to_owned(),
        delete_on_termination: false,
        zone: "us-east-1a".parse().unwrap(),
        bytes: 1 << 30,
    };
    let zone = attaching.zone.clone();
    let seen = |attachments| CloudView { zone: zone.clone(), attachments, elsewhere: Vec::new() };
    shared_status.set_cloud_view(seen(vec![attaching]));
    watch((node(), &api), &shared_status, 5).await;
    let table = reported(&shared_status);
    let row = table.volumes.iter().find(|row| row.volume_id.is_some()).unwrap();
    assert_eq!(row.attachment, Some(AttachmentState::Attaching));
    assert_eq!(row.problems[0].reason, firecamp_node::volumes::Reason::StuckAttaching);
    assert_eq!(shared_status.recheck_volumes(), Recheck::Now);
    shared_status.set_cloud_view(seen(Vec::new()));
    watch((node(), &api), &shared_status, 5).await;
    assert_eq!(shared_status.recheck_volumes(), Recheck::Never);
    assert_eq!(reported(&shared_status).volumes.len(), 1, "what is gone in EC2 is gone");
}

/// Kubernetes never answers.
struct Hung;

impl Cluster for Hung {
    async fn view(&self) -> Result<ClusterView, RegistryFailure> {
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_read_delays_neither_publishing_nor_the_end() {
    let (shared_status, status, end) =
        (SharedStatus::default(), Status::default(), CancellationToken::new());
    shared_status.report(Facts::new("node-1".parse().unwrap()));
    let api = SimStatusWriter::default();
    api.add_node("uid-1");
    let volumes = (Rc::new(node()), Some(Rc::new(Hung)));
    let observed = Box::pin(run(volumes, &shared_status, &status, &end));
    let cluster = ("node-1".parse().unwrap(), Some(Rc::new(api.clone())));
    let published = Box::pin(publish::run(cluster, &shared_status, &status, &end));
    let ended = async {
        sleep(Duration::from_mins(1)).await;
        end.cancel();
        Instant::now()
    };
    let all = async { tokio::join!(observed, published, ended) };
    let ((), (), ended) = LocalSet::new().run_until(all).await;
    assert_eq!(ended.elapsed(), Duration::ZERO);
    assert!(api.attachments().is_some());
    let claims = Reads { system: System::Claims };
    assert_eq!(
        status.reads.counts.get(&claims).map(|counter| counter.get()),
        None,
        "the read hangs"
    );
    assert_eq!(status.reads.failures.get(&claims).map(|counter| counter.get()), None);
}
