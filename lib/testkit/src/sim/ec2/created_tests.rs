use std::net::Ipv4Addr;

use firecamp_core::failure::{CloudKind, Effect};
use firecamp_core::managed_interface::InterfaceFilter;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};
use firecamp_core::ports::{Cloud, CloudInterfaces, Owner};
use firecamp_node::preflight::CloudChecks;

use super::super::SimEc2;
use super::*;
use crate::sim::{Break, FaultyCloud, Op, Script};

const WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);

fn node() -> InstanceId {
    "i-00000001".parse().unwrap()
}

/// An instance whose type takes two interfaces, and has none yet.
fn ec2() -> SimEc2 {
    let identity = NodeIdentity {
        instance: node(),
        instance_type: "tiny".to_owned(),
        zone: "us-east-1a".parse().unwrap(),
        region: "us-east-1".to_owned(),
        enis: Vec::new(),
    };
    let instance = Instance { identity: Some(identity), ..Instance::default() };
    let limits = TypeLimits { name: "tiny".to_owned(), enis: 2, addresses: 4, volumes: None };
    let account = Account {
        instances: BTreeMap::from([(node().to_string(), instance)]),
        types: BTreeMap::from([("tiny".to_owned(), limits)]),
        ..Account::default()
    };
    SimEc2::new(node(), account)
}

fn request(token: &str) -> NewInterface {
    NewInterface {
        subnet: "subnet-0000000a".parse().unwrap(),
        groups: ["sg-00000001".to_owned()].into(),
        description: "FireCamp".to_owned(),
        tags: vec![(tag::INTERFACE.to_owned(), format!("record of {token}"))],
        token: token.to_owned(),
    }
}

async fn create(ec2: &SimEc2, token: &str) -> EniId {
    ec2.create_interface(&request(token), WITHIN).await.unwrap()
}

async fn described(ec2: &SimEc2, eni: &EniId) -> DescribedInterface {
    let all = ec2.describe_interfaces(&InterfaceFilter::Id(eni.clone())).await.unwrap();
    all.into_iter().next().unwrap()
}

async fn attachment(ec2: &SimEc2, eni: &EniId) -> InterfaceAttachment {
    described(ec2, eni).await.attachment.unwrap()
}

fn kind<T: std::fmt::Debug>(answer: Result<T, CloudFailure>) -> CloudKind {
    answer.unwrap_err().kind
}

#[tokio::test]
async fn a_token_creates_one_interface_also_after_its_deletion() {
    let ec2 = ec2();
    let eni = create(&ec2, "a").await;
    assert_eq!(create(&ec2, "a").await, eni);
    assert_ne!(create(&ec2, "b").await, eni);
    let other = NewInterface { description: "another".to_owned(), ..request("a") };
    assert_eq!(kind(ec2.create_interface(&other, WITHIN).await), CloudKind::Unknown);
    ec2.delete_interface(&eni, WITHIN).await.unwrap();
    assert_eq!(kind(ec2.create_interface(&request("a"), WITHIN).await), CloudKind::NotFound);
    ec2.account().created.quota = Some(1);
    assert_eq!(kind(ec2.create_interface(&request("c"), WITHIN).await), CloudKind::QuotaExceeded);
    let record = InterfaceFilter::Record("record of b".to_owned());
    assert_eq!(ec2.describe_interfaces(&record).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_attached_interface_belongs_to_its_instance_until_it_is_detached() {
    let ec2 = ec2();
    let (eni, other, third) =
        (create(&ec2, "a").await, create(&ec2, "b").await, create(&ec2, "c").await);
    ec2.attach_interface(&eni, &node(), 1, WITHIN).await.unwrap();
    assert_eq!(ec2.interfaces(&node()).await.unwrap().len(), 1);
    assert_eq!(ec2.identity().await.unwrap().enis.len(), 1);
    let again = ec2.attach_interface(&eni, &node(), 2, WITHIN).await;
    assert_eq!(kind(again), CloudKind::InterfaceInUse);
    assert_eq!(kind(ec2.delete_interface(&eni, WITHIN).await), CloudKind::InterfaceInUse);
    let taken = ec2.attach_interface(&other, &node(), 1, WITHIN).await;
    assert_eq!(kind(taken), CloudKind::DeviceIndexTaken);
    ec2.attach_interface(&other, &node(), 2, WITHIN).await.unwrap();
    let full = ec2.attach_interface(&third, &node(), 3, WITHIN).await;
    assert_eq!(kind(full), CloudKind::AttachmentLimitExceeded);
    ec2.assign(&eni, &[ADDRESS], false, WITHIN).await.unwrap();
    let id = attachment(&ec2, &eni).await.id;
    ec2.detach_interface(&id, WITHIN).await.unwrap();
    assert_eq!(kind(ec2.detach_interface(&id, WITHIN).await), CloudKind::NotFound);
    assert_eq!(described(&ec2, &eni).await.addresses, [ADDRESS].into());
    assert_eq!(ec2.identity().await.unwrap().enis.len(), 1, "the other one");
    ec2.delete_interface(&eni, WITHIN).await.unwrap();
    assert!(!ec2.has(ADDRESS));
}

#[tokio::test]
async fn attaching_and_detaching_take_until_they_are_completed() {
    let ec2 = ec2();
    let eni = create(&ec2, "a").await;
    ec2.account().created.incomplete = true;
    ec2.attach_interface(&eni, &node(), 1, WITHIN).await.unwrap();
    assert!(!attachment(&ec2, &eni).await.attached);
    assert!(ec2.identity().await.unwrap().enis.is_empty());
    ec2.complete();
    assert!(attachment(&ec2, &eni).await.attached);
    assert_eq!(ec2.identity().await.unwrap().enis.len(), 1);
    ec2.account().created.incomplete = true;
    let id = attachment(&ec2, &eni).await.id;
    ec2.detach_interface(&id, WITHIN).await.unwrap();
    assert_eq!(kind(ec2.detach_interface(&id, WITHIN).await), CloudKind::Transient);
    assert!(!attachment(&ec2, &eni).await.attached);
    assert_eq!(kind(ec2.delete_interface(&eni, WITHIN).await), CloudKind::InterfaceInUse);
    ec2.complete();
    ec2.delete_interface(&eni, WITHIN).await.unwrap();
}

#[tokio::test]
async fn an_interface_and_its_addresses_outlive_the_instance() {
    let ec2 = ec2();
    let eni = create(&ec2, "a").await;
    ec2.attach_interface(&eni, &node(), 1, WITHIN).await.unwrap();
    ec2.assign(&eni, &[ADDRESS], false, WITHIN).await.unwrap();
    assert_eq!(ec2.instance_state(&node()).await.unwrap(), InstanceState::Exists);
    ec2.terminate(&node());
    assert_eq!(ec2.instance_state(&node()).await.unwrap(), InstanceState::Gone);
    let found = described(&ec2, &eni).await;
    assert_eq!((found.attachment, found.addresses), (None, [ADDRESS].into()));
    let owner = ec2.owner(ADDRESS, &request("a").subnet).await.unwrap();
    assert!(matches!(owner, Owner::Eni(owner) if owner.id == eni && owner.instance.is_none()));
    let gone = ec2.attach_interface(&eni, &node(), 1, WITHIN).await;
    assert_eq!(kind(gone), CloudKind::NotFound);
}

#[tokio::test]
async fn a_lost_answer_has_an_unknown_effect_and_the_token_finds_the_interface() {
    let ec2 = ec2();
    let script = Script::new().breaking(Op::CreateInterface, 1, Break::After);
    let cloud = FaultyCloud::new(ec2.clone(), script.clone());
    let lost = cloud.create_interface(&request("a"), WITHIN).await.unwrap_err();
    assert_eq!((lost.kind, lost.effect), (CloudKind::Transient, Effect::Unknown));
    let eni = cloud.create_interface(&request("a"), WITHIN).await.unwrap();
    assert_eq!(ec2.describe_interfaces(&InterfaceFilter::Id(eni)).await.unwrap().len(), 1);
    assert_eq!((script.fired(), ec2.mutations()), (1, 2));
}

#[tokio::test]
async fn a_stale_describe_shows_what_was() {
    let ec2 = ec2();
    ec2.account().created.stale = Some(Vec::new());
    let eni = create(&ec2, "a").await;
    let filter = InterfaceFilter::Id(eni);
    assert_eq!(ec2.describe_interfaces(&filter).await.unwrap(), []);
    ec2.account().created.stale = None;
    assert_eq!(ec2.describe_interfaces(&filter).await.unwrap().len(), 1);
}
