//! What processes and their network use, from procfs.

use std::time::Duration;

use nix::unistd::Pid;

use crate::failure::Failure;
use crate::machine::field;

/// `USER_HZ`, which is the same on every architecture of the images.
const TICKS_PER_SECOND: u64 = 100;

/// The CPU time of a process, including threads that have ended.
pub(super) fn cpu(pid: Pid) -> Result<Duration, Failure> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).map_err(Failure::of(&path))?;
    let ticks = ticks(&text).ok_or_else(|| Failure::new(format!("{path}: {text}")))?;
    Ok(Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND)))
}

/// User and system time; the fields are counted after the name in brackets.
fn ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |index: usize| fields.get(index)?.parse::<u64>().ok();
    field(11)?.checked_add(field(12)?)
}

/// A memory figure of a process in MiB: `VmRSS`, `VmHWM`.
pub(super) fn mebibytes(pid: Pid, line: &str) -> Result<f64, Failure> {
    let text = field(&format!("/proc/{pid}/status"), line).unwrap_or_default();
    let kib = text.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
    let kib = kib.ok_or_else(|| Failure::new(format!("failed to read {line} of process {pid}")))?;
    Ok(kib / 1024.0)
}

/// Bytes that the machine of a process has sent and received, except to itself.
pub(super) fn network(pid: Pid) -> Result<f64, Failure> {
    let path = format!("/proc/{pid}/net/dev");
    let text = std::fs::read_to_string(&path).map_err(Failure::of(&path))?;
    Ok(transferred(&text))
}

fn transferred(text: &str) -> f64 {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let others = lines.filter(|(name, _)| name.trim() != "lo");
    let bytes = others.flat_map(|(_, counters)| {
        let counters: Vec<&str> = counters.split_whitespace().collect();
        [0, 8].map(|at| counters.get(at).and_then(|text| text.parse::<f64>().ok()))
    });
    bytes.flatten().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 1 0 0";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("nothing"), None);
    }

    #[test]
    fn bytes_of_loopback_do_not_count() {
        let text = "Inter-|   Receive\n face |bytes    packets\n\
            lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n\
            ens5: 100 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n";
        assert!((transferred(text) - 120.0).abs() < 1e-9);
    }

    #[test]
    fn the_figures_of_this_process_are_read() {
        let this = nix::unistd::getpid();
        assert!(mebibytes(this, "VmRSS").unwrap() > 0.1);
        assert!(cpu(this).is_ok() && network(this).is_ok());
    }
}
