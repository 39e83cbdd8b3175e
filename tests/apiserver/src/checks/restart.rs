//! The API server dies in the middle of an attach, and of a release.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use firecamp_core::contract::timing;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::outside::{PodView, Registry};
use firecamp_core::record::{MemberRecords, StaticIp, Stored, Write};
use firecamp_core::release::Releaser;
use firecamp_engine::Ended;
use firecamp_kube::KubeRegistry;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::life::{FIRST, Site, attached, released};
use crate::samples::GROUP;

/// What was asked: a write or not, and whether it failed.
#[derive(Debug, Clone, Copy)]
struct Asked {
    write: bool,
    failed: bool,
}

/// Requests are noted, and with one of them the server dies: with a read before it is sent, with
/// a write while it is under way, so that it may or may not have its effect.
struct Watched {
    registry: KubeRegistry,
    asked: Mutex<Vec<Asked>>,
    fatal: Option<usize>,
    begun: Semaphore,
    dead: Semaphore,
}

impl Watched {
    async fn new(cluster: &Cluster, fatal: Option<usize>) -> Self {
        let (begun, dead) = (Semaphore::new(0), Semaphore::new(0));
        let registry = cluster.registry().await;
        Self { registry, asked: Mutex::default(), fatal, begun, dead }
    }

    fn note(&self, asked: &mut dyn FnMut(&mut Vec<Asked>)) -> usize {
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked(&mut all);
        all.len()
    }

    async fn call<T>(
        &self,
        write: bool,
        request: impl Future<Output = Result<T, RegistryFailure>>,
    ) -> Result<T, RegistryFailure> {
        let number = self.note(&mut |all| all.push(Asked { write, failed: false }));
        if self.fatal == Some(number) {
            self.begun.add_permits(1);
            if !write {
                self.dead.acquire().await.expect("it dies").forget();
            }
        }
        let answer = request.await;
        if answer.is_err() {
            self.note(&mut |all| all[number - 1].failed = true);
        }
        answer
    }

    /// Kills the server when it is time, and starts it again.
    async fn direct(&self, cluster: &Cluster) -> Outcome {
        if self.fatal.is_none() {
            return Ok(());
        }
        self.begun.acquire().await.expect("it comes to that request").forget();
        cluster.kill().await?;
        self.dead.add_permits(1);
        cluster.start_again().await
    }

    fn asked(self) -> Vec<Asked> {
        self.asked.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for Watched {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        self.call(false, self.registry.member(member, pool)).await
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        self.call(false, self.registry.static_ip(address)).await
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        self.call(false, self.registry.pod(member)).await
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        self.call(false, self.registry.allocated(pool)).await
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        self.call(true, self.registry.write(write)).await
    }
}

/// What the server dies in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// The first attach of a member.
    First,
    /// Its release.
    Release,
}

/// One run, in which the server dies with this request, and comes back.
async fn play(cluster: &Cluster, scene: Scene, fatal: Option<usize>) -> Result<Vec<Asked>, String> {
    let site = Site::new(cluster).await?;
    let pod = site.pod("redis-0", "node-a").await?;
    if scene == Scene::Release {
        attached(site.init(&pod, cluster.registry().await).await)?;
        site.delete(&pod).await?;
    }
    let registry = Watched::new(cluster, fatal).await;
    let begun = Instant::now();
    let life = async {
        match scene {
            Scene::First => site.init(&pod, &registry).await,
            Scene::Release => site.stop(&pod, &registry, Releaser::Stop).await,
        }
    };
    let (ended, directed) = tokio::join!(life, registry.direct(cluster));
    directed?;
    let took = begun.elapsed();
    ensure(took < timing::ATTACH_DEADLINE, || format!("it took {took:?}"))?;
    let state = ends_well(scene, ended)?;
    let stored = site.stored(FIRST).await?;
    let attachment = &stored["spec"]["attachment"];
    let good = attachment["state"] == state && attachment["podUID"] == pod.uid.as_str();
    ensure(good, || stored.to_string())?;
    nothing_is_double(cluster).await?;
    Ok(registry.asked())
}

fn ends_well(scene: Scene, ended: Ended) -> Result<&'static str, String> {
    match scene {
        Scene::First => attached(ended).map(|_attached| "Attached"),
        Scene::Release => released(&ended).map(|()| "Parked"),
    }
}

/// One claim and one address.
async fn nothing_is_double(cluster: &Cluster) -> Outcome {
    for kind in ["staticips", "namespaces/prod/staticipclaims"] {
        let list = cluster.api.get(&format!("{GROUP}/{kind}")).await?.json();
        let count = list["items"].as_array().map_or(0, Vec::len);
        ensure(count == 1, || format!("{count} {kind}: {list}"))?;
    }
    Ok(())
}

async fn dies_with_each_request(cluster: &Cluster, scene: Scene, least: usize) -> Outcome {
    let calm = play(cluster, scene, None).await?;
    let writes = calm.iter().filter(|asked| asked.write).count();
    let good = calm.len() >= least && writes > 0 && calm.iter().all(|asked| !asked.failed);
    ensure(good, || format!("a calm run asked {calm:?}"))?;
    for number in 1..=calm.len() {
        let wrong = |wrong| format!("request {number} of {calm:?}: {wrong}");
        let asked = play(cluster, scene, Some(number)).await.map_err(wrong)?;
        let met = asked[number - 1].write || asked[number - 1].failed;
        ensure(met, || wrong(format!("the server's death went unnoticed: {asked:?}")))?;
    }
    Ok(())
}

pub(super) async fn an_attach_outlives_the_api_server_at_every_request(
    cluster: &Cluster,
) -> Outcome {
    dies_with_each_request(cluster, Scene::First, 6).await
}

pub(super) async fn a_release_outlives_the_api_server_at_every_request(
    cluster: &Cluster,
) -> Outcome {
    dies_with_each_request(cluster, Scene::Release, 3).await
}

/// It ends when its time is over, says why, and the next run converges.
pub(super) async fn an_attach_ends_in_time_while_the_api_server_stays_away(
    cluster: &Cluster,
) -> Outcome {
    let site = Site::new(cluster).await?;
    let pod = site.pod("redis-0", "node-a").await?;
    let registry = cluster.registry().await;
    cluster.kill().await?;
    let begun = Instant::now();
    let ended = site.init_in(&pod, &registry, Duration::from_secs(6)).await;
    let took = begun.elapsed();
    cluster.start_again().await?;
    let text = format!("{ended:?}");
    let said = text.contains("Failed") && text.contains("Unavailable");
    ensure(said && took < Duration::from_secs(12), || format!("after {took:?}: {text}"))?;
    attached(site.init(&pod, &registry).await)?;
    nothing_is_double(cluster).await
}
