//! What is done to a node, to its surroundings or to the process.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::CloudKind;
use firecamp_core::ids::Epoch;
use firecamp_node::volumes::observation::{Amount, DeviceNumber, Mount, Usage};
use firecamp_node::volumes::path::KUBELET;
use tokio::time::sleep;

use super::super::harness::{ADDRESS, Node, OTHER_POD, POD, Running};
use super::super::leader::fixture::{ClusterFixture, until};
use super::super::status;
use super::Watch;
use crate::status::Status;

/// By now everything has been asked, and what was to settle has settled.
const SETTLED: Duration = Duration::from_mins(15);

/// What happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause {
    AnAgentBegins,
    Node(OfNode),
    Lease(OfLease),
    TheProcessWorks,
}

/// What happens to a node whose agent runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum OfNode {
    TheKernelLosesAnAddress,
    TheKernelLosesAnAddressOfAnotherEpoch,
    TheInterfacesLinkGoes,
    TheKernelDropsEvents,
    AnAddressIsTakenAway,
    AnAddressIsTakenAwayAndEc2Denies,
    AStrangerHasTheAddress,
    Ec2Throttles,
    AnAddressHasNoRecord,
    TheInterfaceIsFull,
    TheRegistryIsAway,
    TheRegistryNamesAnotherNode,
    TheMetadataServiceIsSilent,
    TheClockIsSet,
    AVolumeIsMounted,
    AVolumeFills,
}

/// What happens to a cluster, or to its one agent.
#[derive(Debug, Clone, Copy)]
pub(super) enum OfLease {
    TheLeaseIsTaken,
    APoolShrinks,
}

impl Cause {
    /// It happens, and all of this moves.
    pub(super) async fn provoked(self, moves: &[&'static str]) {
        match self {
            Self::AnAgentBegins => {
                let node = status::node().await;
                node.reporting_agent(async |agent| {
                    let watch = Watch::before_all(moves);
                    watch.all_moved(self, agent.status).await;
                })
                .await;
            }
            Self::Node(what) => {
                let node = status::node().await;
                node.reporting_agent(async |agent| {
                    agent.ready().await;
                    sleep(SETTLED).await;
                    let watch = Watch::begin(agent.status, moves);
                    what.happens(&node, &agent).await;
                    watch.all_moved(self, agent.status).await;
                })
                .await;
            }
            Self::Lease(what) => {
                let fixture = ClusterFixture::new().await;
                let watch = Watch::begin(&fixture.status, moves);
                fixture
                    .during(async || match what {
                        OfLease::TheLeaseIsTaken => watch.all_moved(self, &fixture.status).await,
                        OfLease::APoolShrinks => {
                            until("the pool is told", || is_reported(&fixture.status)).await;
                            let watch = Watch::begin(&fixture.status, moves);
                            shrink(&fixture);
                            watch.all_moved(self, &fixture.status).await;
                        }
                    })
                    .await;
            }
            Self::TheProcessWorks => {
                let status = Status::default();
                let watch = Watch::begin(&status, moves);
                let taken = vec![1_u8; 64 << 20];
                watch.all_moved(self, &status).await;
                drop(std::hint::black_box(taken));
            }
        }
    }
}

fn is_reported(status: &Status) -> bool {
    status.metrics().unwrap().contains("firecamp_agent_pool_free_addresses{")
}

fn shrink(fixture: &ClusterFixture) {
    let changed = fixture.server.change("staticippools", None, "a", |pool| {
        let ranges = pool.pointer_mut("/spec/subnets/0/ranges/0").unwrap();
        ranges["end"] = ranges["start"].clone();
    });
    assert!(changed);
}

impl OfNode {
    async fn happens(self, node: &Node, agent: &Running<'_>) {
        match self {
            Self::TheKernelLosesAnAddress => agent.strip(),
            Self::TheKernelLosesAnAddressOfAnotherEpoch => {
                // By the node's lock there is a newer holder, in whose place nobody may act.
                node.host.change(|kernel| {
                    for lock in kernel.locks.values_mut() {
                        lock.holder.epoch = Epoch(lock.holder.epoch.0 + 1);
                    }
                });
                agent.strip();
            }
            Self::TheInterfacesLinkGoes => {
                node.host.change(|kernel| kernel.links.clear());
                agent.strip();
            }
            Self::TheKernelDropsEvents => agent.drop_events(),
            Self::TheRegistryIsAway => {
                node.server.go_away();
                // An Event of it cannot be written.
                agent.strip();
            }
            Self::TheRegistryNamesAnotherNode => node.hand_to("node-2", OTHER_POD, 6).await,
            Self::AVolumeIsMounted => mount(node, Amount { total: 1000, free: 500 }),
            Self::AVolumeFills => mount(node, Amount { total: 1000, free: 1 }),
            Self::AnAddressIsTakenAway
            | Self::AnAddressIsTakenAwayAndEc2Denies
            | Self::AStrangerHasTheAddress
            | Self::Ec2Throttles
            | Self::AnAddressHasNoRecord
            | Self::TheInterfaceIsFull
            | Self::TheMetadataServiceIsSilent
            | Self::TheClockIsSet => self.happens_in_ec2(node),
        }
    }

    fn happens_in_ec2(self, node: &Node) {
        if matches!(
            self,
            Self::AnAddressIsTakenAway
                | Self::AnAddressIsTakenAwayAndEc2Denies
                | Self::AStrangerHasTheAddress
        ) {
            node.moves_away(ADDRESS);
        }
        let cloud = &node.cloud;
        match self {
            Self::AnAddressIsTakenAwayAndEc2Denies => cloud.refuse(None, Some(CloudKind::Auth)),
            Self::AStrangerHasTheAddress => node.other_is_foreign(),
            Self::Ec2Throttles => {
                cloud.refuse(Some(CloudKind::Throttled), Some(CloudKind::Throttled));
            }
            Self::AnAddressHasNoRecord => cloud.give(Ipv4Addr::new(10, 1, 0, 21)),
            Self::TheInterfaceIsFull => {
                (100..108).for_each(|last| cloud.give(Ipv4Addr::new(10, 1, 0, last)));
            }
            Self::TheMetadataServiceIsSilent => cloud.own(|own| own.identity = None),
            Self::TheClockIsSet => cloud.account().ahead = 90,
            Self::AnAddressIsTakenAway
            | Self::TheKernelLosesAnAddress
            | Self::TheKernelLosesAnAddressOfAnotherEpoch
            | Self::TheInterfacesLinkGoes
            | Self::TheKernelDropsEvents
            | Self::TheRegistryIsAway
            | Self::TheRegistryNamesAnotherNode
            | Self::AVolumeIsMounted
            | Self::AVolumeFills => {}
        }
    }
}

/// A volume of the member's pod.
fn mount(node: &Node, bytes: Amount) {
    let mount = Mount {
        device: DeviceNumber { major: 0, minor: 60 },
        root: "/".to_owned(),
        point: format!("{KUBELET}/pods/{POD}/volumes/kubernetes.io~glusterfs/pv-1"),
        fstype: "fuse.glusterfs".to_owned(),
        source: "gluster:/vol".to_owned(),
        read_only: false,
        filesystem_read_only: false,
    };
    assert!(node.volumes.mount(mount, Usage { bytes, inodes: Amount::default() }));
}
