//! Reads the response of an agent. It may be another program that answers at the endpoint, so
//! nothing in a response is trusted, and no more of it is kept than one line.

use thiserror::Error;

use super::protocol::{AddressResponse, Outcome, ResponseLine};

/// A line of a response, or a response of one line, is never longer.
pub(super) const LONGEST_LINE: usize = 64 * 1024;

/// A line is longer than any line of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a line of the response is longer than {LONGEST_LINE} bytes")]
pub struct LongLine;

/// Finds the outcome in the parts of a response, however it is split.
#[derive(Debug, Default)]
pub struct ResponseReader {
    /// The line that is not complete yet.
    line: Vec<u8>,
}

impl ResponseReader {
    /// Reads the next part. Returns the outcome, if it is complete; what follows it is ignored.
    /// Progress is logged as if the machine ran in this process.
    pub fn read(&mut self, part: &[u8]) -> Result<Option<Outcome>, LongLine> {
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > LONGEST_LINE {
                return Err(LongLine);
            }
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if let Some(outcome) = parsed(&line).and_then(ResponseLine::outcome_or_log) {
                    return Ok(Some(outcome));
                }
            }
        }
        Ok(None)
    }
}

/// A newer agent may send lines that are unknown here.
fn parsed(line: &[u8]) -> Option<ResponseLine> {
    let unknown = |why: &serde_json::Error| tracing::debug!(error = %why, "unknown line ignored");
    serde_json::from_slice(line).inspect_err(unknown).ok()
}

impl AddressResponse {
    /// The response to a request for the address; none if it is something else.
    pub fn from_bytes(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use firecamp_core::contract::exit::Exit;

    use super::*;
    use crate::report::Report;

    fn end() -> Outcome {
        Outcome::from(&Report::new(Exit::Success, "10.0.0.7 is attached"))
    }

    fn text() -> Vec<u8> {
        let step = ResponseLine::Step { step: "attach.3".to_owned(), done: "done".to_owned() };
        let mut text = step.to_bytes();
        text.extend_from_slice(b"unknown\n\n");
        text.extend(ResponseLine::Outcome(end()).to_bytes());
        text
    }

    #[test]
    fn a_response_is_read_however_it_is_split() {
        let text = text();
        for at in 0..text.len() {
            let mut reader = ResponseReader::default();
            let first = reader.read(&text[..at]).unwrap();
            assert_eq!(first, None, "at {at}");
            assert_eq!(reader.read(&text[at..]).unwrap(), Some(end()), "at {at}");
        }
    }

    #[test]
    fn f123_an_endless_line_is_not_kept() {
        let mut reader = ResponseReader::default();
        let part = vec![b'x'; 1000];
        let parts = (0..1000).take_while(|_| reader.read(&part).is_ok()).count();
        assert_eq!(parts, LONGEST_LINE / part.len());
        assert!(reader.line.capacity() <= 2 * LONGEST_LINE);
        let mut line = vec![b'x'; LONGEST_LINE];
        line.push(b'\n');
        assert_eq!(ResponseReader::default().read(&line), Err(LongLine), "also if it ends");
        let mut many = ResponseReader::default();
        for _ in 0..1000 {
            assert_eq!(many.read(b"x\n"), Ok(None));
        }
        assert_eq!(many.read(&text()), Ok(Some(end())), "short lines do not add up");
    }
}
