//! Many concurrent moves under EC2's token bucket.

use std::rc::Rc;
use std::time::Duration;

use firecamp_sim_tests::{Cluster, Pod, Release, attached, released};
use firecamp_vpc::Profile;
use tokio::task::LocalSet;
use tokio::time::Instant;

const MEMBERS: u32 = 150;

/// 150 addresses are parked, and all 150 pods start on other nodes in the same second. The bucket
/// for Assign holds 100 tokens and gains 5 per second, so the last call passes after 10 s at the
/// earliest.
#[tokio::test(start_paused = true)]
async fn f050_150_concurrent_moves_finish_as_fast_as_the_token_bucket_allows() {
    let cluster = Rc::new(Cluster::wide(8, Profile::fast()));
    let local = LocalSet::new();
    local
        .run_until(async {
            for number in 0..MEMBERS {
                let pod = pod(number, number % 8);
                attached(pod.init(&cluster).await);
                released(pod.stop(&cluster, Release::default()).await);
                if number % 5 == 4 {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
            }
            tokio::time::sleep(Duration::from_mins(2)).await;
            let since = cluster.last_call();
            let begun = Instant::now();
            let mut starts = Vec::new();
            for number in 0..MEMBERS {
                let cluster = Rc::clone(&cluster);
                starts.push(tokio::task::spawn_local(async move {
                    attached(pod(number, (number + 1) % 8).init(&cluster).await);
                }));
            }
            for start in starts {
                start.await.expect("the attach succeeds");
            }
            let took = begun.elapsed();
            let allowed = Duration::from_secs(10);
            println!("{MEMBERS} members in {took:?}; {:?}", cluster.costs(since));
            assert!(
                took <= allowed.mul_f64(1.1),
                "the moves took {took:?}; the token bucket allows {allowed:?}"
            );
        })
        .await;
    cluster.audit();
}

fn pod(number: u32, node: u32) -> Pod {
    Pod::of(&format!("redis-{number}"), &format!("u{number}-{node}"), &format!("node-{node}"))
}
