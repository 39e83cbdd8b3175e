//! Responses of the metadata service.
//!
//! Input: the first byte selects whether the addresses of one interface or the whole instance are
//! read. For the addresses, a status and the response follow; for the instance, pairs of a key and
//! its response.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::failure::{CloudFailure, Effect};
use firecamp_core::ids::Mac;
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::Cloud;

use crate::carrier::{Ending, cloud, ended, is_one_short_line};
use crate::draw::Draw;

const TOKEN: &str = "/latest/api/token";
const DATA: &str = "/latest/meta-data/";
const PRIMARY: &str = "02:00:00:00:00:01";
const STATUSES: [u16; 8] = [200, 404, 503, 401, 200, 403, 500, 204];

/// The responses of a healthy instance with two interfaces.
const HEALTHY: [(&str, &str); 19] = [
    ("instance-id", "i-0123456789abcdef0"),
    ("instance-type", "m5.large"),
    ("placement/availability-zone", "us-east-1a"),
    ("placement/region", "us-east-1"),
    ("mac", PRIMARY),
    ("network/interfaces/macs/", "02:00:00:00:00:01/\n02:00:00:00:00:02/"),
    ("network/interfaces/macs/02:00:00:00:00:01/interface-id", "eni-0123456789abcdef0"),
    ("network/interfaces/macs/02:00:00:00:00:01/device-number", "0"),
    ("network/interfaces/macs/02:00:00:00:00:01/network-card", "0"),
    ("network/interfaces/macs/02:00:00:00:00:01/subnet-id", "subnet-0123456789abcdef0"),
    ("network/interfaces/macs/02:00:00:00:00:01/subnet-ipv4-cidr-block", "10.0.0.0/24"),
    ("network/interfaces/macs/02:00:00:00:00:01/local-ipv4s", "10.0.0.4\n10.0.0.8"),
    ("network/interfaces/macs/02:00:00:00:00:01/ipv4-prefix", "10.0.0.16/28"),
    ("network/interfaces/macs/02:00:00:00:00:02/interface-id", "eni-0123456789abcdef1"),
    ("network/interfaces/macs/02:00:00:00:00:02/device-number", "1"),
    ("network/interfaces/macs/02:00:00:00:00:02/subnet-id", "subnet-0123456789abcdef1"),
    ("network/interfaces/macs/02:00:00:00:00:02/subnet-ipv4-cidr-block", "10.0.1.0/24"),
    ("network/interfaces/macs/02:00:00:00:00:02/local-ipv4s", "10.0.1.4"),
    (TOKEN, "token"),
];

type Answers = BTreeMap<String, (u16, Vec<u8>)>;

/// No response makes the client panic or hang. An empty or malformed response is a failure, never
/// an empty set or an incomplete instance.
pub fn imds(input: &[u8]) {
    let mut draw = Draw::new(input);
    if draw.byte().is_multiple_of(2) {
        let status = draw.choose(&STATUSES);
        listed(status, draw.rest());
    } else {
        identity(draw);
    }
}

fn healthy() -> Answers {
    let answer = |(key, text): &(&str, &str)| ((*key).to_owned(), (200, text.as_bytes().to_vec()));
    HEALTHY.iter().map(answer).collect()
}

fn client(answers: Answers) -> firecamp_cloud::AwsCloud {
    cloud(move |request| {
        let uri: http::Uri = request.uri().parse().expect("the SDK asks for a URL");
        let path = uri.path();
        let known = answers.get(path.strip_prefix(DATA).unwrap_or(path));
        let (status, body) = known.cloned().unwrap_or((404, b"no".to_vec()));
        Ending::Answer { status, body }
    })
}

fn listed(status: u16, body: &[u8]) {
    let mut answers = healthy();
    answers.insert(format!("network/interfaces/macs/{PRIMARY}/local-ipv4s"), (status, body.into()));
    let mac: Mac = PRIMARY.parse().expect("a MAC");
    let read = ended(client(answers).listed(mac));
    let wanted = (200..300).contains(&status).then(|| addresses(body)).flatten();
    match (read, wanted) {
        (Ok(read), Some(wanted)) => assert_eq!(read, wanted),
        (Err(failure), None) => check_failure(&failure),
        (read, wanted) => panic!("{status} {body:?}: {read:?} instead of {wanted:?}"),
    }
}

/// The addresses, one per line; at least one, and nothing else.
fn addresses(body: &[u8]) -> Option<BTreeSet<Ipv4Addr>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut lines: Vec<&str> = text.split('\n').collect();
    let ends = lines.pop_if(|last| last.is_empty()).is_some();
    let count = lines.len();
    let line = |(index, line): (usize, &&str)| {
        let whole = ends || index + 1 < count;
        let line = if whole { line.strip_suffix('\r').unwrap_or(line) } else { line };
        line.parse().ok()
    };
    let found: Option<BTreeSet<Ipv4Addr>> = lines.iter().enumerate().map(line).collect();
    found.filter(|found| !found.is_empty())
}

fn identity(mut draw: Draw<'_>) {
    let mut answers = healthy();
    let untouched = draw.is_empty();
    while !draw.is_empty() {
        let (key, _) = draw.choose(&HEALTHY);
        let status = draw.choose(&STATUSES);
        answers.insert(key.to_owned(), (status, draw.piece().to_vec()));
    }
    let macs = answers.get("network/interfaces/macs/").cloned().unwrap_or_default();
    match ended(client(answers).identity()) {
        Ok(node) => check_identity(&node, &String::from_utf8_lossy(&macs.1)),
        Err(failure) => {
            assert!(!untouched, "failed to read a healthy instance: {failure}");
            check_failure(&failure);
        }
    }
}

fn check_failure(failure: &CloudFailure) {
    assert_eq!(failure.effect, Effect::None, "a read has no effect");
    assert!(is_one_short_line(&failure.detail), "{:?}", failure.detail);
}

fn check_identity(node: &NodeIdentity, macs: &str) {
    let places: Vec<_> = node.enis.iter().map(|eni| (eni.network_card, eni.device_index)).collect();
    let mut sorted = places.clone();
    sorted.sort_unstable();
    assert_eq!(places, sorted, "the ENIs must be sorted by network card and device index");
    assert_eq!(node.enis.iter().filter(|eni| eni.device_index == 0).count(), 1, "{node:?}");
    for eni in &node.enis {
        assert!(
            macs.to_ascii_lowercase().contains(&eni.mac.to_string()),
            "{} is not in the response",
            eni.mac
        );
        assert!(
            !eni.listed.contains(&eni.primary_address),
            "a primary address must not be listed as secondary"
        );
    }
}
