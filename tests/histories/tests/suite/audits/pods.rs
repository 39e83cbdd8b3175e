//! S10: for which pods agents serve requests, and attaches acquire addresses.

use firecamp_core::record::State;
use firecamp_core::time::Moment;
use firecamp_histories::audit::{Author, Promise, ServedRequest};
use firecamp_histories::names::{MemberIx, Names, NodeIx};

use super::{NODE, RUN, audit, broke, now, record};

pub(super) fn author(slot: u32) -> Author {
    Author {
        slot,
        member: MemberIx(0),
        fixed: None,
        pending_until: Moment::default(),
        pod_lives: true,
    }
}

#[test]
fn s10_an_agent_serves_pods_of_its_node_and_attaches_only_for_one_that_the_api_shows() {
    let serves = |request: ServedRequest| {
        let mut audit = audit();
        audit.serves(now(), request);
        broke(&audit)
    };
    let own = ServedRequest { slot: RUN, attaches: true, lives: true, of: NODE, by: NODE };
    assert_eq!(serves(own), None);
    assert_eq!(serves(ServedRequest { by: NodeIx(2), ..own }), Some(Promise::S10));
    assert_eq!(serves(ServedRequest { lives: false, ..own }), Some(Promise::S10));
    let release = ServedRequest { attaches: false, lives: false, ..own };
    assert_eq!(serves(release), None, "a pod that is gone may release");
}

#[test]
fn s10_an_attach_acquires_an_epoch_only_after_a_read_that_shows_its_pod() {
    let names = Names::new();
    let parked = record(&names, 3, State::Parked);
    let acquires = |pod_lives, epoch, state| {
        let mut audit = audit();
        let by = Author { pod_lives, ..author(RUN) };
        audit.recorded(now(), by, Some(&parked), &record(&names, epoch, state));
        broke(&audit)
    };
    assert_eq!(acquires(true, 4, State::Attaching), None);
    assert_eq!(acquires(false, 4, State::Attaching), Some(Promise::S10));
    assert_eq!(acquires(false, 4, State::Releasing), None, "a release that unassigns");
}
