//! A watch, event by event.

use std::time::Duration;

use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;
use tokio::time::timeout;

/// The timeout of an expected event.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A watch.
pub struct Watch {
    body: Body,
    unread: Vec<u8>,
}

/// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`, and the object.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event type.
    pub kind: String,
    /// The object.
    pub object: Value,
}

impl Event {
    /// The event type and the name of the object.
    pub fn brief(&self) -> (&str, &str) {
        (&self.kind, self.object["metadata"]["name"].as_str().unwrap_or_default())
    }
}

impl Watch {
    /// The watch that this response opened.
    pub fn new(body: Body) -> Self {
        Self { body, unread: Vec::new() }
    }

    /// The next event; none when the server ends the watch.
    pub async fn next(&mut self) -> Result<Option<Event>, String> {
        timeout(TIMEOUT, self.event())
            .await
            .map_err(|_elapsed| format!("no watch event within {} s", TIMEOUT.as_secs()))?
    }

    async fn event(&mut self) -> Result<Option<Event>, String> {
        let Some(line) = self.line().await? else { return Ok(None) };
        let mut event: Value = serde_json::from_slice(&line)
            .map_err(|wrong| format!("failed to parse a watch event: {wrong}"))?;
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        Ok(Some(Event { kind, object: event["object"].take() }))
    }

    /// The next line as the server sent it, without a timeout; none when the server ends the watch.
    pub async fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.unread.drain(..=end).collect()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(wrong)) => return Err(format!("the watch failed: {wrong}")),
                Some(Ok(frame)) => {
                    self.unread.extend(frame.into_data().unwrap_or_default());
                }
            }
        }
    }
}
