//! Every audit of the healing phase can fail: a level that lies about one thing is told.

#![expect(clippy::expect_used, reason = "test support: what fails here fails the test")]

use std::net::Ipv4Addr;

use firecamp_core::time::Moment;
use firecamp_histories::audit::{Promise, Violation};
use firecamp_histories::cluster::Ended;
use firecamp_histories::history::{Healing, Stage, play};
use firecamp_histories::level::{Level, Order, Ready, Role};
use firecamp_histories::model::Model;
use firecamp_histories::names::{Names, NodeIx, PodIx, ProcessId};
use firecamp_histories::probe::Probes;
use firecamp_histories::scenario::Scenario;
use firecamp_histories::trace::Trace;
use firecamp_testkit::sim::{Kernel, Tag};

/// What a level gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// In the healing phase no init container begins.
    NoInit,
    /// A kernel has an address of ours that nobody holds.
    Leftover,
    /// A foreign address is gone from a kernel.
    ForeignGone,
    /// A process never ends.
    Stuck,
    /// Agents always have something to do.
    Busy,
    /// EC2 is changed again and again.
    Restless,
}

struct Lying<'a> {
    model: Model<'a>,
    wrong: Wrong,
    healing: bool,
}

impl Level for Lying<'_> {
    fn order(&mut self, now: Moment, order: Order) {
        self.healing |= order == Order::Heal;
        let init = matches!(order, Order::Spawn(spawn) if spawn.role == Role::Init);
        if !(self.wrong == Wrong::NoInit && self.healing && init) {
            self.model.order(now, order);
        }
    }
}

impl Healing for Lying<'_> {
    fn ready_pods(&self) -> Vec<(PodIx, Ready)> {
        self.model.ready_pods()
    }

    fn kernel(&self, node: NodeIx) -> Option<Kernel> {
        let mut kernel = self.model.kernel(node)?;
        let strange = Ipv4Addr::new(10, 0, 1, 57);
        if self.wrong == Wrong::Leftover {
            let mac = *kernel.links.first().expect("a link");
            kernel.addresses.insert(strange, (mac, Tag::Ours));
        }
        if self.wrong == Wrong::ForeignGone {
            kernel.addresses.retain(|_, (_, tag)| *tag == Tag::Ours);
        }
        Some(kernel)
    }

    fn disturb_agents(&mut self) {
        self.model.disturb_agents();
    }

    fn agents_idle(&self, times: u32) -> bool {
        self.wrong != Wrong::Busy && self.model.agents_idle(times)
    }

    fn check_without_doubt(&mut self) {
        self.model.check_without_doubt();
    }

    fn stuck(&self) -> Option<String> {
        let stuck = (self.wrong == Wrong::Stuck).then(|| "something".to_owned());
        stuck.or_else(|| self.model.stuck())
    }
}

impl Stage for Lying<'_> {
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
        let restless = self.wrong == Wrong::Restless && self.model.agents_idle(9);
        self.model.mutations() + u64::from(restless)
    }

    fn close(self) -> (Probes, Trace) {
        self.model.close()
    }
}

/// What breaks in a short calm history that is watched for an hour.
fn broken(wrong: Wrong) -> Option<Promise> {
    let names = Names::new();
    let scenario = (0..).step_by(256).map(Scenario::draw).take(200).find(Scenario::is_calm);
    let scenario = scenario.expect("one in sixteen is calm");
    let model = Model::new(&scenario, &names, Trace::Off);
    let report = play(&scenario, Lying { model, wrong, healing: false });
    report.violation.map(|violation| violation.promise)
}

#[test]
fn a_level_without_faults_heals_and_stays_still_for_an_hour() {
    assert_eq!(broken(Wrong::Nothing), None);
}

#[test]
fn l1_to_l5_each_tell_what_has_not_healed() {
    assert_eq!(broken(Wrong::NoInit), Some(Promise::L1));
    assert_eq!(broken(Wrong::Leftover), Some(Promise::L2));
    assert_eq!(broken(Wrong::ForeignGone), Some(Promise::S4));
    assert_eq!(broken(Wrong::Stuck), Some(Promise::L3));
    assert_eq!(broken(Wrong::Busy), Some(Promise::L4));
    assert_eq!(broken(Wrong::Restless), Some(Promise::L5));
}
