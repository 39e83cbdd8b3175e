//! What EC2 is asked of this instance, within the agent's budget.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::agent::{Budget, Ec2Look, Want};
use firecamp_core::contract::timing;
use firecamp_core::failure::CloudFailure;
use firecamp_core::interface::Interface;
use firecamp_core::time::Moment;
use firecamp_engine::Dice;
use tokio::task::JoinSet;

use super::Agent;
use crate::outside::World;
use crate::status::System;
use crate::work::News;

/// How much a period is stretched at least, because a call may be quicker than the one before it,
/// and how much at random, so that agents drift apart.
const STRETCH: (f64, f64) = (0.05, 0.2);

/// A budget whose first look comes within a period: agents of many nodes may start together.
pub(super) fn budget() -> Budget {
    Budget::new(Moment(timing::EC2_PERIOD.mul_f64(Dice::default().part())))
}

fn jitter() -> Duration {
    let (least, spread) = STRETCH;
    timing::EC2_PERIOD.mul_f64(least + Dice::default().part() * spread)
}

impl<W: World> Agent<'_, W> {
    /// Begins the look that is due, if there is one.
    pub(super) fn ask_ec2(&mut self, work: &mut JoinSet<News>) {
        let Some(instance) = self.state.instance() else { return };
        if self.looking.is_some() {
            return;
        }
        match self.budget.grant(&self.wanted(), self.now(), jitter()) {
            Some(Ec2Look::Interfaces) => {
                self.looking = Some(self.state.held());
                self.outside.interfaces(instance, work);
            }
            // Nobody here wants them.
            Some(Ec2Look::Volumes | Ec2Look::InstanceType) | None => {}
        }
    }

    /// The metadata service may be frozen, so EC2 is asked also while all seems well.
    fn wanted(&self) -> BTreeMap<Ec2Look, Want> {
        let at_once = self.state.has_unplaced() || self.preflight.lacks_tags();
        let interfaces = if at_once { Want::Now } else { Want::Steady };
        [(Ec2Look::Interfaces, interfaces)].into()
    }

    pub(super) fn interfaces(&mut self, read: Result<Vec<Interface>, CloudFailure>) {
        self.status.read(System::Ec2, &read);
        self.budget.ended(read.is_ok());
        if let (Some(held), Ok(listing)) = (self.looking.take(), &read) {
            self.state.listed_by_ec2(&held, listing);
        }
        self.preflight.interfaces(read);
        self.preflight.clocks(self.outside.clocks());
    }
}
