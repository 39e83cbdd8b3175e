//! Programs that attach network interfaces to the same node and assign their addresses to pods.
//!
//! Each plays one original in a process of its own, with the real SDK and on its own timers. It
//! decides as the original does, and from what the original knows: its memory, the metadata
//! service, or a Describe that lags. Comments name the files that it follows. What an original
//! does in the kernel or in Kubernetes is left out; files take the place of Kubernetes.
//!
//! | Arguments | Original |
//! | --- | --- |
//! | `ipamd PACE PODS MAX [TRUNK]` | ipamd of Amazon's VPC CNI v1.23, default settings |
//! | `vpc-resource-controller PACE TRUNK` | the VPC resource controller v1.7, for one node |
//! | `cilium-operator PACE PODS [KEY=VALUE…]` | Cilium's operator with ENI IPAM, for one node |
//!
//! PACE divides every time of the original. The file PODS contains the number of pods, MAX is the
//! kubelet's maximum of pods. ipamd creates the file TRUNK when it has room for a trunk interface,
//! as it adds the feature SecurityGroupsForPods to the CNINode; without the argument, security
//! groups for pods are off. The tags are Cilium's `exclude-interface-tags`.

mod cilium;
mod instance;
mod ipamd;
mod pods;
mod trunk;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use tokio::runtime::Builder;

use crate::parse;
use instance::Failure;

/// How much faster than its original a neighbour is.
#[derive(Debug, Clone, Copy)]
struct Pace(u32);

impl Pace {
    fn of(self, original: Duration) -> Duration {
        original / self.0.max(1)
    }

    async fn sleep(self, original: Duration) {
        tokio::time::sleep(self.of(original)).await;
    }
}

/// Runs a neighbour until the process is killed.
pub(crate) fn run(words: &[&str]) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        match words {
            ["ipamd", pace, pods, max] => {
                ipamd::run(Pace(parse(pace)?), (pods.as_ref(), parse(max)?), None).await
            }
            ["ipamd", pace, pods, max, trunk] => {
                let trunk = Some(trunk.as_ref());
                ipamd::run(Pace(parse(pace)?), (pods.as_ref(), parse(max)?), trunk).await
            }
            ["vpc-resource-controller", pace, trunk] => {
                trunk::run(Pace(parse(pace)?), trunk.as_ref()).await
            }
            ["cilium-operator", pace, pods, tags @ ..] => {
                let tag = |word: &&str| {
                    let (key, value) = word.split_once('=')?;
                    Some((key.to_owned(), value.to_owned()))
                };
                let tags: Option<BTreeMap<String, String>> = tags.iter().map(tag).collect();
                let tags = tags.ok_or_else(|| io::Error::other("a tag is KEY=VALUE"))?;
                cilium::run(Pace(parse(pace)?), pods.as_ref(), tags).await
            }
            _ => return Err(io::Error::other("no such neighbour")),
        }
        .map_err(|failure: Failure| io::Error::other(failure.to_string()))
    });
    ended.map(|never| match never {})
}

/// Writes a line to the log.
fn log(what: &str, why: &dyn Display) {
    // A log that cannot be written must not end the neighbour.
    io::stderr().write_all(format!("{what}: {why}\n").as_bytes()).ok();
}
