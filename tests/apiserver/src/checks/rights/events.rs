//! The Events of agents and members.

use std::net::Ipv4Addr;

use firecamp_controllers::publish::{About, Event, StatusWriter};
use firecamp_kube::KubeStatusWriter;

use super::{Outcome, ensure};
use crate::lifecycle::Site;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 20);

pub(super) fn of_a_pod() -> About {
    About::Pod { namespace: "prod".to_owned(), name: "redis-0".to_owned(), uid: "u-1".to_owned() }
}

/// Writes an Event as the only one of its namespace; a second write finds it already created.
pub(super) async fn reported(
    site: &Site<'_>,
    status_writer: &KubeStatusWriter,
    about: About,
) -> Outcome {
    let namespace = if matches!(about, About::Pod { .. }) { "prod" } else { "default" };
    let list = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
    let gone = site.cluster.api.delete(&list).await?;
    ensure(gone.code == 200, || gone.text)?;
    let event = Event {
        about,
        related: Some(ADDRESS),
        reason: "AddressRestored",
        action: "Restore",
        warns: false,
        note: "another program had removed it".to_owned(),
        at: "2026-11-20T15:00:00Z".to_owned(),
    };
    for _ in 0..2 {
        status_writer.post(&event).await.map_err(|failure| format!("{failure:?}"))?;
    }
    let stored = site.cluster.api.get(&list).await?.json();
    let count = stored["items"].as_array().map_or(0, Vec::len);
    ensure(count == 1, || format!("{count} Events: {stored}"))
}
