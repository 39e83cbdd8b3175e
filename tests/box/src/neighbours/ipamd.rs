//! ipamd of Amazon's VPC CNI v1.23 with the default settings of its chart: it keeps the addresses
//! of one whole ENI in reserve (`WARM_ENI_TARGET=1`). It follows amazon-vpc-cni-k8s,
//! pkg/ipamd/ipamd.go, pkg/ipamd/datastore/data_store.go and pkg/awsutils/awsutils.go.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::instance::{Described, Failure, Instance, Listed, NewEni, Outcome, Tags, UNKNOWN_ENI};
use super::pods::Pods;
use super::{Pace, log};

/// `ipPoolMonitorInterval`.
const MONITOR: Duration = Duration::from_secs(5);
/// `nodeIPPoolReconcileInterval`.
const RECONCILE: Duration = Duration::from_mins(1);
/// `minENILifeTime`.
const YOUNG: Duration = Duration::from_mins(1);
/// `ipCooldownPeriod`.
const COOLDOWN: Duration = Duration::from_secs(30);
/// How often and after which first pause it looks for a new ENI in the metadata service
/// (`waitForENIAndIPsAttached`).
const LOOKS: u32 = 12;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// After this time the kubelet has restarted it (`nodeInit` failed).
const RESTART: Duration = Duration::from_secs(5);
/// The cluster's name.
const CLUSTER: &str = "prod";

const NO_MANAGE: &str = "node.k8s.amazonaws.com/no_manage";
const INSTANCE: &str = "node.k8s.amazonaws.com/instance_id";

/// An ENI of its pool.
#[derive(Debug)]
struct PoolEni {
    addresses: BTreeSet<Ipv4Addr>,
    is_trunk: bool,
    since: Instant,
}

struct Ipamd<'a> {
    instance: Instance,
    pace: Pace,
    pods: Pods,
    /// The kubelet's maximum of pods.
    most_pods: usize,
    /// Where it announces that a trunk has room.
    trunk: Option<&'a Path>,
    enis: BTreeMap<String, PoolEni>,
    /// ENIs that it leaves alone.
    unmanaged: BTreeSet<String>,
    /// When it last changed the pool or compared it with the metadata service.
    acted: Instant,
}

pub(super) async fn run(
    pace: Pace,
    (pods, most_pods): (&Path, usize),
    trunk: Option<&Path>,
) -> Outcome<Infallible> {
    let file: PathBuf = pods.to_owned();
    let mut ipamd = Ipamd {
        instance: Instance::connect("ipamd").await?,
        pace,
        pods: Pods::new(&file, pace.of(COOLDOWN)),
        most_pods,
        trunk,
        enis: BTreeMap::new(),
        unmanaged: BTreeSet::new(),
        acted: Instant::now(),
    };
    while let Err(failure) = ipamd.start().await {
        log("start", &failure);
        pace.sleep(RESTART).await;
    }
    loop {
        pace.sleep(MONITOR / 2).await;
        ipamd.update_pods();
        ipamd.update_pool().await;
        pace.sleep(MONITOR / 2).await;
        ipamd.update_pods();
        if ipamd.acted.elapsed() > pace.of(RECONCILE)
            && let Err(failure) = ipamd.reconcile().await
        {
            log("reconcile", &failure);
        }
    }
}

impl Ipamd<'_> {
    /// `nodeInit`: adopts the ENIs that are not tagged otherwise and fills the reserve.
    async fn start(&mut self) -> Outcome {
        self.enis.clear();
        let (listed, described) = self.describe_all().await?;
        self.adopt(listed, &described).await?;
        for eni in self.enis.keys() {
            if let Err(failure) = self.instance.set_groups(eni).await {
                log(&format!("set the groups of {eni}"), &failure);
            }
        }
        self.update_pods();
        if self.is_too_low() { self.increase().await } else { Ok(()) }
    }

    /// `updateIPPoolIfRequired`.
    async fn update_pool(&mut self) {
        self.announce_room_for_trunk();
        let done = if self.is_too_low() {
            self.increase().await
        } else if self.available() >= 2 * self.instance.limits.each {
            self.free_one().await
        } else {
            return;
        };
        if let Err(failure) = done {
            log("change the pool", &failure);
        }
    }

    fn update_pods(&mut self) {
        let all = self.enis.values().flat_map(|eni| eni.addresses.iter().copied()).collect();
        self.pods.update(&all);
    }

    fn total(&self) -> usize {
        self.enis.values().map(|eni| eni.addresses.len()).sum()
    }

    fn available(&self) -> usize {
        self.total().saturating_sub(self.pods.count())
    }

    /// `isDatastorePoolTooLow`.
    fn is_too_low(&self) -> bool {
        self.total() < self.most_pods && self.available() < self.instance.limits.each
    }

    fn has_trunk(&self) -> bool {
        self.enis.values().any(|eni| eni.is_trunk)
    }

    /// `hasRoomForEni`: it keeps room for a trunk.
    fn has_room(&self) -> bool {
        let trunk = usize::from(self.trunk.is_some() && !self.has_trunk());
        self.enis.len() + self.unmanaged.len() + trunk < self.instance.limits.enis
    }

    /// `tryEnableSecurityGroupsForPods`: only while there is room.
    fn announce_room_for_trunk(&self) {
        let Some(file) = self.trunk.filter(|_| !self.has_trunk()) else { return };
        if self.enis.len() + self.unmanaged.len() < self.instance.limits.enis
            && let Err(error) = fs::write(file, "")
        {
            log("announce room for a trunk", &error);
        }
    }

    /// `increaseDatastorePool`: more addresses on an ENI that has room, else another ENI.
    async fn increase(&mut self) -> Outcome {
        let each = self.instance.limits.each;
        // It assigns no addresses to a trunk (`GetAllocatableENIs`).
        let roomy =
            self.enis.iter_mut().find(|(_, eni)| !eni.is_trunk && eni.addresses.len() < each);
        if let Some((id, eni)) = roomy {
            let missing = each - eni.addresses.len();
            let given = match self.instance.assign(id, missing).await {
                Err(failure) if failure.code == "PrivateIpAddressLimitExceeded" => {
                    let found = self.instance.describe(vec![id.clone()]).await?;
                    found.into_iter().flat_map(|one| one.addresses).collect()
                }
                Err(failure) => {
                    log(&format!("assign {missing} addresses to {id}"), &failure);
                    self.instance.assign(id, 1).await?
                }
                Ok(given) => given,
            };
            eni.addresses.extend(given);
            self.acted = Instant::now();
            return Ok(());
        }
        if self.has_room() { self.add_eni().await } else { Ok(()) }
    }

    /// `tryAllocateENI`. An ENI that cannot be attached is deleted; the next turn makes another.
    async fn add_eni(&mut self) -> Outcome {
        let created = ("node.k8s.amazonaws.com/createdAt".to_owned(), "now".to_owned());
        let Described { id, .. } = self
            .instance
            .create(NewEni {
                description: format!("aws-K8S-{}", self.instance.id),
                addresses: self.instance.limits.each,
                is_trunk: false,
                tags: self.tags().into_iter().chain([created]).collect(),
            })
            .await?;
        let attachment = match self.attach(&id).await {
            Ok(attachment) => attachment,
            Err(failure) => {
                log(&format!("attach {id}"), &failure);
                return self.instance.delete(&id, self.pace).await;
            }
        };
        if let Err(failure) = self.instance.delete_on_termination(&id, &attachment).await {
            log(&format!("modify {id}"), &failure);
            return self.instance.free(&id, self.pace).await;
        }
        let addresses = self.wait_listed(&id).await?;
        self.enis.insert(id, PoolEni { addresses, is_trunk: false, since: Instant::now() });
        self.acted = Instant::now();
        Ok(())
    }

    /// `attachENI`: at the lowest index that DescribeInstances shows as free.
    async fn attach(&self, eni: &str) -> Outcome<String> {
        let used = self.instance.used_indexes().await?;
        let free = (0..u32::MAX).find(|index| !used.contains(index)).unwrap_or_default();
        self.instance.attach(eni, free, Some(0)).await
    }

    /// `waitForENIAndIPsAttached`.
    async fn wait_listed(&self, eni: &str) -> Outcome<BTreeSet<Ipv4Addr>> {
        let mut pause = LOOK_AGAIN;
        for _ in 0..LOOKS {
            let listed = self.instance.attached().await.unwrap_or_default();
            let found = listed.into_iter().find(|one| one.id == eni);
            if let Some(found) = found
                && found.addresses.len() >= self.instance.limits.each
            {
                return Ok(found.addresses);
            }
            self.pace.sleep(pause).await;
            pause = (pause * 2).min(Duration::from_mins(1));
        }
        Err(Failure::other(format!("the metadata service does not list {eni}")))
    }

    /// `tryFreeENI`: one without pods that is not new, neither the primary one nor a trunk.
    async fn free_one(&mut self) -> Outcome {
        let young = self.pace.of(YOUNG);
        let is_free = |(id, eni): &(&String, &PoolEni)| {
            **id != self.instance.primary
                && !eni.is_trunk
                && eni.since.elapsed() >= young
                && !self.pods.use_any(&eni.addresses)
        };
        let Some(id) = self.enis.iter().find(is_free).map(|(id, _)| id.clone()) else {
            return Ok(());
        };
        self.enis.remove(&id);
        self.instance.free(&id, self.pace).await
    }

    /// `nodeIPPoolReconcile`: adopts what somebody else attached, and what somebody else assigned
    /// to its own ENIs; forgets what is gone.
    async fn reconcile(&mut self) -> Outcome {
        let mut listed = self.instance.attached().await?;
        listed.retain(|eni| !self.unmanaged.contains(&eni.id));
        if listed.iter().any(|eni| !self.enis.contains_key(&eni.id)) {
            let (all, described) = self.describe_all().await?;
            self.adopt(all, &described).await?;
        }
        self.enis.retain(|id, _| listed.iter().any(|one| one.id == *id));
        for eni in listed {
            let Some(own) = self.enis.get_mut(&eni.id) else { continue };
            if own.addresses != eni.addresses {
                // The metadata service may be stale (`eniIPPoolReconcile`).
                let found = self.instance.describe(vec![eni.id]).await?;
                own.addresses = found.into_iter().flat_map(|one| one.addresses).collect();
            }
        }
        self.acted = Instant::now();
        Ok(())
    }

    /// Tags ENIs and adds them to the pool, except those that it leaves alone (`setUnmanagedENIs`).
    async fn adopt(&mut self, listed: Vec<Listed>, described: &[Described]) -> Outcome {
        let no_manage = |one: &&Described| {
            one.tags.get(NO_MANAGE).is_some_and(|value| value == "true")
                && one.id != self.instance.primary
        };
        let unmanaged = described.iter().filter(no_manage).map(|one| one.id.clone());
        self.unmanaged = unmanaged.collect();
        for eni in listed {
            if self.unmanaged.contains(&eni.id) || self.enis.contains_key(&eni.id) {
                continue;
            }
            let Some(one) = described.iter().find(|one| one.id == eni.id) else { continue };
            let mut missing = self.tags();
            missing.retain(|key, value| one.tags.get(key) != Some(value));
            if !one.is_trunk && !missing.is_empty() {
                self.instance.tag(&eni.id, missing).await?;
            }
            let (addresses, is_trunk) = (eni.addresses, one.is_trunk);
            self.enis.insert(eni.id, PoolEni { addresses, is_trunk, since: Instant::now() });
        }
        Ok(())
    }

    /// `buildENITags`.
    fn tags(&self) -> Tags {
        [
            (INSTANCE, self.instance.id.as_str()),
            ("cluster.k8s.amazonaws.com/name", CLUSTER),
            ("eks:eni:owner", "amazon-vpc-cni"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    /// `DescribeAllENIs`: what the metadata service lists and EC2 describes. One that EC2 does not
    /// know, or not yet, is left out.
    async fn describe_all(&self) -> Outcome<(Vec<Listed>, Vec<Described>)> {
        let mut listed = self.instance.attached().await?;
        loop {
            let ids = listed.iter().map(|one| one.id.clone()).collect();
            match self.instance.describe(ids).await {
                Ok(described) => return Ok((listed, described)),
                Err(failure) if failure.code == UNKNOWN_ENI => {
                    let before = listed.len();
                    listed.retain(|one| !failure.text.contains(&one.id));
                    if listed.len() == before {
                        return Err(failure);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}
