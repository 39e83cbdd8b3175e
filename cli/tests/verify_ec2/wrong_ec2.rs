//! An EC2 that does not do what FireCamp relies on is reported.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use firecamp_cli::verify_ec2::{Answer, Ec2, Outcome, Reassign};
use firecamp_cloud::{AwsCloud, InterfacesBy, ListedInterface, ListedSubnet};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, Mac, SubnetId};
use firecamp_core::managed_interface::NewInterface;
use firecamp_core::node_identity::NodeIdentity;
use firecamp_vpc::{Fault, Selector};

use crate::vpc::{TestVpc, run_with};

/// What this EC2 does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// An Assign takes addresses without AllowReassignment.
    TakesWithoutAsking,
    /// An Assign of several addresses is one for each.
    AssignsOneByOne,
    /// A refusal has another text, so another class.
    RefusesInOtherWords,
    /// A moved address stays on the old interface, too.
    ShowsBoth,
    /// The filter by address compares only the primary one, as that of moto.
    FiltersByPrimary,
    /// The filter by tag does not find new interfaces.
    MissesByTag,
    /// Lists by tag fail.
    FailsByTag,
    /// An Unassign of an absent address succeeds.
    UnassignsNothing,
    /// A client token is ignored.
    IgnoresTokens,
    /// New interfaces are listed without tags.
    TagsLater,
    /// Calls on deleted interfaces succeed.
    ForgetsDeletions,
}

struct WrongEc2 {
    inner: AwsCloud,
    how: Wrong,
    created: Mutex<u32>,
}

impl WrongEc2 {
    fn is(&self, how: Wrong) -> bool {
        self.how == how
    }
}

impl Ec2 for WrongEc2 {
    async fn subnet(&self, id: &SubnetId) -> Result<ListedSubnet, CloudFailure> {
        Ec2::subnet(&self.inner, id).await
    }

    async fn pages(
        &self,
        subnet: &SubnetId,
        by: &InterfacesBy,
        page_size: i32,
    ) -> Result<Vec<Vec<ListedInterface>>, CloudFailure> {
        if self.is(Wrong::FailsByTag) && matches!(by, InterfacesBy::Tag { .. }) {
            let detail = "DescribeNetworkInterfaces: unavailable".to_owned();
            return Err(CloudFailure { kind: CloudKind::Transient, effect: Effect::None, detail });
        }
        let mut pages = self.inner.pages(subnet, by, page_size).await?;
        let all = pages.iter().flatten();
        let held: BTreeSet<Ipv4Addr> = all.flat_map(|one| one.secondary.clone()).collect();
        for one in pages.iter_mut().flatten() {
            let ids = if let InterfacesBy::Ids(ids) = by { ids.len() } else { 0 };
            if self.is(Wrong::ShowsBoth) && ids > 1 {
                one.secondary.extend(&held);
            }
            if self.is(Wrong::TagsLater) && ids > 0 {
                one.tags.clear();
            }
        }
        if let (Wrong::FiltersByPrimary, InterfacesBy::Address(address)) = (self.how, by) {
            for page in &mut pages {
                page.retain(|one| one.primary == Some(*address));
            }
        }
        if self.is(Wrong::MissesByTag) && matches!(by, InterfacesBy::Tag { .. }) {
            pages.clear();
        }
        Ok(pages)
    }

    async fn create(&self, new: &NewInterface) -> Result<EniId, CloudFailure> {
        let mut new = new.clone();
        if self.is(Wrong::IgnoresTokens) {
            let mut created = self.created.lock().unwrap();
            *created += 1;
            new.token = format!("{}-{created}", new.token);
        }
        self.inner.create(&new).await
    }

    async fn delete(&self, eni: &EniId) -> Answer {
        let answer = self.inner.delete(eni).await;
        let missing = answer.as_ref().is_err_and(|why| why.kind == CloudKind::NotFound);
        if missing && self.is(Wrong::ForgetsDeletions) { Ok(()) } else { answer }
    }

    async fn assign(&self, eni: &EniId, addresses: &[Ipv4Addr], reassign: Reassign) -> Answer {
        if self.is(Wrong::AssignsOneByOne) && addresses.len() > 1 {
            for address in addresses {
                Ec2::assign(&self.inner, eni, &[*address], reassign).await?;
            }
            return Ok(());
        }
        let take = self.is(Wrong::TakesWithoutAsking);
        let reassign = if take { Reassign::Allow } else { reassign };
        let answer = Ec2::assign(&self.inner, eni, addresses, reassign).await;
        let other_words = self.is(Wrong::RefusesInOtherWords);
        answer.map_err(|why| CloudFailure {
            kind: if other_words { CloudKind::Unknown } else { why.kind },
            ..why
        })
    }

    async fn unassign(&self, eni: &EniId, address: Ipv4Addr) -> Answer {
        let answer = Ec2::unassign(&self.inner, eni, address).await;
        let absent = answer.as_ref().is_err_and(|why| why.kind == CloudKind::NotOnInterface);
        if absent && self.is(Wrong::UnassignsNothing) { Ok(()) } else { answer }
    }

    async fn node(&self) -> Result<NodeIdentity, CloudFailure> {
        self.inner.node().await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        Ec2::listed(&self.inner, mac).await
    }
}

#[tokio::test(start_paused = true)]
async fn each_deviation_is_reported_for_the_facts_that_it_breaks() {
    for (how, expected) in [
        (Wrong::TakesWithoutAsking, &["assign-held", "none-if-one-is-held"][..]),
        (Wrong::AssignsOneByOne, &["none-if-one-is-held", "none-if-one-is-invalid"]),
        (
            Wrong::RefusesInOtherWords,
            &[
                "assign-held",
                "assign-outside-subnet",
                "assign-primary",
                "assign-reserved",
                "force-primary",
                "none-if-one-is-held",
                "none-if-one-is-invalid",
                "deleted-interface",
            ],
        ),
        (Wrong::FiltersByPrimary, &["filter-by-address"]),
        (Wrong::MissesByTag, &["list-by-tag"]),
        (Wrong::UnassignsNothing, &["unassign-absent", "unassign-elsewhere"]),
        (Wrong::IgnoresTokens, &["client-token"]),
        (Wrong::TagsLater, &["tags-at-creation"]),
        (Wrong::ForgetsDeletions, &["deleted-interface"]),
    ] {
        let vpc = TestVpc::fast();
        let before = vpc.owners();
        let wrong = WrongEc2 { inner: vpc.cloud(), how, created: Mutex::new(0) };
        let (report, _) = run_with(&wrong, &[], usize::MAX).await.unwrap();
        let differs = report.facts.iter().filter(|fact| fact.outcome == Outcome::Differs);
        let differs: BTreeSet<&str> = differs.map(|fact| fact.id).collect();
        assert_eq!(differs, expected.iter().copied().collect(), "{how:?}: {report:#?}");
        assert_eq!(report.code(), 20, "{how:?}");
        assert_eq!(vpc.owners(), before, "{how:?}");
        let text = report.people(false);
        assert!(text.contains(&format!("{} DIFFERS", expected[0])), "{how:?}");
        let all_expected = report.facts.iter().all(|fact| text.contains(fact.expected));
        assert!(all_expected, "{how:?}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_on_two_interfaces_is_reported() {
    let vpc = TestVpc::fast();
    let how = Wrong::ShowsBoth;
    let wrong = WrongEc2 { inner: vpc.cloud(), how, created: Mutex::new(0) };
    let (report, _) = run_with(&wrong, &[], usize::MAX).await.unwrap();
    for id in ["move", "move-without-gap", "read-lag", "force-several"] {
        let fact = report.facts.iter().find(|fact| fact.id == id).unwrap();
        assert_eq!(fact.outcome, Outcome::Differs, "{fact:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn slow_reads_and_a_frozen_metadata_service_are_reported() {
    let vpc = TestVpc::fast();
    vpc.fault("DescribeNetworkInterfaces", Fault::StaleDescribe { lag_ms: Some(20_000) });
    let imds = Selector { caller: Some("node-a".to_owned()), ..Selector::default() };
    vpc.fault_when(Fault::ImdsFrozen {}, imds);
    let before = vpc.owners();
    let (report, _) = vpc.run(&["--on-node"]).await.unwrap();
    let differs = report.facts.iter().filter(|fact| fact.outcome == Outcome::Differs);
    let differs: BTreeSet<&str> = differs.map(|fact| fact.id).collect();
    // Reads this old show the address where it was before the moves, and nowhere.
    let expected = ["imds-lists", "move-without-gap", "read-lag"];
    assert_eq!(differs, BTreeSet::from(expected), "{report:#?}");
    vpc.clear_faults();
    assert_eq!(vpc.owners(), before);
}

/// Other facts may differ, because the pages of one read may show different states.
#[tokio::test(start_paused = true)]
async fn short_pages_are_pages_also_of_a_list_by_tag() {
    let vpc = TestVpc::fast();
    let before = vpc.owners();
    vpc.fault("DescribeNetworkInterfaces", Fault::ShortPages { items: 1 });
    let (report, _) = vpc.run(&[]).await.unwrap();
    let by_tag = report.facts.iter().find(|fact| fact.id == "list-by-tag").unwrap();
    assert_eq!(by_tag.outcome, Outcome::Holds, "{by_tag:?}");
    vpc.clear_faults();
    assert_eq!((vpc.owners(), report.cleanup.left.as_slice()), (before, &[][..]));
}

#[tokio::test(start_paused = true)]
async fn a_failed_list_by_tag_leaves_the_other_facts_tried() {
    let vpc = TestVpc::fast();
    let before = vpc.owners();
    let how = Wrong::FailsByTag;
    let wrong = WrongEc2 { inner: vpc.cloud(), how, created: Mutex::new(0) };
    let (report, _) = run_with(&wrong, &[], usize::MAX).await.unwrap();
    let failed = report.facts.iter().filter(|fact| fact.outcome == Outcome::FailedToTry);
    let failed: Vec<&str> = failed.map(|fact| fact.id).collect();
    assert_eq!((failed, report.code()), (vec!["list-by-tag"], 21), "{report:#?}");
    assert_eq!(vpc.owners(), before);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_new_interface_is_no_lag_of_lists_by_tag() {
    let vpc = TestVpc::fast();
    let unknown = Fault::Error {
        code: "InvalidNetworkInterfaceID.NotFound".to_owned(),
        message: String::new(),
        status: 400,
    };
    // Interface A takes three addresses. For more than 60 s the next Assign, to B, is refused.
    let op = Some("AssignPrivateIpAddresses".to_owned());
    let to_b = Selector { op, nth: Some(4), count: Some(130), ..Selector::default() };
    vpc.fault_when(unknown, to_b);
    let (report, _) = vpc.run(&[]).await.unwrap();
    let outcome =
        |id: &str| report.facts.iter().find(|fact| fact.id == id).map(|fact| fact.outcome);
    assert_eq!(outcome("new-interface"), Some(Outcome::Differs), "{report:#?}");
    assert_eq!(outcome("list-by-tag"), Some(Outcome::Holds), "{report:#?}");
    vpc.clear_faults();
}

/// An auto-assignment may take an address in the moment in which it is free.
#[tokio::test(start_paused = true)]
async fn an_address_that_somebody_else_takes_meanwhile_is_no_difference() {
    let vpc = TestVpc::fast();
    vpc.fault_when(
        Fault::AutoAssignPressure { subnet: "a".to_owned(), every_ms: 100 },
        Selector { from_ms: Some(2_500), until_ms: Some(6_000), ..Selector::default() },
    );
    let (report, _) = vpc.run(&[]).await.unwrap();
    let with = |outcome| report.facts.iter().filter(move |fact| fact.outcome == outcome).count();
    assert_eq!(with(Outcome::Differs), 0, "{report:#?}");
    assert!(with(Outcome::FailedToTry) > 0, "nothing was taken: {report:#?}");
}
