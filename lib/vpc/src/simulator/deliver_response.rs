//! Delivery of responses, and the faults that affect it.

use std::time::Duration;

use crate::calendar::http_date;
use crate::ec2::{ApiError, error_body};
use crate::faults::{Body, CutAt, Fault};
use crate::wire::{Answer, Cut, CutPoint, WireResponse};

/// What the caller receives.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Show {
    Whole,
    Never,
    Cut(CutAt, usize),
    Replaced(u16, Body),
}

/// How a call is delivered, according to its faults.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) show: Show,
    pub(super) delay: Duration,
    /// Whether the call takes effect.
    pub(super) executed: bool,
    /// When it takes effect after its arrival, if a fault changes that.
    pub(super) effect_after: Option<Duration>,
    pub(super) fired: Vec<u64>,
}

impl Delivery {
    /// Combines all faults of a call. If several change the response, the first one applies.
    pub(super) fn of(faults: &[(u64, Duration, Fault)]) -> Self {
        let mut way = Self {
            show: Show::Whole,
            delay: Duration::ZERO,
            executed: true,
            effect_after: None,
            fired: Vec::new(),
        };
        for (id, _, fault) in faults {
            if way.add(fault) {
                way.fired.push(*id);
            }
        }
        way
    }

    fn add(&mut self, fault: &Fault) -> bool {
        if let Fault::Delay { ms } = fault {
            self.delay += Duration::from_millis(*ms);
            return true;
        }
        if let Fault::LateLanding { after_ms, silent } = fault {
            let first = self.effect_after.is_none();
            self.effect_after = self.effect_after.or(Some(Duration::from_millis(*after_ms)));
            if *silent && self.show == Show::Whole {
                self.show = Show::Never;
            }
            return first;
        }
        let (show, executed) = if let Fault::LostResponse { after_commit } = fault {
            (Show::Cut(CutAt::Headers, 0), *after_commit)
        } else if let Fault::Hang { after_commit } = fault {
            (Show::Never, *after_commit)
        } else if let Fault::DropConn { at, bytes } = fault {
            (Show::Cut(*at, *bytes), true)
        } else if let Fault::HttpStatus { status, body, after_commit } = fault {
            (Show::Replaced(*status, *body), *after_commit)
        } else {
            return false;
        };
        if self.show != Show::Whole {
            return false;
        }
        (self.show, self.executed) = (show, executed);
        true
    }

    /// Its name in the call log.
    pub(super) fn word(&self) -> &'static str {
        match self.show {
            Show::Whole | Show::Replaced(..) => "answered",
            Show::Never => "silence",
            Show::Cut(CutAt::Headers, _) => "lost",
            Show::Cut(CutAt::Body | CutAt::Silence, _) => "cut",
        }
    }

    /// What the caller receives of a response; `None`: nothing, ever.
    pub(super) fn apply(&self, response: WireResponse) -> Option<Answer> {
        let cut = |after, then| Some(Answer::Cut { response: response.clone(), after, then });
        match self.show {
            Show::Whole => Some(Answer::Respond(response)),
            Show::Never => None,
            Show::Cut(CutAt::Headers, _) => cut(CutPoint::Nothing, Cut::Close),
            Show::Cut(at, bytes) => {
                // Never the whole body, because then nothing would be cut.
                let bytes = bytes.min(response.body.len().saturating_sub(1));
                let then = if at == CutAt::Silence { Cut::Silence } else { Cut::Close };
                cut(CutPoint::BodyBytes(bytes), then)
            }
            Show::Replaced(status, body) => Some(Answer::Respond(replaced(response, status, body))),
        }
    }
}

fn replaced(mut response: WireResponse, status: u16, body: Body) -> WireResponse {
    response.status = status;
    let id = response.header("x-amzn-requestid").unwrap_or_default().to_owned();
    let (kind, body) = match body {
        Body::Xml => {
            let (code, message) = match status {
                503 => ("Unavailable", "The server is overloaded and can't handle the request"),
                500 => ("InternalError", "An internal error has occurred"),
                _ => ("ServerInternal", "An internal error has occurred"),
            };
            let error = ApiError::new(status, code, message);
            ("text/xml;charset=UTF-8", error_body(&error, &id))
        }
        Body::Html => {
            let page = format!("<html><body><h1>{status} from a proxy</h1></body></html>");
            ("text/html", page.into_bytes())
        }
        Body::Empty => ("text/plain", Vec::new()),
    };
    for (name, value) in &mut response.headers {
        if name == "content-type" {
            kind.clone_into(value);
        }
    }
    response.body = body;
    response
}

/// An EC2 response.
pub(super) fn respond(
    result: Result<Vec<u8>, &ApiError>,
    request_id: &str,
    clock: Duration,
) -> WireResponse {
    let (status, body) = match result {
        Ok(body) => (200, body),
        Err(error) => (error.status, error_body(error, request_id)),
    };
    let headers = [
        ("x-amzn-requestid", request_id.to_owned()),
        ("x-amz-request-id", request_id.to_owned()),
        ("content-type", "text/xml;charset=UTF-8".to_owned()),
        ("cache-control", "no-cache, no-store".to_owned()),
        ("date", http_date(clock)),
        ("server", "AmazonEC2".to_owned()),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    WireResponse { status, headers, body }
}
