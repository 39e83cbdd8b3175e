//! Interfaces that FireCamp makes: every answer of EC2 to the calls that make them.

use std::time::Duration;

use firecamp_cloud::AwsCloud;
use firecamp_core::contract::tag;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, InstanceId};
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceFilter, NewInterface,
};
use firecamp_core::ports::{Cloud, CloudInterfaces};
use firecamp_sim_tests::{Cluster, FIRST};
use firecamp_vpc::{Act, Fault, FullForm, Selector, StuckIn};
use tokio::time::sleep;

pub(crate) const WITHIN: Duration = Duration::from_secs(5);

const CREATE: &str = "CreateNetworkInterface";

pub(crate) fn request(token: &str, tags: &[(&str, &str)]) -> NewInterface {
    NewInterface {
        subnet: "subnet-0000000a".parse().unwrap(),
        // The default group of the simulated VPC.
        groups: ["sg-0f1ecaca000000001".to_owned()].into(),
        description: "FireCamp".to_owned(),
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        token: token.to_owned(),
    }
}

fn usual(token: &str) -> NewInterface {
    let record = format!("record-{token}");
    request(token, &[(tag::CLUSTER, "demo"), (tag::INTERFACE, &record), (tag::CLUSTER_UID, "uid")])
}

pub(crate) fn instance(cluster: &Cluster, node: &str) -> InstanceId {
    let views = cluster.world().nodes();
    views.iter().find(|view| view.name == node).unwrap().instance.parse().unwrap()
}

/// Creates an interface and waits until every call knows it.
async fn created(cluster: &Cluster, cloud: &AwsCloud, token: &str) -> EniId {
    let eni = cloud.create_interface(&usual(token), WITHIN).await.unwrap();
    cluster.settle().await;
    eni
}

async fn attached(cluster: &Cluster, cloud: &AwsCloud, token: &str, index: u32) -> EniId {
    let eni = created(cluster, cloud, token).await;
    cloud.attach_interface(&eni, &instance(cluster, "node-a"), index, WITHIN).await.unwrap();
    cluster.settle().await;
    eni
}

pub(crate) async fn described(cloud: &AwsCloud, eni: &EniId) -> Option<DescribedInterface> {
    let filter = InterfaceFilter::Id(eni.clone());
    let mut found = cloud.describe_interfaces(&filter).await.unwrap();
    assert!(found.len() < 2, "{found:?}");
    found.pop()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, CloudFailure>) -> CloudKind {
    let failure = answer.unwrap_err();
    assert_eq!(failure.effect, Effect::None, "{failure}");
    failure.kind
}

#[tokio::test(start_paused = true)]
async fn a_repeated_token_creates_one_interface_that_has_its_tags_from_the_start() {
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    let eni = created(&cluster, &cloud, "once").await;
    assert_eq!(created(&cluster, &cloud, "once").await, eni);
    assert_eq!(cluster.costs(0).calls, 2, "each is one call");
    let record = InterfaceFilter::Record("record-once".to_owned());
    let found = cloud.describe_interfaces(&record).await.unwrap();
    let expected = DescribedInterface {
        id: eni.clone(),
        addresses: [].into(),
        prefixes: 0,
        attachment: None,
        record: Some("record-once".to_owned()),
        cluster_uid: Some("uid".to_owned()),
    };
    assert_eq!(found, [expected]);
    assert_eq!(described(&cloud, &eni).await.as_ref(), found.first());
    let other = NewInterface { description: "another".to_owned(), ..usual("once") };
    assert_eq!(refused(cloud.create_interface(&other, WITHIN).await), CloudKind::Unknown);
    cloud.delete_interface(&eni, WITHIN).await.unwrap();
    let again = cloud.create_interface(&usual("once"), WITHIN).await;
    assert_eq!(refused(again), CloudKind::NotFound, "the token is used up");
    assert_eq!(cluster.world().violations(), []);
}

#[tokio::test(start_paused = true)]
async fn one_list_shows_the_interfaces_of_the_cluster_and_no_other() {
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    let ours = created(&cluster, &cloud, "once").await;
    let other = request("other", &[(tag::CLUSTER, "staging")]);
    let other = cloud.create_interface(&other, WITHIN).await.unwrap();
    cluster.settle().await;
    let before = cluster.costs(0).calls;
    let filter = InterfaceFilter::Cluster("demo".parse().unwrap());
    let found = cloud.describe_interfaces(&filter).await.unwrap();
    assert_eq!(cluster.costs(0).calls, before + 1);
    assert!(found.iter().any(|one| one.id == ours), "{found:?}");
    assert!(!found.iter().any(|one| one.id == other), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_answer_the_same_token_finds_the_interface() {
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    cluster.fault(CREATE, Fault::LostResponse { after_commit: true });
    let lost = cloud.create_interface(&usual("once"), WITHIN).await.unwrap_err();
    assert_eq!((lost.kind, lost.effect), (CloudKind::Transient, Effect::Unknown));
    cluster.clear_faults();
    let eni = created(&cluster, &cloud, "once").await;
    let record = InterfaceFilter::Record("record-once".to_owned());
    let found = cloud.describe_interfaces(&record).await.unwrap();
    assert_eq!(found.iter().map(|one| &one.id).collect::<Vec<_>>(), [&eni]);
}

#[tokio::test(start_paused = true)]
async fn creation_is_refused_above_the_quota_and_in_a_full_subnet() {
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    cluster.fault(CREATE, Fault::EniQuota { enis: 1 });
    let above = cloud.create_interface(&usual("a"), WITHIN).await;
    assert_eq!(refused(above), CloudKind::QuotaExceeded);
    cluster.clear_faults();
    for form in [FullForm::Code, FullForm::Value] {
        cluster.fault(CREATE, Fault::SubnetFull { subnet: "a".to_owned(), form });
        let full = cloud.create_interface(&usual("a"), WITHIN).await;
        assert_eq!(refused(full), CloudKind::SubnetExhausted, "{form:?}");
        cluster.clear_faults();
    }
    let missing = NewInterface { subnet: "subnet-0000000f".parse().unwrap(), ..usual("b") };
    let missing = cloud.create_interface(&missing, WITHIN).await;
    assert_eq!(refused(missing), CloudKind::Unknown);
    let group = NewInterface { groups: ["sg-00000001".to_owned()].into(), ..usual("c") };
    let group = cloud.create_interface(&group, WITHIN).await;
    assert_eq!(refused(group), CloudKind::Unknown);
}

#[tokio::test(start_paused = true)]
async fn an_interface_is_attached_at_a_free_index_within_the_limit_of_the_type() {
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    let own = instance(&cluster, "node-a");
    let first = attached(&cluster, &cloud, "a", 1).await;
    let found = described(&cloud, &first).await.unwrap().attachment.unwrap();
    assert!(found.attached && found.id.starts_with("eni-attach-"), "{found:?}");
    assert_eq!((&found.instance, found.device_index), (&own, 1));
    assert!(cloud.identity().await.unwrap().enis.iter().any(|eni| eni.id == first));

    let second = created(&cluster, &cloud, "b").await;
    let taken = cloud.attach_interface(&second, &own, 1, WITHIN).await;
    assert_eq!(refused(taken), CloudKind::DeviceIndexTaken);
    let far = cloud.attach_interface(&second, &instance(&cluster, "node-c"), 1, WITHIN).await;
    assert_eq!(refused(far), CloudKind::BadAddress, "another zone");
    let unknown = "i-0000000000000dead".parse().unwrap();
    let unknown = cloud.attach_interface(&second, &unknown, 2, WITHIN).await;
    assert_eq!(refused(unknown), CloudKind::NotFound);
    cloud.attach_interface(&second, &own, 2, WITHIN).await.unwrap();

    // An m5.large takes three interfaces, its primary one included.
    let third = created(&cluster, &cloud, "c").await;
    let full = cloud.attach_interface(&third, &own, 3, WITHIN).await;
    assert_eq!(refused(full), CloudKind::AttachmentLimitExceeded);
    let attached = cloud.attach_interface(&first, &instance(&cluster, "node-b"), 1, WITHIN).await;
    assert_eq!(refused(attached), CloudKind::InterfaceInUse);
    assert_eq!(cluster.world().violations(), []);
}

#[tokio::test(start_paused = true)]
async fn an_interface_is_detached_once_and_deleted_only_then() {
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    let eni = attached(&cluster, &cloud, "a", 1).await;
    cloud.assign(&eni, &[FIRST], false, WITHIN).await.unwrap();
    cluster.settle().await;
    assert_eq!(refused(cloud.delete_interface(&eni, WITHIN).await), CloudKind::InterfaceInUse);
    let attachment = described(&cloud, &eni).await.unwrap().attachment.unwrap().id;
    cloud.detach_interface(&attachment, WITHIN).await.unwrap();
    cluster.settle().await;
    let found = described(&cloud, &eni).await.unwrap();
    assert_eq!((found.attachment, found.addresses), (None, [FIRST].into()));
    let again = cloud.detach_interface(&attachment, WITHIN).await;
    assert_eq!(refused(again), CloudKind::NotFound);
    cloud.delete_interface(&eni, WITHIN).await.unwrap();
    cluster.settle().await;
    assert_eq!(described(&cloud, &eni).await, None);
    assert_eq!(refused(cloud.delete_interface(&eni, WITHIN).await), CloudKind::NotFound);
    let gone = cloud.attach_interface(&eni, &instance(&cluster, "node-a"), 1, WITHIN).await;
    assert_eq!(refused(gone), CloudKind::NotFound);
    assert_eq!(cluster.world().violations(), []);
}

#[tokio::test(start_paused = true)]
async fn an_attachment_is_complete_only_when_ec2_says_so() {
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    let eni = created(&cluster, &cloud, "a").await;
    let of_eni = Selector { resource: Some(eni.to_string()), ..Selector::default() };
    cluster.fault_when(Fault::EniStuck { stage: StuckIn::Attaching }, of_eni.clone());
    cloud.attach_interface(&eni, &instance(&cluster, "node-a"), 1, WITHIN).await.unwrap();
    sleep(Duration::from_mins(1)).await;
    assert!(!described(&cloud, &eni).await.unwrap().attachment.unwrap().attached);
    cluster.clear_faults();
    sleep(Duration::from_mins(1)).await;
    let attachment = described(&cloud, &eni).await.unwrap().attachment.unwrap();
    assert!(attachment.attached);
    cluster.fault_when(Fault::EniStuck { stage: StuckIn::Detaching }, of_eni);
    cloud.detach_interface(&attachment.id, WITHIN).await.unwrap();
    sleep(Duration::from_mins(1)).await;
    assert!(!described(&cloud, &eni).await.unwrap().attachment.unwrap().attached);
    let again = cloud.detach_interface(&attachment.id, WITHIN).await;
    assert_eq!(refused(again), CloudKind::Transient);
    assert_eq!(refused(cloud.delete_interface(&eni, WITHIN).await), CloudKind::InterfaceInUse);
    cluster.clear_faults();
    sleep(Duration::from_mins(1)).await;
    cloud.delete_interface(&eni, WITHIN).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_primary_interface_is_not_detached() {
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    let primary = described(&cloud, &cluster.eni("node-a")).await.unwrap();
    assert_eq!((&primary.record, &primary.cluster_uid), (&None, &None));
    assert_eq!(primary.addresses, [].into(), "its primary address is none of them");
    let attachment = primary.attachment.unwrap();
    let refusal = cloud.detach_interface(&attachment.id, WITHIN).await;
    assert_eq!(refused(refusal), CloudKind::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_describe_may_not_show_a_new_interface_yet() {
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    cluster.fault("DescribeNetworkInterfaces", Fault::StaleDescribe { lag_ms: None });
    let eni = created(&cluster, &cloud, "a").await;
    assert_eq!(described(&cloud, &eni).await, None);
    cluster.clear_faults();
    assert!(described(&cloud, &eni).await.is_some());
    let unknown = "eni-0000000000000dead".parse().unwrap();
    assert_eq!(described(&cloud, &unknown).await, None, "no error for an unknown one");
    let wild = InterfaceFilter::Record("record-*".to_owned());
    assert_eq!(cloud.describe_interfaces(&wild).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_terminated_instance_is_gone_and_its_interface_keeps_its_addresses() {
    let cluster = Cluster::default();
    let (cloud, other) = (cluster.node("node-a").cloud(), cluster.node("node-b").cloud());
    let own = instance(&cluster, "node-a");
    let eni = attached(&cluster, &cloud, "a", 1).await;
    cloud.assign(&eni, &[FIRST], false, WITHIN).await.unwrap();
    assert_eq!(other.instance_state(&own).await.unwrap(), InstanceState::Exists);
    cluster.act(&Act::Stop { node: "node-a".to_owned() });
    cluster.settle().await;
    assert_eq!(other.instance_state(&own).await.unwrap(), InstanceState::Exists);
    cluster.act(&Act::Terminate { node: "node-a".to_owned(), delete_on_termination: None });
    cluster.settle().await;
    assert_eq!(other.instance_state(&own).await.unwrap(), InstanceState::Gone, "terminated");
    let found = described(&other, &eni).await.unwrap();
    assert_eq!((found.attachment, found.addresses), (None, [FIRST].into()));
    let late = other.attach_interface(&eni, &own, 1, WITHIN).await;
    assert_eq!(refused(late), CloudKind::Transient, "the instance is in no state for it");
    sleep(Duration::from_hours(2)).await;
    assert_eq!(other.instance_state(&own).await.unwrap(), InstanceState::Gone, "forgotten");
    let forgotten = other.attach_interface(&eni, &own, 1, WITHIN).await;
    assert_eq!(refused(forgotten), CloudKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_state_of_an_instance_is_a_failure() {
    let cluster = Cluster::default();
    let cloud = cluster.node("node-a").cloud();
    let own = instance(&cluster, "node-a");
    cluster.fault("DescribeInstances", Fault::DescribeOmits {});
    assert_eq!(refused(cloud.instance_state(&own).await), CloudKind::Transient);
    cluster.clear_faults();
    assert_eq!(cloud.instance_state(&own).await.unwrap(), InstanceState::Exists);
}
