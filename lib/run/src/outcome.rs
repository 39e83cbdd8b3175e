//! Converts the outcome of an operation into a report.

use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{CloudFailure, RegistryFailure};
use firecamp_core::machine::{Attached, Failure, Maintenance, Outcome, Path, Release};

use crate::report::Report;

impl From<&Outcome> for Report {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Attached(attached) => attached_report(attached),
            Outcome::Released { release, address, cut_short } => {
                let mut message = released_message(*release).to_owned();
                if *cut_short {
                    message.push_str(
                        "; sockets still used the address when the drain timeout expired",
                    );
                }
                let path = Some(released_path(*release));
                let (address, cut_short) = (*address, *cut_short);
                Self { address, path, cut_short, ..Self::new(Exit::Success, message) }
            }
            Outcome::Maintained { what, address } => {
                let message = maintained_message(*what).to_owned();
                Self { address: Some(*address), ..Self::new(Exit::Success, message) }
            }
            Outcome::Failed(failure) => Self::from(failure),
        }
    }
}

impl From<&Failure> for Report {
    fn from(failure: &Failure) -> Self {
        let Failure { exit, message, address } = failure;
        Self { address: *address, ..Self::new(*exit, message.clone()) }
    }
}

impl From<&RegistryFailure> for Report {
    fn from(failure: &RegistryFailure) -> Self {
        Self::new(failure.kind.exit(), failure.detail.clone())
    }
}

/// EC2 could not be reached or its client could not be created.
impl From<&CloudFailure> for Report {
    fn from(failure: &CloudFailure) -> Self {
        Self::new(Exit::CloudRefused, failure.detail.clone())
    }
}

fn attached_report(attached: &Attached) -> Report {
    let Attached { address, epoch, eni, path, barrier, overlapped } = attached;
    let how = match path {
        Path::SameNode => "it was already assigned there",
        Path::Moved => "it was newly assigned there",
    };
    let mut message = format!("{address} is attached to {eni}; {how}");
    if *barrier {
        message.push_str("; the attach waited for EC2 calls of an earlier holder");
    }
    if *overlapped {
        message.push_str("; sockets of its predecessor still used it when the grace period ended");
    }
    Report {
        address: Some(*address),
        eni: Some(eni.clone()),
        epoch: Some(*epoch),
        path: Some(attached_path(*path)),
        ..Report::new(Exit::Success, message)
    }
}

fn maintained_message(what: Maintenance) -> &'static str {
    match what {
        Maintenance::Withdrawn => "removed from this node's kernel: the address is held elsewhere",
        Maintenance::Reasserted => "reassigned to this node's ENI: EC2 had it elsewhere",
        Maintenance::Restored => "restored in this node's kernel",
        Maintenance::Collected => "removed from this node's kernel: no record names it",
        Maintenance::NothingToDo => "nothing to do",
    }
}

fn released_path(release: Release) -> &'static str {
    match release {
        Release::Parked => "parked",
        Release::Unassigned => "unassigned",
        Release::NotHolder => "not-holder",
        Release::NotEnding => "not-ending",
    }
}

/// The path of a report that has this text.
pub(crate) fn known_path(text: &str) -> Option<&'static str> {
    let attached = [Path::SameNode, Path::Moved].map(attached_path);
    let released = [Release::Parked, Release::Unassigned, Release::NotHolder, Release::NotEnding];
    attached.into_iter().chain(released.map(released_path)).find(|path| *path == text)
}

fn attached_path(path: Path) -> &'static str {
    match path {
        Path::SameNode => "same-node",
        Path::Moved => "moved",
    }
}

fn released_message(release: Release) -> &'static str {
    match release {
        Release::Parked => "released; EC2 keeps the address on this node's ENI as a reservation",
        Release::Unassigned => "released and unassigned in EC2",
        Release::NotHolder => "nothing to release: this pod does not hold an address (any more)",
        Release::NotEnding => "nothing released: the pod is not terminating",
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use firecamp_core::failure::{Effect, RegistryKind};
    use firecamp_core::ids::{EniId, Epoch};

    use super::*;

    #[test]
    fn an_attach_reports_address_eni_epoch_and_path() {
        let attached = Attached {
            address: Ipv4Addr::new(10, 0, 0, 7),
            epoch: Epoch(3),
            eni: EniId::new("eni-0123abcd").unwrap(),
            path: Path::Moved,
            barrier: true,
            overlapped: true,
        };
        let report = Report::from(&Outcome::Attached(attached));
        assert_eq!(report.exit, Exit::Success);
        let line: serde_json::Value = serde_json::from_str(&report.line(None, None)).unwrap();
        assert_eq!(line["result"], "succeeded");
        assert_eq!((&line["address"], &line["eni"]), (&"10.0.0.7".into(), &"eni-0123abcd".into()));
        assert_eq!((&line["epoch"], &line["path"]), (&3.into(), &"moved".into()));
        for text in ["earlier holder", "predecessor"] {
            assert!(report.message.contains(text), "{}", report.message);
        }
    }

    #[test]
    fn every_release_succeeds_and_reports_its_path() {
        for release in
            [Release::Parked, Release::Unassigned, Release::NotHolder, Release::NotEnding]
        {
            let outcome = Outcome::Released { release, address: None, cut_short: false };
            let report = Report::from(&outcome);
            assert_eq!(report.exit, Exit::Success);
            assert_eq!(report.path, Some(released_path(release)));
            assert!(!report.message.contains("drain"));
        }
        let outcome =
            Outcome::Released { release: Release::Parked, address: None, cut_short: true };
        assert!(Report::from(&outcome).message.contains("drain"));
    }

    #[test]
    fn only_an_unreachable_registry_is_unavailable() {
        let failed = |kind| RegistryFailure { kind, effect: Effect::None, detail: "x".to_owned() };
        let exit = |kind| Report::from(&failed(kind)).exit;
        assert_eq!(exit(RegistryKind::Unavailable), Exit::RegistryUnavailable);
        assert_eq!(exit(RegistryKind::Invalid), Exit::RegistryInvalid);
        assert_eq!(exit(RegistryKind::Refused), Exit::RegistryRefused);
    }
}
