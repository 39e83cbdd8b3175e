//! Requests to Route 53 as a client signs them, and what the resolver answers.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::auth::tests::signed_for;
use crate::profile::Profile;
use crate::spec::Spec;
use crate::wire::Answer;

const EPOCH: Duration = Duration::from_secs(1_790_000_000);
const LATER: Duration = Duration::from_mins(1);

/// A VPC with two zones, of which one is below the other.
fn simulator() -> Simulator {
    let spec = Spec::from_toml(
        "zones = [\"prod-firecamp.com\", \"db.prod-firecamp.com\"]\n\
         [vpc]\ncidr = \"10.0.0.0/16\"\n\
         [[subnets]]\nname = \"a\"\ncidr = \"10.0.1.0/24\"\nzone = \"us-east-1a\"\n\
         [[nodes]]\nname = \"node-1\"\nsubnet = \"a\"\ninstance_type = \"m5.large\"\n",
    );
    Simulator::new(&spec.unwrap(), Profile::fast(), 7, EPOCH).unwrap()
}

/// The status and the body of an answer, a second after the last one.
fn ask(simulator: &mut Simulator, request: WireRequest) -> (u16, String) {
    let now = simulator.now + Duration::from_secs(1);
    let credentials = simulator.credentials("node-1").unwrap();
    let request = signed_for(("us-east-1", "route53"), request, &credentials, EPOCH + now);
    let exchange = simulator.route53(now, None, &request);
    let answer = simulator.answer(exchange.respond_at.unwrap(), exchange.call).unwrap();
    let Answer::Respond(response) = answer else { panic!("{answer:?}") };
    (response.status, String::from_utf8(response.body).unwrap())
}

fn zone(simulator: &Simulator) -> String {
    simulator.dns.zones[0].id.clone()
}

fn get(simulator: &mut Simulator, path: &str) -> (u16, String) {
    ask(simulator, WireRequest::new("GET", path))
}

fn change(simulator: &mut Simulator, changes: &[(&str, &str, &str, &str)]) -> (u16, String) {
    let one = |(verb, name, kind, value): &(&str, &str, &str, &str)| {
        element(verb, (name, kind), "<TTL>5</TTL>", &[(*value).to_owned()])
    };
    send(simulator, &changes.iter().map(one).collect::<String>())
}

fn element(verb: &str, (name, kind): (&str, &str), ttl: &str, values: &[String]) -> String {
    let value = |value: &String| format!("<ResourceRecord><Value>{value}</Value></ResourceRecord>");
    let values: String = values.iter().map(value).collect();
    format!(
        "<Change><Action>{verb}</Action><ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type>\
         {ttl}<ResourceRecords>{values}</ResourceRecords></ResourceRecordSet></Change>"
    )
}

/// Sends a batch of these elements.
fn send(simulator: &mut Simulator, all: &str) -> (u16, String) {
    let body = format!(
        "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
         <ChangeBatch><Changes>{all}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    );
    let path = format!("/2013-04-01/hostedzone/{}/rrset/", zone(simulator));
    ask(simulator, WireRequest::new("POST", &path).with_body(body))
}

fn address(simulator: &mut Simulator, name: &str) -> Lookup {
    simulator.resolve(simulator.now + LATER, name, RecordType::A)
}

const A: (&str, &str, &str, &str) = ("CREATE", "redis-0.prod-firecamp.com", "A", "10.0.1.20");

#[test]
fn a_record_appears_in_the_api_at_once_and_in_dns_later() {
    let mut simulator = simulator();
    let (status, body) = change(&mut simulator, &[A]);
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("<Status>PENDING</Status>"), "{body}");
    let path = format!("/2013-04-01/hostedzone/{}/rrset", zone(&simulator));
    let (_, listed) = get(&mut simulator, &path);
    assert!(listed.contains("<Name>redis-0.prod-firecamp.com.</Name><Type>A</Type>"), "{listed}");
    let Lookup::Records(found) = address(&mut simulator, "Redis-0.prod-firecamp.com.") else {
        panic!("no record")
    };
    assert_eq!((found[0].value.as_str(), found[0].ttl), ("10.0.1.20", 5));
    let id = body.split("/change/").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let (_, state) = get(&mut simulator, &format!("/2013-04-01/change/{id}"));
    assert!(state.contains("<Status>INSYNC</Status>"), "{state}");
}

#[test]
fn a_batch_is_applied_whole_or_not_at_all() {
    let mut simulator = simulator();
    change(&mut simulator, &[A]);
    for (wrong, told) in [
        (A, "[name='redis-0.prod-firecamp.com.', type='A'] but it already exists"),
        (("DELETE", "redis-9.prod-firecamp.com", "A", "10.0.1.20"), "but it was not found"),
        (("DELETE", A.1, "A", "10.0.1.21"), "the values provided do not match the current values"),
        (
            ("UPSERT", "redis-0.example.com", "A", "10.0.1.20"),
            "is not permitted in zone prod-firecamp.com.",
        ),
        (("UPSERT", "x.prod-firecamp.com", "A", "10.0.1"), "InvalidIPv4Address"),
        (("UPSERT", "x.prod-firecamp.com", "TXT", "no quotes"), "InvalidCharacterString"),
        (("UPSERT", A.1, "CNAME", "x.example.com"), "conflicting RRSet of another type"),
        (("DELETE", "prod-firecamp.com", "SOA", "x"), "do not match"),
    ] {
        let good = ("CREATE", "redis-1.prod-firecamp.com", "A", "10.0.1.22");
        let (status, body) = change(&mut simulator, &[good, wrong]);
        assert_eq!(status, 400, "{wrong:?}: {body}");
        assert!(body.contains("<Code>InvalidChangeBatch</Code>"), "{body}");
        let told = told.replace('\'', "&apos;");
        assert!(body.contains(&told), "{told}: {body}");
        assert_eq!(simulator.recorded("redis-1.prod-firecamp.com"), [] as [Ipv4Addr; 0]);
    }
}

fn refused(answer: (u16, String), code: &str, told: &str) {
    let (status, body) = answer;
    let message = told.replace('\'', "&apos;");
    assert!(status == 400 && body.contains(&message), "{status} {told}: {body}");
    assert!(body.contains(&format!("<Code>{code}</Code>")), "{body}");
}

#[test]
fn a_batch_may_have_a_thousand_records_and_those_of_an_upsert_count_twice() {
    for (verb, most) in [("CREATE", 1_000), ("UPSERT", 500)] {
        let mut simulator = simulator();
        let batch = |count: u32| -> String {
            let values: Vec<String> =
                (0..count).map(|it| Ipv4Addr::from(0x0a00_0100 + it).to_string()).collect();
            let sets = values.chunks(300).enumerate();
            let one = |(number, values): (usize, &[String])| {
                let name = format!("redis-{number}.prod-firecamp.com");
                element(verb, (&name, "A"), "<TTL>5</TTL>", values)
            };
            sets.map(one).collect()
        };
        let over = send(&mut simulator, &batch(most + 1));
        refused(over, "InvalidChangeBatch", "Number of records limit of 1000 exceeded.");
        let (status, body) = send(&mut simulator, &batch(most));
        assert_eq!(status, 200, "{verb}: {body}");
    }
}

#[test]
fn a_batch_may_have_32_000_characters_and_those_of_an_upsert_count_twice() {
    for (verb, most) in [("CREATE", 128), ("UPSERT", 64)] {
        let mut simulator = simulator();
        let batch = |last: &str| {
            let mut values: Vec<String> = (0..most).map(|it| format!("\"{it:0>248}\"")).collect();
            values.push(last.to_owned());
            element(verb, ("x.prod-firecamp.com", "TXT"), "<TTL>5</TTL>", &values)
        };
        let over = send(&mut simulator, &batch("\"\""));
        refused(over, "InvalidChangeBatch", "RDATA character limit of 32000 exceeded.");
        let exact = batch("").replace("<ResourceRecord><Value></Value></ResourceRecord>", "");
        let (status, body) = send(&mut simulator, &exact);
        assert_eq!(status, 200, "{verb}: {body}");
    }
}

#[test]
fn a_label_has_at_most_63_characters() {
    let mut simulator = simulator();
    let name = |length: usize| format!("{}.prod-firecamp.com", "x".repeat(length));
    let told = format!(
        "DomainLabelTooLong (Domain label is too long) encountered with '{}'",
        "x".repeat(64)
    );
    let long = change(&mut simulator, &[("CREATE", &name(64), "A", "10.0.1.20")]);
    refused(long, "InvalidChangeBatch", &told);
    assert_eq!(change(&mut simulator, &[("CREATE", &name(63), "A", "10.0.1.20")]).0, 200);
}

#[test]
fn a_deletion_names_the_ttl_as_well() {
    let mut simulator = simulator();
    change(&mut simulator, &[A]);
    let deletion =
        |ttl| element("DELETE", (A.1, A.2), &format!("<TTL>{ttl}</TTL>"), &[A.3.to_owned()]);
    let other = send(&mut simulator, &deletion(6));
    refused(other, "InvalidChangeBatch", "do not match the current values");
    assert_eq!(simulator.recorded(A.1).len(), 1);
    assert_eq!(send(&mut simulator, &deletion(5)).0, 200);
}

#[test]
fn a_batch_changes_a_record_set_once_or_deletes_and_creates_it() {
    let mut simulator = simulator();
    let [upsert, delete] = ["UPSERT", "DELETE"].map(|verb| (verb, A.1, A.2, A.3));
    for twice in [[upsert, upsert], [A, delete]] {
        let told = "invalid set of changes for a resource record set \
                    'A redis-0.prod-firecamp.com.'";
        refused(change(&mut simulator, &twice), "InvalidChangeBatch", told);
    }
    change(&mut simulator, &[A]);
    let other = ("CREATE", A.1, A.2, "10.0.1.21");
    assert_eq!(change(&mut simulator, &[delete, other]).0, 200);
    assert_eq!(simulator.recorded(A.1), [Ipv4Addr::new(10, 0, 1, 21)]);
}

#[test]
fn a_request_that_is_no_batch_of_changes_is_invalid_input() {
    let mut simulator = simulator();
    let valid = element("CREATE", (A.1, A.2), "<TTL>5</TTL>", &[A.3.to_owned()]);
    let none = "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or \
                TrafficPolicyInstanceId], but found none";
    let values =
        valid.find("<ResourceRecords>").unwrap()..valid.find("</ResourceRecordSet>").unwrap();
    for (batch, told) in [
        (valid.replace("CREATE", "REPLACE"), "REPLACE"),
        (valid.replace("<TTL>5</TTL>", ""), none),
        (valid.replace(&valid[values], ""), none),
        (valid.replace("<Type>A</Type>", "<Type>B</Type>"), "B is no type"),
        (valid.replace("<TTL>", "<Weight>1</Weight><TTL>"), "Weight"),
        (valid.replace("</Change>", ""), ""),
        (String::new(), "no changes"),
    ] {
        refused(send(&mut simulator, &batch), "InvalidInput", told);
    }
    assert_eq!(simulator.recorded(A.1), [] as [Ipv4Addr; 0]);
    assert_eq!(send(&mut simulator, &valid).0, 200);
}

#[test]
fn a_name_that_does_not_exist_may_be_remembered_as_absent_for_fifteen_minutes() {
    let mut simulator = simulator();
    change(&mut simulator, &[A]);
    let Lookup::NoName(soa) = address(&mut simulator, "redis-1.prod-firecamp.com") else {
        panic!("there is one")
    };
    assert_eq!((soa.ttl, soa.kind), (900, RecordType::Soa));
    let other = simulator.resolve(LATER, A.1, RecordType::Aaaa);
    assert!(matches!(other, Lookup::NoData(_)), "{other:?}");
    assert_eq!(address(&mut simulator, "example.com"), Lookup::NotHere);
    // The zone below answers for its names, although the one above could have them.
    change(&mut simulator, &[("CREATE", "a.db.prod-firecamp.com", "A", "10.0.1.9")]);
    let hidden = address(&mut simulator, "a.db.prod-firecamp.com");
    assert!(matches!(hidden, Lookup::NoName(_)), "{hidden:?}");
}

#[test]
fn records_are_listed_by_their_labels_from_the_right_in_pages() {
    let mut simulator = simulator();
    for name in ["b.a", "a", "z", "a.b"] {
        let name = format!("{name}.prod-firecamp.com");
        change(&mut simulator, &[("CREATE", &name, "A", "10.0.1.9")]);
    }
    let path = format!("/2013-04-01/hostedzone/{}/rrset", zone(&simulator));
    let names = |body: &str| -> Vec<String> {
        let all = body.split("<Name>").skip(1).map(|rest| rest.split(".prod").next().unwrap());
        all.map(str::to_owned).filter(|name| !name.starts_with("prod")).collect()
    };
    let (_, all) = get(&mut simulator, &path);
    assert_eq!(names(&all), ["a", "b.a", "a.b", "z"]);
    let (_, first) = get(&mut simulator, &format!("{path}?maxitems=3"));
    assert!(first.contains("<IsTruncated>true</IsTruncated>"), "{first}");
    let next = first.split("<NextRecordName>").nth(1).unwrap().split('<').next().unwrap();
    let (_, rest) = get(&mut simulator, &format!("{path}?name={next}&type=A"));
    assert_eq!(names(&rest), ["b.a", "a.b", "z"]);
    assert!(rest.contains("<IsTruncated>false</IsTruncated>"), "{rest}");
}

#[test]
fn requests_are_authenticated_throttled_and_denied() {
    let mut simulator = simulator();
    let exchange =
        simulator.route53(Duration::ZERO, None, &WireRequest::new("GET", "/2013-04-01/hostedzone"));
    let answer = simulator.answer(exchange.respond_at.unwrap(), exchange.call).unwrap();
    assert_eq!(answer.response().status, 403);
    let code = simulator.calls(0).last().unwrap().code.clone();
    assert_eq!(code.as_deref(), Some("MissingAuthenticationToken"));
    let now = simulator.now;
    let credentials = simulator.credentials("node-1").unwrap();
    let codes: Vec<Option<String>> = (0..7)
        .map(|_| {
            let request = WireRequest::new("GET", "/2013-04-01/hostedzone");
            let request = signed_for(("us-east-1", "route53"), request, &credentials, EPOCH + now);
            simulator.route53(now, None, &request);
            simulator.calls(0).last().unwrap().code.clone()
        })
        .collect();
    assert_eq!(codes[4], None);
    assert_eq!(codes[5].as_deref(), Some("Throttling"), "five a second");
    let spec = r#"{"fault": {"kind": "iam_deny"}, "when": {"op": "ChangeResourceRecordSets"}}"#;
    simulator.fault_set(now + LATER, serde_json::from_str(spec).unwrap()).unwrap();
    let (status, body) = change(&mut simulator, &[A]);
    assert!(status == 403 && body.contains("route53:ChangeResourceRecordSets"), "{body}");
    let (status, body) = get(&mut simulator, "/2013-04-01/hostedzone/Z0/rrset");
    assert!(status == 404 && body.contains("No hosted zone found with ID: Z0"), "{body}");
    let (status, _) = get(&mut simulator, "/2013-04-01/hostedzone");
    assert_eq!(status, 200);
}
