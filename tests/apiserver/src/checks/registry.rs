//! The Kubernetes registry on a real API server.

use std::net::Ipv4Addr;
use std::sync::Arc;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::Version;
use firecamp_core::ports::{PodLifecycle, PodView, Registry};
use firecamp_core::record::{Pool, StaticIp, Stored, Write};
use firecamp_kube::KubeRegistry;
use firecamp_registry::conformance::{self, Fixture, attached, member, pool, static_ip};
use serde_json::json;

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::samples::GROUP;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 20);

/// One server for all checks, without records before each.
struct Real<'a>(&'a Cluster);

impl Fixture for Real<'_> {
    type Registry = KubeRegistry;

    async fn with(&self, pools: &[Pool]) -> Arc<KubeRegistry> {
        self.0.empty().await.expect("no records");
        for pool in pools {
            self.0.create_pool(pool).await.expect("a pool");
        }
        Arc::new(self.0.registry().await)
    }

    async fn remove_pool(&self, _registry: &KubeRegistry, pool: &Pool) {
        let path = format!("{GROUP}/staticippools/{}", pool.name);
        let answer = self.0.api.delete(&path).await.expect("an answer");
        assert_eq!(answer.code, 200, "{}", answer.text);
    }
}

macro_rules! one_after_the_other {
    ($($check:ident),* $(,)?) => {
        /// Runs the conformance suite of all registries.
        pub(super) async fn conformance(cluster: &Cluster) -> Outcome {
            $(
                let outcome = conformance::$check(&Real(cluster)).await;
                outcome.map_err(|wrong| format!("{}: {wrong}", stringify!($check)))?;
            )*
            Ok(())
        }
    };
}

firecamp_registry::for_each_check!(one_after_the_other);

fn wrong(failure: &RegistryFailure) -> String {
    format!("{failure:?}")
}

/// A registry with one pool, and one address of `prod/redis-0`.
async fn one_address(
    cluster: &Cluster,
) -> Result<(Arc<KubeRegistry>, Pool, Stored<StaticIp>), String> {
    let pool = pool("a", &[1]).map_err(|broken| broken.0)?;
    let registry = Real(cluster).with(std::slice::from_ref(&pool)).await;
    let owner = member(0).map_err(|broken| broken.0)?;
    let object = static_ip(ADDRESS, &owner, &pool).map_err(|broken| broken.0)?;
    let create = Write::CreateStaticIp(object.clone());
    let version = registry.write(&create).await.map_err(|failure| wrong(&failure))?;
    Ok((registry, pool, Stored { version, object }))
}

fn take(stored: &Stored<StaticIp>) -> Result<Write, String> {
    let object = attached(&stored.object, 1).map_err(|broken| broken.0)?;
    Ok(Write::UpdateStaticIp(Stored { version: stored.version.clone(), object }))
}

/// Checks that one of two results is a success, and the other this failure without effect.
fn one_wins(answers: &[Result<Version, RegistryFailure>; 2], loser: RegistryKind) -> Outcome {
    let good = matches!(
        answers,
        [Ok(_), Err(lost)] | [Err(lost), Ok(_)]
            if lost.kind == loser && lost.effect == Effect::None
    );
    ensure(good, || format!("{answers:?} instead of one success and one {loser:?}"))
}

/// Two init containers with their own connections race first for a free address and then, as the
/// same member, for the attachment.
pub(super) async fn f072_two_init_containers_conflict_for_one_address(
    cluster: &Cluster,
) -> Outcome {
    let (one, pool, stored) = one_address(cluster).await?;
    let two = cluster.registry().await;
    for last in 40..60 {
        let address = Ipv4Addr::new(10, 1, 0, last);
        let create = |index| {
            let owner = member(index).map_err(|broken| broken.0)?;
            let object = static_ip(address, &owner, &pool).map_err(|broken| broken.0)?;
            Ok::<_, String>(Write::CreateStaticIp(object))
        };
        let (first, second) = (create(1)?, create(2)?);
        let answers = tokio::join!(one.write(&first), two.write(&second));
        one_wins(&answers.into(), RegistryKind::AlreadyExists)?;
    }
    let mut stored = stored;
    for epoch in 1..20 {
        let write = |run: &str| {
            let mut object = attached(&stored.object, epoch).map_err(|broken| broken.0)?;
            if let Some(attachment) = &mut object.attachment {
                attachment.run = run.parse().map_err(|bad| format!("{bad}"))?;
            }
            let version = stored.version.clone();
            Ok::<_, String>(Write::UpdateStaticIp(Stored { version, object }))
        };
        let (first, second) = (write("init-a")?, write("init-b")?);
        let answers = tokio::join!(one.write(&first), two.write(&second));
        one_wins(&answers.into(), RegistryKind::Conflict)?;
        let read = one.static_ip(ADDRESS).await.map_err(|failure| wrong(&failure))?;
        stored = read.ok_or("the address is gone")?;
    }
    cluster.empty().await?;
    Ok(())
}

pub(super) async fn a_write_without_a_change_keeps_the_version(cluster: &Cluster) -> Outcome {
    let (registry, _pool, stored) = one_address(cluster).await?;
    let same = Write::UpdateStaticIp(stored.clone());
    let version = registry.write(&same).await.map_err(|failure| wrong(&failure))?;
    ensure(version == stored.version, || format!("{version} instead of {}", stored.version))
}

pub(super) async fn fields_of_other_writers_survive(cluster: &Cluster) -> Outcome {
    let (registry, _pool, before) = one_address(cluster).await?;
    let place = format!("{GROUP}/staticips/{ADDRESS}");
    let more = json!([
        { "op": "add", "path": "/metadata/labels", "value": { "team": "db" } },
        { "op": "add", "path": "/metadata/finalizers", "value": ["firecamp.io/test"] },
    ]);
    let answer = cluster.api.patch(&place, &more).await?;
    ensure(answer.code == 200, || answer.text)?;
    let late = registry.write(&take(&before)?).await;
    let kind = late.as_ref().err().map(|failure| failure.kind);
    ensure(kind == Some(RegistryKind::Conflict), || format!("{late:?}"))?;
    let read = registry.static_ip(ADDRESS).await.map_err(|failure| wrong(&failure))?;
    let stored = read.ok_or("the address is gone")?;
    registry.write(&take(&stored)?).await.map_err(|failure| wrong(&failure))?;
    let object = cluster.api.get(&place).await?.json();
    let metadata = &object["metadata"];
    let good = metadata["labels"]["team"] == "db"
        && metadata["finalizers"] == json!(["firecamp.io/test"])
        && object["spec"]["epoch"] == 1;
    ensure(good, || format!("{object}"))?;
    let managers = metadata["managedFields"].to_string();
    ensure(managers.contains("\"manager\":\"firecamp\""), || managers)?;
    let free = json!([{ "op": "remove", "path": "/metadata/finalizers" }]);
    let answer = cluster.api.patch(&place, &free).await?;
    ensure(answer.code == 200, || answer.text)
}

pub(super) async fn pods_are_read_with_their_lifecycle(cluster: &Cluster) -> Outcome {
    let registry = cluster.registry().await;
    let owner = member(0).map_err(|broken| broken.0)?;
    let absent = registry.pod(&owner).await.map_err(|failure| wrong(&failure))?;
    ensure(absent == PodView::Absent, || format!("{absent:?}"))?;
    let pod = json!({
        "metadata": { "name": "redis-0" },
        "spec": {
            "nodeName": "n1",
            "terminationGracePeriodSeconds": 600,
            "containers": [{ "name": "c", "image": "none" }],
        },
    });
    let pods = "/api/v1/namespaces/prod/pods";
    let made = cluster.api.post(pods, &pod).await?;
    ensure(made.code == 201, || made.text.clone())?;
    let uid = made.json()["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let observed = |view: PodView| match view {
        PodView::Present { pod, node, lifecycle, .. } => {
            (pod.to_string(), node.map(|node| node.to_string()), Some(lifecycle))
        }
        PodView::Absent | PodView::Vouched => (String::new(), None, None),
    };
    let view = observed(registry.pod(&owner).await.map_err(|failure| wrong(&failure))?);
    ensure(view == (uid.clone(), Some("n1".into()), Some(PodLifecycle::Running)), || {
        format!("{view:?}")
    })?;
    let gone = cluster.api.delete(&format!("{pods}/redis-0")).await?;
    ensure(gone.code == 200, || gone.text)?;
    let view = observed(registry.pod(&owner).await.map_err(|failure| wrong(&failure))?);
    let Some(PodLifecycle::Terminating(Some(left))) = view.2 else {
        return Err(format!("{view:?}"));
    };
    let seconds = left.as_secs();
    ensure((560..=600).contains(&seconds), || format!("{seconds} s are left of 600"))?;
    let gone = cluster.api.delete(&format!("{pods}/redis-0?gracePeriodSeconds=0")).await?;
    ensure(gone.code == 200, || gone.text)
}

/// With more objects than fit on one page.
pub(super) async fn a_new_list_reads_every_page(cluster: &Cluster) -> Outcome {
    let mut large = pool("a", &[1]).map_err(|broken| broken.0)?;
    for entry in &mut large.subnets {
        entry.cidr = "10.1.0.0/16".parse().map_err(|bad| format!("{bad}"))?;
        entry.ranges = vec![(Ipv4Addr::new(10, 1, 1, 0), Ipv4Addr::new(10, 1, 3, 255))];
    }
    let registry = Real(cluster).with(std::slice::from_ref(&large)).await;
    for (index, last) in (0..620_u16).zip(0x0100_u16..) {
        let [high, low] = last.to_be_bytes();
        let owner = member(u32::from(index)).map_err(|broken| broken.0)?;
        let object = static_ip(Ipv4Addr::new(10, 1, high, low), &owner, &large)
            .map_err(|broken| broken.0)?;
        let write = Write::CreateStaticIp(object);
        registry.write(&write).await.map_err(|failure| wrong(&failure))?;
    }
    let taken = registry.allocated(&large.name).await.map_err(|failure| wrong(&failure))?;
    cluster.empty().await?;
    ensure(taken.len() == 620, || format!("{} of 620 addresses", taken.len()))
}
