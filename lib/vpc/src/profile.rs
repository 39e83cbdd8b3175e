//! Timing profiles: one distribution per duration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An invalid distribution of a timing profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("timing profile, {field}: {problem}")]
pub struct ProfileError {
    /// The field of the profile.
    pub field: &'static str,
    /// The problem.
    pub problem: String,
}

/// A distribution, defined by its median, 99th percentile and maximum in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The maximum.
    pub max_ms: f64,
}

impl Distribution {
    /// A distribution with this median, 99th percentile and maximum.
    pub const fn new(p50_ms: f64, p99_ms: f64, max_ms: f64) -> Self {
        Self { p50_ms, p99_ms, max_ms }
    }

    /// The value at a quantile in 0..1: linear from half the median (or 0) to the median, to the
    /// 99th percentile, and to the maximum.
    pub fn quantile(&self, q: f64) -> Duration {
        let line = |from: f64, to: f64, part: f64| from + (to - from) * part;
        let ms = if q < 0.5 {
            line(self.p50_ms / 2.0, self.p50_ms, q / 0.5)
        } else if q < 0.99 {
            line(self.p50_ms, self.p99_ms, (q - 0.5) / 0.49)
        } else {
            line(self.p99_ms, self.max_ms, ((q - 0.99) / 0.01).min(1.0))
        };
        Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::ZERO)
    }

    fn problem(&self) -> Option<String> {
        let values = [self.p50_ms, self.p99_ms, self.max_ms];
        if values.iter().any(|v| !v.is_finite() || *v < 0.0 || *v > 86_400_000.0) {
            return Some("times are from 0 to one day".to_owned());
        }
        (self.p50_ms > self.p99_ms || self.p99_ms > self.max_ms)
            .then(|| "p50_ms <= p99_ms <= max_ms does not hold".to_owned())
    }
}

/// The timing profile. The defaults of the realistic one: ec2-semantics.md section 4.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// From the arrival of a Describe to its response.
    pub describe_latency: Distribution,
    /// From the arrival of an Assign or Unassign to its response.
    pub assign_latency: Distribution,
    /// From the commit to the switch of the data path.
    pub data_path_remap: Distribution,
    /// From the commit until Describe shows it, for each reader and commit.
    pub describe_lag: Distribution,
    /// From the commit until `availableIpAddressCount` shows it.
    pub free_count_lag: Distribution,
    /// From the commit until the metadata service lists the address; never before the data path has
    /// switched.
    pub imds_add_lag: Distribution,
    /// From the commit until the metadata service no longer lists the address.
    pub imds_removal_lag: Distribution,
    /// From the arrival of a metadata request to its response.
    pub imds_latency: Distribution,
    /// From the detachment of an ENI until EC2 and, lagging, the metadata service no longer have
    /// it. The host loses its link half-way.
    pub eni_detach: Distribution,
    /// From the creation of an ENI until calls that change it find it.
    pub eni_create: Distribution,
    /// From the attachment of an ENI until it is `attached`.
    pub eni_attach: Distribution,
    /// From the attachment of an ENI until the kernel has its link.
    pub eni_hot_plug: Distribution,
    /// From the first listing of a new ENI by the metadata service until the entry is complete:
    /// first most keys are missing, then `device-number` still reads 0.
    pub imds_settle: Distribution,
    /// From the commit until DescribeVolumes shows it.
    pub volume_lag: Distribution,
    /// From the attachment of a volume until it is `attached`.
    pub ebs_attach: Distribution,
    /// From the detachment of a volume until it is `available`.
    pub ebs_detach: Distribution,
    /// From a change of records until the resolver of the VPC answers with it.
    pub dns_propagation: Distribution,
    /// A mutating call takes effect within this time after its arrival, unless a fault delays it.
    /// Less than T (5 s), which counts from the sending, by a margin for the request's transit.
    pub landing_limit_ms: u64,
}

impl Profile {
    /// Durations observed on AWS.
    pub const fn realistic() -> Self {
        Self {
            describe_latency: Distribution::new(60.0, 400.0, 10_000.0),
            assign_latency: Distribution::new(250.0, 1_500.0, 15_000.0),
            data_path_remap: Distribution::new(1_200.0, 2_500.0, 30_000.0),
            describe_lag: Distribution::new(0.0, 3_000.0, 60_000.0),
            free_count_lag: Distribution::new(1_000.0, 30_000.0, 300_000.0),
            imds_add_lag: Distribution::new(1_000.0, 10_000.0, 60_000.0),
            imds_removal_lag: Distribution::new(5_000.0, 30_000.0, 60_000.0),
            imds_latency: Distribution::new(1.0, 5.0, 50.0),
            eni_detach: Distribution::new(2_000.0, 20_000.0, 120_000.0),
            eni_create: Distribution::new(0.0, 3_000.0, 60_000.0),
            eni_attach: Distribution::new(2_000.0, 10_000.0, 60_000.0),
            eni_hot_plug: Distribution::new(2_000.0, 10_000.0, 60_000.0),
            imds_settle: Distribution::new(4_000.0, 12_000.0, 12_000.0),
            volume_lag: Distribution::new(0.0, 3_000.0, 60_000.0),
            ebs_attach: Distribution::new(2_000.0, 10_000.0, 60_000.0),
            ebs_detach: Distribution::new(2_000.0, 10_000.0, 60_000.0),
            dns_propagation: Distribution::new(5_000.0, 30_000.0, 60_000.0),
            landing_limit_ms: 4_500,
        }
    }

    /// A few milliseconds for everything.
    pub const fn fast() -> Self {
        Self {
            describe_latency: Distribution::new(2.0, 5.0, 10.0),
            assign_latency: Distribution::new(4.0, 10.0, 20.0),
            data_path_remap: Distribution::new(5.0, 15.0, 30.0),
            describe_lag: Distribution::new(0.0, 10.0, 30.0),
            free_count_lag: Distribution::new(5.0, 30.0, 100.0),
            imds_add_lag: Distribution::new(5.0, 20.0, 40.0),
            imds_removal_lag: Distribution::new(10.0, 30.0, 60.0),
            imds_latency: Distribution::new(0.2, 1.0, 2.0),
            eni_detach: Distribution::new(10.0, 30.0, 60.0),
            eni_create: Distribution::new(0.0, 10.0, 30.0),
            eni_attach: Distribution::new(10.0, 30.0, 60.0),
            eni_hot_plug: Distribution::new(10.0, 30.0, 60.0),
            imds_settle: Distribution::new(10.0, 30.0, 60.0),
            volume_lag: Distribution::new(0.0, 10.0, 30.0),
            ebs_attach: Distribution::new(10.0, 30.0, 60.0),
            ebs_detach: Distribution::new(10.0, 30.0, 60.0),
            dns_propagation: Distribution::new(10.0, 30.0, 60.0),
            landing_limit_ms: 4_500,
        }
    }

    /// Validates every distribution.
    pub fn check(&self) -> Result<(), ProfileError> {
        let all = [
            ("describe_latency", self.describe_latency),
            ("assign_latency", self.assign_latency),
            ("data_path_remap", self.data_path_remap),
            ("describe_lag", self.describe_lag),
            ("free_count_lag", self.free_count_lag),
            ("imds_add_lag", self.imds_add_lag),
            ("imds_removal_lag", self.imds_removal_lag),
            ("imds_latency", self.imds_latency),
            ("eni_detach", self.eni_detach),
            ("eni_create", self.eni_create),
            ("eni_attach", self.eni_attach),
            ("eni_hot_plug", self.eni_hot_plug),
            ("imds_settle", self.imds_settle),
            ("volume_lag", self.volume_lag),
            ("ebs_attach", self.ebs_attach),
            ("ebs_detach", self.ebs_detach),
            ("dns_propagation", self.dns_propagation),
        ];
        let bad = all.iter().find_map(|(field, d)| d.problem().map(|problem| (*field, problem)));
        match bad {
            Some((field, problem)) => Err(ProfileError { field, problem }),
            None if self.landing_limit_ms >= 5_000 => Err(ProfileError {
                field: "landing_limit_ms",
                problem: "must be less than 5000 ms".to_owned(),
            }),
            None => Ok(()),
        }
    }
}
