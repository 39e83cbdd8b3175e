//! What is said of static IPs, and after how long.

use firecamp_core::record::{Pool, PoolSubnet, ReleasePolicy, State};

use super::support::{IP, MINUTE, Node, record, well};

#[test]
fn an_attached_address_is_ready_assigned_and_configured() {
    let mut node = Node::new(well());
    node.run(30);
    for (kind, said) in [
        ("Ready", "True Attached"),
        ("Assigned", "True Attached"),
        ("Configured", "True Attached"),
        ("Conflicted", "False NoConflict"),
        ("InPool", "True InPool"),
    ] {
        assert_eq!(node.said(kind), said, "{kind}");
    }
    let generations: Vec<_> =
        node.api.conditions(&IP).iter().map(|one| one.observed_generation).collect();
    assert_eq!(generations, [Some(1); 5]);
    let row = node.row();
    assert_eq!((row.in_ec2, row.in_kernel, row.problem), (Some(true), Some(true), None));
    assert_eq!((row.member.as_str(), row.pod_uid.as_str()), ("prod/redis-0", "pod-1"));
}

#[test]
fn a_parked_address_is_assigned_and_not_ready() {
    let mut node = Node::new(well());
    node.run(30);
    node.set_record(record(1, State::Parked));
    node.address().in_kernel = Some(false);
    node.run(30);
    assert_eq!(node.said("Ready"), "False Parked");
    assert_eq!(node.said("Assigned"), "True Parked");
    assert_eq!(node.said("Configured"), "False Parked");
    assert_eq!(node.api.conditions(&IP)[0].observed_generation, Some(2));
}

#[test]
fn the_time_of_a_condition_moves_only_with_its_status() {
    let mut node = Node::new(well());
    node.run(30);
    let time = |node: &Node, kind: &str| {
        let all = node.api.conditions(&IP);
        all.into_iter().find(|one| one.kind == kind).unwrap().last_transition_time.unwrap()
    };
    let (ready, assigned) = (time(&node, "Ready"), time(&node, "Assigned"));
    node.run(10 * MINUTE);
    node.set_record(record(1, State::Parked));
    node.run(30);
    assert_eq!(time(&node, "Assigned"), assigned);
    assert!(time(&node, "Ready") > ready);
}

#[test]
fn f042_an_address_that_ec2_keeps_showing_elsewhere_is_told_after_half_a_minute() {
    let mut node = Node::new(well());
    node.run(MINUTE);
    node.address().in_ec2 = Some(false);
    node.run(29);
    assert_eq!((node.said("Ready").as_str(), node.row().in_ec2), ("True Attached", Some(true)));
    node.run(20);
    assert_eq!(node.said("Ready"), "False NotOnEni");
    assert_eq!(node.said("Assigned"), "False NotOnEni");
    assert_eq!((node.row().in_ec2, node.published().addresses_failing), (Some(false), 1));
    assert_eq!(node.node_said("Ready"), "False AddressesFailing");
    node.address().in_ec2 = Some(true);
    node.run(30);
    assert_eq!(node.said("Ready"), "True Attached");
    assert_eq!(node.reasons(), ["AddressAstray", "AddressRecovered"]);
}

#[test]
fn a_foreign_holder_is_told_at_once_and_names_it() {
    let mut node = Node::new(well());
    node.run(MINUTE);
    node.address().in_ec2 = Some(false);
    node.address().foreign = Some("eni-000000ff of somebody else".to_owned());
    node.run(10);
    assert_eq!(node.said("Conflicted"), "True HeldByOther");
    assert_eq!(node.said("Ready"), "False HeldByOther");
    assert_eq!(node.reasons(), ["AddressConflict"]);
    assert!(node.api.events()[0].note.contains("eni-000000ff"), "{:?}", node.api.events());
}

#[test]
fn an_attach_that_does_not_end_is_told_after_two_minutes() {
    let mut node = Node::new(well());
    node.run(MINUTE);
    node.set_record(record(2, State::Attaching));
    node.run(115);
    assert_eq!(node.said("Ready"), "True Attached");
    node.run(20);
    assert_eq!(node.said("Ready"), "False StuckAttaching");
    assert_eq!(node.row().epoch, 2);
}

#[test]
fn an_address_in_the_kernel_that_belongs_elsewhere_is_told_and_goes() {
    let mut moved = record(2, State::Attached);
    moved.attachment.as_mut().unwrap().node = "node-2".parse().unwrap();
    let mut node = Node::new(well());
    node.run(MINUTE);
    let said = node.api.posted().conditions;
    node.set_record(moved);
    node.run(10);
    assert_eq!(node.published().addresses, []);
    node.run(30);
    assert_eq!(node.row().problem.unwrap().reason, "LeftInKernel");
    node.address().in_kernel = Some(false);
    node.run(30);
    assert_eq!(node.published().addresses, []);
    // Its own node speaks for it.
    assert_eq!(node.api.posted().conditions, said);
}

#[test]
fn an_address_that_no_pool_offers_any_more_is_told_and_works() {
    let mut facts = well();
    let subnet = PoolSubnet {
        subnet: "subnet-0000000a".parse().unwrap(),
        cidr: "10.0.1.0/24".parse().unwrap(),
        zone: "us-east-1a".parse().unwrap(),
        ranges: vec![([10, 0, 1, 100].into(), [10, 0, 1, 110].into())],
    };
    facts.pools = Some(vec![Pool {
        name: "redis".parse().unwrap(),
        release_policy: ReleasePolicy::Keep,
        unclaimed: firecamp_core::record::UnclaimedPolicy::Report,
        subnets: vec![subnet],
    }]);
    let mut node = Node::new(facts);
    node.run(30);
    assert_eq!(node.said("InPool"), "False OutsidePool");
    assert_eq!(node.said("Ready"), "True Attached");
}

#[test]
fn what_somebody_else_says_of_a_static_ip_is_kept() {
    let mut node = Node::new(well());
    node.run(30);
    let mut all = node.api.conditions(&IP);
    all.insert(
        0,
        firecamp_registry::api::Condition {
            kind: "Audited".to_owned(),
            status: "True".to_owned(),
            reason: "ByHand".to_owned(),
            message: String::new(),
            last_transition_time: None,
            observed_generation: None,
        },
    );
    node.api.set_conditions(&IP, all);
    node.set_record(record(1, State::Parked));
    node.run(30);
    assert_eq!(node.said("Audited"), "True ByHand");
    assert_eq!(node.said("Ready"), "False Parked");
}

#[test]
fn a_status_never_overtakes_a_record_that_has_moved_on() {
    let mut node = Node::new(well());
    node.run(30);
    // The registry is ahead of what the agent knows.
    node.api.set_static_ip(&record(5, State::Attached));
    let before = node.api.posted().conditions;
    node.address().record = record(4, State::Attached);
    node.run(MINUTE);
    assert_eq!(node.api.posted().conditions, before);
}
