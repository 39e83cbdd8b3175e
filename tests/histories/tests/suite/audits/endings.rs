//! Processes that end otherwise than they should.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::machine::{Failure, Outcome, Path};
use firecamp_core::time::Moment;
use firecamp_histories::audit::{Cause, Causes, End, Life, Promise};
use firecamp_histories::names::Names;

use super::{ADDRESS, RUN, attached, audit, broke, now};

fn life() -> Life {
    Life {
        now: now(),
        slot: RUN,
        awake: Duration::from_secs(1),
        asleep: Duration::ZERO,
        frozen: false,
        limit: Some(Duration::from_mins(2)),
        signalled: None,
        causes: Causes::default(),
        calls: 2,
        mutations: 1,
    }
}

#[test]
fn s6_a_call_too_many_is_told() {
    let names = Names::new();
    let ends = |life: Life, path| {
        let mut audit = audit();
        audit.ended(&life, &End::Outcome(&attached(&names, path)));
        broke(&audit)
    };
    assert_eq!(ends(life(), Path::Moved), None);
    assert_eq!(ends(Life { calls: 3, ..life() }, Path::Moved), Some(Promise::S6));
    assert_eq!(ends(Life { mutations: 2, ..life() }, Path::Moved), Some(Promise::S6));
    assert_eq!(ends(life(), Path::SameNode), Some(Promise::S6));
    assert_eq!(ends(Life { calls: 1, mutations: 0, ..life() }, Path::SameNode), None);
    let mut many = audit();
    many.ended(&Life { mutations: 200, ..life() }, &End::Killed);
    assert_eq!(broke(&many), Some(Promise::S6));
}

#[test]
fn s7_a_process_that_runs_on_or_knows_nothing_to_do_is_told() {
    let mut long = audit();
    long.ended(&Life { awake: Duration::from_secs(200), ..life() }, &End::Interrupted);
    assert_eq!(broke(&long), Some(Promise::S7));
    let mut told = audit();
    let signalled = Some(Moment(Duration::from_secs(1)));
    told.ended(&Life { limit: None, signalled, ..life() }, &End::Killed);
    assert_eq!(broke(&told), Some(Promise::S7));
    let mut stuck = audit();
    stuck.stuck(now(), RUN);
    assert_eq!(broke(&stuck), Some(Promise::S7));
}

#[test]
fn s9_an_exit_code_without_its_cause_is_told() {
    let ends = |exit: Exit, causes: &[Cause]| {
        let mut met = Causes::default();
        for cause in causes {
            met.add(*cause);
        }
        let failure = Failure { exit, message: String::new(), address: Some(ADDRESS) };
        let mut audit = audit();
        audit.ended(&Life { causes: met, ..life() }, &End::Outcome(&Outcome::Failed(failure)));
        broke(&audit)
    };
    for (exit, cause) in [
        (Exit::Superseded, Cause::PodGone),
        (Exit::AddressUnavailable, Cause::Held),
        (Exit::NoCapacity, Cause::Full),
        (Exit::CloudRefused, Cause::Denied),
        (Exit::TimedOut, Cause::CloudTrouble),
        (Exit::RegistryUnavailable, Cause::RegistryAway),
        (Exit::RegistryInvalid, Cause::RegistryWrong),
        (Exit::RegistryRefused, Cause::RegistryRefused),
        (Exit::NodeUnsuitable, Cause::NoLink),
        (Exit::DiskRefused, Cause::DiskFailed),
        (Exit::KernelRefused, Cause::KernelRefused),
    ] {
        assert_eq!(ends(exit, &[cause]), None, "{exit:?}");
        assert_eq!(ends(exit, &[]), Some(Promise::S9), "{exit:?}");
    }
    let all = [Cause::Held, Cause::Full, Cause::Denied, Cause::RegistryAway, Cause::NoLink];
    let containers = [
        Exit::Usage,
        Exit::VersionMismatch,
        Exit::ControllerMismatch,
        Exit::Internal,
        Exit::Interrupted,
    ];
    for never in [Exit::Success].into_iter().chain(containers) {
        assert_eq!(ends(never, &all), Some(Promise::S9), "{never:?}");
    }
}
