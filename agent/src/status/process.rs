//! Process metrics with the standard names of Prometheus client libraries.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::table::process_help;

/// `USER_HZ`: clock ticks per second in `/proc`, the same on every Linux system.
const TICKS: f64 = 100.0;

/// Reads `/proc/self` on each scrape; exports nothing if that fails.
#[derive(Debug)]
pub(super) struct Process;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Used {
    cpu_seconds: f64,
    start_seconds: f64,
    resident_bytes: i64,
    open_files: i64,
}

impl Used {
    fn read() -> Option<Self> {
        let text = |path: &str| fs::read_to_string(path).ok();
        let open_files = fs::read_dir("/proc/self/fd").ok()?.count();
        Self::parse(
            &text("/proc/self/stat")?,
            &text("/proc/self/status")?,
            &text("/proc/stat")?,
            open_files,
        )
    }

    fn parse(stat: &str, status: &str, machine: &str, open_files: usize) -> Option<Self> {
        // The program name may contain any character, including brackets and spaces.
        let (_, fields) = stat.rsplit_once(") ")?;
        let field = |nth: usize| fields.split(' ').nth(nth)?.parse::<f64>().ok();
        let (user, system, started) = (field(11)?, field(12)?, field(19)?);
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: i64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
        let booted = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
        Some(Self {
            cpu_seconds: (user + system) / TICKS,
            start_seconds: booted.trim().parse::<f64>().ok()? + started / TICKS,
            resident_bytes: kilobytes.saturating_mul(1024),
            open_files: i64::try_from(open_files).ok()?,
        })
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(used) = Used::read() else { return Ok(()) };
        let mut write = |name: &'static str, metric: &dyn Encode| {
            // The library appends a full stop to the help of other metrics.
            metric.write(&mut encoder, name, &format!("{}.", process_help(name)))
        };
        write("process_cpu_seconds", &ConstCounter::new(used.cpu_seconds))?;
        write("process_start_time_seconds", &ConstGauge::new(used.start_seconds))?;
        write("process_resident_memory_bytes", &ConstGauge::new(used.resident_bytes))?;
        write("process_open_fds", &ConstGauge::new(used.open_files))
    }
}

/// A metric of any type.
trait Encode {
    fn write(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
    ) -> Result<(), std::fmt::Error>;
}

impl<M: EncodeMetric> Encode for M {
    fn write(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
    ) -> Result<(), std::fmt::Error> {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_parsed_whatever_the_program_name() {
        let numbers = (4..=22).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let stat = format!("7 (a) (b ) S {numbers} 0");
        let status = "Name:\ta\nVmRSS:\t    2048 kB\n";
        let used = Used::parse(&stat, status, "cpu 1\nbtime 1000\n", 5).unwrap();
        // Fields 14, 15 and 22 of proc(5).
        assert_eq!(
            used,
            Used {
                cpu_seconds: 0.29,
                start_seconds: 1000.22,
                resident_bytes: 2_097_152,
                open_files: 5,
            }
        );
        assert_eq!(Used::parse("7 (a) S 1", status, "btime 1", 5), None);
        assert!(Used::read().unwrap().resident_bytes > 0);
    }
}
