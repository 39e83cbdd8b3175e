//! The lines of an answer that goes on, each whole and bounded.

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;

use crate::call::MAX_BYTES;

/// So much is kept of a buffer that had to grow for one long line.
const KEPT: usize = 32 * 1024;

pub(super) struct Lines {
    body: Body,
    /// What came and is no whole line yet.
    rest: BytesMut,
    /// How much of it has no end of a line.
    searched: usize,
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self { body, rest: BytesMut::new(), searched: 0 }
    }

    /// The next line without its end; none after the last one. Cancelling it loses nothing.
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
                Some(Err(wrong)) => return Err(format!("it broke off: {wrong}")),
                None if self.rest.is_empty() => return Ok(None),
                None => return Err("it broke off in the middle of a line".to_owned()),
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
