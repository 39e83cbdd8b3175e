//! The audits of adoption.

use firecamp_core::contract::timing;
use firecamp_core::ids::{Member, PodUid};
use firecamp_histories::audit::{Adoption, OrphanObservation};
use firecamp_histories::names::OUTSIDE;

use super::*;

fn parked() -> StaticIp {
    let mut record = record(&Names::new(), 1, State::Parked);
    record.member = Member::orphaned(record.address);
    let orphaned = |it| Attachment { pod: PodUid::orphaned(), ..it };
    record.attachment = record.attachment.map(orphaned);
    record
}

fn adoption(record: &StaticIp) -> Adoption<'_> {
    let owner = Some((eni(), false));
    let changed = Some(Moment::default());
    Adoption { slot: RUN, node: NODE, carrier: 0, record, against: None, owner, changed }
}

fn adopted(adoption: &Adoption<'_>) -> Option<Promise> {
    let mut audit = audit();
    audit.adopted(now(), adoption);
    broke(&audit)
}

#[test]
fn an_orphaned_unused_address_may_be_adopted_in_place() {
    assert_eq!(adopted(&adoption(&parked())), None);
}

#[test]
fn an_objection_at_read_time_makes_an_adoption_a_violation() {
    let record = parked();
    let adoption = Adoption { against: Some("a claim named it"), ..adoption(&record) };
    assert_eq!(adopted(&adoption), Some(Promise::S8));
}

#[test]
fn no_address_outside_the_pool_is_adopted() {
    let record = StaticIp { address: OUTSIDE, ..parked() };
    assert_eq!(adopted(&adoption(&record)), Some(Promise::S8));
}

#[test]
fn no_address_is_adopted_that_another_eni_has_had_for_long() {
    let record = parked();
    for owner in [None, Some((FOREIGN_ENI, false)), Some((eni(), true)), Some((NODE.eni(1), false))]
    {
        let gone = Adoption { owner, ..adoption(&record) };
        assert_eq!(adopted(&gone), Some(Promise::S8), "{owner:?}");
        let just = Adoption { changed: Some(now()), ..gone };
        assert_eq!(adopted(&just), None, "a read may not have shown {owner:?} yet");
    }
}

#[test]
fn an_adopted_address_is_parked_on_its_eni_without_holder_or_pending_mutations() {
    let names = Names::new();
    let mut held = parked();
    held.attachment.as_mut().unwrap().state = State::Attached;
    let mut elsewhere = parked();
    elsewhere.attachment.as_mut().unwrap().eni = Some(names.eni(NodeIx(2).eni(0)).id.clone());
    let mut marked = parked();
    marked.pending_mutations.insert(mark(&names, RUN));
    let member = StaticIp { member: names.member(MemberIx(0)).clone(), ..parked() };
    for record in [held, elsewhere, marked, member] {
        assert_eq!(adopted(&adoption(&record)), Some(Promise::S8), "{record:?}");
    }
}

#[test]
fn an_address_is_due_after_two_successful_passes_a_grace_period_apart() {
    let due = |seen| {
        let mut audit = audit();
        audit.due(Moment(timing::ADOPT_GRACE), RUN, (ADDRESS, seen));
        broke(&audit)
    };
    let seen = |since, passes| Some(OrphanObservation { since: Moment(since), passes });
    assert_eq!(due(seen(Duration::ZERO, 2)), None);
    assert_eq!(due(seen(Duration::ZERO, 1)), Some(Promise::S8));
    assert_eq!(due(seen(Duration::from_millis(1), 9)), Some(Promise::S8));
    assert_eq!(due(None), Some(Promise::K5));
}

#[test]
fn only_a_reclaim_changes_ec2_for_an_adopted_address() {
    for (reclaims, expected) in [(true, None), (false, Some(Promise::S8))] {
        let mut audit = audit();
        audit.mutation_sent_for_orphan(now(), RUN, reclaims);
        assert_eq!(broke(&audit), expected);
    }
}
