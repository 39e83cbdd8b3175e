//! EC2's responses and errors, through the real SDK and the product's classification.
//!
//! Input: one byte each for the call, the ending and the status, then the bodies of the responses
//! in order, separated by [`PAGE`]. The last body is repeated.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use firecamp_cloud::AwsCloud;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::ports::{Cloud, Owner};

use crate::carrier::{Ending, cloud, ended, is_one_short_line};
use crate::draw::Draw;

/// The separator of two bodies.
const PAGE: &[u8] = b"\n--\n";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 9);
const ENI: &str = "eni-0123456789abcdef0";
const SUBNET: &str = "subnet-0123456789abcdef0";
const WITHIN: Duration = Duration::from_secs(5);
const STATUSES: [u16; 16] =
    [200, 400, 503, 200, 403, 500, 204, 429, 404, 502, 301, 504, 413, 599, 100, 505];

/// Codes that mean "throttled, not done", whatever the status is.
const THROTTLES: [&str; 3] = ["RequestLimitExceeded", "EC2ThrottledException", "Throttling"];
/// Codes that mean "possibly done", whatever the status is.
const SERVER_ERRORS: [&str; 6] = [
    "InternalError",
    "InternalFailure",
    "ServerInternal",
    "Unavailable",
    "ServiceUnavailable",
    "RetryableError",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Owner,
    Assign,
    AssignWithReassignment,
    Unassign,
}

/// No response makes the client panic or hang. The client never reports a failure as a success, and
/// never an unknown effect as no effect.
pub fn ec2(input: &[u8]) {
    let mut draw = Draw::new(input);
    let call =
        draw.choose(&[Call::Owner, Call::Assign, Call::AssignWithReassignment, Call::Unassign]);
    let kind = draw.byte();
    let status = draw.choose(&STATUSES);
    let bodies = split(draw.rest());
    let ending = match kind % 16 {
        12 => Ending::Silence,
        13 => Ending::Refused,
        14 => Ending::Reset,
        15 => {
            let body = bodies.first().cloned().unwrap_or_default();
            Ending::Cut { status, at: body.len() / 2, body }
        }
        11 => return well_formed(call, status, bodies.first().map_or(&[], Vec::as_slice)),
        _ => Ending::Answer { status, body: Vec::new() },
    };
    let asked = AtomicUsize::new(0);
    let (script, pages) = (ending.clone(), bodies.clone());
    let client = cloud(move |_request| match &script {
        Ending::Answer { status, .. } => {
            let page = asked.fetch_add(1, Ordering::Relaxed).min(pages.len().saturating_sub(1));
            let body = pages.get(page).cloned().unwrap_or_default();
            Ending::Answer { status: *status, body }
        }
        Ending::Cut { .. } | Ending::Refused | Ending::Reset | Ending::Silence => script.clone(),
    });
    let text = String::from_utf8_lossy(&bodies.concat()).into_owned();
    match run(&client, call) {
        Ok(owner) => check_success(&ending, owner.as_ref(), &text),
        Err(failure) => check_failure(call, &ending, &failure, &text),
    }
}

fn split(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while let Some(at) = rest.windows(PAGE.len()).position(|window| window == PAGE) {
        let (body, more) = rest.split_at(at);
        bodies.push(body.to_vec());
        rest = more.get(PAGE.len()..).unwrap_or_default();
    }
    bodies.push(rest.to_vec());
    bodies
}

fn run(client: &AwsCloud, call: Call) -> Result<Option<Owner>, CloudFailure> {
    let eni = EniId::new(ENI).expect("an ENI's id");
    let subnet = SubnetId::new(SUBNET).expect("a subnet's id");
    ended(async {
        match call {
            Call::Owner => client.owner(ADDRESS, &subnet).await.map(Some),
            Call::Assign => client.assign(&eni, &[ADDRESS], false, WITHIN).await.map(|()| None),
            Call::AssignWithReassignment => {
                client.assign(&eni, &[ADDRESS], true, WITHIN).await.map(|()| None)
            }
            Call::Unassign => client.unassign(&eni, ADDRESS, WITHIN).await.map(|()| None),
        }
    })
}

/// A success needs a complete 2xx response, and an owner must be in the response.
fn check_success(ending: &Ending, owner: Option<&Owner>, text: &str) {
    let success = match ending {
        Ending::Answer { status, .. } => (200..300).contains(status),
        // A body of at most one byte cannot be truncated.
        Ending::Cut { status, body, at } => (200..300).contains(status) && body.len() <= *at,
        Ending::Refused | Ending::Reset | Ending::Silence => false,
    };
    assert!(success, "{ending:?} was reported as a success");
    // XML escapes allow several spellings of an ID.
    if let Some(Owner::Eni(eni)) = owner
        && !text.contains('&')
    {
        for shown in [eni.id.as_str(), &ADDRESS.to_string(), SUBNET] {
            assert!(text.contains(shown), "{shown} is not in the response: {eni:?}");
        }
    }
}

fn check_failure(call: Call, ending: &Ending, failure: &CloudFailure, text: &str) {
    let CloudFailure { kind, effect, detail } = failure;
    assert!(is_one_short_line(detail), "{detail:?}");
    if call == Call::Owner {
        assert_eq!(*effect, Effect::None, "a read has no effect: {failure:?}");
        return;
    }
    let contains =
        |codes: &[&str]| text.contains('&') || codes.iter().any(|code| text.contains(code));
    let (wanted, certain) = match ending {
        Ending::Silence | Ending::Reset => (Effect::Unknown, true),
        Ending::Refused => (Effect::None, true),
        Ending::Cut { body, at, .. } if *at < body.len() => (Effect::Unknown, true),
        Ending::Answer { status, .. } | Ending::Cut { status, .. } => match status {
            429 => (Effect::None, true),
            300..=499 => (Effect::None, !contains(&SERVER_ERRORS)),
            _ => (Effect::Unknown, !contains(&THROTTLES)),
        },
    };
    assert!(
        *effect == wanted || !certain,
        "{ending:?} was reported as {kind:?} with effect {effect:?}"
    );
    let throttled = *kind == CloudKind::Throttled;
    assert!(!throttled || *effect == Effect::None, "a throttled call has no effect");
}

/// A well-formed response with the names of the input. Only the requested ENI and address confirm
/// an Assign, and only an ENI in the subnet that has the address is its owner.
fn well_formed(call: Call, status: u16, body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '/' | ':');
    let mut names = text.splitn(3, '|');
    let mut name = |default| names.next().unwrap_or(default).to_owned();
    let (eni, address, subnet) = (name(ENI), name("10.0.1.9"), name(SUBNET));
    if ![&eni, &address, &subnet].iter().all(|name| name.chars().all(plain)) {
        return;
    }
    let body =
        if call == Call::Owner { shown(&eni, &address, &subnet) } else { done(&eni, &address) };
    let client = cloud(move |_| Ending::Answer { status, body: body.clone().into_bytes() });
    let success = (200..300).contains(&status);
    let there = address == ADDRESS.to_string();
    if call == Call::Owner {
        let answer = run(&client, Call::Owner);
        let id = EniId::new(&eni).ok();
        let ours = there && subnet == SUBNET;
        let wanted = success && (!ours || id.is_some());
        assert_eq!(answer.is_ok(), wanted, "{status} {text}: {answer:?}");
        let owner = answer.ok().flatten();
        let found = |owner| match owner {
            Owner::Eni(eni) => Some(eni.id),
            Owner::Unassigned => None,
        };
        assert_eq!(owner.and_then(found), id.filter(|_| wanted && ours), "{text}");
    } else {
        let answer = run(&client, Call::Assign);
        let ours = eni == ENI && there;
        assert_eq!(answer.is_ok(), ours && success, "{status} {text}: {answer:?}");
    }
}

fn done(eni: &str, address: &str) -> String {
    format!(
        "<AssignPrivateIpAddressesResponse><requestId>r</requestId>\
         <networkInterfaceId>{eni}</networkInterfaceId><assignedPrivateIpAddressesSet><item>\
         <privateIpAddress>{address}</privateIpAddress></item></assignedPrivateIpAddressesSet>\
         <return>true</return></AssignPrivateIpAddressesResponse>"
    )
}

fn shown(eni: &str, address: &str, subnet: &str) -> String {
    format!(
        "<DescribeNetworkInterfacesResponse><networkInterfaceSet><item>\
         <networkInterfaceId>{eni}</networkInterfaceId><subnetId>{subnet}</subnetId>\
         <privateIpAddress>10.0.1.4</privateIpAddress><privateIpAddressesSet><item>\
         <privateIpAddress>{address}</privateIpAddress><primary>false</primary></item>\
         </privateIpAddressesSet></item></networkInterfaceSet></DescribeNetworkInterfacesResponse>"
    )
}
