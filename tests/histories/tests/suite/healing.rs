//! Every audit of the healing phase can fail: a level with one defect is detected.

#![expect(clippy::expect_used, reason = "test support: a failure here fails the test")]

use std::net::Ipv4Addr;

use firecamp_core::time::Moment;
use firecamp_histories::audit::{Promise, Violation};
use firecamp_histories::cluster::Ended;
use firecamp_histories::coverage::Coverage;
use firecamp_histories::history::{Healing, SimulationLevel, play};
use firecamp_histories::level::{Level, Order, Ready, Role};
use firecamp_histories::model::Model;
use firecamp_histories::names::{Names, NodeIx, PodIx, ProcessId};
use firecamp_histories::scenario::Scenario;
use firecamp_histories::trace::Trace;
use firecamp_testkit::sim::{Kernel, Tag};

/// The defect of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    Nothing,
    /// In the healing phase no init container starts.
    NoInit,
    /// A kernel has an address of ours without a holder.
    Leftover,
    /// A foreign address is missing from a kernel.
    ForeignGone,
    /// A process never ends.
    Stuck,
    /// Agents always have something to do.
    Busy,
    /// EC2 changes again and again.
    ChangesEc2,
}

struct DefectiveLevel<'a> {
    model: Model<'a>,
    defect: Defect,
    healing: bool,
}

impl Level for DefectiveLevel<'_> {
    fn order(&mut self, now: Moment, order: Order) {
        self.healing |= order == Order::Heal;
        let init = matches!(order, Order::Spawn(spawn) if spawn.role == Role::Init);
        if !(self.defect == Defect::NoInit && self.healing && init) {
            self.model.order(now, order);
        }
    }
}

impl Healing for DefectiveLevel<'_> {
    fn ready_pods(&self) -> Vec<(PodIx, Ready)> {
        self.model.ready_pods()
    }

    fn kernel(&self, node: NodeIx) -> Option<Kernel> {
        let mut kernel = self.model.kernel(node)?;
        let strange = Ipv4Addr::new(10, 0, 1, 57);
        if self.defect == Defect::Leftover {
            let mac = *kernel.links.first().expect("a link");
            kernel.addresses.insert(strange, (mac, Tag::Ours));
        }
        if self.defect == Defect::ForeignGone {
            kernel.addresses.retain(|_, (_, tag)| *tag == Tag::Ours);
        }
        Some(kernel)
    }

    fn disturb_agents(&mut self) {
        self.model.disturb_agents();
    }

    fn agents_idle(&self, times: u32) -> bool {
        self.defect != Defect::Busy && self.model.agents_idle(times)
    }

    fn check_without_doubt(&mut self) {
        self.model.check_without_doubt();
    }

    fn stuck(&self) -> Option<String> {
        let stuck = (self.defect == Defect::Stuck).then(|| "something".to_owned());
        stuck.or_else(|| self.model.stuck())
    }
}

impl SimulationLevel for DefectiveLevel<'_> {
    const LEADER_LISTS: bool = false;

    fn advance(&mut self, until: Option<Moment>) -> Option<Moment> {
        self.model.advance(until)
    }

    fn take_ended(&mut self) -> Option<(ProcessId, Ended)> {
        self.model.take_ended()
    }

    fn violation(&self) -> Option<Violation> {
        self.model.violation()
    }

    fn broken(&mut self, promise: Promise, text: String) {
        self.model.broken(promise, text);
    }

    fn mutations(&self) -> u64 {
        let restless = self.defect == Defect::ChangesEc2 && self.model.agents_idle(9);
        self.model.mutations() + u64::from(restless)
    }

    fn close(self) -> (Coverage, Trace) {
        self.model.close()
    }
}

/// The violation in a short calm history that is observed for an hour.
fn broken(defect: Defect) -> Option<Promise> {
    let names = Names::new();
    let scenario = (0..).step_by(256).map(Scenario::draw).take(200).find(Scenario::is_calm);
    let scenario = scenario.expect("one in sixteen is calm");
    let model = Model::new(&scenario, &names, Trace::Off);
    let report = play(&scenario, DefectiveLevel { model, defect, healing: false });
    report.violation.map(|violation| violation.promise)
}

#[test]
fn a_level_without_defects_heals_and_stays_unchanged_for_an_hour() {
    assert_eq!(broken(Defect::Nothing), None);
}

#[test]
fn l1_to_l5_each_detect_their_defect() {
    assert_eq!(broken(Defect::NoInit), Some(Promise::L1));
    assert_eq!(broken(Defect::Leftover), Some(Promise::L2));
    assert_eq!(broken(Defect::ForeignGone), Some(Promise::S4));
    assert_eq!(broken(Defect::Stuck), Some(Promise::L3));
    assert_eq!(broken(Defect::Busy), Some(Promise::L4));
    assert_eq!(broken(Defect::ChangesEc2), Some(Promise::L5));
}
