//! PostgreSQL with a streaming replica, as users make it: the replica and the clients know the
//! primary by its static address alone. Its data is on a volume that follows it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::processes::output_of;
use super::producer::{Producer, verify_kept};
use super::test_cluster::{TestCluster, ensure};
use super::volumes::SHARED_CLASS;
use crate::cli::print_line;
use crate::install::{source, until};
use crate::up::Running;
use crate::{Outcome, images};

const POSTGRES: &str = "prod/postgres";
const SERVICES: [&str; 1] = ["postgres"];
/// The primary is ready, and so is a replica that copies it.
const IS_READY: &str = "psql -h /dev/shm -U postgres -Atc 'select not pg_is_in_recovery() or \
    exists (select from pg_stat_wal_receiver)' | busybox grep -q t";
const IS_PRIMARY: &str =
    "psql -h /dev/shm -U postgres -Atc 'select pg_is_in_recovery()' | busybox grep -q f";

/// A client in the VPC, with the addresses of both members.
#[derive(Clone)]
struct SqlClient {
    running: Running,
    addresses: [Ipv4Addr; 2],
}

impl SqlClient {
    fn ask(&self, server: &str, sql: &str) -> Outcome<String> {
        let mut command = self.running.on_machine("client", "timeout")?;
        command.args(["5", images::PSQL, "-Atqc", sql]);
        command.arg(format!("{server} user=postgres connect_timeout=2"));
        output_of(&mut command)
    }

    /// At the member that takes writes.
    fn write(&self, sql: &str) -> Outcome<String> {
        let [one, two] = self.addresses;
        self.ask(&format!("host={one},{two} target_session_attrs=read-write"), sql)
    }

    async fn start(&self) -> Outcome<Producer> {
        let client = self.clone();
        Producer::start(move |number| {
            client.write(&format!("insert into numbers values ({number})")).is_ok()
        })
        .await
    }

    /// What was acknowledged is in both members.
    async fn verify(&self, producer: Producer) -> Outcome<usize> {
        let acknowledged = producer.end()?;
        for address in self.addresses {
            until(&format!("{address} has every record"), || async {
                let kept = self.ask(&format!("host={address}"), "select n from numbers")?;
                let kept: BTreeSet<u64> = kept.lines().filter_map(|n| n.parse().ok()).collect();
                verify_kept(&acknowledged, &kept)
            })
            .await?;
        }
        self.write("delete from numbers")?;
        Ok(acknowledged.len())
    }
}

impl TestCluster<'_> {
    async fn create_postgres(&self) -> Outcome<SqlClient> {
        let archive = self.running.home.path("postgres.tar");
        images::postgres(&archive)?;
        self.import_images(&archive)?;
        for number in 0..2 {
            let claim = format!("postgres-data-postgres-{number}");
            self.create_shared_volume(&claim).await?;
        }
        let script = source("tests/cluster/src/e2e/postgres/member.sh");
        let image = ["create", "--image", images::POSTGRES, "--pool", "main", "--user", "65532"];
        let volume = ["--data", "1Gi", "--data-class", SHARED_CLASS, "--config", &script];
        let members = ["--replicas", "2", "--port", "sql=5432", "--ready-command", IS_READY];
        let roles = ["--order", "primary-last", "--primary-command", IS_PRIMARY];
        let run = ["--share-nodes", "--wait", "--", "sh", "/data/conf/member.sh"];
        let words = [&image[..], &volume, &members, &roles, &run].concat();
        self.service_exits_of(POSTGRES, &words, 0).await?;
        let addresses = [self.address("postgres-0").await?, self.address("postgres-1").await?];
        let client = SqlClient { running: self.running.clone(), addresses };
        client.write("create table numbers (n bigint)")?;
        Ok(client)
    }
}

pub(super) async fn postgresql_with_a_replica_loses_no_acknowledged_record(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let outcome = life_of_postgres(cluster).await;
    cluster.with_logs_of(&["postgres-0", "postgres-1"], outcome).await
}

async fn life_of_postgres(cluster: &TestCluster<'_>) -> Outcome {
    let client = cluster.create_postgres().await?;
    for order in ["primary-last", "primary-first", "reverse"] {
        let producer = client.start().await?;
        cluster.restart_in(POSTGRES, order, 2).await?;
        producer.wait_more().await?;
        let count = client.verify(producer).await?;
        print_line(&format!("        {order}: {count} records, none lost"))?;
    }
    let producer = client.start().await?;
    cluster.drain_node_of("postgres-0", &SERVICES).await?;
    producer.wait_more().await?;
    cluster.lose_node_of("postgres-0", &SERVICES).await?;
    producer.wait_more().await?;
    cluster.update_env(POSTGRES, "PGAPPNAME=member", 2).await?;
    producer.wait_more().await?;
    let count = client.verify(producer).await?;
    print_line(&format!("        drain, node lost, update: {count} records, none lost"))?;
    cluster.service_exits_of(POSTGRES, &["stop"], 0).await?;
    cluster.service_exits_of(POSTGRES, &["start", "--wait"], 0).await?;
    let members = cluster.service_exits_of(POSTGRES, &["status"], 0).await?;
    let [primary, _replica] = client.addresses.map(|address| address.to_string());
    ensure(members.contains(&primary), || members.clone())?;
    cluster.delete_with_volumes(POSTGRES).await
}
