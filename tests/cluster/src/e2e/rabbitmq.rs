//! RabbitMQ, as users make it: its nodes are named by static addresses, and clients know these
//! alone. A queue is replicated on volumes that follow the members.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;

use super::processes::{RecordedProcess, output_of};
use super::producer::verify_kept;
use super::test_cluster::{TestCluster, ensure};
use super::volumes::SHARED_CLASS;
use crate::cli::print_line;
use crate::install::{source, until};
use crate::up::Running;
use crate::{Outcome, images};

const RABBITMQ: &str = "prod/rabbitmq";
const SERVICES: [&str; 1] = ["rabbitmq"];
const MEMBERS: [&str; 3] = ["rabbitmq-0", "rabbitmq-1", "rabbitmq-2"];
/// The script of a member, and the secret that makes nodes trust each other.
const CONFIG: [&str; 2] = ["member.sh", "cookie"];
/// Messages that are confirmed after each thing that happened to a member.
const MORE: usize = 200;

/// A client of RabbitMQ in the VPC, with the addresses of the members.
struct Client {
    running: Running,
    addresses: Vec<Ipv4Addr>,
}

impl Client {
    fn command(&self, what: &str) -> Outcome<Command> {
        let mut command = self.running.on_machine("client", "/usr/bin/python3")?;
        command.arg(source("tests/cluster/src/e2e/rabbitmq/client.py")).arg(what);
        command.args(self.addresses.iter().map(ToString::to_string));
        Ok(command)
    }

    /// Publishes numbers, and prints those that the cluster confirms.
    async fn produce(&self) -> Outcome<RecordedProcess> {
        let producer = RecordedProcess::start(&mut self.command("produce")?)?;
        wait_more(&producer, "the first messages").await?;
        Ok(producer)
    }

    /// Takes every message from the queue.
    fn consume(&self) -> Outcome<BTreeSet<u64>> {
        Ok(numbers(&output_of(&mut self.command("consume")?)?))
    }
}

fn numbers(lines: &str) -> BTreeSet<u64> {
    lines.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Waits until more messages are confirmed.
async fn wait_more(producer: &RecordedProcess, after: &str) -> Outcome {
    let before = numbers(&producer.output()?).len();
    until("more confirmed messages", || async {
        let text = producer.output()?;
        let count = numbers(&text).len();
        let last = || text.lines().last().unwrap_or_default().to_owned();
        ensure(count >= before + MORE, || format!("{count} after {before}, the last: {}", last()))
    })
    .await?;
    print_line(&format!("        {after}: {before} messages until then"))
}

impl TestCluster<'_> {
    async fn create_rabbitmq(&self) -> Outcome<Client> {
        let archive = self.running.home.path("rabbitmq.tar");
        images::rabbitmq(&archive)?;
        self.import_images(&archive)?;
        for member in MEMBERS {
            self.create_shared_volume(&format!("rabbitmq-data-{member}")).await?;
        }
        let [script, cookie] =
            CONFIG.map(|name| source(&format!("tests/cluster/src/e2e/rabbitmq/{name}")));
        let image = ["create", "--image", images::RABBITMQ, "--pool", "main", "--user", "65532"];
        let files = ["--config", &script, "--config", &cookie];
        let volume = ["--data", "1Gi", "--data-class", SHARED_CLASS];
        // It accepts connections, and so is ready, once its replicas of queues run.
        let members = ["--replicas", "3", "--port", "amqp=5672"];
        let run = ["--share-nodes", "--grace", "30", "--wait", "--timeout", "3m"];
        let words = [&image[..], &files, &volume, &members, &run].concat();
        let words = [&words[..], &["--", "sh", "/data/conf/member.sh"]].concat();
        self.service_exits_of(RABBITMQ, &words, 0).await?;
        let addresses = self.addresses_of("rabbitmq", 3).await?;
        Ok(Client { running: self.running.clone(), addresses })
    }
}

pub(super) async fn rabbitmq_keeps_every_confirmed_message(cluster: &TestCluster<'_>) -> Outcome {
    let outcome = life_of_rabbitmq(cluster).await;
    cluster.with_logs_of(&MEMBERS, outcome).await
}

async fn life_of_rabbitmq(cluster: &TestCluster<'_>) -> Outcome {
    let client = cluster.create_rabbitmq().await?;
    let producer = client.produce().await?;
    for order in ["ordinal", "reverse"] {
        cluster.restart_in(RABBITMQ, order, 3).await?;
        wait_more(&producer, &format!("restarted, {order}")).await?;
    }
    let drained = cluster.drain_node_of("rabbitmq-0", &SERVICES).await?;
    wait_more(&producer, &format!("a node with {drained} members was drained")).await?;
    let lost = cluster.lose_node_of("rabbitmq-1", &SERVICES).await?;
    wait_more(&producer, &format!("a node was lost with {lost} members")).await?;
    cluster.update_env(RABBITMQ, "ERL_MAX_PORTS=8192", 3).await?;
    wait_more(&producer, "updated").await?;
    cluster.service_exits_of(RABBITMQ, &["stop"], 0).await?;
    cluster.service_exits_of(RABBITMQ, &["start", "--wait"], 0).await?;
    wait_more(&producer, "stopped and started").await?;
    let confirmed = numbers(&producer.output()?);
    drop(producer);
    let count = verify_kept(&confirmed, &client.consume()?)?;
    print_line(&format!("        {count} confirmed messages, none lost"))?;
    let now = cluster.addresses_of("rabbitmq", 3).await?;
    ensure(now == client.addresses, || format!("{now:?} instead of {:?}", client.addresses))?;
    cluster.delete_with_volumes(RABBITMQ).await
}
