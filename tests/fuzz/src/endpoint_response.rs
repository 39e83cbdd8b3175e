//! Responses of the agent's endpoint, as its clients read them.
//!
//! Input: the first two bytes select where the response is split. The rest is its body.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_run::endpoint::{AddressResponse, LongLine, Outcome, ResponseLine, ResponseReader};
use firecamp_run::report::{MAX_BYTES, Report};

use crate::draw::Draw;

/// No body makes the client panic. It finds the outcome that a reader of whole lines finds, however
/// the body is split, and only success is read as success. The termination message stays within its
/// limit.
pub fn endpoint_response(input: &[u8]) {
    let mut draw = Draw::new(input);
    let at = draw.below(usize::from(u16::MAX));
    let body = draw.rest();
    let (first, second) = body.split_at(at.checked_rem(body.len()).unwrap_or(0));
    let whole = read(&[body]);
    assert_eq!(read(&[first, second]), whole, "split at {}", first.len());
    assert_eq!(read(&body.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    if let Ok(found) = whole {
        assert_eq!(found, expected(body));
        found.iter().for_each(check);
    }
    if let Some(held) = AddressResponse::from_bytes(body) {
        let again = serde_json::to_vec(&held).expect("plain fields");
        assert_eq!(AddressResponse::from_bytes(&again), Some(held));
    }
}

fn read(parts: &[&[u8]]) -> Result<Option<Outcome>, LongLine> {
    let mut reader = ResponseReader::default();
    for part in parts {
        if let Some(outcome) = reader.read(part)? {
            return Ok(Some(outcome));
        }
    }
    Ok(None)
}

/// The first line that is an outcome. A line without its end is none.
fn expected(body: &[u8]) -> Option<Outcome> {
    let lines = body.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let mut read = lines.filter_map(|line| serde_json::from_slice::<ResponseLine>(line).ok());
    read.find_map(|line| if let ResponseLine::Outcome(end) = line { Some(end) } else { None })
}

fn check(outcome: &Outcome) {
    let report = Report::from(outcome.clone());
    assert_eq!(report.exit == Exit::Success, outcome.reason == Exit::Success.reason());
    assert!(report.message.contains(&outcome.message), "{report:?}");
    let line = report.line(None, Some(Duration::from_secs(1)));
    assert!(line.len() <= MAX_BYTES && !line.contains('\n'), "{line}");
    let again = ResponseLine::Outcome(Outcome::from(&report)).to_bytes();
    let mut reader = ResponseReader::default();
    if let Ok(sent) = reader.read(&again) {
        assert_eq!(sent.map(Report::from), Some(report));
    }
}
