//! The API server crashes in the middle of an attach or a release.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use firecamp_core::contract::timing;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{MemberRecords, StaticIp, Stored, Write};
use firecamp_core::release::Releaser;
use firecamp_engine::Ended;
use firecamp_kube::KubeRegistry;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::lifecycle::{FIRST, Site, attached, released};
use crate::samples::GROUP;

/// A request: whether it was a write, and whether it failed.
#[derive(Debug, Clone, Copy)]
struct ObservedRequest {
    write: bool,
    failed: bool,
}

/// Records requests and crashes the server at one of them: before a read is sent, or while a write
/// is in flight, so that it may or may not take effect.
struct Watched {
    registry: KubeRegistry,
    requests: Mutex<Vec<ObservedRequest>>,
    fatal: Option<usize>,
    begun: Semaphore,
    dead: Semaphore,
}

impl Watched {
    async fn new(cluster: &Cluster, fatal: Option<usize>) -> Self {
        let (begun, dead) = (Semaphore::new(0), Semaphore::new(0));
        let registry = cluster.registry().await;
        Self { registry, requests: Mutex::default(), fatal, begun, dead }
    }

    fn record(&self, change: &mut dyn FnMut(&mut Vec<ObservedRequest>)) -> usize {
        let mut all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut all);
        all.len()
    }

    async fn call<T>(
        &self,
        write: bool,
        request: impl Future<Output = Result<T, RegistryFailure>>,
    ) -> Result<T, RegistryFailure> {
        let number = self.record(&mut |all| all.push(ObservedRequest { write, failed: false }));
        if self.fatal == Some(number) {
            self.begun.add_permits(1);
            if !write {
                self.dead.acquire().await.expect("the server is killed").forget();
            }
        }
        let answer = request.await;
        if answer.is_err() {
            self.record(&mut |all| all[number - 1].failed = true);
        }
        answer
    }

    /// Kills the server at that request, and starts it again.
    async fn direct(&self, cluster: &Cluster) -> Outcome {
        if self.fatal.is_none() {
            return Ok(());
        }
        self.begun.acquire().await.expect("the run sends that request").forget();
        cluster.kill().await?;
        self.dead.add_permits(1);
        cluster.restart().await
    }

    fn requests(self) -> Vec<ObservedRequest> {
        self.requests.into_inner().unwrap_or_else(PoisonError::into_inner)
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

/// The operation during which the server crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first attach of a member.
    First,
    /// The release of a member.
    Release,
}

/// One run in which the server crashes at this request and restarts.
async fn play(
    cluster: &Cluster,
    phase: Phase,
    fatal: Option<usize>,
) -> Result<Vec<ObservedRequest>, String> {
    let site = Site::new(cluster).await?;
    let pod = site.pod("redis-0", "node-a").await?;
    if phase == Phase::Release {
        attached(site.init(&pod, cluster.registry().await).await)?;
        site.delete(&pod).await?;
    }
    let registry = Watched::new(cluster, fatal).await;
    let begun = Instant::now();
    let lifecycle = async {
        match phase {
            Phase::First => site.init(&pod, &registry).await,
            Phase::Release => site.stop(&pod, &registry, Releaser::Stop).await,
        }
    };
    let (ended, directed) = tokio::join!(lifecycle, registry.direct(cluster));
    directed?;
    let took = begun.elapsed();
    ensure(took < timing::ATTACH_DEADLINE, || format!("the run took {took:?}"))?;
    let state = final_state(phase, ended)?;
    let stored = site.stored(FIRST).await?;
    let attachment = &stored["spec"]["attachment"];
    let good = attachment["state"] == state && attachment["podUID"] == pod.uid.as_str();
    ensure(good, || stored.to_string())?;
    nothing_is_duplicated(cluster).await?;
    Ok(registry.requests())
}

fn final_state(phase: Phase, ended: Ended) -> Result<&'static str, String> {
    match phase {
        Phase::First => attached(ended).map(|_attached| "Attached"),
        Phase::Release => released(&ended).map(|()| "Parked"),
    }
}

/// Checks that there is one claim and one address.
async fn nothing_is_duplicated(cluster: &Cluster) -> Outcome {
    for kind in ["staticips", "namespaces/prod/staticipclaims"] {
        let list = cluster.api.get(&format!("{GROUP}/{kind}")).await?.json();
        let count = list["items"].as_array().map_or(0, Vec::len);
        ensure(count == 1, || format!("{count} {kind}: {list}"))?;
    }
    Ok(())
}

async fn crash_at_each_request(cluster: &Cluster, phase: Phase, least: usize) -> Outcome {
    let baseline = play(cluster, phase, None).await?;
    let writes = baseline.iter().filter(|one| one.write).count();
    let good = baseline.len() >= least && writes > 0 && baseline.iter().all(|one| !one.failed);
    ensure(good, || format!("requests of a run without a crash: {baseline:?}"))?;
    for number in 1..=baseline.len() {
        let wrong = |wrong| format!("request {number} of {baseline:?}: {wrong}");
        let requests = play(cluster, phase, Some(number)).await.map_err(wrong)?;
        let met = requests[number - 1].write || requests[number - 1].failed;
        ensure(met, || {
            wrong(format!("no request failed although the server crashed: {requests:?}"))
        })?;
    }
    Ok(())
}

pub(super) async fn an_attach_survives_an_api_server_crash_at_every_request(
    cluster: &Cluster,
) -> Outcome {
    crash_at_each_request(cluster, Phase::First, 6).await
}

pub(super) async fn a_release_survives_an_api_server_crash_at_every_request(
    cluster: &Cluster,
) -> Outcome {
    crash_at_each_request(cluster, Phase::Release, 3).await
}

/// The attach ends at its deadline and reports why, and the next run converges.
pub(super) async fn an_attach_times_out_while_the_api_server_is_down(cluster: &Cluster) -> Outcome {
    let site = Site::new(cluster).await?;
    let pod = site.pod("redis-0", "node-a").await?;
    let registry = cluster.registry().await;
    cluster.kill().await?;
    let begun = Instant::now();
    let ended = site.init_in(&pod, &registry, Duration::from_secs(6)).await;
    let took = begun.elapsed();
    cluster.restart().await?;
    let text = format!("{ended:?}");
    let explained = text.contains("Failed") && text.contains("Unavailable");
    ensure(explained && took < Duration::from_secs(12), || format!("after {took:?}: {text}"))?;
    attached(site.init(&pod, &registry).await)?;
    nothing_is_duplicated(cluster).await
}
