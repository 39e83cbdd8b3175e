//! A real service, as users make it: Redis with a replica and Sentinel. Its members, its Sentinels
//! and its client know addresses alone.

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;

use super::processes::{output_of, processes, send};
use super::producer::{Producer, verify_kept};
use super::test_cluster::{TestCluster, ensure, text};
use super::volumes::SHARED_CLASS;
use crate::install::{is_condition_true, source, until};
use crate::up::Running;
use crate::{Outcome, images};

const REDIS: &str = "prod/redis";
const SENTINEL: &str = "prod/sentinel";
const SERVICES: [&str; 2] = ["redis", "sentinel"];
/// Succeeds in the member that the others copy.
const IS_PRIMARY: &str = "redis-cli --raw role | { read -r role; [ \"$role\" = master ]; }";
/// A member is ready once it has what the primary has.
const IS_READY: &str = "r=$(redis-cli info replication); \
    case $r in *role:master*|*master_link_status:up*) ;; *) false;; esac";
/// A client of Redis in the VPC, with the static addresses of the Sentinels.
#[derive(Clone)]
struct RedisClient {
    running: Running,
    sentinels: Vec<Ipv4Addr>,
}

impl RedisClient {
    async fn of(cluster: &TestCluster<'_>) -> Outcome<Self> {
        let sentinels = cluster.addresses_of("sentinel", 3).await?;
        Ok(Self { running: cluster.running.clone(), sentinels })
    }

    fn ask(&self, address: Ipv4Addr, port: &str, words: &[&str]) -> Outcome<Vec<String>> {
        let mut command = self.running.on_machine("client", "timeout")?;
        command.args(["2", "redis-cli", "--raw", "-h", &address.to_string()]);
        let answer = output_of(command.args(["-p", port]).args(words))?;
        Ok(answer.lines().map(str::to_owned).collect())
    }

    /// Whom a Sentinel names as the primary.
    fn primary(&self) -> Outcome<Ipv4Addr> {
        let words = ["sentinel", "get-master-addr-by-name", "main"];
        let ask = |sentinel: &Ipv4Addr| self.ask(*sentinel, "26379", &words).ok();
        let answer = self.sentinels.iter().find_map(ask).ok_or("no Sentinel answers")?;
        answer.first().and_then(|line| line.parse().ok()).ok_or_else(|| format!("{answer:?}"))
    }

    /// Writes a number. Whether it is acknowledged: the replica has it as well.
    fn write(&self, number: u64) -> Outcome<bool> {
        let primary = self.primary()?;
        let mut command = self.running.on_machine("client", "timeout")?;
        let text = format!(
            "printf 'set n{number} {number}\\nwait 1 1000\\n' | redis-cli --raw -h {primary}"
        );
        let answer = output_of(command.args(["3", "sh", "-c", &text]))?;
        Ok(answer.lines().eq(["OK", "1"]))
    }

    async fn start(&self) -> Outcome<Producer> {
        let client = self.clone();
        Producer::start(move |number| client.write(number).unwrap_or(false)).await
    }

    /// Everything that was acknowledged is there.
    fn verify(&self, producer: Producer) -> Outcome<usize> {
        let acknowledged = producer.end()?;
        let keys = self.ask(self.primary()?, "6379", &["keys", "n*"])?;
        let kept = keys.iter().filter_map(|key| key.get(1..)?.parse().ok()).collect();
        verify_kept(&acknowledged, &kept)
    }
}

impl TestCluster<'_> {
    /// Makes both services, with commands that users type.
    async fn create_redis(&self) -> Outcome {
        let archive = self.running.home.path("redis.tar");
        images::redis(&archive)?;
        self.import_images(&archive)?;
        for member in ["redis-0", "redis-1"] {
            self.create_shared_volume(&format!("redis-data-{member}")).await?;
        }
        let scripts = ["member.sh", "sentinel.sh"];
        let [member, sentinel] =
            scripts.map(|name| source(&format!("tests/cluster/src/e2e/redis/{name}")));
        let common = ["create", "--image", images::REDIS, "--pool", "main", "--user", "65532"];
        let common = [&common[..], &["--share-nodes", "--grace", "5", "--wait"]].concat();
        let redis = ["--replicas", "2", "--port", "redis=6379", "--config", &member];
        let volume = ["--data", "1Gi", "--data-class", SHARED_CLASS];
        let roles = ["--primary-command", IS_PRIMARY, "--ready-command", IS_READY];
        let run = ["--", "sh", "/data/conf/member.sh"];
        let words =
            [&common[..], &redis, &volume, &roles, &["--order", "primary-last"], &run].concat();
        self.service_exits_of(REDIS, &words, 0).await?;
        let primary = format!("PRIMARY={}", self.address("redis-0").await?);
        let words = ["--replicas", "3", "--port", "sentinel=26379", "--config", &sentinel];
        let run = ["--env", &primary, "--", "sh", "/data/conf/sentinel.sh"];
        self.service_exits_of(SENTINEL, &[&common[..], &words, &run].concat(), 0).await.map(drop)
    }

    /// The member with this address.
    async fn member_at(&self, address: Ipv4Addr) -> Outcome<String> {
        for number in 0..2 {
            let name = format!("redis-{number}");
            if self.address(&name).await? == address {
                return Ok(name);
            }
        }
        Err(format!("no member has {address}"))
    }

    /// Restarts in an order while a client writes; returns who was the primary, and who is it.
    async fn restart_redis(&self, client: &RedisClient, order: &str) -> Outcome<[String; 2]> {
        let before = self.member_at(client.primary()?).await?;
        let producer = client.start().await?;
        self.restart_in(REDIS, order, 2).await?;
        let count = client.verify(producer)?;
        let after = self.member_at(client.primary()?).await?;
        crate::cli::print_line(&format!("        {order}: {count} records, none lost"))?;
        Ok([before, after])
    }
}

pub(super) async fn redis_keeps_its_addresses_and_every_acknowledged_record(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let outcome = life_of_redis(cluster).await;
    cluster.with_logs_of(&["redis-0", "redis-1", "sentinel-0", "sentinel-1"], outcome).await
}

async fn life_of_redis(cluster: &TestCluster<'_>) -> Outcome {
    cluster.create_redis().await?;
    let addresses = cluster.addresses_of("redis", 2).await?;
    let client = RedisClient::of(cluster).await?;
    let sentinels = client.sentinels.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let known = format!("SENTINELS={sentinels}");
    until("the Sentinels know the replica", || async {
        let words = ["sentinel", "replicas", "main"];
        let sentinel = client.sentinels.first().ok_or("no Sentinel")?;
        let replicas = client.ask(*sentinel, "26379", &words)?;
        ensure(replicas.contains(&addresses[1].to_string()), || replicas.join(" "))
    })
    .await?;

    // From now on, members ask the Sentinels, by addresses that never change.
    cluster.update_env(REDIS, &known, 2).await?;
    // The primary is the last one: a replica is promoted when it goes.
    let [before, after] = cluster.restart_redis(&client, "primary-last").await?;
    ensure(before != after, || format!("{before} is still the primary"))?;
    // The primary is the first one: then it is a replica, and the new primary follows.
    let [before, after] = cluster.restart_redis(&client, "primary-first").await?;
    ensure(before == after, || format!("{before}, then {after}"))?;
    for order in ["ordinal", "reverse"] {
        cluster.restart_redis(&client, order).await?;
    }
    lose_the_primary(cluster, &client).await?;

    for members in [1, 2] {
        cluster.scale_to(REDIS, members).await?;
    }
    cluster.service_exits_of(REDIS, &["stop"], 0).await?;
    cluster.service_exits_of(REDIS, &["start", "--wait"], 0).await?;
    let now = cluster.addresses_of("redis", 2).await?;
    ensure(now == addresses, || format!("{now:?} instead of {addresses:?}"))?;
    client.verify(client.start().await?)?;
    cluster.service_exits_of(SENTINEL, &["delete", "--yes"], 0).await?;
    cluster.delete_with_volumes(REDIS).await
}

/// The primary's node is drained, then that of the next primary is lost, then a primary's process
/// dies; nothing acknowledged is lost.
async fn lose_the_primary(cluster: &TestCluster<'_>, client: &RedisClient) -> Outcome {
    let producer = client.start().await?;
    let primary = cluster.member_at(client.primary()?).await?;
    cluster.drain_node_of(&primary, &SERVICES).await?;
    producer.wait_more().await?;
    let primary = cluster.member_at(client.primary()?).await?;
    cluster.lose_node_of(&primary, &SERVICES).await?;
    producer.wait_more().await?;
    let primary = cluster.member_at(client.primary()?).await?;
    let uid = text(&cluster.pod(&primary).await?["metadata"]["uid"]);
    let servers = processes("cmdline", "redis-server");
    let own = processes("cgroup", &uid).into_iter().find(|process| servers.contains(process));
    send(own.ok_or("no redis-server")?, Signal::SIGKILL)?;
    until("another primary", || async {
        let now = cluster.member_at(client.primary()?).await?;
        let ready = is_condition_true(&cluster.pod(&primary).await?["status"], "Ready");
        ensure(now != primary && ready, || now)
    })
    .await?;
    producer.wait_more().await?;
    let count = client.verify(producer)?;
    crate::cli::print_line(&format!("        drain, node lost, kill: {count} records, none lost"))
}
