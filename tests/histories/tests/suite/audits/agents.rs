//! The audits of agents' operations, and the exemption for addresses that other programs removed.

use std::time::Duration;

use firecamp_core::contract::timing;
use firecamp_core::ids::Epoch;
use firecamp_core::ports::Holder;
use firecamp_core::record::State;
use firecamp_histories::audit::{KernelWrite, Promise, Truth};
use firecamp_histories::names::Names;

use super::{ADDRESS, Agreed, NODE, POD, RUN, audit, author, broke, now, record, touch};

#[test]
fn s3_a_released_epoch_does_not_add_on_that_node_again() {
    let kernel = Agreed::new(&Names::new()).kernel;
    let mut revived = audit();
    revived.touched(now(), KernelWrite { adds: false, ..touch(4, true) }, &kernel);
    revived.touched(now(), touch(5, true), &kernel);
    assert_eq!(broke(&revived), None, "the next epoch may add");
    revived.touched(now(), KernelWrite { adds: false, ..touch(5, true) }, &kernel);
    revived.touched(now(), touch(5, true), &kernel);
    assert_eq!(broke(&revived), Some(Promise::S3));
}

#[test]
fn s3_an_agent_restores_only_the_current_epoch_of_the_record() {
    let names = Names::new();
    let holder = |epoch| Holder { pod: names.uid(POD), epoch: Epoch(epoch) };
    let held = record(&names, 4, State::Attached);
    let mut well = audit();
    well.restores(now(), RUN, &holder(4), &held);
    assert_eq!(broke(&well), None);
    well.restores(now(), RUN, &holder(3), &held);
    assert_eq!(broke(&well), Some(Promise::S3));
    let mut parked = audit();
    parked.restores(now(), RUN, &holder(4), &record(&names, 4, State::Parked));
    assert_eq!(broke(&parked), Some(Promise::S3));
}

#[test]
fn s6_rejects_a_reassert_without_a_pause() {
    let later = |after| now().plus(after);
    let mut well = audit();
    well.reasserts(now(), 1, ADDRESS);
    well.reasserts(now(), 2, ADDRESS);
    well.reasserts(later(timing::REASSERT_PAUSE), 2, ADDRESS);
    assert_eq!(broke(&well), None, "another agent, or later");
    well.reasserts(later(timing::REASSERT_PAUSE + Duration::from_secs(1)), 2, ADDRESS);
    assert_eq!(broke(&well), Some(Promise::S6));
}

#[test]
fn s2_exempts_an_address_removed_by_others_until_it_is_restored_and_only_at_its_epoch() {
    let names = Names::new();
    let agreed = Agreed::new(&names);
    let mut kernel = agreed.kernel.clone();
    kernel.strip(ADDRESS);
    let bare = Truth { kernel: &kernel, ..agreed.truth() };
    let mut excused = audit();
    let before = record(&names, 3, State::Parked);
    let held = record(&names, 4, State::Attaching);
    excused.recorded(now(), author(RUN), Some(&before), &held);
    excused.stripped(NODE, ADDRESS);
    excused.check(now(), (POD, agreed.ready), &bare);
    assert_eq!(broke(&excused), None);
    let mut back = excused.clone();
    back.check(now(), (POD, agreed.ready), &agreed.truth());
    back.check(now(), (POD, agreed.ready), &bare);
    assert_eq!(broke(&back), Some(Promise::S2), "it had been restored before");
    excused.clear_doubt();
    excused.check(now(), (POD, agreed.ready), &bare);
    assert_eq!(broke(&excused), Some(Promise::S2), "there are no exemptions any more");
    let mut other = audit();
    other.stripped(NODE, ADDRESS);
    other.check(now(), (POD, agreed.ready), &bare);
    assert_eq!(broke(&other), Some(Promise::S2), "another epoch");
}
