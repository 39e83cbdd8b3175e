//! Who asks at the agent's endpoint: the review of a token, and the pod.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use crate::failure::RegistryFailure;
use crate::ids::{Member, NodeName, PodUid, PoolName};

/// The pod that a token was issued for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewedPod {
    /// Its namespace and name.
    pub member: Member,
    /// Its UID.
    pub pod: PodUid,
    /// Its node, which tokens have from Kubernetes 1.30 on.
    pub node: Option<NodeName>,
}

/// The answer of a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Review {
    /// The token is valid, has the endpoint's audience, and was issued for this pod.
    Pod(ReviewedPod),
    /// It is not; with the reason.
    Refused(String),
}

/// What a pod's object says about how it gets its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskingPod {
    /// Its UID.
    pub pod: PodUid,
    /// Its node, once scheduled.
    pub node: Option<NodeName>,
    /// It uses the network of its node.
    pub host_network: bool,
    /// Its addresses, once its network exists and the kubelet has reported it.
    pub ips: Vec<IpAddr>,
    /// The pool of a member that has no address yet, by the pod's label; an error if its value is
    /// no name of a pool.
    pub pool: Result<Option<PoolName>, String>,
    /// Its `terminationGracePeriodSeconds`, which its predecessor had too.
    pub grace: Duration,
}

/// The authority over pods: the Kubernetes API. Every answer is fresh, but a review may be as old
/// as the API server's cache of reviews (10 s).
pub trait PodAuthority: Send + Sync {
    /// Reviews a token. `Err` if the review itself failed.
    fn review(&self, token: &str) -> impl Future<Output = Result<Review, RegistryFailure>> + Send;

    /// The pod of this name; none if there is none.
    fn asking_pod(
        &self,
        member: &Member,
    ) -> impl Future<Output = Result<Option<AskingPod>, RegistryFailure>> + Send;

    /// The pool that a member without an address may have one of: that of its claim, otherwise this
    /// one, otherwise the only one. The inner error says that it does not allow the namespace.
    fn approved_pool(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> impl Future<Output = Result<Result<PoolName, String>, RegistryFailure>> + Send;
}
