//! An agent that answers at its endpoint by a script.

use std::collections::VecDeque;
use std::sync::Mutex;

use firecamp_core::contract::exit::Exit;
use serde_json::{Value, json};

use crate::http::{Request, Response, Server};
use crate::process::{Ended, Run};

/// The token of the pod, as in its file.
const TOKEN: &str = "aGVhZGVy.Ym9keQ.c2lnbmF0dXJl";

pub(crate) struct ScriptedAgent(Server);

impl ScriptedAgent {
    /// An agent with these answers, a status and lines each; further requests get the last one.
    pub(crate) fn with(answers: &[(&'static str, &[Value])]) -> Self {
        let text = |lines: &[Value]| {
            let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
            lines.join("\n") + "\n"
        };
        let answers: VecDeque<(&str, String)> =
            answers.iter().map(|(status, lines)| (*status, text(lines))).collect();
        let answers = Mutex::new(answers);
        Self(Server::new(move |_request| {
            let mut answers = answers.lock().unwrap();
            let (status, body) = answers[0].clone();
            if answers.len() > 1 {
                answers.pop_front();
            }
            Response { status, header: "content-type: application/x-ndjson", body }
        }))
    }

    /// The container asks this agent. It gets nothing else: neither a name of its pod nor a place
    /// of a registry.
    pub(crate) fn asked_by(&self, binary: &str) -> Run {
        asking(binary, &self.0.address.to_string())
    }

    /// The requests so far. Each had the pod's token.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let requests = self.0.requests();
        for request in &requests {
            assert_eq!(request.authorization.as_deref(), Some(&*format!("Bearer {TOKEN}")));
        }
        requests
    }
}

/// A container that asks whoever listens there.
pub(crate) fn asking(binary: &str, endpoint: &str) -> Run {
    let run = Run::bare(binary);
    let token = run.path("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    run.unset("NODE_NAME").set("FIRECAMP_ENDPOINT", endpoint).set("FIRECAMP_TOKEN_FILE", token)
}

/// The last line of an answer.
pub(crate) fn outcome(reason: &str, message: &str) -> Value {
    json!({ "outcome": { "reason": reason, "message": message } })
}

/// The body of a request.
pub(crate) fn body(request: &Request) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

/// Asserts how the container ended, and that its log has no token.
#[track_caller]
pub(crate) fn ended_as(ended: &Ended, exit: Exit, text: &str) {
    assert_eq!(ended.code, Some(exit.code().into()), "{}", ended.stderr);
    let report = ended.report();
    assert_eq!(report["reason"], exit.reason());
    assert!(report["message"].as_str().unwrap().contains(text), "{report}");
    assert!(!ended.stderr.contains(TOKEN), "the log contains the token");
}
