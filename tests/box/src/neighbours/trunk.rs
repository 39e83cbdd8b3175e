//! The VPC resource controller v1.7, for one node: it attaches a trunk interface, behind which pods
//! get interfaces of their own. It follows amazon-vpc-resource-controller-k8s,
//! pkg/aws/ec2/instance.go, pkg/provider/branch/trunk/trunk.go and pkg/aws/ec2/api/helper.go. The
//! original works in an account of EKS and therefore also grants itself the attachment.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use super::instance::{Described, Failure, Instance, NewEni, Outcome};
use super::{Pace, log};

/// After this time the manager has queued the node again (pkg/node/manager/manager.go).
const AGAIN: Duration = Duration::from_secs(30);
/// How often it looks whether the feature is there, in place of a watch.
const WATCH: Duration = Duration::from_secs(1);
/// How often and after which first pause it looks whether the trunk is attached. EC2 is no faster
/// for a neighbour, so these times are those of the original.
const LOOKS: u32 = 7;
const LOOK_AGAIN: Duration = Duration::from_millis(250);

pub(super) async fn run(pace: Pace, feature: &Path) -> Outcome<Infallible> {
    let instance = Instance::connect("vpc-resource-controller").await?;
    loop {
        // It reads the used indexes once, when it initializes the node.
        let used = instance.used_indexes().await?;
        while !feature.exists() {
            pace.sleep(WATCH).await;
        }
        match attach_trunk(&instance, &used, pace).await {
            Ok(()) => {
                log("trunk", &"attached");
                return std::future::pending().await;
            }
            Err(failure) => log("attach a trunk", &failure),
        }
        pace.sleep(AGAIN).await;
    }
}

/// `InitTrunk`: at the highest index that is free as far as it remembers.
async fn attach_trunk(instance: &Instance, used: &BTreeSet<u32>, pace: Pace) -> Outcome {
    if instance.describe_own().await?.iter().any(|eni| eni.is_trunk) {
        return Ok(());
    }
    let most = u32::try_from(instance.limits.enis).unwrap_or(u32::MAX);
    let free = (0..most).rev().find(|index| !used.contains(index));
    let free = free.ok_or_else(|| Failure::other("no free device index found"))?;
    let tags = [
        ("node.k8s.amazonaws.com/instance_id", instance.id.as_str()),
        ("eks:eni:owner", "eks-vpc-resource-controller"),
        ("kubernetes.io/cluster/prod", "owned"),
    ];
    let Described { id, .. } = instance
        .create(NewEni {
            description: "aws-k8s-trunk-eni".to_owned(),
            addresses: 0,
            is_trunk: true,
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        })
        .await?;
    let attachment = match instance.attach(&id, free, None).await {
        Ok(attachment) => attachment,
        Err(failure) => {
            instance.delete(&id, pace).await?;
            return Err(failure);
        }
    };
    if let Err(failure) = finish(instance, (&id, &attachment)).await {
        instance.free(&id, pace).await?;
        return Err(failure);
    }
    Ok(())
}

/// Waits until the trunk is attached.
async fn finish(instance: &Instance, (eni, attachment): (&str, &str)) -> Outcome {
    instance.delete_on_termination(eni, attachment).await?;
    let mut pause = LOOK_AGAIN;
    for _ in 0..LOOKS {
        let found = instance.describe_own().await?;
        if found.iter().any(|one| one.id == eni && one.is_attached) {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Err(Failure::other(format!("{eni} does not become attached")))
}
