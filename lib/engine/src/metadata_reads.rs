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

/// The reads of each interface. Of one, at most one is open; any two begin
/// [`timing::METADATA_SPACING`] apart, because all leave by the interface that routes to the
/// service.
#[derive(Debug, Default)]
pub(crate) struct MetadataReads {
    last: Mutex<BTreeMap<Mac, Arc<tokio::sync::Mutex<Option<Read>>>>>,
    /// When the next read may begin.
    next: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Read {
    begun: Instant,
    listed: Listed,
}

impl MetadataReads {
    /// What a read lists that begins after this call. A caller that is dropped delays nobody for
    /// longer than its turn.
    pub(crate) async fn listed(&self, mac: Mac, read: impl Future<Output = Listed>) -> Listed {
        let called = Instant::now();
        let last = self.of(mac);
        let mut last = last.lock().await;
        if let Some(Read { begun, listed }) = &*last
            && *begun > called
        {
            return listed.clone();
        }
        sleep_until(self.turn()).await;
        let begun = Instant::now();
        let listed = read.await;
        *last = Some(Read { begun, listed: listed.clone() });
        listed
    }

    /// When a read may begin that is due now.
    fn turn(&self) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + timing::METADATA_SPACING);
        turn
    }

    fn of(&self, mac: Mac) -> Arc<tokio::sync::Mutex<Option<Read>>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(last.entry(mac).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    fn listing(last: u8) -> Listed {
        Ok([Ipv4Addr::new(10, 0, 1, last)].into())
    }

    async fn read(last: u8) -> Listed {
        sleep(Duration::from_millis(1)).await;
        listing(last)
    }

    fn mac(last: u8) -> Mac {
        format!("06:00:00:00:00:{last:02x}").parse().unwrap()
    }

    /// What was listed before an Assign proves nothing about it.
    #[tokio::test(start_paused = true)]
    async fn f147_a_call_gets_no_read_that_began_before_it_and_shares_the_next() {
        let reads = MetadataReads::default();
        let later = async |number| {
            sleep(Duration::from_micros(500)).await;
            reads.listed(mac(1), read(number)).await
        };
        let all = tokio::join!(reads.listed(mac(1), read(1)), later(2), later(3));
        assert_eq!(all, (listing(1), listing(2), listing(2)));
        sleep(timing::METADATA_SPACING).await;
        assert_eq!(reads.listed(mac(1), read(4)).await, listing(4));
    }

    #[tokio::test(start_paused = true)]
    async fn f147_reads_of_all_interfaces_together_keep_their_distance() {
        let (reads, begun) = (MetadataReads::default(), RefCell::new(Vec::new()));
        let poll = async |last| {
            for _read in 0..3 {
                let noted = async {
                    begun.borrow_mut().push(Instant::now());
                    read(last).await
                };
                assert_eq!(reads.listed(mac(last), noted).await, listing(last));
                sleep(timing::QUEUED_METADATA_POLL).await;
            }
        };
        tokio::join!(poll(1), poll(2));
        let begun = begun.into_inner();
        assert_eq!(begun.len(), 6);
        for pair in begun.windows(2) {
            assert_eq!(pair[1] - pair[0], timing::METADATA_SPACING);
        }
    }

    /// Otherwise every other attach would get every other read.
    #[tokio::test(start_paused = true)]
    async fn f147_attaches_that_poll_share_every_read() {
        let (reads, begun) = (MetadataReads::default(), RefCell::new(0));
        let poll = async |delay| {
            sleep(Duration::from_millis(delay)).await;
            for _read in 0..10 {
                let noted = async {
                    *begun.borrow_mut() += 1;
                    read(1).await
                };
                reads.listed(mac(1), noted).await.unwrap();
                sleep(timing::QUEUED_METADATA_POLL).await;
            }
        };
        tokio::join!(poll(0), poll(3), poll(7));
        let begun = begun.into_inner();
        assert!(begun <= 12, "{begun} reads for three times ten");
    }
}
