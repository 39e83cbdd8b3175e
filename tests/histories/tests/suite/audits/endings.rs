//! The audits of processes that end wrongly.

use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::machine::{Failure, Outcome, Path};
use firecamp_core::time::Moment;
use firecamp_histories::audit::{Cause, Causes, End, EndedProcess, Promise};
use firecamp_histories::names::Names;

use super::{ADDRESS, RUN, attached, audit, broke, now};

fn lifecycle() -> EndedProcess {
    EndedProcess {
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
fn s6_rejects_one_call_over_budget() {
    let names = Names::new();
    let ends = |lifecycle: EndedProcess, path| {
        let mut audit = audit();
        audit.ended(&lifecycle, &End::Outcome(&attached(&names, path)));
        broke(&audit)
    };
    assert_eq!(ends(lifecycle(), Path::Moved), None);
    assert_eq!(ends(EndedProcess { calls: 3, ..lifecycle() }, Path::Moved), Some(Promise::S6));
    assert_eq!(ends(EndedProcess { mutations: 2, ..lifecycle() }, Path::Moved), Some(Promise::S6));
    assert_eq!(ends(lifecycle(), Path::SameNode), Some(Promise::S6));
    assert_eq!(ends(EndedProcess { calls: 1, mutations: 0, ..lifecycle() }, Path::SameNode), None);
    let mut many = audit();
    many.ended(&EndedProcess { mutations: 200, ..lifecycle() }, &End::Killed);
    assert_eq!(broke(&many), Some(Promise::S6));
}

#[test]
fn s7_rejects_a_process_past_its_deadline_or_without_an_action() {
    let mut long = audit();
    long.ended(&EndedProcess { awake: Duration::from_secs(200), ..lifecycle() }, &End::Interrupted);
    assert_eq!(broke(&long), Some(Promise::S7));
    let mut reported = audit();
    let signalled = Some(Moment(Duration::from_secs(1)));
    reported.ended(&EndedProcess { limit: None, signalled, ..lifecycle() }, &End::Killed);
    assert_eq!(broke(&reported), Some(Promise::S7));
    let mut stuck = audit();
    stuck.stuck(now(), RUN);
    assert_eq!(broke(&stuck), Some(Promise::S7));
}

#[test]
fn s9_rejects_an_exit_code_without_its_cause() {
    let ends = |exit: Exit, causes: &[Cause]| {
        let mut met = Causes::default();
        for cause in causes {
            met.add(*cause);
        }
        let failure = Failure { exit, message: String::new(), address: Some(ADDRESS) };
        let mut audit = audit();
        audit.ended(
            &EndedProcess { causes: met, ..lifecycle() },
            &End::Outcome(&Outcome::Failed(failure)),
        );
        broke(&audit)
    };
    for (exit, cause) in [
        (Exit::Superseded, Cause::PodGone),
        (Exit::AddressUnavailable, Cause::Held),
        (Exit::NoCapacity, Cause::Full),
        (Exit::CloudRefused, Cause::Denied),
        (Exit::TimedOut, Cause::CloudTransient),
        (Exit::RegistryUnavailable, Cause::RegistryUnavailable),
        (Exit::RegistryInvalid, Cause::RegistryInvalid),
        (Exit::RegistryRefused, Cause::RegistryRefused),
        (Exit::NodeUnsuitable, Cause::NoLink),
        (Exit::DiskRefused, Cause::DiskFailed),
        (Exit::KernelRefused, Cause::KernelRefused),
        (Exit::AgentUnavailable, Cause::AgentLost),
        (Exit::TokenRefused, Cause::PodNotLiving),
    ] {
        assert_eq!(ends(exit, &[cause]), None, "{exit:?}");
        assert_eq!(ends(exit, &[]), Some(Promise::S9), "{exit:?}");
    }
    let all = [Cause::Held, Cause::Full, Cause::Denied, Cause::RegistryUnavailable, Cause::NoLink];
    let containers = [
        Exit::Usage,
        Exit::VersionMismatch,
        Exit::ControllerMismatch,
        Exit::NamespaceNotAllowed,
        Exit::Internal,
        Exit::Interrupted,
    ];
    for never in [Exit::Success].into_iter().chain(containers) {
        assert_eq!(ends(never, &all), Some(Promise::S9), "{never:?}");
    }
}
