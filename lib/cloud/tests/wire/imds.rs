//! A test double of IMDSv2.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use firecamp_core::ids::Mac;

use crate::server::{Reply, Request, Server};

pub(crate) const PRIMARY: &str = "02:00:00:00:00:01";
pub(crate) const SECOND: &str = "02:00:00:00:00:02";
pub(crate) const THIRD: &str = "02:00:00:00:00:03";

pub(crate) fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

/// One ENI's directory.
pub(crate) fn keys(mac: &str, number: u8) -> Vec<(String, String)> {
    let dir = |name: &str| format!("network/interfaces/macs/{mac}/{name}");
    vec![
        (dir("interface-id"), format!("eni-0123456789abcdef{number}")),
        (dir("device-number"), number.to_string()),
        (dir("subnet-id"), format!("subnet-0123456789abcdef{number}")),
        (dir("subnet-ipv4-cidr-block"), format!("10.0.{number}.0/24")),
        (dir("local-ipv4s"), format!("10.0.{number}.4\n10.0.{number}.9\n10.0.{number}.8")),
    ]
}

#[derive(Default)]
struct State {
    tree: BTreeMap<String, Reply>,
    tokens: u32,
    /// Tokens up to this one are revoked.
    revoked: u32,
}

/// The service; tests may change its tree while the service runs.
pub(crate) struct Imds {
    pub(crate) server: Server,
    state: Arc<Mutex<State>>,
}

impl Imds {
    /// An instance in a Local Zone, whose region cannot be derived from its zone, with these ENIs.
    pub(crate) async fn start(enis: &[&str]) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| answer(&shared, request)).await;
        let imds = Self { server, state };
        imds.set("instance-id", "i-0123456789abcdef0");
        imds.set("instance-type", "m5.large");
        imds.set("placement/availability-zone", "us-east-1-bos-1a");
        imds.set("placement/region", "us-east-1");
        imds.set("mac", PRIMARY);
        imds.list(enis);
        for (mac, number) in enis.iter().zip(0..) {
            for (path, text) in keys(mac, number) {
                imds.set(&path, &text);
            }
        }
        imds
    }

    pub(crate) fn list(&self, enis: &[&str]) {
        let lines: Vec<String> = enis.iter().map(|mac| format!("{mac}/")).collect();
        self.set("network/interfaces/macs/", &lines.join("\n"));
    }

    pub(crate) fn set(&self, path: &str, text: &str) {
        self.reply(path, Reply::text(200, text));
    }

    pub(crate) fn reply(&self, path: &str, reply: Reply) {
        self.state.lock().unwrap().tree.insert(path.to_owned(), reply);
    }

    pub(crate) fn eni(&self, mac: &str, name: &str, reply: Reply) {
        self.reply(&format!("network/interfaces/macs/{mac}/{name}"), reply);
    }

    /// Revokes all existing tokens, as a restarted service does.
    pub(crate) fn revoke(&self) {
        let mut state = self.state.lock().unwrap();
        state.revoked = state.tokens;
    }

    /// Refuses every token from now on.
    pub(crate) fn refuse(&self) {
        self.state.lock().unwrap().revoked = u32::MAX;
    }

    pub(crate) fn token_requests(&self) -> usize {
        self.server.requests().iter().filter(|request| request.method == "PUT").count()
    }

    pub(crate) fn reads(&self) -> Vec<String> {
        let requests = self.server.requests();
        requests.into_iter().filter(|r| r.method == "GET").map(|r| r.path).collect()
    }
}

fn answer(state: &Mutex<State>, request: &Request) -> Reply {
    let mut state = state.lock().unwrap();
    if request.method == "PUT" && request.path == "/latest/api/token" {
        let ttl = request.header("x-aws-ec2-metadata-token-ttl-seconds").unwrap().to_owned();
        state.tokens += 1;
        let headers = vec![("x-aws-ec2-metadata-token-ttl-seconds", ttl)];
        let body = format!("token-{}", state.tokens).into_bytes();
        return Reply::Http { status: 200, headers, body };
    }
    let token = request.header("x-aws-ec2-metadata-token").unwrap_or_default();
    let number = token.strip_prefix("token-").and_then(|number| number.parse::<u32>().ok());
    if !number.is_some_and(|number| number > state.revoked && number <= state.tokens) {
        return Reply::text(401, "<h1>401 - Unauthorized</h1>");
    }
    let path = request.path.strip_prefix("/latest/meta-data/").unwrap_or_default();
    state.tree.get(path).cloned().unwrap_or_else(|| Reply::text(404, "<h1>404 - Not Found</h1>"))
}
