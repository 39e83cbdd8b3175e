//! The conditions of static IPs, and their delays.

use firecamp_core::record::{Pool, PoolSubnet, ReleasePolicy, State};

use super::support::{IP, MINUTE, Node, healthy_facts, record};

#[test]
fn an_attached_address_is_ready_assigned_and_configured() {
    let mut node = Node::new(healthy_facts());
    node.run(30);
    for (kind, said) in [
        ("Ready", "True Attached"),
        ("Assigned", "True Attached"),
        ("Configured", "True Attached"),
        ("Conflicted", "False NoConflict"),
        ("InPool", "True InPool"),
    ] {
        assert_eq!(node.condition(kind), said, "{kind}");
    }
    let generations: Vec<_> =
        node.api.conditions(&IP).iter().map(|one| one.observed_generation).collect();
    assert_eq!(generations, [Some(1); 5]);
    let row = node.row();
    assert_eq!((row.in_ec2, row.in_kernel, row.problem), (Some(true), Some(true), None));
    assert_eq!((row.member.as_str(), row.pod_uid.as_str()), ("prod/redis-0", "pod-1"));
}

#[test]
fn a_parked_address_is_assigned_but_not_ready() {
    let mut node = Node::new(healthy_facts());
    node.run(30);
    node.set_record(record(1, State::Parked));
    node.address().in_kernel = Some(false);
    node.run(30);
    assert_eq!(node.condition("Ready"), "False Parked");
    assert_eq!(node.condition("Assigned"), "True Parked");
    assert_eq!(node.condition("Configured"), "False Parked");
    assert_eq!(node.api.conditions(&IP)[0].observed_generation, Some(2));
}

#[test]
fn the_transition_time_changes_only_with_the_status() {
    let mut node = Node::new(healthy_facts());
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
fn f042_a_misplaced_address_is_reported_after_half_a_minute() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    node.address().in_ec2 = Some(false);
    node.run(29);
    assert_eq!(
        (node.condition("Ready").as_str(), node.row().in_ec2),
        ("True Attached", Some(true))
    );
    node.run(20);
    assert_eq!(node.condition("Ready"), "False Misplaced");
    assert_eq!(node.condition("Assigned"), "False Misplaced");
    assert_eq!((node.row().in_ec2, node.published().addresses_failing), (Some(false), 1));
    assert_eq!(node.node_condition("Ready"), "False AddressesFailing");
    node.address().in_ec2 = Some(true);
    node.run(30);
    assert_eq!(node.condition("Ready"), "True Attached");
    assert_eq!(node.reasons(), ["AddressMisplaced", "AddressRecovered"]);
}

#[test]
fn a_foreign_holder_is_reported_immediately_by_name() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    node.address().in_ec2 = Some(false);
    node.address().foreign = Some("eni-000000ff of another cluster".to_owned());
    node.run(10);
    assert_eq!(node.condition("Conflicted"), "True HeldByForeignInterface");
    assert_eq!(node.condition("Ready"), "False HeldByForeignInterface");
    assert_eq!(node.reasons(), ["AddressHeldByForeignInterface"]);
    assert!(node.api.events()[0].note.contains("eni-000000ff"), "{:?}", node.api.events());
}

#[test]
fn an_attach_that_does_not_finish_is_reported_after_two_minutes() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    node.set_record(record(2, State::Attaching));
    node.run(115);
    assert_eq!(node.condition("Ready"), "True Attached");
    node.run(20);
    assert_eq!(node.condition("Ready"), "False StuckAttaching");
    assert_eq!(node.row().epoch, 2);
}

#[test]
fn a_leftover_kernel_address_is_reported_until_it_is_gone() {
    let mut moved = record(2, State::Attached);
    moved.attachment.as_mut().unwrap().node = "node-2".parse().unwrap();
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    let said = node.api.posted().conditions;
    node.set_record(moved);
    node.run(10);
    assert_eq!(node.published().addresses, []);
    node.run(30);
    assert_eq!(node.row().problem.unwrap().reason, "LeftoverInKernel");
    node.address().in_kernel = Some(false);
    node.run(30);
    assert_eq!(node.published().addresses, []);
    // Its own node speaks for it.
    assert_eq!(node.api.posted().conditions, said);
}

#[test]
fn an_address_outside_its_pool_is_reported_and_works() {
    let mut facts = healthy_facts();
    let subnet = PoolSubnet {
        subnet: "subnet-0000000a".parse().unwrap(),
        cidr: "10.0.1.0/24".parse().unwrap(),
        zone: "us-east-1a".parse().unwrap(),
        ranges: vec![([10, 0, 1, 100].into(), [10, 0, 1, 110].into())],
    };
    facts.pools = Some(vec![Pool {
        name: "redis".parse().unwrap(),
        release_policy: ReleasePolicy::Keep,
        orphaned: firecamp_core::record::OrphanPolicy::Report,
        resource: firecamp_core::ids::ResourceName::default(),
        subnets: vec![subnet],
    }]);
    let mut node = Node::new(facts);
    node.run(30);
    assert_eq!(node.condition("InPool"), "False OutsidePool");
    assert_eq!(node.condition("Ready"), "True Attached");
}

#[test]
fn foreign_conditions_of_a_static_ip_are_kept() {
    let mut node = Node::new(healthy_facts());
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
    assert_eq!(node.condition("Audited"), "True ByHand");
    assert_eq!(node.condition("Ready"), "False Parked");
}

#[test]
fn a_stale_status_is_not_written_over_a_newer_record() {
    let mut node = Node::new(healthy_facts());
    node.run(30);
    // The registry is ahead of what the agent knows.
    node.api.set_static_ip(&record(5, State::Attached));
    let before = node.api.posted().conditions;
    node.address().record = record(4, State::Attached);
    node.run(MINUTE);
    assert_eq!(node.api.posted().conditions, before);
}
