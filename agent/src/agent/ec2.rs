//! Queries of EC2 about this instance, within the agent's budget.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Budget, Ec2Query, Want};
use firecamp_core::contract::timing;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::EniId;
use firecamp_core::interface::Interface;
use firecamp_core::node::TypeLimits;
use firecamp_core::time::Moment;
use firecamp_engine::Rng;
use firecamp_node::volumes::intervals::wants_cloud;
use firecamp_node::volumes::observation::{Attachment, CloudView, Elsewhere};
use tokio::task::JoinSet;

use super::Agent;
use crate::ports::Environment;
use crate::status::System;
use crate::work_result::WorkResult;

/// Minimum extension of a period, because a call may be faster than the one before, and the
/// random part, so that agents spread their queries.
const STRETCH: (f64, f64) = (0.05, 0.2);

/// Retry interval of a failed query of the instance type.
const TYPE_RETRY: Duration = Duration::from_mins(10);

/// A budget that grants the first query at a random time within one period, because the agents
/// of many nodes may start together.
pub(super) fn budget() -> Budget {
    Budget::new(Moment(timing::EC2_PERIOD.mul_f64(Rng::default().part())))
}

fn jitter() -> Duration {
    let (least, spread) = STRETCH;
    timing::EC2_PERIOD.mul_f64(least + Rng::default().part() * spread)
}

impl<W: Environment> Agent<'_, W> {
    /// Starts the query that is due, if any.
    pub(super) fn query_ec2(&mut self, work: &mut JoinSet<WorkResult>) {
        let Some(identity) = self.state.identity() else { return };
        if self.querying.is_some() {
            return;
        }
        let (instance, kind) = (identity.instance.clone(), identity.instance_type.clone());
        let (wanted, now) = (self.wanted(), self.now());
        let Some(query) = self.budget.grant(&wanted, now, jitter()) else { return };
        self.querying = Some(self.state.held());
        self.status.read_started(match query {
            Ec2Query::Interfaces => System::Ec2,
            Ec2Query::Volumes => System::Ec2Volumes,
            Ec2Query::InstanceType => System::Ec2Types,
        });
        match query {
            Ec2Query::Interfaces => self.ports.interfaces(instance, work),
            Ec2Query::Volumes => {
                let lacked = self.shared_status.lacked_volumes();
                self.ports.attachments((instance, lacked), work);
            }
            Ec2Query::InstanceType => self.ports.type_limits(kind, work),
        }
    }

    /// EC2 is queried even if everything seems fine, because the metadata service may be frozen.
    fn wanted(&self) -> BTreeMap<Ec2Query, Want> {
        let at_once = self.state.has_unplaced() || self.preflight.lacks_tags();
        let interfaces = if at_once { Want::Now } else { Want::Steady };
        let mut wanted = BTreeMap::from([(Ec2Query::Interfaces, interfaces)]);
        // While EC2 fails, only the interfaces are queried: members depend on them.
        if !self.interfaces_fail {
            let others = [
                (Ec2Query::Volumes, self.volumes_wanted()),
                (Ec2Query::InstanceType, self.type_wanted()),
            ];
            wanted.extend(others.into_iter().filter_map(|(query, want)| Some((query, want?))));
        }
        wanted
    }

    fn volumes_wanted(&self) -> Option<Want> {
        let since = self.since(Ec2Query::Volumes);
        wants_cloud(since, self.now().0, self.shared_status.suspects_volumes())
    }

    /// The type never changes; without its limits the capacity of the node is unknown.
    fn type_wanted(&self) -> Option<Want> {
        let due = self.since(Ec2Query::InstanceType).is_none_or(|since| since >= TYPE_RETRY);
        (self.preflight.limits().is_none() && due).then_some(Want::Now)
    }

    /// Time since the last query of this kind.
    fn since(&self, query: Ec2Query) -> Option<Duration> {
        self.budget.last_started(query).map(|at| self.now().since(at))
    }

    pub(super) fn interfaces(&mut self, read: Result<Vec<Interface>, CloudFailure>) {
        self.status.read(System::Ec2, &read);
        self.interfaces_fail = read.is_err();
        if let (Some(held), Ok(listing)) = (self.query_ended(&read), &read) {
            let queried =
                self.budget.last_started(Ec2Query::Interfaces).unwrap_or_else(|| self.now());
            if let Some(again) = self.state.listed_by_ec2(&held, listing, queried) {
                self.budget.repeat(Ec2Query::Interfaces, again);
            }
        }
        self.preflight.interfaces(read);
    }

    pub(super) fn attachments(
        &mut self,
        read: Result<(Vec<Attachment>, Vec<Elsewhere>), CloudFailure>,
    ) {
        self.status.read(System::Ec2Volumes, &read);
        self.query_ended(&read);
        let count =
            |(here, _): &(Vec<Attachment>, _)| u32::try_from(here.len()).unwrap_or(u32::MAX);
        self.preflight.volumes(&read.as_ref().map(count).map_err(CloudFailure::clone));
        if let (Some(identity), Ok((attachments, elsewhere))) = (self.state.identity(), read) {
            let zone = identity.zone.clone();
            self.shared_status.set_cloud_view(CloudView { zone, attachments, elsewhere });
        }
    }

    pub(super) fn type_limits(&mut self, read: Result<TypeLimits, CloudFailure>) {
        self.status.read(System::Ec2Types, &read);
        self.query_ended(&read);
        self.preflight.type_limits(read);
    }

    /// Ends the query. Returns the attached addresses by record when it started.
    fn query_ended<T>(
        &mut self,
        read: &Result<T, CloudFailure>,
    ) -> Option<BTreeMap<Ipv4Addr, EniId>> {
        self.budget.ended(read.is_ok());
        let clocks = self.ports.clocks();
        self.status.clocks(&clocks);
        self.preflight.clocks(clocks);
        self.querying.take()
    }
}
