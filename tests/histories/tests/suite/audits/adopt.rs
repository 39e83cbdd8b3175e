//! What is adopted, and by what right.

use firecamp_core::contract::timing;
use firecamp_core::ids::{Member, PodUid};
use firecamp_histories::audit::{Adoption, Sighting};
use firecamp_histories::names::OUTSIDE;

use super::*;

fn parked() -> StaticIp {
    let mut record = record(&Names::new(), 1, State::Parked);
    record.member = Member::nobody(record.address);
    let nobodys = |it| Attachment { pod: PodUid::nobody(), ..it };
    record.attachment = record.attachment.map(nobodys);
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
fn what_nobody_claims_and_nobody_uses_may_be_adopted_where_it_is() {
    assert_eq!(adopted(&adoption(&parked())), None);
}

#[test]
fn what_spoke_against_it_when_it_was_read_is_held_against_whoever_adopts_it() {
    let record = parked();
    let adoption = Adoption { against: Some("a claim named it"), ..adoption(&record) };
    assert_eq!(adopted(&adoption), Some(Promise::S8));
}

#[test]
fn nothing_is_adopted_that_the_pool_does_not_have() {
    let record = StaticIp { address: OUTSIDE, ..parked() };
    assert_eq!(adopted(&adoption(&record)), Some(Promise::S8));
}

#[test]
fn nothing_is_adopted_that_somebody_else_has_had_for_long() {
    let record = parked();
    for owner in [None, Some((STRANGER, false)), Some((eni(), true)), Some((NODE.eni(1), false))] {
        let gone = Adoption { owner, ..adoption(&record) };
        assert_eq!(adopted(&gone), Some(Promise::S8), "{owner:?}");
        let just = Adoption { changed: Some(now()), ..gone };
        assert_eq!(adopted(&just), None, "a read may not have shown {owner:?} yet");
    }
}

#[test]
fn an_adopted_address_is_parked_on_its_own_eni_without_marks_and_nobodys() {
    let names = Names::new();
    let mut held = parked();
    held.attachment.as_mut().unwrap().state = State::Attached;
    let mut elsewhere = parked();
    elsewhere.attachment.as_mut().unwrap().eni = Some(names.eni(NodeIx(2).eni(0)).id.clone());
    let mut marked = parked();
    marked.unsettled.insert(mark(&names, RUN));
    let member = StaticIp { member: names.member(MemberIx(0)).clone(), ..parked() };
    for record in [held, elsewhere, marked, member] {
        assert_eq!(adopted(&adoption(&record)), Some(Promise::S8), "{record:?}");
    }
}

#[test]
fn an_address_is_due_after_two_looks_that_were_answered_and_lie_the_grace_period_apart() {
    let due = |seen| {
        let mut audit = audit();
        audit.due(Moment(timing::ADOPT_GRACE), RUN, (ADDRESS, seen));
        broke(&audit)
    };
    let seen = |since, looks| Some(Sighting { since: Moment(since), looks });
    assert_eq!(due(seen(Duration::ZERO, 2)), None);
    assert_eq!(due(seen(Duration::ZERO, 1)), Some(Promise::S8));
    assert_eq!(due(seen(Duration::from_millis(1), 9)), Some(Promise::S8));
    assert_eq!(due(None), Some(Promise::K5));
}

#[test]
fn for_an_address_that_was_adopted_ec2_is_changed_only_by_what_reclaims_it() {
    for (reclaims, expected) in [(true, None), (false, Some(Promise::S8))] {
        let mut audit = audit();
        audit.called_for_nobody(now(), RUN, reclaims);
        assert_eq!(broke(&audit), expected);
    }
}
