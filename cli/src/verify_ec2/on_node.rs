//! The facts that an instance shows: its metadata service while an address moves to one of its
//! interfaces and away.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::InterfacesBy;
use firecamp_core::contract::{tag, timing};
use firecamp_core::ids::{EniId, Mac};
use tokio::time::Instant;

use super::fact::Measure;
use super::judge::{self, Outcome, Verdict};
use super::ports::Ec2;
use super::session::{Halt, Session};
use super::set_up::Scene;

/// Between two reads of the metadata service.
const POLL: Duration = Duration::from_millis(250);
/// How long to wait for the metadata service: longer than its lag may be.
const PATIENCE: Duration = timing::METADATA_LAG.saturating_add(Duration::from_secs(15));
/// How often the address moves to the node and back.
const ROUNDS: usize = 2;

/// What is measured on a node.
pub(super) const NODE: [Measure; 3] = [Measure::Identity, Measure::Lists, Measure::Drops];

/// The interface of the node that takes the address for a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeInterface {
    pub(super) eni: EniId,
    mac: Mac,
}

/// What the metadata service is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Listed,
    Absent,
}

impl<E: Ec2> Session<'_, E> {
    /// The named interface of this instance, or a secondary one that no CNI plugin manages. If
    /// there is none, the verdict of the facts that need it.
    pub(super) async fn node_interface(
        &mut self,
        named: Option<&EniId>,
    ) -> Result<Result<NodeInterface, Verdict>, Halt> {
        let identity = match self.ec2.node().await {
            Ok(identity) => identity,
            Err(why) => return Ok(Err(Verdict::failed(&why))),
        };
        let here = identity.enis.into_iter().filter(|eni| eni.subnet == *self.subnet);
        let here: Vec<_> = here.filter(|eni| named.is_none_or(|id| eni.id == *id)).collect();
        let ids = here.iter().map(|eni| eni.id.clone()).collect();
        let listed = self.list(&InterfacesBy::Ids(ids)).await?;
        let unmanaged = |id: &EniId| {
            let tagged = listed.iter().find(|one| one.id == *id);
            tagged.and_then(|one| one.tags.get(tag::CNI_NO_MANAGE)).is_some_and(|it| it == "true")
        };
        let usable = here
            .into_iter()
            .find(|eni| named.is_some() || (eni.device_index > 0 && unmanaged(&eni.id)));
        let missing = || {
            let why = format!(
                "this instance has no secondary interface in {} with the tag {}=true; on others \
                 a CNI plugin may give the address to a pod. --interface names one all the same",
                self.subnet,
                tag::CNI_NO_MANAGE
            );
            Verdict::new(Outcome::NotObservable, why)
        };
        Ok(usable.map(|eni| NodeInterface { eni: eni.id, mac: eni.mac }).ok_or_else(missing))
    }

    /// Moves the address to the node and away, and reads the metadata service meanwhile.
    pub(super) async fn try_node(
        &mut self,
        scene: &Scene,
        node: &NodeInterface,
    ) -> Result<(), Halt> {
        let done = self.measure_node(scene, node).await;
        self.close(&NODE, done)
    }

    async fn measure_node(&mut self, scene: &Scene, node: &NodeInterface) -> Result<(), Halt> {
        let verdict = self.identity(node).await?;
        self.measured(Measure::Identity, &verdict);
        let [x, ..] = scene.addresses;
        self.have(x, &scene.a).await?.map_err(Halt::Failed)?;
        self.holdings.on_node = Some((node.eni.clone(), x));
        let (mut came, mut left) = (Vec::new(), Vec::new());
        for _round in 0..ROUNDS {
            self.have(x, &node.eni).await?.map_err(Halt::Failed)?;
            came.push(self.lag(node.mac, x, Wanted::Listed).await?);
            self.have(x, &scene.a).await?.map_err(Halt::Failed)?;
            left.push(self.lag(node.mac, x, Wanted::Absent).await?);
        }
        self.measured(Measure::Lists, &judge::lags(&came, timing::METADATA_LAG));
        self.measured(Measure::Drops, &judge::lags(&left, timing::METADATA_LAG));
        Ok(())
    }

    /// Whether the metadata service and EC2 list the same addresses for the node's interface.
    async fn identity(&mut self, node: &NodeInterface) -> Result<Verdict, Halt> {
        let begun = Instant::now();
        loop {
            let metadata = self.ec2.listed(node.mac).await.map_err(Halt::Failed)?;
            let listed = self.list(&InterfacesBy::Ids([node.eni.clone()].into())).await?;
            let all =
                listed.into_iter().flat_map(|one| one.secondary.into_iter().chain(one.primary));
            let described: BTreeSet<Ipv4Addr> = all.collect();
            let (shown, known) = (metadata.len(), described.len());
            let observed = format!("the metadata service lists {shown} addresses, EC2 {known}");
            if metadata == described || begun.elapsed() > timing::METADATA_LAG {
                return Ok(Verdict::holds_if(metadata == described, observed));
            }
            self.pause(POLL).await?;
        }
    }

    /// How long the metadata service takes to show it; none if it does not.
    async fn lag(
        &mut self,
        mac: Mac,
        address: Ipv4Addr,
        wanted: Wanted,
    ) -> Result<Option<Duration>, Halt> {
        let begun = Instant::now();
        while begun.elapsed() <= PATIENCE {
            // A failed read shows nothing.
            let listed = self.ec2.listed(mac).await.ok().map(|all| all.contains(&address));
            if listed == Some(wanted == Wanted::Listed) {
                return Ok(Some(begun.elapsed()));
            }
            self.pause(POLL).await?;
        }
        Ok(None)
    }
}
