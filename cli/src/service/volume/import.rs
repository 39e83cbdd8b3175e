//! `firecamp service volume import`.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, ValueEnum};
use firecamp_cloud::{AwsCloud, CloudConfig, DescribedVolume};
use firecamp_core::contract::endpoint::POOL_LABEL;
use firecamp_core::contract::exit::{CheckExit, Exit, Waited};
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::VolumeId;
use firecamp_kube::{ObjectPath, Selector};
use firecamp_run::parse::duration;
use serde_json::Value;

use super::super::Target;
use super::super::apply::{Applied, DryRun, apply_all};
use super::super::cluster::{ServiceCluster, kind};
use super::super::create::{usable_nodes, zones_of_pool};
use super::super::members::{Members, invalid};
use super::check::{self, Places, Refusal, Wanted};
use super::filesystem::{Filesystem, Found};
use super::objects::{Claim, Import, volume_path};
use super::verify::{Reader, Verified};
use crate::common::json::{at, text};
use crate::common::print::{Output, out};
use crate::common::progress::{during, to_stderr};
use crate::failure::Failure;

/// The deadline of EC2's answer, which nothing else waits for.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  firecamp service volume import prod/redis --member 0 --volume-id vol-0a1b2c3d4e5f60718 \\
    --fs-type xfs --verify busybox:1.37
  firecamp service volume import prod/kafka --member 2 --role journal \\
    --volume-id vol-0a1b2c3d4e5f60719 --fs-type ext4 --dry-run client -o yaml

The command makes a PersistentVolume for the EBS CSI driver, with the reclaim policy Retain, and \
the claim of the member, SERVICE-ROLE-SERVICE-N, bound to it. The StatefulSet uses a claim that \
exists, whether the service is created before or afterwards. If the StatefulSet exists, size and \
StorageClass are those of its claim template. Otherwise they are those of --size and --class; \
without them, the size of the volume and no StorageClass. Repeat the size in `service create \
--data`.

The volume is not changed, and this command formats nothing. But the CSI driver formats a volume \
on which blkid finds no signature, with the stated filesystem, when the member's pod first mounts \
it; a volume with another filesystem fails to mount. --verify reads the superblock before anything \
is made, and refuses both. For this a pod runs with the given image, which needs `sh` and `od`, \
has the volume as a raw device that it can open for reading only, and runs as root without \
capabilities. The Pod Security Standard \"baseline\" allows it, \"restricted\" does not: use \
another namespace with --verify-namespace. The pod, its claim and its PersistentVolume are removed \
before the import; if the command is interrupted, the next one with --verify removes them. \
Without --verify, nothing checks the filesystem.

Needed: the region (AWS_REGION), credentials with the permission ec2:DescribeVolumes, and \
permission to list and create PersistentVolumes.

Exit codes: 0 the volume is imported, or was before; 2 invalid flag; 13 EC2 refused the request or \
did not answer; 14 the verification did not end in time; 15 the cluster cannot be reached; 16 the \
volume is refused: the message says why; 20 --verify found another filesystem, or none; 21 \
--verify could not read the volume; 22 the cluster denied a request. Nothing is imported unless \
the code is 0.";

/// The volume of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// The volume at /data
    Data,
    /// The volume at /journal
    Journal,
}

/// `firecamp service volume import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportArguments {
    /// The service.
    #[command(flatten)]
    pub target: Target,
    /// The number of the member: 0 for the pod SERVICE-0
    #[arg(long, value_name = "N")]
    pub member: u32,
    /// Which volume of the member it becomes
    #[arg(long, value_enum, default_value = "data")]
    pub role: Role,
    /// The ID of the EBS volume
    #[arg(long, value_name = "VOLUME")]
    pub volume_id: VolumeId,
    /// The filesystem that is on the volume
    #[arg(long, value_enum)]
    pub fs_type: Filesystem,
    /// The size that the claim requests, if the service does not exist yet. Default: that of the
    /// volume
    #[arg(long, value_name = "QUANTITY")]
    pub size: Option<String>,
    /// The StorageClass, if the claim template names none. The volume can be enlarged through
    /// Kubernetes if its class allows it
    #[arg(long, value_name = "NAME")]
    pub class: Option<String>,
    /// Before the import, read the superblock in a pod with this image
    #[arg(long, value_name = "IMAGE", conflicts_with = "dry_run")]
    pub verify: Option<String>,
    /// The namespace of the pod of --verify. Default: that of the service
    #[arg(long, value_name = "NAME", requires = "verify")]
    pub verify_namespace: Option<String>,
    /// With --verify, give up after this time: 90s, 5m, 1h. The removal of the pod may take as long
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub timeout: Duration,
    /// Whether anything is created. EC2 is always asked
    #[arg(long, value_enum, default_value_t)]
    pub dry_run: DryRun,
    /// The output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: these objects exist.
    Unchanged(Vec<(ObjectPath, Value)>),
    /// The import.
    Import(Import),
}

impl ImportArguments {
    /// What the user wants of a service.
    pub fn wanted(&self, namespace: &str, service: &str) -> Wanted {
        let role = match self.role {
            Role::Data => "data",
            Role::Journal => "journal",
        };
        Wanted {
            claim: Claim {
                namespace: namespace.to_owned(),
                service: service.to_owned(),
                template: format!("{service}-{role}"),
                member: format!("{service}-{}", self.member),
            },
            volume: self.volume_id.clone(),
            filesystem: self.fs_type,
            size: self.size.clone(),
            class: self.class.clone(),
            verify: self.verify.is_some(),
        }
    }
}

/// Imports. Returns the exit code.
pub(crate) async fn run(arguments: &ImportArguments) -> Result<u8, Failure> {
    let volume = describe(&arguments.volume_id).await?;
    if arguments.dry_run == DryRun::Client {
        let target = &arguments.target;
        let (namespace, name) = target.place.set(&target.service, None)?;
        let wanted = arguments.wanted(&namespace, name.as_str());
        let planned = alone(&wanted, &volume)?.objects();
        return out(&Applied::planned(planned).text(arguments.output)?).map(|()| 0);
    }
    let opened = arguments.target.open().await?;
    let members = opened.members();
    let wanted = arguments.wanted(&opened.namespace, opened.name.as_str());
    let what = format!("read what the import of {} needs", wanted.volume);
    let import = match during(&what, planned(&members, &wanted, &volume)).await? {
        Plan::Import(import) => import,
        Plan::Unchanged(objects) => {
            return out(&Applied::unchanged(objects).text(arguments.output)?).map(|()| 0);
        }
    };
    if let Some(image) = &arguments.verify {
        let namespace = arguments.verify_namespace.as_ref().unwrap_or(&opened.namespace);
        let place = (namespace.as_str(), image.as_str());
        let reader = Reader::new(&opened.cluster, &import, place, arguments.timeout);
        let verified = reader.read(&mut to_stderr).await?;
        let (code, line) = verdict(&import, &verified);
        to_stderr(&line);
        if code != 0 {
            return Ok(code);
        }
    }
    let apply = apply_all(&opened.cluster, import.objects(), arguments.dry_run, false);
    let applied = during("apply the PersistentVolume and the claim", apply).await?;
    out(&applied.text(arguments.output)?)?;
    Ok(Exit::Success.code())
}

async fn describe(volume: &VolumeId) -> Result<DescribedVolume, Failure> {
    let next = "check AWS_REGION, the credentials and their permission ec2:DescribeVolumes";
    let cloud = |failure| Failure::Cloud { failure, next };
    let config = CloudConfig { answer_within: ANSWER_WITHIN, ..CloudConfig::from_env() };
    let client = AwsCloud::connect(config).map_err(cloud)?;
    let what = format!("describe volume {volume} in EC2");
    let found = during(&what, client.volume(volume)).await.map_err(cloud)?;
    found.ok_or_else(|| {
        let why = "EC2 has no such volume in this region".to_owned();
        let next = "check the ID, AWS_REGION and the account of the credentials";
        Refusal { why, next }.of(volume)
    })
}

impl Refusal {
    /// The failure of an import.
    fn of(self, volume: &VolumeId) -> Failure {
        let failure = invalid(format!("cannot import {volume}: {}", self.why));
        Failure::CheckExit { failure, next: self.next }
    }
}

/// The import of a volume into a service that is not read.
fn alone(wanted: &Wanted, volume: &DescribedVolume) -> Result<Import, Failure> {
    let import = check::import(wanted, None, volume);
    let import = import.and_then(|import| check::available(volume, &[]).map(|()| import));
    import.map_err(|why| why.of(&wanted.volume))
}

/// What is to be done. Nothing is changed yet.
///
/// # Errors
///
/// If the volume cannot be the volume of the member.
pub async fn planned<C: ServiceCluster>(
    members: &Members<'_, C>,
    wanted: &Wanted,
    volume: &DescribedVolume,
) -> Result<Plan, Failure> {
    let cluster = members.cluster;
    let refused = |why: Refusal| why.of(&wanted.volume);
    let claim = cluster.get(&wanted.claim.path()).await?;
    let volumes = cluster.list(kind::VOLUME, None, &Selector::default()).await?;
    let found = check::imported(wanted, claim.as_ref(), &volumes).map_err(refused)?;
    if let (Some(volume), Some(claim)) = (found, claim) {
        let path = volume_path(&wanted.volume);
        let path = ObjectPath { name: text(volume, "/metadata/name").to_owned(), ..path };
        return Ok(Plan::Unchanged(vec![(path, volume.clone()), (wanted.claim.path(), claim)]));
    }
    let set = cluster.get(&members.set).await?;
    let import = check::import(wanted, set.as_ref(), volume).map_err(refused)?;
    let nodes = cluster.list(kind::NODE, None, &Selector::default()).await?;
    check::available(volume, &nodes).map_err(refused)?;
    let places = places(members, &wanted.claim.member, set.as_ref()).await?;
    check::zone(&import.zone, set.as_ref(), &places).map_err(refused)?;
    Ok(Plan::Import(import))
}

async fn places<C: ServiceCluster>(
    members: &Members<'_, C>,
    member: &str,
    set: Option<&Value>,
) -> Result<Places, Failure> {
    let labels = set.map(|set| at(set, "/spec/template/metadata/labels"));
    let pool = match labels.and_then(|labels| labels.get(POOL_LABEL)?.as_str()) {
        Some(pool) => Some((pool.to_owned(), zones_of_pool(members.cluster, pool).await?)),
        None => None,
    };
    let nodes: BTreeSet<String> = usable_nodes(members.cluster).await?.into_keys().collect();
    Ok(Places { nodes, pool, address: address(members, member).await? })
}

/// The static address of a member, and its zone.
async fn address<C: ServiceCluster>(
    members: &Members<'_, C>,
    member: &str,
) -> Result<Option<(String, String)>, RegistryFailure> {
    let (of, name) = ("spec.claimRef.namespace", "spec.claimRef.name");
    let fields = format!("{of}={},{name}={member}", members.namespace());
    let selector = Selector { fields, ..Selector::default() };
    let found = members.cluster.list(kind::STATIC_IP, None, &selector).await?;
    let zone =
        |one: &Value| (text(one, "/spec/address").to_owned(), text(one, "/spec/zone").to_owned());
    Ok(found.first().map(zone))
}

/// The exit code of a verification, 0 for the stated filesystem, and the line that reports it.
pub fn verdict(import: &Import, verified: &Verified) -> (u8, String) {
    let (volume, stated) = (&import.volume, import.filesystem.as_str());
    let (code, line, next) = match verified {
        Verified::Found(Found::Filesystem(found)) if *found == import.filesystem => {
            return (Exit::Success.code(), format!("{volume} has the filesystem {stated}"));
        }
        Verified::Found(Found::Unreadable(why)) => (
            CheckExit::Unchecked.code(),
            format!("cannot read the superblock of {volume}: {why}"),
            "check that the image has `sh` and `od`, and that root may read the device",
        ),
        Verified::Found(found @ Found::Nothing) => (
            CheckExit::Problems.code(),
            format!("{volume} has {found}"),
            "check that it is the right volume: the CSI driver might format it",
        ),
        Verified::Found(found @ (Found::Filesystem(_) | Found::OlderExt | Found::BootSector)) => (
            CheckExit::Problems.code(),
            format!("{volume} has {found}, not {stated}"),
            "state the right filesystem with --fs-type, or import another volume",
        ),
        Verified::NotInTime(missing) => (
            Waited::TimedOut.code(),
            format!("the verification of {volume} did not end in time: {missing}"),
            "correct the cause and repeat the command, which removes what is left",
        ),
    };
    (code, format!("{line}; nothing is imported: {next}"))
}
