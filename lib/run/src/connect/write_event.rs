//! The Event that a container writes on its pod when it ends.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::publish::{About, Event, StatusWriter};
use firecamp_core::contract::event::Notice;
use firecamp_core::ids::{Member, NodeName, PodUid};
use firecamp_kube::Timeouts;
use jiff::Timestamp;

use crate::connect::{AnyRegistry, OpenRegistry};

/// The reporter of an Event.
#[derive(Debug, Clone, Copy)]
pub struct Reporter<'a> {
    /// The program: `core::contract::api::INIT` or `STOP`.
    pub program: &'static str,
    /// The member.
    pub member: &'a Member,
    /// Its pod.
    pub pod: &'a PodUid,
    /// The node.
    pub node: &'a NodeName,
    /// How long the write may take.
    pub within: Duration,
}

impl AnyRegistry {
    /// Writes the Event on the pod, with the StaticIP as related object. Best effort, with one
    /// attempt: a failure is only logged. With a file registry, does nothing.
    pub async fn report(
        &self,
        reporter: Reporter<'_>,
        notice: Notice,
        address: Option<Ipv4Addr>,
        note: String,
    ) {
        let Ok(OpenRegistry::Kube(registry)) = self.get().await else { return };
        let timeouts = Timeouts { call: reporter.within, list: reporter.within };
        let status_writer =
            registry.status_writer(reporter.node.clone(), timeouts).reporting_as(reporter.program);
        let event = event(reporter, notice, address, note);
        match Box::pin(status_writer.post(&event)).await {
            Ok(()) => tracing::debug!(reason = event.reason, "event written"),
            Err(failure) => tracing::warn!(error = %failure, "failed to write event"),
        }
    }
}

fn event(reporter: Reporter<'_>, notice: Notice, address: Option<Ipv4Addr>, note: String) -> Event {
    let Reporter { member, pod, .. } = reporter;
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
        // The API requires exactly six digits after the decimal point.
        at: format!("{:.6}", Timestamp::now()),
    }
}
