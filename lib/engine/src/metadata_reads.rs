//! The metadata service for attaches that run in one process: each read answers all that wait for
//! it. EC2 drops what exceeds 1,024 packets a second to the link-local addresses of an interface,
//! and the node's DNS shares this limit (ec2-semantics, IMDSv2).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use firecamp_core::contract::timing;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::Mac;
use tokio::time::{Instant, sleep_until};

type Listed = Result<BTreeSet<Ipv4Addr>, CloudFailure>;

/// The reads of each interface. At most one is open, and two begin
/// [`timing::SHARED_METADATA_POLL`] apart.
#[derive(Debug, Default)]
pub(crate) struct MetadataReads {
    last: Mutex<BTreeMap<Mac, Arc<tokio::sync::Mutex<Option<Read>>>>>,
}

#[derive(Debug)]
struct Read {
    begun: Instant,
    listed: Listed,
}

impl MetadataReads {
    /// What a read lists that begins after this call. A caller that is dropped delays nobody.
    pub(crate) async fn listed(&self, mac: Mac, read: impl Future<Output = Listed>) -> Listed {
        let called = Instant::now();
        let last = self.of(mac);
        let mut last = last.lock().await;
        if let Some(Read { begun, listed }) = &*last {
            if *begun > called {
                return listed.clone();
            }
            sleep_until(*begun + timing::SHARED_METADATA_POLL).await;
        }
        let begun = Instant::now();
        let listed = read.await;
        *last = Some(Read { begun, listed: listed.clone() });
        listed
    }

    fn of(&self, mac: Mac) -> Arc<tokio::sync::Mutex<Option<Read>>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(last.entry(mac).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    fn listing(last: u8) -> Listed {
        Ok([Ipv4Addr::new(10, 0, 1, last)].into())
    }

    async fn read(last: u8) -> Listed {
        sleep(Duration::from_millis(10)).await;
        listing(last)
    }

    /// What was listed before an Assign proves nothing about it.
    #[tokio::test(start_paused = true)]
    async fn f147_a_call_gets_no_read_that_began_before_it_and_shares_the_next() {
        let (reads, mac) = (MetadataReads::default(), "06:00:00:00:00:01".parse().unwrap());
        let later = async |number| {
            sleep(Duration::from_millis(5)).await;
            reads.listed(mac, read(number)).await
        };
        let all = tokio::join!(reads.listed(mac, read(1)), later(2), later(3));
        assert_eq!(all, (listing(1), listing(2), listing(2)));
        sleep(timing::SHARED_METADATA_POLL).await;
        assert_eq!(reads.listed(mac, read(4)).await, listing(4));
    }
}
