//! What the API server and etcd have done so far, by their own metrics and the kernel's.

use std::time::Duration;

use firecamp_testkit::kubernetes::Api;
use nix::unistd::Pid;
use tokio::time::Instant;

use super::control::Control;
use super::load::good;
use super::prometheus::sum;
use super::usage;
use crate::failure::Failure;

/// Both servers.
pub(super) struct Servers {
    api: Api,
    store: Api,
    pub(super) apiserver: Pid,
    pub(super) etcd: Pid,
}

/// Their counters at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Counters {
    at: Instant,
    cpu: Duration,
    store_cpu: Duration,
    network: f64,
    requests: f64,
    store_requests: f64,
    store_bytes: f64,
    lists: f64,
}

/// What they did between two times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Work {
    /// The length of the time.
    pub(super) seconds: f64,
    /// CPU time in seconds.
    pub(super) cpu: f64,
    pub(super) store_cpu: f64,
    /// Bytes between the API server and its clients, in both directions.
    pub(super) network: f64,
    /// Requests to the API server; a watch counts when it ends.
    pub(super) requests: f64,
    /// Requests to etcd, and bytes that it sent.
    pub(super) store_requests: f64,
    pub(super) store_bytes: f64,
    /// Lists that the API server sent to etcd.
    pub(super) lists: f64,
}

impl Servers {
    pub(super) fn new(api: Api, control: &Control) -> Result<Self, Failure> {
        let [apiserver, etcd] = control.pids()?;
        Ok(Self { api, store: Control::store_metrics()?, apiserver, etcd })
    }

    /// The counters at the begin of a time. Reading the metrics costs CPU time and bytes, which are
    /// outside of that time.
    pub(super) async fn begin(&self) -> Result<Counters, Failure> {
        let metrics = self.metrics().await?;
        self.counters(metrics)
    }

    /// The work since then.
    pub(super) async fn since(&self, before: &Counters) -> Result<Work, Failure> {
        let (cpu, network) = (usage::cpu(self.apiserver)?, usage::network(self.apiserver)?);
        let (store_cpu, at) = (usage::cpu(self.etcd)?, Instant::now());
        let after = self.counters(self.metrics().await?)?;
        Ok(Counters { at, cpu, store_cpu, network, ..after }.since(before))
    }

    async fn metrics(&self) -> Result<[String; 2], Failure> {
        let of =
            async |api: &Api| Ok::<_, Failure>(good("/metrics", api.get("/metrics").await)?.text);
        Ok([of(&self.api).await?, of(&self.store).await?])
    }

    fn counters(&self, [api, store]: [String; 2]) -> Result<Counters, Failure> {
        Ok(Counters {
            at: Instant::now(),
            cpu: usage::cpu(self.apiserver)?,
            store_cpu: usage::cpu(self.etcd)?,
            network: usage::network(self.apiserver)?,
            requests: sum(&api, "apiserver_request_total", &[]),
            store_requests: sum(&store, "grpc_server_started_total", &[]),
            store_bytes: sum(&store, "etcd_network_client_grpc_sent_bytes_total", &[]),
            lists: lists(&api),
        })
    }

    /// The requests so far that write anything but a Lease.
    pub(super) async fn writes(&self) -> Result<f64, Failure> {
        Ok(writes(&good("/metrics", self.api.get("/metrics").await)?.text))
    }

    /// The size of etcd's database in MiB.
    pub(super) async fn database(&self) -> Result<f64, Failure> {
        let [_, store] = self.metrics().await?;
        Ok(sum(&store, "etcd_mvcc_db_total_size_in_bytes", &[]) / MEBIBYTE)
    }
}

/// Lists that the API server sent to etcd. Its own `listWithCount` returns no objects.
fn lists(metrics: &str) -> f64 {
    let of = |name: &str| {
        let label = format!("operation=\"{name}\"");
        sum(metrics, "etcd_requests_total", &[label.as_str()])
    };
    of("list") + of("listStream")
}

fn writes(metrics: &str) -> f64 {
    let of = |verb: &&str| {
        let (label, leases) = (format!("verb=\"{verb}\""), "resource=\"leases\"");
        let sent = |labels: &[&str]| sum(metrics, "apiserver_request_total", labels);
        sent(&[label.as_str()]) - sent(&[label.as_str(), leases])
    };
    ["POST", "PUT", "PATCH", "APPLY", "DELETE"].iter().map(of).sum()
}

/// Bytes of a MiB and a KiB.
pub(super) const MEBIBYTE: f64 = 1_048_576.0;
pub(super) const KIBIBYTE: f64 = 1024.0;

impl Counters {
    fn since(&self, before: &Self) -> Work {
        let time = |after: Duration, before| after.saturating_sub(before).as_secs_f64();
        Work {
            seconds: self.at.duration_since(before.at).as_secs_f64(),
            cpu: time(self.cpu, before.cpu),
            store_cpu: time(self.store_cpu, before.store_cpu),
            network: self.network - before.network,
            requests: self.requests - before.requests,
            store_requests: self.store_requests - before.store_requests,
            store_bytes: self.store_bytes - before.store_bytes,
            lists: self.lists - before.lists,
        }
    }
}

impl Work {
    /// What is left when the work at rest is subtracted, for each of `count` changes. Less than 0
    /// if the changes cost less than the work at rest varies.
    pub(super) fn per_change(&self, rest: &Self, count: f64) -> Self {
        let each = |own: f64, rest_of: f64| (own - rest_of * self.seconds / rest.seconds) / count;
        Self {
            seconds: self.seconds / count,
            cpu: each(self.cpu, rest.cpu),
            store_cpu: each(self.store_cpu, rest.store_cpu),
            network: each(self.network, rest.network),
            requests: each(self.requests, rest.requests),
            store_requests: each(self.store_requests, rest.store_requests),
            store_bytes: each(self.store_bytes, rest.store_bytes),
            lists: each(self.lists, rest.lists),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(seconds: f64, other: f64) -> Work {
        Work {
            seconds,
            cpu: other,
            store_cpu: other,
            network: other,
            requests: other,
            store_requests: other,
            store_bytes: other,
            lists: other,
        }
    }

    #[test]
    fn a_change_costs_what_exceeds_the_work_at_rest() {
        let each = work(10.0, 30.0).per_change(&work(100.0, 100.0), 4.0);
        assert!((each.cpu - 5.0).abs() < 1e-9 && (each.seconds - 2.5).abs() < 1e-9, "{each:?}");
        let less = work(10.0, 2.0).per_change(&work(100.0, 100.0), 4.0);
        assert!((less.lists + 2.0).abs() < 1e-9, "{less:?}");
    }

    #[test]
    fn the_servers_count_of_its_objects_is_no_list() {
        let all = ["get", "list", "listStream", "listWithCount"];
        let all = all.map(|name| format!("etcd_requests_total{{operation=\"{name}\"}} 10\n"));
        assert!((lists(&all.concat()) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn a_renewed_lease_is_no_write() {
        let line = |resource: &str, verb: &str| {
            format!("apiserver_request_total{{resource=\"{resource}\",verb=\"{verb}\"}} 10\n")
        };
        let all = [("leases", "PATCH"), ("staticips", "PATCH"), ("pods", "GET"), ("pods", "POST")];
        let text: String = all.map(|(resource, verb)| line(resource, verb)).concat();
        assert!((writes(&text) - 20.0).abs() < 1e-9);
    }
}
