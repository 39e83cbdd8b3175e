//! Cilium's operator with ENI IPAM, for one node, and the agent that gives its addresses to pods.
//! It follows cilium, pkg/aws/eni/node.go and pkg/ipam/node.go: every ENI of the instance is its
//! own, whoever attached it, unless it has all tags of `exclude-interface-tags`.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use super::instance::{Described, Instance, NewEni, Outcome, Tags};
use super::pods::Pods;
use super::{Pace, log};

/// How often it resolves a deficit, and how often it reads everything again
/// (pkg/ipam/node_manager.go).
const DEFICIT: Duration = Duration::from_secs(10);
const RESYNC_TURNS: u32 = 6;
/// Addresses in reserve (`defaults.IPAMPreAllocation`).
const PRE_ALLOCATE: usize = 8;
/// How often it tries another index (`maxAttachRetries`).
const ATTACH_TRIES: u32 = 5;

struct Operator {
    instance: Instance,
    excludes: Tags,
    pods: Pods,
    /// The ENIs, as it last read or changed them.
    enis: Vec<Described>,
}

pub(super) async fn run(pace: Pace, pods: &Path, excludes: Tags) -> Outcome<Infallible> {
    let instance = Instance::connect("cilium-operator").await?;
    let pods = Pods::new(pods, Duration::ZERO);
    let mut operator = Operator { instance, excludes, pods, enis: Vec::new() };
    for turn in 0.. {
        if let Err(failure) = operator.turn(turn % RESYNC_TURNS == 0, pace).await {
            log("allocate", &failure);
        }
        pace.sleep(DEFICIT).await;
    }
    std::future::pending().await
}

impl Operator {
    async fn turn(&mut self, resync: bool, pace: Pace) -> Outcome {
        if resync {
            self.enis = self.instance.describe_own().await?;
        }
        let addresses = self.addresses();
        self.pods.update(&addresses);
        let needed = (self.pods.wanted + PRE_ALLOCATE).saturating_sub(addresses.len());
        if needed == 0 {
            return Ok(());
        }
        let Self { instance, excludes, enis, .. } = self;
        let each = instance.limits.each;
        let roomy = enis.iter_mut().find(|eni| !is_excluded(eni, excludes) && room(eni, each) > 0);
        if let Some(eni) = roomy {
            let given = instance.assign(&eni.id, needed.min(room(eni, each))).await?;
            eni.addresses.extend(given);
        } else if enis.len() < instance.limits.enis {
            self.add_eni(needed.min(each), pace).await?;
        }
        self.pods.update(&self.addresses());
        Ok(())
    }

    /// `ResyncInterfacesAndIPs`: what it offers to pods.
    fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        let own = self.enis.iter().filter(|eni| !is_excluded(eni, &self.excludes));
        own.flat_map(|eni| eni.addresses.iter().copied()).collect()
    }

    /// `CreateInterface`: at the lowest index that is free as far as it remembers; the next one if
    /// it is not.
    async fn add_eni(&mut self, addresses: usize, pace: Pace) -> Outcome {
        let created = self
            .instance
            .create(NewEni {
                description: format!("Cilium-CNI ({})", self.instance.id),
                addresses,
                is_trunk: false,
                tags: [("io.cilium/cilium-managed".to_owned(), "true".to_owned())].into(),
            })
            .await?;
        let id = &created.id;
        let mut index = self.next_index(0);
        let mut attached = self.instance.attach(id, index, None).await;
        for _ in 1..ATTACH_TRIES {
            match &attached {
                Err(failure) if failure.text.contains("interface attached at device") => {
                    index = self.next_index(index + 1);
                    attached = self.instance.attach(id, index, None).await;
                }
                Ok(_) | Err(_) => break,
            }
        }
        let attachment = match attached {
            Ok(attachment) => attachment,
            Err(failure) => {
                self.instance.delete(id, pace).await?;
                return Err(failure);
            }
        };
        self.instance.delete_on_termination(id, &attachment).await?;
        // It remembers the ENI as EC2 created it.
        self.enis.push(Described { index, ..created });
        Ok(())
    }

    fn next_index(&self, from: u32) -> u32 {
        let used = |index: u32| self.enis.iter().any(|eni| eni.index == index);
        (from..u32::MAX).find(|index| !used(*index)).unwrap_or(from)
    }
}

/// `IsExcludedBySpec`.
fn is_excluded(eni: &Described, excludes: &Tags) -> bool {
    !excludes.is_empty()
        && excludes.iter().all(|(key, value)| eni.tags.get(key).is_some_and(|own| own == value))
}

fn room(eni: &Described, each: usize) -> usize {
    each.saturating_sub(eni.addresses.len())
}
