//! The machine and the time of a run.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

/// Properties of the machine that a reader needs to interpret the figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Processors that this process may use.
    pub(crate) cores: usize,
    /// Their model.
    pub(crate) processor: String,
    /// The kernel.
    pub(crate) kernel: String,
    /// Total memory in mebibytes.
    pub(crate) memory_mib: u64,
    /// The one-minute load averages at the start and the end. A load above about 1 is other work.
    pub(crate) load: (f64, f64),
    /// Whether the benchmark ran as root.
    pub(crate) root: bool,
    /// Its nice value; below 0 it had priority over other work.
    #[serde(default)]
    pub(crate) nice: i64,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let kernel = uname().map(|name| name.release().to_string_lossy().into_owned());
        let load = load();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: field("/proc/cpuinfo", "model name").unwrap_or_default(),
            kernel: kernel.unwrap_or_default(),
            memory_mib: memory().unwrap_or_default() / 1024,
            load: (load, load),
            root: nix::unistd::geteuid().is_root(),
            nice: nice().unwrap_or_default(),
        }
    }

    pub(crate) fn look_again(&mut self) {
        self.load.1 = load();
    }
}

/// Field 19 of `/proc/self/stat`; the fields are counted after the name in brackets.
fn nice() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(16)?.parse().ok()
}

/// The one-minute load average.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

fn memory() -> Option<u64> {
    field("/proc/meminfo", "MemTotal")?.split_whitespace().next()?.parse().ok()
}

/// The value of the first line `name: value` in a file of procfs.
pub(crate) fn field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let values = text.lines().filter_map(|line| line.split_once(':'));
    let mut named = values.filter(|(key, _)| key.trim() == name);
    named.next().map(|(_, value)| value.trim().to_owned())
}

/// The current commit, with a `+` if files were modified; empty without git.
pub(crate) fn commit(root: &Path) -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(words).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short=10", "HEAD"]) else { return String::new() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    let changed = changed.is_some_and(|files| !files.is_empty());
    if changed { format!("{head}+") } else { head }
}

/// The current time, such as `2026-11-20T12:34:56Z`.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    utc(since.as_secs())
}

/// Formats a Unix time. The date follows Howard Hinnant's `civil_from_days`.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let gone = day_of_era / 1_460 + day_of_era / 146_096;
    let year_of_era = (day_of_era + day_of_era / 36_524 - gone) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest % 3600 / 60, rest % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_times_are_formatted_as_calendar_dates() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_795_177_800), "2026-11-20T12:30:00Z");
    }

    #[test]
    fn procfs_field_is_found_by_its_complete_name() {
        assert!(field("/proc/self/status", "VmHWM").unwrap().ends_with("kB"));
        assert_eq!(field("/proc/self/status", "Vm"), None);
    }
}
