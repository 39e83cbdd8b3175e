//! The timing model and its lags: section 4.

use std::time::Duration;

use firecamp_vpc::{Act, Fault, Profile, Selector};

use crate::harness::{NODE_1, NODE_2, TestVpc};

fn realistic(seed: u64) -> TestVpc {
    TestVpc::with(&Profile::realistic(), seed)
}

fn ms(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64() * 1_000.0
}

/// Moves an address back and forth and returns the durations of each move.
fn moves(count: usize) -> (TestVpc, Vec<f64>, Vec<f64>) {
    let vpc = realistic(11);
    for n in 0..count {
        vpc.run(async {
            let (caller, eni) = [("node-1", NODE_1), ("node-2", NODE_2)][n % 2];
            vpc.assign(caller, eni, &["10.0.1.101"], true).await.unwrap();
            vpc.clock.pass(Duration::from_mins(2)).await;
        });
    }
    let history = vpc.truth_of("10.0.1.101").history;
    let moved = history.iter().skip(1);
    let remap = moved.clone().map(|owner| ms(owner.data_path_at_us - owner.since_us)).collect();
    let imds = moved.map(|owner| ms(owner.imds_added_at_us.unwrap() - owner.since_us)).collect();
    (vpc, remap, imds)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn the_realistic_profile_matches_the_timing_table() {
    let of = |d: firecamp_vpc::Distribution| (d.p50_ms, d.p99_ms, d.max_ms);
    let profile = Profile::realistic();
    assert_eq!(of(profile.describe_latency), (60.0, 400.0, 10_000.0));
    assert_eq!(of(profile.assign_latency), (250.0, 1_500.0, 15_000.0));
    assert_eq!(of(profile.data_path_remap), (1_200.0, 2_500.0, 30_000.0));
    assert_eq!(of(profile.describe_lag), (0.0, 3_000.0, 60_000.0));
    assert_eq!(of(profile.free_count_lag), (1_000.0, 30_000.0, 300_000.0));
    assert_eq!(of(profile.imds_add_lag), (1_000.0, 10_000.0, 60_000.0));
    assert_eq!(of(profile.imds_removal_lag), (5_000.0, 30_000.0, 60_000.0));
    assert_eq!(of(profile.eni_detach), (2_000.0, 20_000.0, 120_000.0));
}

#[test]
fn latencies_and_lags_are_drawn_from_their_distributions() {
    let (vpc, remap, imds) = moves(60);
    assert!((900.0..1_500.0).contains(&median(remap.clone())), "{remap:?}");
    assert!(remap.iter().all(|time| *time <= 30_000.0));
    assert!((900.0..4_000.0).contains(&median(imds.clone())), "{imds:?}");
    let took = |call: &firecamp_vpc::Call| ms(call.answered_at_us.unwrap() - call.at_us);
    let latency: Vec<f64> = vpc.simulator().calls(0).iter().map(took).collect();
    assert!((200.0..350.0).contains(&median(latency.clone())), "{latency:?}");
    let last = vpc.last_call().seq;
    for _ in 0..60 {
        vpc.run(vpc.owner("10.0.1.101"));
    }
    let latency: Vec<f64> = vpc.simulator().calls(last).iter().map(took).collect();
    assert!((45.0..100.0).contains(&median(latency.clone())), "{latency:?}");
}

#[test]
fn the_metadata_service_never_lists_an_address_before_the_data_path_has_switched() {
    let (vpc, remap, imds) = moves(60);
    assert!(remap.iter().zip(&imds).all(|(remap, imds)| remap <= imds));
    // Only one ENI receives the packets at any time.
    let now = vpc.clock.now();
    assert!(vpc.simulator().data_path(now).contains_key(&"10.0.1.101".parse().unwrap()));
}

#[test]
fn the_data_path_switches_some_time_after_a_move() {
    let vpc = realistic(5);
    vpc.run(vpc.assign("node-1", NODE_1, &["10.0.1.101"], true)).unwrap();
    let address = "10.0.1.101".parse().unwrap();
    let path = |vpc: &TestVpc| {
        let now = vpc.clock.now();
        vpc.simulator().data_path(now).get(&address).cloned()
    };
    assert_eq!(path(&vpc).as_deref(), Some(NODE_2));
    let next = vpc.simulator().next_event().unwrap();
    vpc.run(vpc.clock.until(next));
    assert_eq!(path(&vpc).as_deref(), Some(NODE_1));
}

#[test]
fn reads_lag_and_never_go_back() {
    let mut lagged = 0;
    for seed in 0..40 {
        let vpc = realistic(seed);
        vpc.run(async {
            vpc.assign("node-1", NODE_1, &["10.0.1.101"], true).await.unwrap();
            let mut new = false;
            for _ in 0..20 {
                let owner = vpc.owner("10.0.1.101").await;
                let is_new = owner.as_deref() == Some(NODE_1);
                assert!(is_new || owner.as_deref() == Some(NODE_2), "never two, never none");
                assert!(is_new || !new, "a read went back in time");
                lagged += usize::from(!is_new);
                new |= is_new;
                vpc.clock.pass(Duration::from_secs(4)).await;
            }
            assert!(new, "the longest lag is 60 s");
        });
    }
    assert!(lagged > 0, "no read ever lagged");
}

#[test]
fn a_removed_address_stays_listed_for_a_while() {
    let vpc = realistic(3);
    vpc.run(vpc.unassign("node-2", NODE_2, &["10.0.1.101"])).unwrap();
    assert_eq!(vpc.truth_of("10.0.1.101").imds.len(), 1);
    vpc.run(vpc.clock.pass(Duration::from_secs(61)));
    assert!(vpc.truth_of("10.0.1.101").imds.is_empty());
}

#[test]
fn detaching_takes_time_and_addresses_stay() {
    let vpc = realistic(3);
    vpc.simulator().act(Duration::ZERO, &Act::Detach { eni: NODE_2.to_owned() }).unwrap();
    assert_eq!(vpc.simulator().nodes()[1].enis.len(), 2);
    vpc.run(vpc.clock.pass(Duration::from_secs(121)));
    assert_eq!(vpc.simulator().nodes()[1].enis.len(), 1);
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2));
}

#[test]
fn a_stale_describe_shows_the_past_and_time_travel_goes_back() {
    let vpc = TestVpc::new();
    let stale = vpc.fault(Fault::StaleDescribe { lag_ms: Some(60_000) });
    vpc.run(async {
        vpc.assign("node-1", NODE_1, &["10.0.1.101"], true).await.unwrap();
        vpc.clock.pass(Duration::from_secs(59)).await;
        assert_eq!(vpc.owner("10.0.1.101").await.as_deref(), Some(NODE_2));
        vpc.clock.pass(Duration::from_secs(2)).await;
        assert_eq!(vpc.owner("10.0.1.101").await.as_deref(), Some(NODE_1));
    });
    assert_eq!(vpc.fired(stale), 2);
    vpc.simulator().fault_clear(Duration::ZERO, None).unwrap();
    vpc.once("Describe*", Fault::DescribeTimeTravel { back_ms: 300_000 });
    assert_eq!(vpc.run(vpc.owner("10.0.1.101")).as_deref(), Some(NODE_2));
    assert_eq!(vpc.run(vpc.owner("10.0.1.101")).as_deref(), Some(NODE_1));
}

#[test]
fn describe_can_omit_an_eni() {
    let vpc = TestVpc::new();
    let when = Selector { resource: Some(NODE_2.to_owned()), ..Selector::default() };
    let fault = vpc.fault_when(Fault::DescribeOmits {}, when);
    assert_eq!(vpc.run(vpc.owner("10.0.1.101")), None);
    assert_eq!(vpc.run(vpc.owner("10.0.1.12")).as_deref(), Some(NODE_1));
    assert_eq!(vpc.fired(fault), 1);
}
