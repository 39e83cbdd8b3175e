//! The lines of a streamed response, each complete and of bounded length.

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;

use crate::http_request::MAX_BYTES;

/// The capacity that remains after one long line made the buffer grow.
const KEPT: usize = 32 * 1024;

pub(super) struct Lines {
    body: Body,
    /// The received bytes that are not a complete line yet.
    rest: BytesMut,
    /// The number of bytes that were searched for a line feed.
    searched: usize,
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self { body, rest: BytesMut::new(), searched: 0 }
    }

    /// The next line without its line feed; none after the last one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(line) = self.line() {
                return Ok(Some(line));
            }
            if self.rest.len() > MAX_BYTES {
                return Err(format!("a line is longer than {MAX_BYTES} bytes"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
                Some(Err(wrong)) => return Err(format!("the stream was interrupted: {wrong}")),
                None if self.rest.is_empty() => return Ok(None),
                None => return Err("the stream ended in the middle of a line".to_owned()),
            }
        }
    }

    fn line(&mut self) -> Option<Bytes> {
        let new = self.rest.get(self.searched..).unwrap_or_default();
        let Some(at) = new.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.rest.len();
            return None;
        };
        let line = self.rest.split_to(self.searched + at).freeze();
        self.rest.advance(1);
        self.searched = 0;
        if self.rest.capacity() > KEPT {
            self.rest = BytesMut::from(self.rest.as_ref());
        }
        Some(line)
    }
}
