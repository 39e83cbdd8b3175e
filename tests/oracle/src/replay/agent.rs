//! The agent's planner, collector and adopter.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use firecamp_core::agent::{
    AddressReadings, Adopter, Collector, Evidence, Memory, Observation, Orphan, Pass, adopt,
    orphans, plan,
};
use firecamp_core::decide;
use firecamp_core::ids::{ClusterName, EniId, NodeName, RunId};
use firecamp_core::lock_rule::LockRecord;
use firecamp_core::network_interface::Interface;
use firecamp_core::ports::{KernelTarget, KernelView, PodView};
use firecamp_core::record::{Pool, StaticIp};
use firecamp_core::time::Moment;
use serde::{Deserialize, Serialize};

use super::{Answer, gives, read};

/// The stateful components of agents.
#[derive(Debug, Default)]
pub(super) struct Agent {
    memories: HashMap<u64, Memory>,
    adopters: HashMap<u64, Adopter>,
    collectors: HashMap<u64, Collector>,
}

/// A [`AddressReadings`] that owns its parts.
#[derive(Debug, Serialize, Deserialize)]
struct OwnReadings {
    record: StaticIp,
    lock: Option<LockRecord>,
    in_kernel: bool,
    kernel: Option<(KernelTarget, KernelView)>,
    pod: PodView,
    in_place: Option<bool>,
}

impl OwnReadings {
    fn look(&self) -> AddressReadings<'_> {
        let Self { record, lock, in_kernel, kernel, pod, in_place } = self;
        AddressReadings {
            record,
            lock: lock.as_ref(),
            in_kernel: *in_kernel,
            kernel: kernel.clone(),
            pod: pod.clone(),
            in_place: *in_place,
        }
    }
}

type Header = (NodeName, ClusterName, BTreeSet<NodeName>);

impl Agent {
    pub(super) fn ask(&mut self, call: &str, of: u64, with: &str) -> Answer {
        match call {
            "memory.add" => {
                let ((node, cluster, gone), look, now): (Header, OwnReadings, Moment) = read(with)?;
                let memory = self.memories.entry(of).or_default();
                let mut observation = Observation::new(node, cluster, gone);
                observation.add(look.look(), memory, now);
                gives(&(observation.addresses.first(), memory.is_misplaced()))
            }
            "memory.reasserts" => {
                gives(&self.memories.entry(of).or_default().reasserts(read(with)?))
            }
            "agent.plan" => {
                let (observation, now): (Observation, Moment) = read(with)?;
                gives(&plan(&observation, now))
            }
            "collector.pass" => {
                let (pass, now): (Pass, Moment) = read(with)?;
                let collector = self.collectors.entry(of).or_default();
                let due = collector.pass(&pass, now);
                gives(&(due, collector.suspects()))
            }
            "decide.releasing" => {
                let (record, run): (StaticIp, RunId) = read(with)?;
                gives(&decide::releasing(&record, &run))
            }
            _ => self.adoption(call, of, with),
        }
    }

    fn adoption(&mut self, call: &str, of: u64, with: &str) -> Answer {
        match call {
            "adopter.reset" => gives(&self.adopters.entry(of).or_default().reset()),
            "adopter.observe" => {
                type Observed = (BTreeSet<Orphan>, BTreeMap<Ipv4Addr, bool>, (Moment, Moment));
                let (found, recorded, when): Observed = read(with)?;
                gives(&self.adopters.entry(of).or_default().observe(&found, &recorded, when))
            }
            "orphans" => {
                type All = (Vec<Interface>, BTreeSet<EniId>, Vec<Pool>, ClusterName);
                let (listing, usable, pools, cluster): All = read(with)?;
                gives(&orphans(&listing, &usable, &pools, &cluster))
            }
            "adopt" => {
                let (orphan, evidence, run): (Orphan, Evidence, RunId) = read(with)?;
                gives(&adopt(&orphan, &evidence, run))
            }
            _ => Ok(None),
        }
    }
}
