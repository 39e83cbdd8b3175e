//! The instance of a node, as the metadata service and EC2 show it to a neighbour, and the calls
//! that neighbours send to EC2.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Display};
use std::net::Ipv4Addr;
use std::time::Duration;

use aws_config::imds;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use aws_config::{AppName, BehaviorVersion};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{
    Filter, Instance as ReservedInstance, NetworkInterface, NetworkInterfaceAttachmentChanges,
    NetworkInterfaceCreationType, NetworkInterfaceType, Reservation, ResourceType, Tag,
    TagSpecification,
};

use super::{Pace, log};

/// The code of an ENI that EC2 does not know, or not yet.
pub(super) const UNKNOWN_ENI: &str = "InvalidNetworkInterfaceID.NotFound";
/// How often the originals repeat the deletion of an ENI that may still be detaching
/// (amazon-vpc-cni-k8s, pkg/awsutils/awsutils.go: `maxENIEC2APIRetries`).
const TRIES: u32 = 12;
/// The first pause after a failed deletion; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Tags by key.
pub(super) type Tags = BTreeMap<String, String>;
pub(super) type Outcome<T = ()> = Result<T, Failure>;

/// Why a call failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// EC2's code; empty if EC2 did not refuse the call.
    pub(super) code: String,
    pub(super) text: String,
}

impl Failure {
    pub(super) fn other(text: impl Into<String>) -> Self {
        Self { code: String::new(), text: text.into() }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<E, R> From<SdkError<E, R>> for Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: Debug + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        let code = error.code().unwrap_or_default().to_owned();
        Self { code, text: DisplayErrorContext(&error).to_string() }
    }
}

impl From<ImdsError> for Failure {
    fn from(error: ImdsError) -> Self {
        Self::other(DisplayErrorContext(&error).to_string())
    }
}

/// Limits of the instance type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) enis: usize,
    /// Secondary addresses of each ENI.
    pub(super) each: usize,
}

/// An ENI as the metadata service lists it.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) index: u32,
    /// Its secondary addresses.
    pub(super) addresses: BTreeSet<Ipv4Addr>,
    subnet: String,
    groups: Vec<String>,
}

/// An ENI as EC2 describes it.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) id: String,
    pub(super) index: u32,
    pub(super) is_attached: bool,
    pub(super) is_trunk: bool,
    pub(super) attachment: Option<String>,
    /// Its secondary addresses.
    pub(super) addresses: BTreeSet<Ipv4Addr>,
    pub(super) tags: Tags,
}

/// A new ENI.
#[derive(Debug)]
pub(super) struct NewEni {
    pub(super) description: String,
    /// How many secondary addresses it gets.
    pub(super) addresses: usize,
    pub(super) is_trunk: bool,
    pub(super) tags: Tags,
}

/// The instance on which a neighbour works.
#[derive(Debug)]
pub(super) struct Instance {
    ec2: Client,
    imds: imds::Client,
    pub(super) id: String,
    pub(super) limits: Limits,
    pub(super) primary: String,
    subnet: String,
    pub(super) groups: Vec<String>,
}

impl Instance {
    /// Connects as the program with this name, with the credentials of the node's role.
    pub(super) async fn connect(app: &'static str) -> Outcome<Self> {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let provider = ProviderConfig::empty().with_http_client(http.clone());
        let imds = imds::Client::builder().configure(&provider).build();
        let role = imds::credentials::ImdsCredentialsProvider::builder();
        let app = AppName::new(app).map_err(|why| Failure::other(why.to_string()))?;
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .app_name(app)
            .credentials_provider(role.configure(&provider).build());
        let ec2 = Client::new(&config.load().await);
        let [id, size] = [read(&imds, "instance-id").await?, read(&imds, "instance-type").await?];
        let limits = limits(&ec2, &size).await?;
        let own = attached(&imds).await?.into_iter().find(|eni| eni.index == 0);
        let own = own.ok_or_else(|| Failure::other("no primary interface is listed"))?;
        let Listed { id: primary, subnet, groups, .. } = own;
        Ok(Self { ec2, imds, id, limits, primary, subnet, groups })
    }

    /// The ENIs that the metadata service lists; a failure if one is listed in part.
    pub(super) async fn attached(&self) -> Outcome<Vec<Listed>> {
        attached(&self.imds).await
    }

    /// Describes ENIs by ID. EC2 fails the whole call if it does not know one of them.
    pub(super) async fn describe(&self, ids: Vec<String>) -> Outcome<Vec<Described>> {
        let call = self.ec2.describe_network_interfaces().set_network_interface_ids(Some(ids));
        let found = call.send().await?.network_interfaces.unwrap_or_default();
        Ok(found.iter().map(described).collect())
    }

    /// Describes the ENIs of the instance.
    pub(super) async fn describe_own(&self) -> Outcome<Vec<Described>> {
        let own = Filter::builder().name("attachment.instance-id").values(&self.id).build();
        let call = self.ec2.describe_network_interfaces().filters(own);
        let found = call.send().await?.network_interfaces.unwrap_or_default();
        Ok(found.iter().map(described).collect())
    }

    /// The device indexes that DescribeInstances shows as used.
    pub(super) async fn used_indexes(&self) -> Outcome<BTreeSet<u32>> {
        let answer = self.ec2.describe_instances().instance_ids(&self.id).send().await?;
        let instances = answer.reservations().iter().flat_map(Reservation::instances);
        let enis = instances.flat_map(ReservedInstance::network_interfaces);
        let index = enis.filter_map(|eni| eni.attachment()?.device_index());
        Ok(index.filter_map(|index| u32::try_from(index).ok()).collect())
    }

    /// Creates an ENI in the subnet and with the groups of the primary one.
    pub(super) async fn create(&self, new: NewEni) -> Outcome<Described> {
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::NetworkInterface)
            .set_tags(Some(tags(new.tags)))
            .build();
        let count = i32::try_from(new.addresses).unwrap_or(i32::MAX);
        let call = self.ec2.create_network_interface();
        let call = call
            .description(new.description)
            .subnet_id(&self.subnet)
            .set_groups(Some(self.groups.clone()))
            .set_secondary_private_ip_address_count((count > 0).then_some(count))
            .set_interface_type(new.is_trunk.then_some(NetworkInterfaceCreationType::Trunk))
            .tag_specifications(tags);
        let created = call.send().await?.network_interface;
        let created = created.filter(|eni| eni.network_interface_id.is_some());
        let created = created.ok_or_else(|| Failure::other("EC2 created one without an ID"))?;
        Ok(described(&created))
    }

    /// Attaches an ENI; returns the ID of the attachment.
    pub(super) async fn attach(&self, eni: &str, index: u32, card: Option<i32>) -> Outcome<String> {
        let call = self.ec2.attach_network_interface().network_interface_id(eni);
        let call = call.instance_id(&self.id).set_network_card_index(card);
        let call = call.device_index(i32::try_from(index).unwrap_or(i32::MAX));
        let id = call.send().await?.attachment_id;
        id.ok_or_else(|| Failure::other("EC2 made an attachment without an ID"))
    }

    /// Lets EC2 delete the ENI when the instance is terminated.
    pub(super) async fn delete_on_termination(&self, eni: &str, attachment: &str) -> Outcome {
        let changes = NetworkInterfaceAttachmentChanges::builder().attachment_id(attachment);
        let call = self.ec2.modify_network_interface_attribute().network_interface_id(eni);
        call.attachment(changes.delete_on_termination(true).build()).send().await?;
        Ok(())
    }

    /// Sets the groups of an ENI to those of the primary one.
    pub(super) async fn set_groups(&self, eni: &str) -> Outcome {
        let call = self.ec2.modify_network_interface_attribute().network_interface_id(eni);
        call.set_groups(Some(self.groups.clone())).send().await?;
        Ok(())
    }

    /// Adds tags to an ENI.
    pub(super) async fn tag(&self, eni: &str, added: Tags) -> Outcome {
        let call = self.ec2.create_tags().resources(eni).set_tags(Some(tags(added)));
        call.send().await?;
        Ok(())
    }

    /// Assigns this many secondary addresses, which EC2 selects.
    pub(super) async fn assign(&self, eni: &str, count: usize) -> Outcome<BTreeSet<Ipv4Addr>> {
        let call = self.ec2.assign_private_ip_addresses().network_interface_id(eni);
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        let answer = call.secondary_private_ip_address_count(count).send().await?;
        let given = answer.assigned_private_ip_addresses().iter();
        Ok(given.filter_map(|one| one.private_ip_address()?.parse().ok()).collect())
    }

    /// Detaches an ENI and deletes it.
    pub(super) async fn free(&self, eni: &str, pace: Pace) -> Outcome {
        let found = self.describe(vec![eni.to_owned()]).await?;
        let attachment = found.into_iter().find_map(|one| one.attachment);
        let attachment = attachment.ok_or_else(|| Failure::other("it is not attached"))?;
        self.ec2.detach_network_interface().attachment_id(attachment).send().await?;
        self.delete(eni, pace).await
    }

    /// Deletes an ENI; repeats the call while EC2 refuses it.
    pub(super) async fn delete(&self, eni: &str, pace: Pace) -> Outcome {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            let call = self.ec2.delete_network_interface().network_interface_id(eni);
            let Err(failure) = call.send().await.map_err(Failure::from) else { return Ok(()) };
            log(&format!("delete {eni}"), &failure);
            pace.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.ec2.delete_network_interface().network_interface_id(eni).send().await?;
        Ok(())
    }
}

fn tags(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

async fn read(imds: &imds::Client, key: &str) -> Outcome<String> {
    let answer = imds.get(format!("/latest/meta-data/{key}")).await?;
    Ok(answer.as_ref().to_owned())
}

async fn attached(imds: &imds::Client) -> Outcome<Vec<Listed>> {
    let macs = "network/interfaces/macs";
    let mut enis = Vec::new();
    for mac in read(imds, &format!("{macs}/")).await?.lines() {
        let key = |key: &str| format!("{macs}/{}/{key}", mac.trim_end_matches('/'));
        let addresses = read(imds, &key("local-ipv4s")).await?;
        let index = read(imds, &key("device-number")).await?;
        let groups = read(imds, &key("security-group-ids")).await?;
        enis.push(Listed {
            id: read(imds, &key("interface-id")).await?,
            index: index.trim().parse().map_err(|_source| Failure::other(index))?,
            // The first one is the primary address.
            addresses: addresses.lines().skip(1).filter_map(|one| one.parse().ok()).collect(),
            subnet: read(imds, &key("subnet-id")).await?,
            groups: groups.lines().map(str::to_owned).collect(),
        });
    }
    Ok(enis)
}

async fn limits(ec2: &Client, size: &str) -> Outcome<Limits> {
    let answer = ec2.describe_instance_types().instance_types(size.into()).send().await?;
    let info = answer.instance_types().first().and_then(|one| one.network_info());
    let count = |value: Option<i32>| value.and_then(|value| usize::try_from(value).ok());
    let enis = info.and_then(|info| count(info.maximum_network_interfaces()));
    let each = info.and_then(|info| count(info.ipv4_addresses_per_interface()));
    let unknown = || Failure::other(format!("the limits of {size} are unknown"));
    let (enis, each) = enis.zip(each).ok_or_else(unknown)?;
    Ok(Limits { enis, each: each.saturating_sub(1) })
}

fn described(eni: &NetworkInterface) -> Described {
    let attachment = eni.attachment();
    let index = attachment.and_then(|one| u32::try_from(one.device_index()?).ok());
    let secondary = eni.private_ip_addresses().iter().filter(|one| one.primary() != Some(true));
    let tag = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()));
    Described {
        id: eni.network_interface_id().unwrap_or_default().to_owned(),
        index: index.unwrap_or_default(),
        is_attached: attachment
            .is_some_and(|one| one.status().is_some_and(|status| status.as_str() == "attached")),
        is_trunk: eni.interface_type() == Some(&NetworkInterfaceType::Trunk),
        attachment: attachment.and_then(|one| one.attachment_id()).map(str::to_owned),
        addresses: secondary.filter_map(|one| one.private_ip_address()?.parse().ok()).collect(),
        tags: eni.tag_set().iter().filter_map(tag).collect(),
    }
}
