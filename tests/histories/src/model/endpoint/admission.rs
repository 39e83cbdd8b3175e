//! The agent finds out which pod a request comes from, and decides by the product's own rule
//! whether it is served.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::contract::exit::Exit;
use firecamp_core::endpoint::{Arrival, NoOutcome, Request, admit};
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{Epoch, NodeName};
use firecamp_core::machine::{Failure, Outcome};
use firecamp_core::ports::{AskingPod, PodView, ReviewedPod};
use firecamp_core::record::{MemberRecords, State};

use super::client::Answer;
use super::failure;

#[derive(Debug)]
enum Stage {
    Review,
    Pod,
    Served(PodView),
    /// It tells the client which epoch its pod holds.
    Told(Epoch),
    Refused(Outcome),
}

/// A request that the agent has not decided about.
#[derive(Debug)]
pub(in crate::model) struct Admission {
    pub(super) request: Request,
    token: ReviewedPod,
    /// The agent's node.
    node: NodeName,
    /// The API server knows the token from a review of some seconds ago.
    cached: bool,
    stage: Stage,
}

impl Admission {
    pub(super) fn new(
        request: Request,
        token: ReviewedPod,
        (node, cached): (NodeName, bool),
    ) -> Self {
        Self { request, token, node, cached, stage: Stage::Review }
    }

    /// The epoch that the client learns.
    pub(super) fn told(&self) -> Option<Epoch> {
        if let Stage::Told(epoch) = &self.stage { Some(*epoch) } else { None }
    }

    pub(in crate::model) fn action(&self) -> Action {
        let reads_record = self.request == Request::Address && self.served().is_some();
        if reads_record { Action::ReadMember } else { Action::ReadPod }
    }

    /// If the request is served: what the API showed of the pod.
    pub(super) fn served(&self) -> Option<&PodView> {
        if let Stage::Served(shown) = &self.stage { Some(shown) } else { None }
    }

    pub(in crate::model) fn outcome(&self) -> Option<&Outcome> {
        if let Stage::Refused(outcome) = &self.stage { Some(outcome) } else { None }
    }

    pub(in crate::model) fn reply(&mut self, reply: Reply) {
        let stage = if let Reply::Pod(read) = reply {
            read.map_err(|why| unread(&why)).and_then(|shown| self.next(shown))
        } else if let Reply::Member(read) = reply {
            read.map(|found| Stage::Told(self.held(*found))).map_err(|why| unread(&why))
        } else {
            return;
        };
        self.stage = stage.unwrap_or_else(|why| Stage::Refused(Outcome::Failed(why)));
    }

    fn next(&self, shown: PodView) -> Result<Stage, Failure> {
        let found = asking_pod(&shown);
        if let Stage::Review = self.stage {
            // The API server refuses the token of a pod that is gone.
            let lives = found.is_some_and(|found| found.pod == self.token.pod);
            let refused = || failure(Exit::TokenRefused, "the pod of the token is gone");
            return (lives || self.cached).then_some(Stage::Pod).ok_or_else(refused);
        }
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let at = Arrival { node: &self.node, endpoint: from, from, pod_networks: false };
        admit(self.request, &self.token, found.as_ref(), at)?;
        Ok(Stage::Served(shown))
    }
}

impl Admission {
    /// The epoch that the token's pod holds; 0 if none.
    fn held(&self, records: MemberRecords) -> Epoch {
        let record = records.static_ip.map(|stored| stored.object);
        let held = record.filter(|record| {
            let holder = record.attachment.as_ref();
            holder.is_some_and(|it| it.pod == self.token.pod && it.state == State::Attached)
        });
        held.map(|record| record.epoch).unwrap_or_default()
    }
}

fn asking_pod(shown: &PodView) -> Option<AskingPod> {
    let PodView::Present { pod, node, .. } = shown else { return None };
    Some(AskingPod {
        pod: pod.clone(),
        node: node.clone(),
        host_network: true,
        ips: Vec::new(),
        pool: Ok(None),
        grace: Duration::ZERO,
    })
}

fn unread(why: &RegistryFailure) -> Failure {
    let exit = match why.kind {
        RegistryKind::Unavailable => Exit::RegistryUnavailable,
        RegistryKind::Refused => Exit::RegistryRefused,
        RegistryKind::Conflict
        | RegistryKind::AlreadyExists
        | RegistryKind::NotFound
        | RegistryKind::Invalid => Exit::RegistryInvalid,
    };
    failure(exit, "the pod could not be read")
}

/// What the client learns of a request that is not served, as the status of the response says it.
pub(super) fn answer(why: &Failure) -> Answer {
    if matches!(why.exit, Exit::AgentUnavailable | Exit::RegistryUnavailable) {
        Answer::Without(NoOutcome::NoAnswer, why.clone())
    } else if why.exit == Exit::TokenRefused {
        Answer::Without(NoOutcome::Refused, why.clone())
    } else {
        Answer::Outcome(Outcome::Failed(why.clone()))
    }
}
