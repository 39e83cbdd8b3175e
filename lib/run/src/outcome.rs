//! From the protocol's outcome to a container's last words.

use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{CloudFailure, RegistryFailure};
use firecamp_core::machine::{Attached, Failure, Mended, Outcome, Path, Release};

use crate::report::Report;

impl From<&Outcome> for Report {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Attached(attached) => attached_report(attached),
            Outcome::Released { release, address, cut_short } => {
                let mut message = released_message(*release).to_owned();
                if *cut_short {
                    message.push_str("; sockets still used it when the time to drain was over");
                }
                let path = Some(released_path(*release));
                let (address, cut_short) = (*address, *cut_short);
                Self { address, path, cut_short, ..Self::new(Exit::Success, message) }
            }
            Outcome::Mended { what, address } => {
                let message = mended_message(*what).to_owned();
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

/// A cloud that cannot even be asked.
impl From<&CloudFailure> for Report {
    fn from(failure: &CloudFailure) -> Self {
        Self::new(Exit::CloudRefused, failure.detail.clone())
    }
}

fn attached_report(attached: &Attached) -> Report {
    let Attached { address, epoch, eni, path, barrier, overlapped } = attached;
    let (path, how) = match path {
        Path::SameNode => ("same-node", "was there already"),
        Path::Moved => ("moved", "was assigned to it"),
    };
    let mut message = format!("{address} works on {eni}: it {how}");
    if *barrier {
        message.push_str("; calls of an earlier holder were waited for");
    }
    if *overlapped {
        message.push_str("; a predecessor still used it when its grace period ran out");
    }
    Report {
        address: Some(*address),
        eni: Some(eni.clone()),
        epoch: Some(*epoch),
        path: Some(path),
        ..Report::new(Exit::Success, message)
    }
}

fn mended_message(what: Mended) -> &'static str {
    match what {
        Mended::GaveWay => "out of this node's kernel: the address belongs elsewhere",
        Mended::Reasserted => "taken back: EC2 had it on another ENI",
        Mended::Restored => "back in this node's kernel: something had stripped it",
        Mended::Collected => "out of this node's kernel: no record claims it",
        Mended::NothingToDo => "nothing to mend",
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

fn released_message(release: Release) -> &'static str {
    match release {
        Release::Parked => "released; EC2 keeps the address on this node's ENI as a reservation",
        Release::Unassigned => "released and given back to the subnet",
        Release::NotHolder => "nothing to release: this pod does not hold an address (any more)",
        Release::NotEnding => "nothing released: the pod is not ending",
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use firecamp_core::failure::{Effect, RegistryKind};
    use firecamp_core::ids::{EniId, Epoch};

    use super::*;

    #[test]
    fn an_attach_tells_address_eni_epoch_and_way() {
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
    fn every_release_succeeds_and_says_what_it_did() {
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
