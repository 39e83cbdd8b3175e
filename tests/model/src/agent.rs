//! The nodes' agents: what each sees, what the core's planner makes of it, and the errands.
//!
//! A plan is made from one moment's truth, and its errand may begin at any later one: so old sight
//! is part of the model. Only what EC2 shows may be old already when the plan is made.

use firecamp_core::agent::{Duty, Seen as Sighted, Sight, plan};
use firecamp_core::outside::{Life, PodView};
use firecamp_core::time::Moment;

use crate::cast::{Kind, NODES, small};
use crate::machines::NO_DUTY;
use crate::model::Small;
use crate::process::proc_of;
use crate::seen::Seen;
use crate::state::{Lock, Proc, World};

/// All that a plan for one address depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Look {
    node: u8,
    gone: u8,
    record: u32,
    lock: Option<Lock>,
    in_kernel: bool,
    pod: Seen,
    astray: bool,
}

impl Small {
    /// What the node's agent has to do for the member's address; `astray`: EC2 shows it elsewhere.
    pub(crate) fn duty(&self, world: &World, node: u8, member: usize, astray: bool) -> Option<u32> {
        let address = &world.addresses[member];
        let kernel = address.kernel[usize::from(node)];
        let look = Look {
            node,
            gone: world.gone,
            record: address.record,
            lock: kernel.lock,
            in_kernel: kernel.present,
            pod: self.pod_view(world, member),
            astray,
        };
        let duty = self.machines.plan(look, || self.planned(look));
        (duty != NO_DUTY).then_some(duty)
    }

    fn planned(&self, look: Look) -> Option<Duty> {
        let cast = &self.machines.cast;
        let gone = |node: &u8| look.gone & (1 << node) != 0;
        let pod = if let Seen::Pod { pod, node, ending } = look.pod {
            PodView::Present {
                pod: cast.uid(pod),
                node: Some(cast.node(node)),
                life: if ending { Life::Terminating(None) } else { Life::Running },
                controller: None,
            }
        } else {
            PodView::Absent
        };
        let sight = Sight {
            node: cast.node(look.node),
            cluster: cast.cluster(),
            gone: (0..small(NODES)).filter(gone).map(|node| cast.node(node)).collect(),
            addresses: vec![Sighted {
                record: self.machines.record(look.record).object.clone(),
                lock: look.lock.map(|lock| cast.lock_record(lock)),
                in_kernel: look.in_kernel,
                // Nothing strips a kernel here.
                lacking: None,
                pod,
                astray: look.astray.then(Moment::default),
                reasserted: None,
            }],
        };
        plan(&sight, Moment::default()).into_iter().next()
    }

    /// Whether the node's agent, or each of the two that run there, is busy with the member's
    /// address.
    pub(crate) fn is_busy(&self, world: &World, node: u8, member: usize) -> bool {
        Self::errands(world, node, member) > usize::from(self.config.twins)
    }

    /// Errands of the node for the member's address.
    pub(crate) fn errands(world: &World, node: u8, member: usize) -> usize {
        let who = errand_of(node, member);
        world.procs.iter().flatten().filter(|p| p.kind == Kind::Agent && p.pod == who).count()
    }

    /// The agent begins what there is to do.
    pub(crate) fn errand(&self, world: &mut World, node: u8, member: usize, astray: bool) {
        let Some(duty) = self.duty(world, node, member, astray) else { return };
        let who = errand_of(node, member);
        let run = self.fresh_run(world, who, Kind::Agent, member);
        let machine = self.machines.errand(duty, who, run);
        let proc = Proc { machine, ..proc_of(who, Kind::Agent, run, true) };
        let slot = world.spawn(proc);
        if self.config.eager
            && let Some(slot) = slot
        {
            self.step(world, slot, 0);
        }
    }
}

/// In the place of a pod's number: whose agent it is, and whose address.
pub(crate) fn errand_of(node: u8, member: usize) -> u8 {
    node | (small(member) << 2)
}

/// The node and the member of an errand.
pub(crate) fn of_errand(who: u8) -> (u8, usize) {
    (who & 3, usize::from(who >> 2))
}
