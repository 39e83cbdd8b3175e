//! The client of the lists and watches of one kind. `kube::runtime` bounds neither how long it
//! waits for an answer nor how soon it repeats a request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::ExponentialBuilder;
use http::Request;
use kube::Client;
use kube::client::Body;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::ExponentialBackoff;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tower::{BoxError, service_fn};
use tower_http::timeout::TimeoutBody;

/// The server sends a bookmark every minute. A watch that is silent for longer is dead.
const QUIET: Duration = Duration::from_secs(90);
/// A request that follows the last one sooner than this waits first.
const APART: Duration = Duration::from_secs(10);
/// That wait without its random part, which is as long at most; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(125);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The waits between attempts, up to half of each at random: many agents lose their server at once.
pub fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_jitter()
        .into()
}

/// Spaces out the requests of one verb, whether the last one failed or ended too soon.
struct Pace {
    sent: Option<Instant>,
    backoff: ExponentialBackoff,
}

impl Pace {
    fn new() -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { sent: None, backoff: backoff() }))
    }

    /// How long the next request waits.
    fn pause(&mut self) -> Duration {
        let now = Instant::now();
        let pause = if self.sent.is_some_and(|at| now < at + APART) {
            self.backoff.next().unwrap_or_default()
        } else {
            self.backoff.reset();
            Duration::ZERO
        };
        self.sent = Some(now + pause);
        pause
    }
}

/// The same client, with bounds. `opened` is notified of each watch that the server has opened.
pub(super) fn bounded(client: Client, within: Duration, opened: Arc<Notify>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let (lists, watches) = (Pace::new(), Pace::new());
    let service = service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default();
        let is_watch = query.contains("watch=true");
        let is_next_page = query.contains("continue=");
        let pace = if is_watch { watches.clone() } else { lists.clone() };
        let (client, opened) = (client.clone(), opened.clone());
        async move {
            if !is_next_page {
                let pause = pace.lock().unwrap_or_else(PoisonError::into_inner).pause();
                sleep(pause).await;
            }
            let late = |_elapsed| format!("no answer within {} s", within.as_secs_f32());
            let response = timeout(within, client.send(request)).await.map_err(late)??;
            let is_open = is_watch && response.status().is_success();
            if is_open {
                opened.notify_one();
            }
            let quiet = if is_open { QUIET } else { within };
            Ok::<_, BoxError>(response.map(|body| TimeoutBody::new(quiet, body)))
        }
    });
    Client::new(service, namespace)
}
