//! EC2's answers and errors, through the real SDK and the project's classification.
//!
//! Input: one byte each for the call, the ending and the status, then the bodies of the answers
//! in their order, separated by [`PAGE`]; the last one comes again and again.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use firecamp_cloud::AwsCloud;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::ports::{Cloud, Owner};

use crate::carrier::{Ending, cloud, ended, is_one_short_line};
use crate::draw::Draw;

/// Between two bodies.
const PAGE: &[u8] = b"\n--\n";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 9);
const ENI: &str = "eni-0123456789abcdef0";
const SUBNET: &str = "subnet-0123456789abcdef0";
const WITHIN: Duration = Duration::from_secs(5);
const STATUSES: [u16; 16] =
    [200, 400, 503, 200, 403, 500, 204, 429, 404, 502, 301, 504, 413, 599, 100, 505];

/// Codes that mean "not done, too many requests" whatever the status.
const THROTTLES: [&str; 3] = ["RequestLimitExceeded", "EC2ThrottledException", "Throttling"];
/// Codes that mean "perhaps done" whatever the status.
const TROUBLES: [&str; 6] = [
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
    AssignByForce,
    Unassign,
}

/// No answer makes the client panic or hang; what is not a success is never reported as one, and
/// an effect that nobody knows is never reported as none.
pub fn ec2(input: &[u8]) {
    let mut draw = Draw::new(input);
    let call = draw.choose(&[Call::Owner, Call::Assign, Call::AssignByForce, Call::Unassign]);
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
        11 => return named(call, status, bodies.first().map_or(&[], Vec::as_slice)),
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
        Ok(owner) => may_succeed(&ending, owner.as_ref(), &text),
        Err(failure) => may_fail(call, &ending, &failure, &text),
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
            Call::Assign => client.assign(&eni, ADDRESS, false, WITHIN).await.map(|()| None),
            Call::AssignByForce => client.assign(&eni, ADDRESS, true, WITHIN).await.map(|()| None),
            Call::Unassign => client.unassign(&eni, ADDRESS, WITHIN).await.map(|()| None),
        }
    })
}

/// Only a whole answer of the success class is a success, and an owner is one that was shown.
fn may_succeed(ending: &Ending, owner: Option<&Owner>, text: &str) {
    let success = match ending {
        Ending::Answer { status, .. } => (200..300).contains(status),
        // A body of one byte or none has nothing to cut off.
        Ending::Cut { status, body, at } => (200..300).contains(status) && body.len() <= *at,
        Ending::Refused | Ending::Reset | Ending::Silence => false,
    };
    assert!(success, "{ending:?} was taken for a success");
    // Escapes may spell an id in many ways.
    if let Some(Owner::Eni(eni)) = owner
        && !text.contains('&')
    {
        for shown in [eni.id.as_str(), &ADDRESS.to_string(), SUBNET] {
            assert!(text.contains(shown), "{shown} was never shown: {eni:?}");
        }
    }
}

fn may_fail(call: Call, ending: &Ending, failure: &CloudFailure, text: &str) {
    let CloudFailure { kind, effect, detail } = failure;
    assert!(is_one_short_line(detail), "{detail:?}");
    if call == Call::Owner {
        assert_eq!(*effect, Effect::None, "a read changes nothing: {failure:?}");
        return;
    }
    let says = |codes: &[&str]| text.contains('&') || codes.iter().any(|code| text.contains(code));
    let (wanted, certain) = match ending {
        Ending::Silence | Ending::Reset => (Effect::Unknown, true),
        Ending::Refused => (Effect::None, true),
        Ending::Cut { body, at, .. } if *at < body.len() => (Effect::Unknown, true),
        Ending::Answer { status, .. } | Ending::Cut { status, .. } => match status {
            429 => (Effect::None, true),
            300..=499 => (Effect::None, !says(&TROUBLES)),
            _ => (Effect::Unknown, !says(&THROTTLES)),
        },
    };
    assert!(*effect == wanted || !certain, "{ending:?} is {kind:?} with effect {effect:?}");
    let throttled = *kind == CloudKind::Throttled;
    assert!(!throttled || *effect == Effect::None, "a throttled call was not done");
}

/// An answer that is well formed and names what the input says: only our ENI and our address are
/// a confirmation, and only an ENI of our subnet that has our address is an owner.
fn named(call: Call, status: u16, body: &[u8]) {
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
