//! What EC2 is asked of this instance, within the agent's budget.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Budget, Ec2Look, Want};
use firecamp_core::contract::timing;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::EniId;
use firecamp_core::interface::Interface;
use firecamp_core::node::TypeLimits;
use firecamp_core::time::Moment;
use firecamp_engine::Dice;
use firecamp_node::volumes::pace::wants_cloud;
use firecamp_node::volumes::seen::{Attachment, CloudView, Elsewhere};
use tokio::task::JoinSet;

use super::Agent;
use crate::outside::World;
use crate::status::System;
use crate::work::News;

/// How much a period is stretched at least, because a call may be quicker than the one before it,
/// and how much at random, so that agents drift apart.
const STRETCH: (f64, f64) = (0.05, 0.2);

/// What could not be learned is asked again after this long.
const LATE: Duration = Duration::from_mins(10);

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
        let Some(identity) = self.state.identity() else { return };
        if self.looking.is_some() {
            return;
        }
        let (instance, kind) = (identity.instance.clone(), identity.instance_type.clone());
        let (wanted, now) = (self.wanted(), self.now());
        let Some(look) = self.budget.grant(&wanted, now, jitter()) else { return };
        self.looking = Some(self.state.held());
        self.status.asks(match look {
            Ec2Look::Interfaces => System::Ec2,
            Ec2Look::Volumes => System::Ec2Volumes,
            Ec2Look::InstanceType => System::Ec2Types,
        });
        match look {
            Ec2Look::Interfaces => self.outside.interfaces(instance, work),
            Ec2Look::Volumes => {
                let lacked = self.bulletin.lacked_volumes();
                self.outside.attachments((instance, lacked), work);
            }
            Ec2Look::InstanceType => self.outside.type_limits(kind, work),
        }
    }

    /// The metadata service may be frozen, so EC2 is asked also while all seems well.
    fn wanted(&self) -> BTreeMap<Ec2Look, Want> {
        let at_once = self.state.has_unplaced() || self.preflight.lacks_tags();
        let interfaces = if at_once { Want::Now } else { Want::Steady };
        let mut wanted = BTreeMap::from([(Ec2Look::Interfaces, interfaces)]);
        // While EC2 fails, each look counts, and it is the interfaces that members hang on.
        if !self.interfaces_fail {
            let others = [
                (Ec2Look::Volumes, self.volumes_wanted()),
                (Ec2Look::InstanceType, self.type_wanted()),
            ];
            wanted.extend(others.into_iter().filter_map(|(look, want)| Some((look, want?))));
        }
        wanted
    }

    fn volumes_wanted(&self) -> Option<Want> {
        let since = self.since(Ec2Look::Volumes);
        wants_cloud(since, self.now().0, self.bulletin.suspects_volumes())
    }

    /// It never changes, and without it nobody knows how many members have room here.
    fn type_wanted(&self) -> Option<Want> {
        let rested = self.since(Ec2Look::InstanceType).is_none_or(|since| since >= LATE);
        (self.preflight.limits().is_none() && rested).then_some(Want::Now)
    }

    /// How long ago EC2 was asked for it.
    fn since(&self, look: Ec2Look) -> Option<Duration> {
        self.budget.asked(look).map(|at| self.now().since(at))
    }

    pub(super) fn interfaces(&mut self, read: Result<Vec<Interface>, CloudFailure>) {
        self.status.read(System::Ec2, &read);
        self.interfaces_fail = read.is_err();
        if let (Some(held), Ok(listing)) = (self.looked(&read), &read) {
            let looked = self.budget.asked(Ec2Look::Interfaces).unwrap_or_else(|| self.now());
            if let Some(again) = self.state.listed_by_ec2(&held, listing, looked) {
                self.budget.repeat(Ec2Look::Interfaces, again);
            }
        }
        self.preflight.interfaces(read);
    }

    pub(super) fn attachments(
        &mut self,
        read: Result<(Vec<Attachment>, Vec<Elsewhere>), CloudFailure>,
    ) {
        self.status.read(System::Ec2Volumes, &read);
        self.looked(&read);
        let count =
            |(here, _): &(Vec<Attachment>, _)| u32::try_from(here.len()).unwrap_or(u32::MAX);
        self.preflight.volumes(&read.as_ref().map(count).map_err(CloudFailure::clone));
        if let (Some(identity), Ok((attachments, elsewhere))) = (self.state.identity(), read) {
            let zone = identity.zone.clone();
            self.bulletin.seen_by_ec2(CloudView { zone, attachments, elsewhere });
        }
    }

    pub(super) fn type_limits(&mut self, read: Result<TypeLimits, CloudFailure>) {
        self.status.read(System::Ec2Types, &read);
        self.looked(&read);
        self.preflight.type_limits(read);
    }

    /// A look has ended; what was on record when it began.
    fn looked<T>(&mut self, read: &Result<T, CloudFailure>) -> Option<BTreeMap<Ipv4Addr, EniId>> {
        self.budget.ended(read.is_ok());
        let clocks = self.outside.clocks();
        self.status.clocks(&clocks);
        self.preflight.clocks(clocks);
        self.looking.take()
    }
}
