//! Kafka with ZooKeeper, as users make them: brokers and quorum know each other, and clients know
//! the brokers, by static addresses alone. Records are on volumes that follow the members.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::processes::RecordedProcess;
use super::test_cluster::{TestCluster, ensure};
use super::volumes::SHARED_CLASS;
use crate::cli::print_line;
use crate::install::{PATIENCE, script, source, until, until_within};
use crate::{Outcome, images};

const KAFKA: &str = "prod/kafka";
const ZOOKEEPER: &str = "prod/zookeeper";
const SERVICES: [&str; 2] = ["zookeeper", "kafka"];
const IS_READY: &str = "echo srvr | busybox nc 127.0.0.1 2181 | busybox grep -q Mode";
const IS_LEADER: &str = "echo srvr | busybox nc 127.0.0.1 2181 | busybox grep -q 'Mode: leader'";
/// Records that are acknowledged before anything happens to a member.
const EARLY: usize = 1_000;
/// Records that are acknowledged in all.
const RECORDS: usize = 100_000;
/// Records that the producer sends in a second.
const RATE: &str = "600";
const ACKNOWLEDGED: &str = "producer_send_success";
const CONSUMED: &str = "record_data";

/// A client of Kafka in the VPC, with the addresses of the brokers.
struct KafkaClients {
    /// The runtime and the tools.
    kafka: PathBuf,
    brokers: String,
}

impl KafkaClients {
    /// Starts a tool of Kafka that runs until it is dropped.
    fn start(
        &self,
        cluster: &TestCluster<'_>,
        tool: &str,
        words: &[&str],
    ) -> Outcome<RecordedProcess> {
        let mut command = cluster.running.on_machine("client", self.kafka.join("jre/bin/java"))?;
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
        command.arg(self.kafka.join("libs/*")).arg(format!("org.apache.kafka.tools.{tool}"));
        command.args(["--topic", "records", "--bootstrap-server", &self.brokers]).args(words);
        RecordedProcess::start(&mut command)
    }

    /// Sends numbers, and prints those that all replicas in sync have.
    fn produce(&self, cluster: &TestCluster<'_>) -> Outcome<RecordedProcess> {
        self.start(cluster, "VerifiableProducer", &["--throughput", RATE, "--acks", "-1"])
    }

    /// Prints all records from the first one on.
    fn consume(&self, cluster: &TestCluster<'_>, group: &str) -> Outcome<RecordedProcess> {
        self.start(cluster, "VerifiableConsumer", &["--group-id", group, "--verbose"])
    }
}

/// The numbers in the events of a tool.
fn numbers(of: &RecordedProcess, event: &str) -> Outcome<BTreeSet<u64>> {
    let text = of.output()?;
    let number = |line: &str| {
        let all: Value = serde_json::from_str(line).ok()?;
        all["value"].as_str().filter(|_| all["name"] == event)?.parse().ok()
    };
    Ok(text.lines().filter_map(number).collect())
}

async fn wait_acknowledged(producer: &RecordedProcess, count: usize) -> Outcome {
    until_within(PATIENCE * 3, &format!("{count} acknowledged records"), || async {
        let text = producer.output()?;
        let found = text.matches(ACKNOWLEDGED).count();
        ensure(found >= count, || format!("{found}, the last line: {:?}", text.lines().last()))
    })
    .await
}

/// Waits until a consumer has every record.
async fn wait_consumed(consumer: &RecordedProcess, records: &BTreeSet<u64>) -> Outcome {
    until("every acknowledged record is consumed", || async {
        let found = numbers(consumer, CONSUMED)?;
        let lost: Vec<&u64> = records.difference(&found).take(9).collect();
        ensure(lost.is_empty(), || format!("{} of {}: {lost:?}", found.len(), records.len()))
    })
    .await
}

impl TestCluster<'_> {
    /// Makes ZooKeeper and Kafka, with commands that users type. Returns the brokers' addresses.
    async fn create_kafka(&self, kafka: &Path) -> Outcome<Vec<Ipv4Addr>> {
        let archive = self.running.home.path("kafka.tar");
        images::kafka(kafka, &archive)?;
        self.import_images(&archive)?;
        // One broker is added and removed.
        for (service, count) in [("zookeeper", 3), ("kafka", 4)] {
            for number in 0..count {
                let claim = format!("{service}-data-{service}-{number}");
                self.create_shared_volume(&claim).await?;
            }
        }
        let files = ["zookeeper.sh", "broker.sh", "log4j.properties"];
        let [zookeeper, broker, logs] =
            files.map(|name| source(&format!("tests/cluster/src/e2e/kafka/{name}")));
        let volume = ["--data", "1Gi", "--data-class", SHARED_CLASS, "--config", &logs];
        let common = ["create", "--image", images::KAFKA, "--pool", "main", "--user", "65532"];
        let members =
            ["--replicas", "3", "--share-nodes", "--grace", "20", "--wait", "--timeout", "3m"];
        let common = [&common[..], &volume, &members].concat();
        let own = ["--port", "client=2181", "--config", &zookeeper, "--ready-command", IS_READY];
        let roles = ["--order", "primary-last", "--primary-command", IS_LEADER];
        let run = ["--", "sh", "/data/conf/zookeeper.sh"];
        self.service_exits_of(ZOOKEEPER, &[&common[..], &own, &roles, &run].concat(), 0).await?;
        let quorum = self.addresses_of("zookeeper", 3).await?;
        let quorum: Vec<String> = quorum.iter().map(|address| format!("{address}:2181")).collect();
        let quorum = format!("ZOOKEEPER={}", quorum.join(","));
        let own = ["--port", "kafka=9092", "--config", &broker, "--env", &quorum];
        let run = ["--", "sh", "/data/conf/broker.sh"];
        self.service_exits_of(KAFKA, &[&common[..], &own, &run].concat(), 0).await?;
        self.addresses_of("kafka", 3).await
    }
}

pub(super) async fn kafka_with_zookeeper_loses_no_acknowledged_record(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let outcome = life_of_kafka(cluster).await;
    cluster
        .with_logs_of(&["zookeeper-0", "zookeeper-1", "kafka-0", "kafka-1", "kafka-2"], outcome)
        .await
}

async fn life_of_kafka(cluster: &TestCluster<'_>) -> Outcome {
    let kafka = script("scripts/kafka.sh", &[])?;
    let addresses = cluster.create_kafka(&kafka).await?;
    let brokers: Vec<String> = addresses.iter().map(|address| format!("{address}:9092")).collect();
    let clients = KafkaClients { kafka, brokers: brokers.join(",") };
    let producer = clients.produce(cluster)?;
    wait_acknowledged(&producer, EARLY).await?;
    let consumer = clients.consume(cluster, "first")?;
    let records = disturb(cluster, &producer).await?;
    drop(producer);
    print_line(&format!("        {} acknowledged records", records.len()))?;
    wait_consumed(&consumer, &records).await?;
    drop(consumer);

    for members in [4, 3] {
        cluster.scale_to(KAFKA, members).await?;
    }
    cluster.restart_in(KAFKA, "reverse", 3).await?;
    for service in [KAFKA, ZOOKEEPER] {
        cluster.service_exits_of(service, &["stop"], 0).await?;
    }
    for service in [ZOOKEEPER, KAFKA] {
        cluster.service_exits_of(service, &["start", "--wait"], 0).await?;
    }
    let now = cluster.addresses_of("kafka", 3).await?;
    ensure(now == addresses, || format!("{now:?} instead of {addresses:?}"))?;
    let consumer = clients.consume(cluster, "second")?;
    wait_consumed(&consumer, &records).await?;
    drop(consumer);
    for service in [KAFKA, ZOOKEEPER] {
        cluster.delete_with_volumes(service).await?;
    }
    Ok(())
}

/// What happens to the members while a client produces. Returns the acknowledged records.
async fn disturb(cluster: &TestCluster<'_>, producer: &RecordedProcess) -> Outcome<BTreeSet<u64>> {
    let go_on = async |what: &str| -> Outcome {
        let count = producer.output()?.matches(ACKNOWLEDGED).count();
        print_line(&format!("        {what}: {count} records until then"))?;
        wait_acknowledged(producer, count + EARLY).await
    };
    let lost = cluster.lose_node_of("kafka-0", &SERVICES).await?;
    go_on(&format!("a node was lost with {lost} members")).await?;
    let drained = cluster.drain_node_of("kafka-1", &SERVICES).await?;
    go_on(&format!("a node with {drained} members was drained")).await?;
    cluster.restart_in(KAFKA, "ordinal", 3).await?;
    go_on("the brokers were restarted").await?;
    for order in ["primary-last", "primary-first", "reverse"] {
        cluster.restart_in(ZOOKEEPER, order, 3).await?;
        go_on(&format!("ZooKeeper was restarted, {order}")).await?;
    }
    cluster.update_env(KAFKA, "HEAP=320", 3).await?;
    go_on("the brokers were updated").await?;
    wait_acknowledged(producer, RECORDS).await?;
    let records = numbers(producer, ACKNOWLEDGED)?;
    ensure(records.len() >= RECORDS, || format!("{} different records", records.len()))?;
    Ok(records)
}
