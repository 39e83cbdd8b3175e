//! The admin protocol: one request and one reply per line.

use std::io;
use std::sync::Arc;

use firecamp_vpc::FaultId;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{kernel_faults, state_report, waiting};
use crate::protocol::{Refusal, RefusalKind, Reply, Request};
use crate::real_time_simulator::Driver;

/// The longest request; typical ones have a few hundred bytes.
const MAX_LINE: u64 = 1024 * 1024;

pub(super) type Outcome = Result<serde_json::Value, Refusal>;

/// A refusal with a reason.
pub(super) fn refused(reason: String) -> Refusal {
    Refusal { kind: RefusalKind::Refused, reason }
}

/// A refusal because of an error.
pub(super) fn because<E: std::error::Error>(error: &E) -> Refusal {
    refused(error.to_string())
}

/// Converts a result to JSON.
pub(super) fn json(value: impl Serialize) -> Outcome {
    serde_json::to_value(value).map_err(|e| because(&e))
}

/// Serves the socket until the box ends.
pub(super) async fn accept(driver: Arc<Driver>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let driver = Arc::clone(&driver);
                tokio::spawn(async move {
                    if let Err(error) = serve_connection(&driver, stream).await {
                        tracing::debug!(%error, "admin connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept an admin connection");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn serve_connection(driver: &Driver, stream: UnixStream) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(());
        }
        let reply = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => match handle(driver, request).await {
                Ok(value) => Reply::Ok(value),
                Err(refusal) => Reply::Error(refusal),
            },
            Err(error) => Reply::Error(refused(format!("invalid request: {error}"))),
        };
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        writer.write_all(&text).await?;
    }
}

async fn handle(driver: &Driver, request: Request) -> Outcome {
    // A response never shows a state that the router does not have yet.
    driver.reconcile().await.map_err(|failure| {
        driver.fail(&failure);
        refused(failure.chain())
    })?;
    match request {
        Request::Hello => json(&driver.hello),
        Request::Truth => state_report::truth(driver).await,
        Request::Calls { since } => state_report::calls(driver, since),
        Request::Router { since } => json(driver.router_events(since)),
        Request::FaultSet { spec } => json(
            driver
                .change(|simulator, now| simulator.fault_set(now, spec))
                .map_err(|e| because(&e))?,
        ),
        Request::FaultList => json(driver.with_simulator(|simulator, _| simulator.fault_list())),
        Request::FaultClear { id } => {
            let id = id.map(FaultId);
            json(
                driver
                    .change(|simulator, now| simulator.fault_clear(now, id))
                    .map_err(|e| because(&e))?,
            )
        }
        Request::Act { act } => {
            driver.change(|simulator, now| simulator.act(now, &act)).map_err(|e| because(&e))?;
            // When the reply arrives, processes of a terminated node are already gone.
            driver.reconcile().await.map_err(|failure| refused(failure.chain()))?;
            json(())
        }
        Request::Kernel { act } => kernel_faults::act(driver, act).await,
        Request::Enter { name } => state_report::enter(driver, &name).await,
        Request::Wait { condition, timeout_ms } => {
            waiting::wait(driver, &condition, timeout_ms).await
        }
    }
}
