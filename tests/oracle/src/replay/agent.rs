//! The agent's planner, collector and adopter.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use firecamp_core::agent::{
    Adopter, Collector, Evidence, Look, Memory, Pass, Sight, Stray, adopt, plan, strays,
};
use firecamp_core::decide;
use firecamp_core::ids::{ClusterName, EniId, NodeName, RunId};
use firecamp_core::interface::Interface;
use firecamp_core::lock::LockRecord;
use firecamp_core::outside::{KernelTarget, KernelView, PodView};
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

/// A [`Look`] that owns its parts.
#[derive(Debug, Serialize, Deserialize)]
struct OwnLook {
    record: StaticIp,
    lock: Option<LockRecord>,
    in_kernel: bool,
    kernel: Option<(KernelTarget, KernelView)>,
    pod: PodView,
    in_place: Option<bool>,
}

impl OwnLook {
    fn look(&self) -> Look<'_> {
        let Self { record, lock, in_kernel, kernel, pod, in_place } = self;
        Look {
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
                let ((node, cluster, gone), look, now): (Header, OwnLook, Moment) = read(with)?;
                let memory = self.memories.entry(of).or_default();
                let mut sight = Sight::new(node, cluster, gone);
                sight.add(look.look(), memory, now);
                gives(&(sight.addresses.first(), memory.is_astray()))
            }
            "memory.reasserts" => {
                gives(&self.memories.entry(of).or_default().reasserts(read(with)?))
            }
            "agent.plan" => {
                let (sight, now): (Sight, Moment) = read(with)?;
                gives(&plan(&sight, now))
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
            "adopter.lost_sight" => gives(&self.adopters.entry(of).or_default().lost_sight()),
            "adopter.look" => {
                type Seen = (BTreeSet<Stray>, BTreeMap<Ipv4Addr, bool>, (Moment, Moment));
                let (found, recorded, when): Seen = read(with)?;
                gives(&self.adopters.entry(of).or_default().look(&found, &recorded, when))
            }
            "strays" => {
                type All = (Vec<Interface>, BTreeSet<EniId>, Vec<Pool>, ClusterName);
                let (listing, usable, pools, cluster): All = read(with)?;
                gives(&strays(&listing, &usable, &pools, &cluster))
            }
            "adopt" => {
                let (stray, evidence, run): (Stray, Evidence, RunId) = read(with)?;
                gives(&adopt(&stray, &evidence, run))
            }
            _ => Ok(None),
        }
    }
}
