//! The JSON of faults, and invalid faults.

use std::time::Duration;

use firecamp_vpc::{FaultSpec, Profile};

use crate::client::{assign, send, simulator};

const ALL: &[&str] = &[
    r#"{"kind":"error","code":"InternalError","status":500}"#,
    r#"{"kind":"lost_response"}"#,
    r#"{"kind":"delay","ms":100}"#,
    r#"{"kind":"hang"}"#,
    r#"{"kind":"drop_conn","at":"body","bytes":10}"#,
    r#"{"kind":"http_status","status":502,"body":"html"}"#,
    r#"{"kind":"throttle_storm","form":"new","retry_after_ms":4000}"#,
    r#"{"kind":"bucket","capacity":1,"refill":0.5}"#,
    r#"{"kind":"late_landing","after_ms":8000}"#,
    r#"{"kind":"stale_describe"}"#,
    r#"{"kind":"describe_time_travel","back_ms":5000}"#,
    r#"{"kind":"describe_omits"}"#,
    r#"{"kind":"short_pages","items":1}"#,
    r#"{"kind":"empty_page_with_token"}"#,
    r#"{"kind":"looping_token"}"#,
    r#"{"kind":"token_expires"}"#,
    r#"{"kind":"imds_frozen"}"#,
    r#"{"kind":"imds_ghost"}"#,
    r#"{"kind":"imds_missing","device_index":1}"#,
    r#"{"kind":"imds_partial","keys":["local-ipv4s"]}"#,
    r#"{"kind":"imds_empty"}"#,
    r#"{"kind":"imds_error","status":503}"#,
    r#"{"kind":"imds_down"}"#,
    r#"{"kind":"imds_pps_drop","per_second":5}"#,
    r#"{"kind":"imds_token_401"}"#,
    r#"{"kind":"imds_hop_timeout"}"#,
    r#"{"kind":"imds_device_number_zero"}"#,
    r#"{"kind":"imds_time_travel","back_ms":5000}"#,
    r#"{"kind":"external_reassignment","address":"10.0.1.30","every_ms":5000}"#,
    r#"{"kind":"external_unassign","address":"10.0.1.30","at_ms":5000}"#,
    r#"{"kind":"auto_assign_pressure","subnet":"a","every_ms":1000}"#,
    r#"{"kind":"limit","instance_type":"t3.medium","ips":2}"#,
    r#"{"kind":"eni_limit","instance_type":"t3.medium","enis":2}"#,
    r#"{"kind":"eni_quota","enis":2}"#,
    r#"{"kind":"eni_stuck","stage":"detaching"}"#,
    r#"{"kind":"volume_stuck","stage":"busy"}"#,
    r#"{"kind":"subnet_full","subnet":"a","form":"value"}"#,
    r#"{"kind":"iam_deny"}"#,
    r#"{"kind":"credentials_expire"}"#,
    r#"{"kind":"clock_skew","ms":-900000}"#,
    r#"{"kind":"assign_own","answer":"error"}"#,
    r#"{"kind":"resource_already_assigned_code"}"#,
];

fn read(fault: &str, when: &str) -> Result<FaultSpec, serde_json::Error> {
    serde_json::from_str(&format!("{{\"fault\":{fault},\"when\":{when}}}"))
}

#[test]
fn every_kind_is_set_listed_and_cleared() {
    let mut simulator = simulator(&Profile::fast(), 1);
    for text in ALL {
        let spec = read(text, "{}").unwrap_or_else(|error| panic!("{text}: {error}"));
        let back = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<FaultSpec>(&back).unwrap(), spec);
        simulator.fault_set(Duration::ZERO, spec).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    assert_eq!(simulator.fault_list().len(), ALL.len());
    assert_eq!(simulator.fault_clear(Duration::ZERO, None).unwrap().len(), ALL.len());
    assert!(simulator.fault_list().is_empty());
}

#[test]
fn invalid_faults_are_refused() {
    let mut simulator = simulator(&Profile::fast(), 1);
    for (fault, when) in [
        (r#"{"kind":"no_such"}"#, "{}"),
        (r#"{"kind":"hang","colour":1}"#, "{}"),
        (r#"{"kind":"imds_frozen","colour":1}"#, "{}"),
        (r#"{"kind":"hang"}"#, r#"{"colour":1}"#),
        (r#"{"kind":"delay"}"#, "{}"),
    ] {
        assert!(read(fault, when).is_err(), "{fault} {when}");
    }
    for (fault, when) in [
        (r#"{"kind":"hang"}"#, r#"{"probability":1.5}"#),
        (r#"{"kind":"hang"}"#, r#"{"nth":0}"#),
        (r#"{"kind":"hang"}"#, r#"{"count":0}"#),
        (r#"{"kind":"http_status","status":99}"#, "{}"),
        (r#"{"kind":"error","code":"x","status":200}"#, "{}"),
        (r#"{"kind":"short_pages","items":0}"#, "{}"),
        (r#"{"kind":"bucket","capacity":1,"refill":-1.0}"#, "{}"),
        (r#"{"kind":"external_reassignment","address":"10.9.9.9"}"#, "{}"),
        (r#"{"kind":"external_reassignment","address":"10.0.1.30","to":"nobody"}"#, "{}"),
        (r#"{"kind":"subnet_full","subnet":"nowhere"}"#, "{}"),
        (r#"{"kind":"limit","instance_type":"x9","ips":2}"#, "{}"),
        (r#"{"kind":"auto_assign_pressure","subnet":"a","every_ms":0}"#, "{}"),
        (r#"{"kind":"eni_limit","instance_type":"x9","enis":2}"#, "{}"),
        (r#"{"kind":"eni_limit","instance_type":"t3.medium","enis":0}"#, "{}"),
        (r#"{"kind":"eni_stuck","stage":"busy"}"#, "{}"),
    ] {
        let spec = read(fault, when).unwrap();
        assert!(simulator.fault_set(Duration::ZERO, spec).is_err(), "{fault} {when}");
    }
    assert!(simulator.fault_clear(Duration::ZERO, Some(firecamp_vpc::FaultId(9))).is_err());
}

/// The indexes of the refused calls, of `calls` calls that come alternately from node-1 and node-2.
fn refused(when: &str, calls: usize) -> Vec<usize> {
    let mut simulator = simulator(&Profile::fast(), 5);
    let fault = r#"{"kind":"error","code":"InternalError","status":500}"#;
    let id = simulator.fault_set(Duration::ZERO, read(fault, when).unwrap()).unwrap();
    let mut found = Vec::new();
    for n in 0..calls {
        let now = Duration::from_millis(1_000 * u64::try_from(n).unwrap());
        let caller = ["node-1", "node-2"][n % 2];
        let body = assign("eni-00000000000000001", "10.0.1.30", true);
        let exchange = send(&mut simulator, caller, now, &body);
        let answer = simulator.answer(now + Duration::from_millis(900), exchange.call).unwrap();
        if answer.response().status == 500 {
            found.push(n);
        }
    }
    let status = &simulator.fault_list()[0];
    assert_eq!((status.id, status.fired), (id, u64::try_from(found.len()).unwrap()));
    found
}

#[test]
fn selectors_choose_the_calls() {
    assert_eq!(refused("{}", 4), [0, 1, 2, 3]);
    assert_eq!(refused(r#"{"nth":2}"#, 4), [1]);
    assert_eq!(refused(r#"{"count":2}"#, 4), [0, 1]);
    assert_eq!(refused(r#"{"nth":2,"count":2}"#, 5), [1, 2]);
    assert_eq!(refused(r#"{"caller":"node-2"}"#, 4), [1, 3]);
    assert_eq!(refused(r#"{"caller":"node-2","nth":2}"#, 6), [3]);
    assert_eq!(refused(r#"{"from_ms":1000,"until_ms":3000}"#, 4), [1, 2]);
    assert_eq!(refused(r#"{"op":"Unassign*"}"#, 2), [0; 0]);
    assert_eq!(refused(r#"{"op":"Assign*","resource":"10.0.1.30"}"#, 2), [0, 1]);
    assert_eq!(refused(r#"{"resource":"10.0.1.31"}"#, 2), [0; 0]);
    let some = refused(r#"{"probability":0.5}"#, 60);
    assert!((15..45).contains(&some.len()), "{some:?}");
    assert_eq!(some, refused(r#"{"probability":0.5}"#, 60), "drawn from the seed");
}
