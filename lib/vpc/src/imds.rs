//! The instance metadata service, version 2 only: ec2-semantics.md section 6.

use std::time::Duration;

use crate::faults::{Fault, FaultContext, Stage};
use crate::model::Instance;
use crate::rng::key_of;
use crate::simulator::Simulator;
use crate::token_buckets::Size;
use crate::view::NodeState;
use crate::wire::{WireRequest, WireResponse};

mod token;
mod tree;

use tree::{Lookup, Source, Tree};

/// The headers of the token and of its TTL.
const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// Supported versions besides `latest`. All have the same paths.
const VERSIONS: [&str; 5] = ["2019-10-01", "2020-10-27", "2021-01-03", "2021-03-23", "2021-07-15"];
/// The limit is 1024 packets per second. A small request with its response and its own connection
/// takes about ten packets in both directions, five of which count (unverified).
const REQUESTS_PER_SECOND: u32 = 204;

/// The result of a request.
pub(crate) struct Outcome {
    /// `None`: no response.
    pub(crate) response: Option<WireResponse>,
    pub(crate) faults: Vec<u64>,
}

/// The path below the version, and whether the version is a date.
fn below_version(path: &str) -> Option<(&str, bool)> {
    let rest = path.strip_prefix('/')?;
    let (version, below) = rest.split_once('/').unwrap_or((rest, ""));
    match version {
        "latest" => Some((below, false)),
        dated if VERSIONS.contains(&dated) => Some((below, true)),
        _ => None,
    }
}

/// One request to the metadata service of a node.
pub(crate) fn serve(simulator: &mut Simulator, node: &str, request: &WireRequest) -> Outcome {
    let path = request.path();
    let below = below_version(path).map_or(path, |(below, _)| below).to_owned();
    let instance = simulator
        .topology
        .node(node)
        .and_then(|id| simulator.timeline.latest().instances.get(id).cloned());
    let running = instance.filter(|instance| instance.state == NodeState::Running);
    let Some(instance) = running else {
        return Outcome { response: None, faults: Vec::new() };
    };
    let context =
        FaultContext { now: simulator.now, op: &below, caller: &instance.name, names: &|_| false };
    let faults = simulator.faults.matching(&context, |fault| fault.stage() == Stage::Imds);
    let mut call = ImdsCall { simulator, node: &instance, request, faults, fired: Vec::new() };
    let response = call.answer(&below);
    let fired = call.fired;
    for fault in &fired {
        simulator.faults.fired(*fault);
    }
    Outcome { response, faults: fired }
}

/// A request while it is served.
struct ImdsCall<'a> {
    simulator: &'a mut Simulator,
    node: &'a Instance,
    request: &'a WireRequest,
    faults: Vec<(u64, Duration, Fault)>,
    fired: Vec<u64>,
}

impl ImdsCall<'_> {
    /// The first fault for which `pick` returns something. It counts as fired.
    fn fault<T>(&mut self, pick: impl Fn(Duration, &Fault) -> Option<T>) -> Option<T> {
        let (id, value) =
            self.faults.iter().find_map(|(id, at, fault)| Some((*id, pick(*at, fault)?)))?;
        self.fired.push(id);
        Some(value)
    }

    fn has(&mut self, is: impl Fn(&Fault) -> bool) -> bool {
        self.fault(|_, fault| is(fault).then_some(())).is_some()
    }

    fn answer(&mut self, below: &str) -> Option<WireResponse> {
        if !self.within_rate() || self.has(|fault| matches!(fault, Fault::ImdsDown {})) {
            return None;
        }
        let status = self.fault(|_, fault| match_status(fault));
        if let Some(status) = status {
            return Some(page(status));
        }
        match self.request.method.as_str() {
            "PUT" if below == "api/token" => self.put_token(),
            "PUT" => Some(page(404)),
            "GET" => Some(self.get(below)),
            _ => Some(page(405)),
        }
    }

    fn within_rate(&mut self) -> bool {
        let declared = self.faults.iter().find_map(|(id, _, fault)| {
            let Fault::ImdsPpsDrop { per_second } = fault else { return None };
            Some((*id, *per_second))
        });
        let limit = declared.map_or(REQUESTS_PER_SECOND, |(_, per_second)| per_second);
        let size = Size { capacity: limit, refill: f64::from(limit) };
        let name = format!("imds {}", self.node.name);
        let taken = self.simulator.buckets.take_from(name, size, self.simulator.now);
        if let (false, Some((id, _))) = (taken, declared) {
            self.fired.push(id);
        }
        taken
    }

    fn put_token(&mut self) -> Option<WireResponse> {
        let dated = below_version(self.request.path()).is_none_or(|(_, dated)| dated);
        // A proxy that adds this header must not get tokens (wording unverified).
        if dated || self.request.header("x-forwarded-for").is_some() {
            return Some(page(403));
        }
        let Some(ttl) = self.request.header(TTL).and_then(token::ttl) else {
            return Some(page(400));
        };
        // With a hop limit that is too low only the response is lost.
        if self.has(|fault| matches!(fault, Fault::ImdsHopTimeout {})) {
            return None;
        }
        let token = token::issue(self.simulator.rng, &self.node.name, self.simulator.now, ttl);
        let mut response = text(token);
        response.headers.push((TTL.to_owned(), ttl.to_string()));
        Some(response)
    }

    fn get(&mut self, below: &str) -> WireResponse {
        let Some(left) = self.authorised() else { return page(401) };
        if self.request.path() == "/" {
            return text(VERSIONS.into_iter().chain(["latest"]).collect::<Vec<_>>().join("\n"));
        }
        if below_version(self.request.path()).is_none() {
            return page(404);
        }
        if self.has(|fault| matches!(fault, Fault::ImdsEmpty {})) {
            return text(String::new());
        }
        let tree = self.tree(below);
        let mut response = match tree::look_up(&tree, below) {
            Lookup::Value(value) => text(value),
            Lookup::Listing(names) => text(names),
            Lookup::Nothing => page(404),
        };
        response.headers.push((TTL.to_owned(), left.to_string()));
        response
    }

    /// The remaining seconds of the request's token.
    fn authorised(&mut self) -> Option<u64> {
        let token = self.request.header(TOKEN)?;
        let simulator = &self.simulator;
        let (issued, left) = token::read(simulator.rng, &self.node.name, token, simulator.now)?;
        let revoked = self.has_revoked(issued);
        (!revoked).then_some(left)
    }

    fn has_revoked(&mut self, issued_us: u64) -> bool {
        self.fault(|set_at, fault| {
            let revokes = matches!(fault, Fault::ImdsToken401 {});
            (revokes && issued_us <= crate::simulator::micros(set_at)).then_some(())
        })
        .is_some()
    }

    /// The time whose state the service shows.
    fn shown_at(&mut self) -> Duration {
        let now = self.simulator.now;
        let other = self.fault(|set_at, fault| match_moment(fault, set_at, now));
        other.unwrap_or(now)
    }

    fn tree(&mut self, below: &str) -> Tree {
        let shown = self.shown_at();
        let mut enis = self.simulator.listed_enis(self.node, shown);
        let index = |eni: &crate::model::Eni| eni.attachment.as_ref().map(|a| a.device_index);
        let missing = self.faults.iter().find_map(|(id, _, fault)| {
            let Fault::ImdsMissing { device_index } = fault else { return None };
            Some((*id, *device_index))
        });
        if let Some((id, missing)) = missing {
            let before = enis.len();
            enis.retain(|(eni, _)| index(eni) != Some(missing));
            if enis.len() < before {
                self.fired.push(id);
            }
        }
        let simulator = &self.simulator;
        let source = Source {
            topology: &simulator.topology,
            instance: self.node,
            enis,
            credentials: simulator.keys.of(&self.node.name, simulator.now),
            renewed: simulator.keys.renewed_unix(simulator.now),
            started: simulator.epoch.saturating_sub(Duration::from_hours(24)),
        };
        let mut tree = tree::build(&source);
        for (eni, _) in &source.enis {
            tree::apply_listing_stage(
                &mut tree,
                eni,
                simulator.timeline.listing_stage(&eni.id, &self.node.id, shown),
            );
        }
        if below.starts_with("meta-data/network") || "meta-data/network".starts_with(below) {
            self.apply_eni_faults(&mut tree);
        }
        tree
    }

    /// Applies the faults of the ENIs' directories.
    fn apply_eni_faults(&mut self, tree: &mut Tree) {
        const MACS: &str = "meta-data/network/interfaces/macs/";
        let keys = self.fault(|_, fault| {
            let Fault::ImdsPartial { keys } = fault else { return None };
            Some(keys.clone())
        });
        let is_key = |path: &str, key: &str| {
            let own = path.strip_prefix(MACS).and_then(|rest| rest.split_once('/'));
            own.is_some_and(|(_, name)| name == key)
        };
        for key in keys.unwrap_or_default() {
            tree.retain(|path, _| !is_key(path, &key));
        }
        if self.has(|fault| matches!(fault, Fault::ImdsDeviceNumberZero {})) {
            let numbers = tree.iter_mut().filter(|(path, _)| is_key(path, "device-number"));
            numbers.for_each(|(_, value)| "0".clone_into(value));
        }
        if self.has(|fault| matches!(fault, Fault::ImdsGhost {})) {
            let number = key_of(&self.node.name);
            let id = format!("eni-{}", self.simulator.rng.hex17("ghost", number));
            let mac = "0a:ff:ff:ff:ff:fe";
            tree.insert(format!("{MACS}{mac}/device-number"), "7".to_owned());
            tree.insert(format!("{MACS}{mac}/interface-id"), id);
            tree.insert(format!("{MACS}{mac}/mac"), mac.to_owned());
        }
    }
}

fn match_status(fault: &Fault) -> Option<u16> {
    let Fault::ImdsError { status } = fault else { return None };
    Some(*status)
}

fn match_moment(fault: &Fault, set_at: Duration, now: Duration) -> Option<Duration> {
    if matches!(fault, Fault::ImdsFrozen {}) {
        return Some(set_at);
    }
    let Fault::ImdsTimeTravel { back_ms } = fault else { return None };
    Some(now.saturating_sub(Duration::from_millis(*back_ms)))
}

fn text(body: String) -> WireResponse {
    response(200, &[("content-type", "text/plain")], body)
}

/// The service closes the connection after each response, as published responses of 2020 to 2023
/// show.
fn response(status: u16, headers: &[(&str, &str)], body: String) -> WireResponse {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let headers = headers.iter().chain(&[("server", "EC2ws"), ("connection", "close")]);
    WireResponse { status, headers: headers.map(own).collect(), body: body.into_bytes() }
}

/// An XHTML error page.
fn page(status: u16) -> WireResponse {
    let reason = match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Lookup",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD \
         XHTML 1.0 Transitional//EN\"\n\t\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\
         \">\n<html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n <head>\n  \
         <title>{status} - {reason}</title>\n </head>\n <body>\n  <h1>{status} - {reason}</h1>\n \
         </body>\n</html>\n"
    );
    response(status, &[("content-type", "text/html")], body)
}
