//! The admin protocol: a line in, a line out.

use std::io;
use std::sync::Arc;

use firecamp_vpc::FaultId;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{kernel, report, waiting};
use crate::driver::Driver;
use crate::protocol::{Refusal, RefusalKind, Reply, Request};

/// The longest request; the longest sensible one has a few hundred bytes.
const MAX_LINE: u64 = 1024 * 1024;

pub(super) type Outcome = Result<serde_json::Value, Refusal>;

/// Says no, with the reason.
pub(super) fn refused(reason: String) -> Refusal {
    Refusal { kind: RefusalKind::Refused, reason }
}

/// The same for an error that is not ours.
pub(super) fn because<E: std::error::Error>(error: &E) -> Refusal {
    refused(error.to_string())
}

/// Turns what was asked for into JSON.
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
                    if let Err(error) = converse(&driver, stream).await {
                        tracing::debug!(%error, "admin connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept an admin connection");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn converse(driver: &Driver, stream: UnixStream) -> io::Result<()> {
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
            Err(error) => Reply::Error(refused(format!("not a request: {error}"))),
        };
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        writer.write_all(&text).await?;
    }
}

async fn handle(driver: &Driver, request: Request) -> Outcome {
    // What is told is never newer than what the router does.
    driver.settle().await.map_err(|failure| {
        driver.give_up(&failure);
        refused(failure.chain())
    })?;
    match request {
        Request::Hello => json(&driver.hello),
        Request::Truth => report::truth(driver).await,
        Request::Calls { since } => report::calls(driver, since),
        Request::Router { since } => json(driver.router_events(since)),
        Request::FaultSet { spec } => {
            json(driver.change(|world, now| world.fault_set(now, spec)).map_err(|e| because(&e))?)
        }
        Request::FaultList => json(driver.look(|world, _| world.fault_list())),
        Request::FaultClear { id } => {
            let id = id.map(FaultId);
            json(driver.change(|world, now| world.fault_clear(now, id)).map_err(|e| because(&e))?)
        }
        Request::Act { act } => {
            driver.change(|world, now| world.act(now, &act)).map_err(|e| because(&e))?;
            // Who asked finds it done: processes of a terminated node are gone.
            driver.settle().await.map_err(|failure| refused(failure.chain()))?;
            json(())
        }
        Request::Kernel { act } => kernel::act(driver, act).await,
        Request::Enter { name } => report::enter(driver, &name).await,
        Request::Wait { condition, timeout_ms } => {
            waiting::wait(driver, &condition, timeout_ms).await
        }
    }
}
