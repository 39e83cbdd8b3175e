//! Performs a request: runs the machine of attach or release, and streams its progress.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use firecamp_core::attach::AttachInput;
use firecamp_core::contract::endpoint::{LONGEST_RELEASE, RESPONSE_WITHIN};
use firecamp_core::contract::event::Notice;
use firecamp_core::contract::{api, timing};
use firecamp_core::endpoint::Request;
use firecamp_core::ids::{Epoch, NodeName};
use firecamp_core::ports::{AskingPod, Cloud, Registry as _, ReviewedPod, SocketScope};
use firecamp_core::record::{MemberRecords, State, StaticIp};
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_engine::{Begin, ClientsFile, Ended, Prepared, Rng, Run, Signal, Systems};
use firecamp_host::unwanted_enis;
use firecamp_run::connect::{AnyRegistry, Reporter};
use firecamp_run::container_events;
use firecamp_run::endpoint::{
    AddressResponse, Asked, AttachRequest, DrainScope, Outcome, ReleaseRequest, ResponseLine,
};
use firecamp_run::report::Report;
use http_body_util::Either;
use http_body_util::channel::{Channel, Sender};
use hyper::header::CONTENT_TYPE;
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::connection::{Body, Job};
use super::request::{Admitted, LINES, Refusal, complete};
use super::{EVENTS, Endpoint, Served};
use crate::ports::Environment;

/// Lines that wait for a slow client.
const BUFFER: usize = 64;
/// An Event delays nobody here.
const EVENT_WITHIN: Duration = Duration::from_secs(10);

/// An Event about a pod that waits to be written.
#[derive(Debug)]
pub(super) struct PodEvent {
    by: ReviewedPod,
    program: &'static str,
    notice: Notice,
    report: Report,
}

/// Writes the Events, one after the other.
pub(super) async fn write_events(
    registry: AnyRegistry,
    node: NodeName,
    mut due: mpsc::Receiver<PodEvent>,
) {
    while let Some(PodEvent { by, program, notice, report }) = due.recv().await {
        let within = EVENT_WITHIN;
        let reporter = Reporter { program, member: &by.member, pod: &by.pod, node: &node, within };
        let text = container_events::text(&report);
        registry.report(reporter, notice, report.address, text).await;
    }
}

/// The response of a request, and the job that writes the rest of it.
pub(super) async fn begin<W: Environment<Registry = AnyRegistry>>(
    endpoint: &Rc<Endpoint<W>>,
    admitted: Admitted<W>,
) -> (Response<Body>, Option<Job>) {
    if matches!(admitted.asked, Asked::Address) {
        let response = match address(&endpoint.systems.registry, &admitted).await {
            Ok(found) => found,
            Err(refusal) => refusal.response(),
        };
        return (response, None);
    }
    let (lines, body) = Channel::new(BUFFER);
    let mut response = Response::new(Either::Right(body));
    response.headers_mut().insert(CONTENT_TYPE, LINES);
    let ReviewedPod { member, pod, .. } = &admitted.by;
    let span = tracing::info_span!("endpoint", %member, podUID = %pod);
    let job = perform(Rc::clone(endpoint), admitted, lines).instrument(span);
    (response, Some(Box::pin(job)))
}

/// The address that the pod holds.
async fn address<W: Environment<Registry = AnyRegistry>>(
    registry: &AnyRegistry,
    admitted: &Admitted<W>,
) -> Result<Response<Body>, Refusal> {
    let Admitted { by, pool, .. } = admitted;
    let read = registry.member(&by.member, pool.as_ref()).await;
    let records = read.map_err(|why| Refusal::unread(&why))?;
    // Serialization of plain fields cannot fail.
    let mut line = serde_json::to_vec(&held(records, by)).unwrap_or_default();
    line.push(b'\n');
    Ok(complete(StatusCode::OK, line))
}

fn held(records: MemberRecords, by: &ReviewedPod) -> AddressResponse {
    let none = AddressResponse { address: None, eni: None, epoch: None };
    let Some(StaticIp { address, epoch, attachment, member, .. }) =
        records.static_ip.map(|stored| stored.object)
    else {
        return none;
    };
    let held = attachment.filter(|held| held.pod == by.pod && held.state == State::Attached);
    match held {
        Some(held) if member == by.member => AddressResponse {
            address: Some(address),
            eni: held.eni.as_ref().map(ToString::to_string),
            epoch: Some(epoch.0),
        },
        Some(_) | None => none,
    }
}

/// Runs the machine to its end, and sends its progress and its outcome. A client that does not read
/// ends the run as if it had closed its connection.
async fn perform<W: Environment<Registry = AnyRegistry>>(
    endpoint: Rc<Endpoint<W>>,
    admitted: Admitted<W>,
    mut lines: Sender<Bytes>,
) -> Result<(), Elapsed> {
    let Admitted { asked, by, pod, pool, turn } = admitted;
    let begun = Instant::now();
    let (watcher, mut progress) = mpsc::channel(BUFFER);
    let run = |pool, rng| Run {
        member: by.member.clone(),
        pool,
        // A client that is gone drops this run.
        signal: Signal::Interrupt(CancellationToken::new()),
        rng,
        watcher: Some(watcher),
    };
    let work = async {
        let (program, report) = match &asked {
            Asked::Attach(request) => {
                let early = endpoint.early.take(&by.pod).await;
                let input = attach_input(&endpoint.served, (&by, pod.as_ref()), request);
                // The client counts from its request.
                let deadline = input.deadline.saturating_sub(begun.elapsed());
                let input = AttachInput { pool: pool.clone(), deadline, ..input };
                let cloud = endpoint.queues.cloud(&endpoint.systems.cloud);
                let prepared = Prepared { input, early };
                let run = run(pool, endpoint.queues.rng());
                (api::INIT, endpoint.run(&cloud, prepared, &run).await)
            }
            Asked::Release(request) => {
                let (run, input) = (run(None, Rng::default()), release_input(&by, request));
                let only = request.epoch.map(Epoch);
                let release = |now| Release::new(input, now).of_epoch(only);
                let cloud = &endpoint.systems.cloud;
                (api::STOP, endpoint.run(cloud, release, &run).await)
            }
            Asked::Address => return None,
        };
        // Whether the client reads or not: what has ended is recorded.
        drop(turn);
        let outcome = ResponseLine::Outcome(Outcome::from(&report));
        endpoint.ended(program, by.clone(), report, begun.elapsed());
        Some(outcome)
    };
    let forward = async {
        while let Some(event) = progress.recv().await {
            send(&mut lines, &ResponseLine::from(event)).await?;
        }
        Ok::<_, Elapsed>(())
    };
    let (outcome, ()) = tokio::try_join!(async { Ok(work.await) }, forward)?;
    let Some(outcome) = outcome else { return Ok(()) };
    send(&mut lines, &outcome).await
}

/// Sends a line. Fails if the client does not read.
async fn send(lines: &mut Sender<Bytes>, line: &ResponseLine) -> Result<(), Elapsed> {
    let sent = lines.send_data(Bytes::from(line.to_bytes()));
    match timeout(RESPONSE_WITHIN, sent).await {
        // If the connection is gone, this run ends with it.
        Ok(_sent) => Ok(()),
        Err(elapsed) => {
            tracing::info!("connection closed: the client does not read its response");
            Err(elapsed)
        }
    }
}

impl<W: Environment<Registry = AnyRegistry>> Endpoint<W> {
    async fn run(&self, cloud: &impl Cloud, input: impl Begin, run: &Run) -> Report {
        let Systems { host, registry, .. } = &*self.systems;
        let systems = Systems { cloud, host: host.clone(), registry, file: ClientsFile };
        match firecamp_engine::run(input, &systems, run).await {
            Ended::Outcome(outcome) => Report::from(&outcome),
            Ended::Interrupted => Report::interrupted(),
        }
    }

    fn ended(&self, program: &'static str, by: ReviewedPod, report: Report, took: Duration) {
        let reason = report.exit.reason();
        let kind = if program == api::INIT { "attach" } else { "release" };
        self.metrics.ended(kind, reason, took);
        tracing::info!(kind, reason, message = report.message, "request of a pod ended");
        self.write_event(program, by, report);
    }

    /// Writes the Event of a request that is not served.
    pub(super) fn refused(&self, refusal: Refusal) {
        let Some((request, by, report)) = refusal.into_final() else { return };
        let program = match request {
            Request::Attach => api::INIT,
            Request::Release => api::STOP,
            Request::Address => return,
        };
        // Events of pods that are served come first.
        let has_room = self.events.capacity() > EVENTS / 2;
        let now = self.now();
        if has_room && self.limits.borrow_mut().reports_refusal(&by.pod, report.exit, now) {
            self.write_event(program, by, report);
        }
    }

    fn write_event(&self, program: &'static str, by: ReviewedPod, report: Report) {
        let notice = if program == api::INIT {
            container_events::of_attach(&report)
        } else {
            container_events::of_release(&report)
        };
        let Some(notice) = notice else { return };
        if self.events.try_send(PodEvent { by, program, notice, report }).is_err() {
            tracing::warn!("Event dropped: too many wait to be written");
        }
    }
}

fn attach_input(
    served: &Served,
    (by, pod): (&ReviewedPod, Option<&AskingPod>),
    request: &AttachRequest,
) -> AttachInput {
    let Served { node, cluster, rule, run_dir, .. } = served;
    AttachInput {
        member: by.member.clone(),
        pod: by.pod.clone(),
        node: node.clone(),
        cluster: cluster.clone(),
        pool: None,
        pool_is_approved: true,
        rule: *rule,
        unwanted: unwanted_enis(run_dir),
        metadata_poll: timing::QUEUED_METADATA_POLL,
        run: Rng::default().run_id(),
        deadline: Duration::from_millis(request.timeout_ms).min(timing::LONGEST_ATTACH),
        predecessor_grace: pod.map_or(timing::PREDECESSOR_GRACE, |pod| pod.grace),
        looked_up: None,
    }
}

fn release_input(by: &ReviewedPod, request: &ReleaseRequest) -> ReleaseInput {
    let scope = match request.scope {
        DrainScope::All => SocketScope::All,
        DrainScope::Connections => SocketScope::Connections,
    };
    ReleaseInput {
        member: by.member.clone(),
        pod: by.pod.clone(),
        run: Rng::default().run_id(),
        unassign: false,
        await_stop: false,
        by: Releaser::Stop,
        scope,
        drain: request.drain_ms.map_or(LONGEST_RELEASE, Duration::from_millis).min(LONGEST_RELEASE),
        grace: Duration::from_millis(request.grace_ms).min(LONGEST_RELEASE),
    }
}
