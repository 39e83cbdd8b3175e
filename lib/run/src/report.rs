//! The termination message: one line of JSON, for the kubelet and as the last line of the log.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use std::time::Duration;

use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::{EniId, Epoch};
use serde::Serialize;

use crate::config::{Identity, LogConfig};

/// The kubelet's size limit of a termination message.
pub const MAX_BYTES: usize = 4096;

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The exit of the process.
    pub exit: Exit,
    /// What happened, as text.
    pub message: String,
    /// The member's address, once known.
    pub address: Option<Ipv4Addr>,
    /// The ENI that has it.
    pub eni: Option<EniId>,
    /// The epoch of the attachment.
    pub epoch: Option<Epoch>,
    /// The path that the protocol took; stable.
    pub path: Option<&'static str>,
    /// Sockets still used the address when it was released.
    pub cut_short: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    result: &'static str,
    reason: &'static str,
    exit_code: u8,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    #[serde(rename = "podUID", skip_serializing_if = "Option::is_none")]
    pod_uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eni: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<u64>,
    message: &'a str,
    advice: &'static str,
}

impl Report {
    /// A report with this exit and message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { exit, message, address: None, eni: None, epoch: None, path: None, cut_short: false }
    }

    /// The report of a run that a signal terminated between two steps.
    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "terminated by a signal before the next step")
    }

    /// The report of a dry run whose plan could not be printed.
    pub fn unprintable(source: &io::Error) -> Self {
        Self::new(Exit::Internal, format!("failed to print the plan on stdout: {source}"))
    }

    /// The same report for a dry run.
    #[must_use]
    pub fn of_a_dry_run(self) -> Self {
        let message = format!("dry run, nothing was changed; expected result: {}", self.message);
        Self { message, path: Some("dry-run"), ..self }
    }

    /// The line, without a line break, at most [`MAX_BYTES`] long: the message is truncated to fit.
    pub fn line(&self, who: Option<&Identity>, elapsed: Option<Duration>) -> String {
        let render = |message: &str| self.render(message, who, elapsed);
        let full = render(&self.message);
        if full.len() <= MAX_BYTES {
            return full;
        }
        let limit = MAX_BYTES.saturating_sub(render("…").len());
        let mut used = 0_usize;
        let fits = |c: &char| {
            used = used.saturating_add(escaped_len(*c));
            used <= limit
        };
        let mut short: String = self.message.chars().take_while(fits).collect();
        short.push('…');
        render(&short)
    }

    fn render(&self, message: &str, who: Option<&Identity>, elapsed: Option<Duration>) -> String {
        let line = Line {
            result: if self.exit == Exit::Success { "succeeded" } else { "failed" },
            reason: self.exit.reason(),
            exit_code: self.exit.code(),
            retryable: self.exit.retryable(),
            member: who.map(|who| who.member.to_string()),
            pod_uid: who.map(|who| who.pod.as_str()),
            node: who.map(|who| who.node.as_str()),
            address: self.address,
            eni: self.eni.as_ref().map(EniId::as_str),
            epoch: self.epoch.map(|epoch| epoch.0),
            path: self.path,
            elapsed_ms: elapsed.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            message,
            advice: self.exit.advice(),
        };
        // Serialization of plain fields cannot fail.
        serde_json::to_string(&line).unwrap_or_else(|_source| self.exit.reason().to_owned())
    }

    /// Writes the termination message and returns the exit code.
    pub(crate) fn finish(
        &self,
        log: &LogConfig,
        who: Option<&Identity>,
        elapsed: Option<Duration>,
    ) -> ExitCode {
        let line = self.line(who, elapsed);
        if let Err(source) = write_termination_log(log, &line) {
            let file = log.termination_log.display();
            tracing::warn!(%file, error = %source, "failed to write termination message");
        }
        // If stderr is closed, there is nowhere to report the failure.
        writeln!(io::stderr(), "{line}").ok();
        ExitCode::from(self.exit.code())
    }
}

/// How many bytes a character takes inside a JSON string.
fn escaped_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}

fn write_termination_log(log: &LogConfig, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // Opening a FIFO without a reader must not block.
    options.write(true).truncate(true).create(log.create).custom_flags(nonblocking());
    match options.open(&log.termination_log) {
        Ok(mut file) => file.write_all(line.as_bytes()),
        Err(source) if source.kind() == io::ErrorKind::NotFound && !log.create => Ok(()),
        Err(source) => Err(source),
    }
}

fn nonblocking() -> i32 {
    nix::fcntl::OFlag::O_NONBLOCK.bits()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn parsed(report: &Report) -> Value {
        let line = report.line(None, None);
        assert!(line.len() <= MAX_BYTES && !line.contains('\n'), "{line}");
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn f018_exit_codes_and_reasons_are_unique() {
        let codes: BTreeSet<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        let reasons: BTreeSet<&str> = Exit::ALL.iter().map(|exit| exit.reason()).collect();
        assert_eq!(codes.len(), Exit::ALL.len());
        assert_eq!(reasons.len(), Exit::ALL.len());
    }

    #[test]
    fn line_has_message_exit_code_and_advice() {
        let mut report = Report::new(Exit::AddressUnavailable, "held by eni-0a1b2c3d");
        report.address = Some(Ipv4Addr::new(10, 0, 0, 7));
        report.epoch = Some(Epoch(4));
        let line = parsed(&report);
        assert_eq!(line["result"], "failed");
        assert_eq!(line["reason"], "AddressUnavailable");
        assert_eq!(line["exitCode"], 11);
        assert_eq!(line["retryable"], false);
        assert_eq!(line["address"], "10.0.0.7");
        assert_eq!(line["epoch"], 4);
        assert_eq!(line["message"], "held by eni-0a1b2c3d");
        assert!(line["advice"].as_str().unwrap().contains("holder"));
        assert!(line.get("eni").is_none());
    }

    #[test]
    fn only_a_file_other_than_the_default_is_created() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("log");
        let log = LogConfig { termination_log: file.clone(), ..LogConfig::default() };
        write_termination_log(&log, "x").unwrap();
        assert!(!file.exists());
        write_termination_log(&LogConfig { create: true, ..log.clone() }, "a long one").unwrap();
        write_termination_log(&log, "short").unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), "short");
    }

    proptest! {
        #[test]
        fn any_message_fits_on_one_line(message in "[\\PC\\x00-\\x1f\"\\\\]{0,6000}") {
            let line = parsed(&Report::new(Exit::Internal, message.clone()));
            let kept = line["message"].as_str().unwrap();
            let cut = kept.strip_suffix('…').unwrap_or(kept);
            prop_assert!(message.starts_with(cut));
        }
    }
}
