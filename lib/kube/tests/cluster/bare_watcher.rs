//! What the watcher of `kube::runtime` does by itself where this crate bounds it. If one of these
//! tests fails, the bound may have become superfluous.

use std::pin::pin;
use std::time::Duration;

use firecamp_apiserver::{Ending, Fault};
use firecamp_core::record::StaticIp;
use firecamp_kube::Item;
use firecamp_kube::watcher::{Error, Event};
use futures_util::{Stream, StreamExt};
use kube::Api;
use kube::runtime::watcher::{Config, watcher};
use tokio::time::{Instant, timeout};

use super::support::{Cluster, IPS};

type Reported = Result<Event<Item<StaticIp>>, Error>;

fn bare(cluster: &Cluster) -> impl Stream<Item = Reported> + use<> {
    watcher(Api::all(cluster.server.client()), Config::default())
}

/// Waits for the end of the first list.
async fn list(events: &mut (impl Stream<Item = Reported> + Unpin)) {
    while !matches!(events.next().await, Some(Ok(Event::InitDone))) {}
}

/// How often the server was asked to list or to watch.
fn asked(cluster: &Cluster, verb: &str) -> usize {
    let prefix = format!("{verb} {IPS}");
    cluster.server.requests().iter().filter(|request| request.starts_with(&prefix)).count()
}

#[tokio::test(start_paused = true)]
async fn kube_watcher_waits_without_bound_for_an_answer() {
    let cluster = Cluster::new().await;
    cluster.server.fail_next("GET", IPS, Fault::Silence);
    let mut events = pin!(bare(&cluster));
    timeout(Duration::from_hours(1), list(&mut events)).await.unwrap_err();
    assert_eq!((asked(&cluster, "GET"), asked(&cluster, "WATCH")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn kube_watcher_notices_a_silent_watch_only_after_the_end_of_the_watch() {
    let cluster = Cluster::new().await;
    let mut events = pin!(bare(&cluster));
    list(&mut events).await;
    timeout(Duration::from_secs(290), events.next()).await.unwrap_err();
    assert_eq!(asked(&cluster, "WATCH"), 1);
    // It opens the next one when it is polled after the failure.
    for _ in 0..2 {
        drop(timeout(Duration::from_mins(1), events.next()).await);
    }
    assert_eq!(asked(&cluster, "WATCH"), 2);
}

#[tokio::test(start_paused = true)]
async fn kube_watcher_opens_a_watch_that_ends_at_once_again_at_once() {
    const TIMES: usize = 100;
    let cluster = Cluster::new().await;
    let mut events = pin!(bare(&cluster));
    list(&mut events).await;
    let (begun, mut seen) = (Instant::now(), 0);
    while asked(&cluster, "WATCH") < TIMES {
        drop(timeout(Duration::from_millis(1), events.next()).await);
        if asked(&cluster, "WATCH") > seen {
            seen = asked(&cluster, "WATCH");
            cluster.server.end_watches(Ending::Regular);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{seen} watches");
    }
}

#[tokio::test(start_paused = true)]
async fn kube_watcher_asks_for_ever_for_a_version_that_is_too_old() {
    const TIMES: usize = 5;
    let cluster = Cluster::new().await;
    let mut events = pin!(bare(&cluster));
    for _ in 0..TIMES {
        cluster.server.fail_next("WATCH", IPS, Fault::Code(410, "Expired"));
    }
    list(&mut events).await;
    for _ in 0..TIMES {
        let why = events.next().await.unwrap().map(|_event| ()).unwrap_err();
        assert!(matches!(why, Error::WatchStartFailed(_)), "{why:?}");
    }
    assert_eq!(asked(&cluster, "GET"), 1, "it does not list again");
}
