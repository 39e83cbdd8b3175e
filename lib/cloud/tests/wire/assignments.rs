//! What the client reports about an address, compared with its actual state.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::CloudKind::{
    BadAddress, CapacityExceeded, HeldElsewhere, NotFound, NotOnInterface, Throttled, Transient,
};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::EniId;
use firecamp_core::ports::{Cloud, Owner};
use firecamp_vpc::{Fault, ThrottleForm};

use crate::two_nodes::TwoNodes;

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 100);
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

impl TwoNodes {
    pub(crate) async fn assign(
        &self,
        node: usize,
        address: Ipv4Addr,
        force: bool,
    ) -> Result<(), CloudFailure> {
        let cloud = self.clouds.get(node).unwrap();
        cloud.assign(self.enis.get(node).unwrap(), &[address], force, WITHIN).await
    }

    pub(crate) async fn unassign(
        &self,
        node: usize,
        address: Ipv4Addr,
    ) -> Result<(), CloudFailure> {
        let cloud = self.clouds.get(node).unwrap();
        cloud.unassign(self.enis.get(node).unwrap(), address, WITHIN).await
    }

    pub(crate) fn holder(&self, address: Ipv4Addr) -> Option<usize> {
        let owner = self.owner(address)?;
        self.enis.iter().position(|eni| eni.as_str() == owner)
    }

    /// Waits until Describe and the metadata service, which lag, both list the address on the node.
    async fn wait_until_visible(&self, node: usize) {
        let cloud = self.clouds.get(node).unwrap();
        let eni = self.enis.get(node).unwrap();
        let mac = cloud.identity().await.unwrap().enis.first().unwrap().mac;
        let both = async {
            loop {
                let owner = cloud.owner(ADDRESS, &self.subnet).await.unwrap();
                let ours = matches!(&owner, Owner::Eni(owner) if owner.id == *eni);
                if ours && cloud.listed(mac).await.unwrap().contains(&ADDRESS) {
                    let Owner::Eni(owner) = owner else { panic!("{owner:?}") };
                    assert!(!owner.primary);
                    assert_eq!(owner.cluster.as_deref(), Some("demo"));
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
    }
}

pub(crate) fn kind(answer: Result<(), CloudFailure>) -> (CloudKind, Effect) {
    let failure = answer.unwrap_err();
    (failure.kind, failure.effect)
}

#[tokio::test]
async fn an_identity_matches_the_simulated_node() {
    let two = TwoNodes::start().await;
    let node = two.clouds[1].identity().await.unwrap();
    assert_eq!((node.region.as_str(), node.zone.as_str()), ("us-east-1", "us-east-1a"));
    assert_eq!(node.instance_type, "t3.medium");
    let eni = node.enis.first().unwrap();
    assert_eq!((&eni.id, &eni.subnet), (&two.enis[1], &two.subnet));
    assert_eq!(eni.primary_address, Ipv4Addr::new(10, 0, 1, 20));
}

#[tokio::test]
async fn an_assigned_address_moves_only_by_force() {
    let two = TwoNodes::start().await;
    two.assign(0, ADDRESS, false).await.unwrap();
    two.wait_until_visible(0).await;
    assert_eq!(kind(two.assign(1, ADDRESS, false).await), (HeldElsewhere, Effect::None));
    assert_eq!(two.holder(ADDRESS), Some(0));
    two.assign(1, ADDRESS, true).await.unwrap();
    two.wait_until_visible(1).await;
    assert_eq!(kind(two.unassign(0, ADDRESS).await), (NotOnInterface, Effect::None));
    two.unassign(1, ADDRESS).await.unwrap();
    assert_eq!(two.holder(ADDRESS), None);
}

#[tokio::test]
async fn f045_impossible_requests_are_classified_by_cause() {
    let two = TwoNodes::start().await;
    let outside = Ipv4Addr::new(10, 0, 2, 9);
    let router = Ipv4Addr::new(10, 0, 1, 1);
    let own = Ipv4Addr::new(10, 0, 1, 10);
    for address in [outside, router] {
        assert_eq!(kind(two.assign(0, address, true).await), (BadAddress, Effect::None));
    }
    assert_eq!(kind(two.unassign(0, own).await), (BadAddress, Effect::None));
    assert_eq!(kind(two.unassign(0, ADDRESS).await), (NotOnInterface, Effect::None));
    let missing = EniId::new("eni-0aaaaaaaaaaaaaaaa").unwrap();
    let answer = two.clouds[0].assign(&missing, &[ADDRESS], true, WITHIN).await;
    assert_eq!(kind(answer), (NotFound, Effect::None));
    // A t3.medium has six addresses per ENI, including the primary one.
    for last in 101..106 {
        two.assign(0, Ipv4Addr::new(10, 0, 1, last), false).await.unwrap();
    }
    let full = two.assign(0, ADDRESS, false).await;
    assert_eq!(kind(full), (CapacityExceeded, Effect::None));
}

#[tokio::test]
async fn f052_a_lost_response_is_an_unknown_effect() {
    for after_commit in [true, false] {
        let two = TwoNodes::start().await;
        two.break_once("AssignPrivateIpAddresses", Fault::LostResponse { after_commit });
        let lost = two.assign(0, ADDRESS, true).await;
        assert_eq!(kind(lost), (Transient, Effect::Unknown));
        assert_eq!(two.holder(ADDRESS).is_some(), after_commit);
        assert_eq!(two.ec2.requests().len(), 1);
    }
}

#[tokio::test]
async fn f050_a_throttled_call_is_classified_as_throttled_without_effect() {
    let two = TwoNodes::start().await;
    let storm =
        Fault::ThrottleStorm { form: ThrottleForm::default(), retry_after_ms: Some(60_000) };
    two.break_once("AssignPrivateIpAddresses", storm);
    assert_eq!(kind(two.assign(0, ADDRESS, true).await), (Throttled, Effect::None));
    assert_eq!(two.ec2.requests().len(), 1);
    two.assign(0, ADDRESS, true).await.unwrap();
}
