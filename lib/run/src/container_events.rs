//! Which reports of a container become an Event.

use std::time::Duration;

use firecamp_core::contract::event::Notice;
use firecamp_core::contract::exit::Exit;

use crate::report::Report;

/// The longest time that an Event may delay the end of a container. A healthy API server responds
/// within a few milliseconds; the termination message has the same text anyway.
pub const WITHIN: Duration = Duration::from_millis(300);

/// The Event of an init container: for every attach that was not interrupted by a signal.
pub fn of_attach(report: &Report) -> Option<Notice> {
    match report.exit {
        Exit::Success => Some(Notice::AddressAttached),
        Exit::Interrupted => None,
        Exit::Usage
        | Exit::Superseded
        | Exit::AddressUnavailable
        | Exit::NoCapacity
        | Exit::CloudRefused
        | Exit::TimedOut
        | Exit::RegistryUnavailable
        | Exit::RegistryInvalid
        | Exit::NodeUnsuitable
        | Exit::DiskRefused
        | Exit::KernelRefused
        | Exit::RegistryRefused
        | Exit::VersionMismatch
        | Exit::ControllerMismatch
        | Exit::AgentUnavailable
        | Exit::TokenRefused
        | Exit::NamespaceNotAllowed
        | Exit::Internal => Some(Notice::AddressAttachFailed),
    }
}

/// The Event of a stop container: only for releases that need attention.
pub fn of_release(report: &Report) -> Option<Notice> {
    if report.exit == Exit::Success {
        return report.cut_short.then_some(Notice::AddressStillUsed);
    }
    of_attach(report).map(|_failed| Notice::AddressReleaseFailed)
}

/// The text of the Event.
pub fn text(report: &Report) -> String {
    let Report { exit, message, .. } = report;
    if *exit == Exit::Success {
        return message.clone();
    }
    format!("{} ({}): {message}; {}", exit.reason(), exit.code(), exit.advice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(exit: Exit) -> Report {
        Report::new(exit, "cause")
    }

    #[test]
    fn every_attach_without_a_signal_has_an_event() {
        assert_eq!(of_attach(&ended(Exit::Success)), Some(Notice::AddressAttached));
        assert_eq!(of_attach(&ended(Exit::Interrupted)), None);
        for exit in Exit::ALL {
            if !matches!(exit, Exit::Success | Exit::Interrupted) {
                assert_eq!(of_attach(&ended(exit)), Some(Notice::AddressAttachFailed), "{exit:?}");
            }
        }
    }

    #[test]
    fn only_a_release_that_needs_attention_has_an_event() {
        assert_eq!(of_release(&ended(Exit::Success)), None);
        assert_eq!(of_release(&ended(Exit::Interrupted)), None);
        let cut = Report { cut_short: true, ..ended(Exit::Success) };
        assert_eq!(of_release(&cut), Some(Notice::AddressStillUsed));
        let failed = of_release(&ended(Exit::RegistryUnavailable));
        assert_eq!(failed, Some(Notice::AddressReleaseFailed));
    }

    #[test]
    fn a_failure_has_reason_code_and_advice() {
        let text = text(&ended(Exit::NoCapacity));
        assert!(text.starts_with("NoCapacity (12): cause; "), "{text}");
        assert!(text.ends_with(Exit::NoCapacity.advice()), "{text}");
        assert_eq!(super::text(&ended(Exit::Success)), "cause");
    }
}
