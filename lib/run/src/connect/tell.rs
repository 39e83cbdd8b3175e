//! What a container tells people of its end: one Event on its pod.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::publish::{About, Board, Event};
use firecamp_core::contract::event::Notice;
use firecamp_core::ids::{Member, NodeName, PodUid};
use firecamp_kube::Timeouts;
use jiff::Timestamp;

use crate::connect::AnyRegistry;

/// The most that an Event may delay the end of a container: an API server that is well needs a few
/// milliseconds, and one that is not has been told of in the termination message as well.
const BOUND: Duration = Duration::from_millis(300);

/// Whose Event it is.
#[derive(Debug, Clone, Copy)]
pub struct Teller<'a> {
    /// Which program tells it: `core::contract::api::INIT` or `STOP`.
    pub program: &'static str,
    /// The member.
    pub member: &'a Member,
    /// Its pod.
    pub pod: &'a PodUid,
    /// The node.
    pub node: &'a NodeName,
}

impl AnyRegistry {
    /// Writes the Event on the pod, naming the static IP. Best effort and one short attempt: what
    /// fails is logged and changes nothing. Beside a file registry there is nobody to tell.
    pub async fn tell(
        &self,
        teller: Teller<'_>,
        notice: Notice,
        address: Option<Ipv4Addr>,
        note: String,
    ) {
        let Self::Kube(registry) = self else { return };
        let timeouts = Timeouts { call: BOUND, list: BOUND };
        let board = registry.board(teller.node.clone(), timeouts).reporting_as(teller.program);
        let event = event(teller, notice, address, note);
        match Box::pin(board.post(&event)).await {
            Ok(()) => tracing::debug!(reason = event.reason, "The Event was written"),
            Err(failure) => tracing::warn!(error = %failure, "The Event was not written"),
        }
    }
}

fn event(teller: Teller<'_>, notice: Notice, address: Option<Ipv4Addr>, note: String) -> Event {
    let Teller { member, pod, .. } = teller;
    Event {
        about: About::Pod {
            namespace: member.namespace().to_owned(),
            name: member.name().to_owned(),
            uid: pod.as_str().to_owned(),
        },
        related: address,
        reason: notice.reason(),
        action: notice.action(),
        warns: notice.warns(),
        note,
        // The API takes six digits of a second, no more and no less.
        at: format!("{:.6}", Timestamp::now()),
    }
}
