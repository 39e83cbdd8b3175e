//! Nothing of a run stays in EC2: after errors, signals, lost answers and crashes.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::tag;
use firecamp_vpc::{Fault, Selector};
use tokio::time::timeout;

use crate::vpc::{NODE_ENI, TestVpc, run_with};

const CREATE: &str = "CreateNetworkInterface";
const ASSIGN: &str = "AssignPrivateIpAddresses";
const DELETE: &str = "DeleteNetworkInterface";

fn from_nth(op: &str, nth: u64, count: u64) -> Selector {
    Selector { op: Some(op.to_owned()), nth: Some(nth), count: Some(count), ..Selector::default() }
}

fn broken() -> Fault {
    Fault::Error { code: "InternalError".to_owned(), message: String::new(), status: 500 }
}

#[tokio::test(start_paused = true)]
async fn after_an_error_in_the_middle_the_rest_is_tried_and_all_is_deleted() {
    let vpc = TestVpc::fast();
    let before = vpc.owners();
    vpc.fault_when(broken(), from_nth(ASSIGN, 12, 5));
    vpc.fault_when(broken(), from_nth(DELETE, 1, 3));
    let (report, _) = vpc.run(&[]).await.unwrap();
    assert_eq!(report.code(), 21, "{report:#?}");
    vpc.clear_faults();
    assert_eq!((vpc.owners(), report.cleanup.left.as_slice()), (before, &[][..]));
}

#[tokio::test(start_paused = true)]
async fn if_nothing_can_be_tried_the_command_fails_and_deletes_what_it_created() {
    let vpc = TestVpc::fast();
    let before = vpc.owners();
    vpc.fault(ASSIGN, Fault::IamDeny {});
    let failure = vpc.run(&[]).await.unwrap_err();
    assert_eq!(failure.exit(), Exit::CloudRefused, "{failure}");
    vpc.clear_faults();
    assert_eq!(vpc.owners(), before);
}

#[tokio::test(start_paused = true)]
async fn creations_whose_answers_are_lost_leave_nothing() {
    for lost in [1, 2] {
        let vpc = TestVpc::fast();
        let before = vpc.owners();
        vpc.fault_when(Fault::LostResponse { after_commit: true }, from_nth(CREATE, 1, lost));
        let ended = vpc.run(&[]).await;
        assert_eq!(ended.map_or(13, |(report, _)| report.code()), if lost == 1 { 0 } else { 13 });
        vpc.clear_faults();
        assert_eq!(vpc.owners(), before, "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_the_run_at_any_time_and_nothing_is_left() {
    for after in [1, 2, 3, 5, 10, 20, 25, 30] {
        let vpc = TestVpc::fast();
        let before = vpc.owners();
        let (report, lines) = run_with(&vpc.cloud(), &["--on-node"], after).await.unwrap();
        assert!(report.interrupted && report.code() == 143, "{after}: {lines:?}");
        assert_eq!(report.facts.len(), 40);
        assert_eq!(vpc.owners(), before, "{after}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_run_deletes_what_a_crash_left() {
    let vpc = TestVpc::fast();
    let before = vpc.owners();
    let crashed = timeout(Duration::from_secs(3), vpc.run(&[])).await;
    assert!(crashed.is_err() && vpc.owners().len() > before.len(), "it crashed in the middle");
    let (report, lines) = vpc.run(&[]).await.unwrap();
    assert_eq!((report.code(), report.cleanup.earlier_deleted), (0, 2), "{lines:?}");
    assert!(lines[0].contains("which an earlier run left"), "{lines:?}");
    assert_eq!(vpc.owners(), before);
}

#[tokio::test(start_paused = true)]
async fn a_crash_with_an_address_on_the_node_is_cleaned_up() {
    let vpc = TestVpc::fast();
    let before = vpc.owners();
    // The second half of the run is on the node; find a moment at which the node has the address.
    let on_node = |vpc: &TestVpc| vpc.owners().values().filter(|eni| *eni == NODE_ENI).count() > 1;
    {
        let cloud = vpc.cloud();
        let mut run = std::pin::pin!(run_with(&cloud, &["--on-node"], usize::MAX));
        while !on_node(&vpc) {
            let ended = timeout(Duration::from_millis(50), &mut run).await;
            assert!(ended.is_err(), "the node never had the address");
        }
    }
    let (report, _) = vpc.run(&["--cleanup"]).await.unwrap();
    assert_eq!((report.code(), report.cleanup.earlier_deleted), (0, 2));
    assert!(report.facts.is_empty());
    assert_eq!(vpc.owners(), before);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_deleted_is_reported_with_the_command_that_deletes_it() {
    let vpc = TestVpc::fast();
    vpc.fault(DELETE, Fault::IamDeny {});
    let (report, _) = vpc.run(&[]).await.unwrap();
    assert_eq!((report.code(), report.cleanup.left.len()), (20, 2), "{report:#?}");
    assert!(report.people(false).contains("firecamp verify-ec2 --cleanup"));
    vpc.clear_faults();
    let (report, _) = vpc.run(&["--cleanup"]).await.unwrap();
    assert_eq!((report.code(), report.cleanup.earlier_deleted), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn interfaces_of_others_are_never_deleted() {
    let vpc = TestVpc::fast();
    let before = vpc.owners();
    let (report, lines) = vpc.run(&["--cleanup"]).await.unwrap();
    assert_eq!((report.cleanup.earlier_deleted, lines.len()), (0, 0));
    assert_eq!(vpc.owners(), before);
    let calls = vpc.world().calls(0);
    assert!(calls.iter().all(|call| !call.mutating), "{calls:#?}");
    let filtered =
        calls.iter().any(|call| call.parameters.values().any(|it| it == tag::VERIFY_EC2));
    assert!(filtered, "{calls:#?}");
}
