//! `firecamp service delete`, with the CloudWatch Logs of the simulator.

use clap::Parser;
use firecamp_cli::args::{Cli, Command};
use firecamp_cli::failure::Failure;
use firecamp_cli::service::ServiceCommand;
use firecamp_cli::service::apply::{DryRun, apply};
use firecamp_cli::service::cluster::kind;
use firecamp_cli::service::delete::{DeleteArguments, Deletion, delete_service};
use firecamp_cli::wait::Report;
use firecamp_cli::wait::facts::Want;
use firecamp_core::contract::exit::Exit;
use firecamp_sim_tests::{Carrier, SharedSim, VPC};
use firecamp_vpc::{Fault, FaultSpec, Profile, Selector};
use serde_json::{Value, json};

use super::objects::{defined, service};
use super::store::Store;

const UUID: &str = "0123456789abcdef0123456789abcdef";
const GROUP: &str = "test-prod-kafka-0123456789abcdef0123456789abcdef";

fn arguments(flags: &[&str]) -> DeleteArguments {
    let logs = ["firecamp", "service", "delete", "prod/kafka", "--logs", "--cluster-name", "test"];
    let command = Cli::parse_from([&logs, flags].concat()).command;
    let Command::Service(service) = command else { panic!("{flags:?}") };
    let ServiceCommand::Delete(arguments) = service.command else { panic!("{flags:?}") };
    arguments
}

/// A service with a volume.
async fn running() -> Store {
    let store = Store::default();
    let kafka = service(defined("{ports: {a: 1}, container: {image: i}}"));
    apply(&store, &kafka, DryRun::None, false).await.unwrap();
    store.put_claim("kafka-data-kafka-0", &json!(UUID));
    store.state().writes.clear();
    store
}

impl Store {
    fn put_claim(&self, name: &str, uuid: &Value) {
        let labels = json!({ "firecamp-servicename": "kafka", "firecamp-serviceuuid": uuid });
        let claim = json!({ "metadata": { "uid": name, "labels": labels } });
        self.put(kind::VOLUME_CLAIM, name, claim);
    }
}

/// A VPC with the log group of the service.
fn vpc() -> SharedSim {
    let vpc = SharedSim::of(VPC, &Profile::fast());
    assert!(vpc.world().create_log_group(GROUP));
    vpc
}

fn has_group(vpc: &SharedSim) -> bool {
    !vpc.world().create_log_group(GROUP)
}

async fn delete(store: &Store, flags: &[&str], vpc: &SharedSim) -> Result<Deletion, Failure> {
    let released = async || {
        Ok(Report {
            registry: "cluster".to_owned(),
            stateful_set: "prod/kafka".to_owned(),
            state: Want::Released,
            reached: true,
            waited_seconds: 0,
            missing: Vec::new(),
        })
    };
    let members = store.members(kind::STATEFUL_SET, "kafka");
    let cloud = Carrier::new(vpc.clone(), "node-a").config();
    let done = delete_service(&members, &arguments(flags), cloud, released).await?;
    Ok(done.unwrap_or_else(|report| panic!("{report:?}")))
}

#[tokio::test(start_paused = true)]
async fn the_log_group_is_deleted_after_the_service() {
    let (store, vpc) = (running().await, vpc());
    let deletion = delete(&store, &["--yes"], &vpc).await.unwrap();
    assert_eq!(deletion.log_group.as_deref(), Some(GROUP));
    assert!(deletion.people().contains(&format!("log group {GROUP} deleted\n")));
    assert!(!has_group(&vpc));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_names_the_log_group_and_deletes_nothing() {
    let (store, vpc) = (running().await, vpc());
    let deletion = delete(&store, &["--dry-run"], &vpc).await.unwrap();
    let text = deletion.people();
    assert!(text.contains(&format!("log group {GROUP} would be deleted\n")), "{text}");
    assert!(store.state().writes.is_empty() && has_group(&vpc));
}

#[tokio::test(start_paused = true)]
async fn a_log_group_that_cannot_be_deleted_is_an_error_after_everything_else_is_deleted() {
    let (store, vpc) = (running().await, vpc());
    let when = Selector { op: Some("DeleteLogGroup".to_owned()), ..Selector::default() };
    let denied = FaultSpec { fault: Fault::IamDeny {}, when };
    vpc.world().fault_set(vpc.now(), denied).unwrap();
    let failure = delete(&store, &["--yes"], &vpc).await.unwrap_err();
    assert_eq!((failure.exit(), failure.exit().code()), (Exit::CloudRefused, 13));
    let text = failure.chain();
    for part in [
        &format!("DeleteLogGroup {GROUP}"),
        "is not authorized to perform: logs:DeleteLogGroup",
        "everything else of the service is deleted",
        "`aws logs delete-log-group`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(store.members(kind::STATEFUL_SET, "kafka").workload().await.is_err());
    assert!(has_group(&vpc));
    // The command can be repeated: the kept claim has the UUID.
    vpc.world().fault_clear(vpc.now(), None).unwrap();
    let again = delete(&store, &["--yes"], &vpc).await.unwrap();
    assert_eq!((again.deleted, again.log_group.as_deref()), (Vec::new(), Some(GROUP)));
    assert!(!has_group(&vpc));
}

#[tokio::test(start_paused = true)]
async fn the_log_group_of_an_absent_service_is_kept_if_its_name_is_unknown() {
    let vpc = vpc();
    let absent = Store::default();
    let ambiguous = Store::default();
    ambiguous.put_claim("kafka-data-kafka-0", &json!(UUID));
    ambiguous.put_claim("kafka-data-kafka-1", &json!("fedcba9876543210fedcba9876543210"));
    let imported = Store::default();
    imported.put_claim("kafka-data-kafka-0", &Value::Null);
    for store in [absent, ambiguous, imported] {
        let deletion = delete(&store, &["--yes"], &vpc).await.unwrap();
        let text = deletion.people();
        assert!(text.contains("log group kept: its name has the UUID"), "{text}");
        let command = "`aws logs describe-log-groups --log-group-name-prefix test-prod-kafka-`";
        assert!(text.contains(command), "{text}");
        assert!(deletion.log_group.is_none() && has_group(&vpc));
    }
    let text = delete(&Store::default(), &["--yes"], &vpc).await.unwrap().people();
    assert!(text.starts_with("prod/kafka does not exist\n"), "{text}");
}

/// The UUID is that of the service, whose claims may be of an earlier one with the same name.
#[tokio::test(start_paused = true)]
async fn the_claims_of_an_earlier_service_do_not_name_the_log_group() {
    let (store, vpc) = (running().await, vpc());
    store.put_claim("kafka-data-kafka-0", &json!("fedcba9876543210fedcba9876543210"));
    let deletion = delete(&store, &["--dry-run"], &vpc).await.unwrap();
    assert_eq!(deletion.log_group.as_deref(), Some(GROUP));
}

#[tokio::test(start_paused = true)]
async fn claims_are_kept_unless_their_deletion_is_requested() {
    let (store, vpc) = (running().await, vpc());
    let claim = "PersistentVolumeClaim prod/kafka-data-kafka-0";
    let kept = delete(&store, &["--yes"], &vpc).await.unwrap();
    assert!(kept.kept == [claim] && kept.deleted[0] == "StatefulSet prod/kafka", "{kept:?}");
    assert!(kept.people().contains(&format!("{claim} kept\n")));
    let deleted = delete(&store, &["--yes", "--volumes"], &vpc).await.unwrap();
    assert_eq!((deleted.deleted, deleted.kept), (vec![claim.to_owned()], Vec::new()));
    assert!(store.state().objects.is_empty());
}
