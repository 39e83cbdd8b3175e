//! The reasons of `firecamp explain`, each with its meaning and advice. Stable: a reason never
//! changes its meaning.

use crate::reasons::reasons;

reasons! {
    "The first broken or pending link of a member, or that there is none.";
    Reachable "All links are ok." "nothing";
    NotInUse "No pod uses the address." "nothing";
    NotVerified "All links that could be checked are ok."
        "to check every link, run this command on the member's node, with AWS credentials";
    RegistryUnreadable "The registry could not be read."
        "check that you can reach the registry from here, and that you have the permissions to \
         read it";
    ClaimNotFound "The member has no StaticIPClaim."
        "check the name and the namespace; the init container of the member's first pod creates \
         the claim: check that the pod template has the init container, and read its log";
    ClaimUnbound "The claim has no address yet."
        "read the log of the pod's init container, which chooses the address; it finds none if \
         the pool is full or has no subnet in the pod's zone (`firecamp doctor`)";
    CannotBind "The claim cannot get an address."
        "follow the advice in the message; the pod's init container retries automatically";
    VolumeNotReady "A volume of the pod is not ready."
        "follow the advice in the message; the pod's containers, including the init container, \
         start only when all of its volumes are mounted (`firecamp node NODE`)";
    StaticIPNotFound "The claim names an address that has no StaticIP."
        "restart the pod: its init container creates the StaticIP again, or chooses another \
         address if another member has this one; if the init container exits with 11 and names an \
         ENI, that ENI still has the address in EC2: unassign it there, or create the StaticIP \
         with this ENI in spec.reservedOn";
    AddressOfAnotherMember "The claim names an address that belongs to another member."
        "delete the claim, then the pod: the member gets a new address";
    ControllerMismatch "The pod is not controlled by the StatefulSet to which the claim is bound."
        "let that StatefulSet create the pod; or, to give the address to another workload, remove \
         the annotation firecamp.io/statefulset from the claim";
    NeverAttached "No pod has used the address yet."
        "start the member's pod; if it is already running, read the log of its init container";
    Attaching "An attach is in progress or was interrupted."
        "wait a few seconds; if this persists, read the log of the pod's init container";
    Releasing "The address is being released from EC2."
        "wait a few seconds: an agent finishes the release";
    AwaitingInit "The pod exists but has not acquired the address."
        "check the state and the log of the pod's init container; a pod whose template has no \
         init container gets no address";
    PodGone "The recorded pod is gone, and its address has not been released yet."
        "nothing at first: the agent of that node releases the address; if the node is gone, the \
         leader does; if this persists, run `firecamp doctor`";
    HeldByAnotherPod "The record still names an earlier pod of the member."
        "wait for the new pod's init container; if it does not complete, read its log";
    PodOnAnotherNode "The pod runs on another node than the recorded one."
        "delete the pod: the init container of the next one acquires the address";
    CallInFlight "A call to EC2 may still be in flight."
        "wait a few seconds: the next pod acquires the address only after the call is over";
    NotOnAnyInterface "EC2 has the address on no network interface."
        "nothing at first: the node's agent assigns the address again; if this persists, read the \
         agent's log and find out who unassigns addresses of this cluster";
    Misplaced "EC2 has the address on another network interface of a FireCamp cluster."
        "nothing at first: the node's agent assigns the address again; if this persists, read the \
         agent's log and find out who moves addresses of this cluster";
    HeldByForeignInterface "EC2 has the address on a network interface outside the cluster."
        "find that network interface and unassign the address there: FireCamp never takes an \
         address from a foreign interface; reserve the pool's ranges in the subnet (subnet CIDR \
         reservation)";
    LockAhead "The node-local lock has a later epoch than the registry."
        "the registry was rolled back, perhaps by restoring a backup; restart the pod: its init \
         container uses an epoch higher than both";
    LockReleased "The node-local lock says that the address was released."
        "nothing if the pod is terminating; otherwise delete the pod, because its stop container \
         has released the address";
    LockBehind "The node-local lock names an earlier holder."
        "delete the pod: its init container did not finish on this node";
    LinkMissing "The kernel has no link for the network interface."
        "check `ip link` and the instance's network interfaces: the ENI is not attached, or its \
         driver did not start";
    LinkDown "The link of the network interface is down."
        "bring the link up, and find out what brings it down (for example systemd-networkd)";
    MissingInKernel "The address is missing from the node's kernel."
        "nothing at first: the node's agent restores it within milliseconds; if this persists, \
         check that an agent runs on the node (`firecamp node`), and find out what removes the \
         address";
    RoutingMissingInKernel "The routing rule or a route of the address is missing from the kernel."
        "nothing at first: the node's agent restores it within milliseconds; if this persists, \
         check that an agent runs on the node (`firecamp node`), and find out what removes the \
         rule or route";
    LeftoverInKernel "The node's kernel still has an address that no pod uses."
        "nothing at first: the node's agent removes it; if this persists, check that an agent \
         runs on the node";
    FileMissing "The static-IP file does not exist."
        "restart the pod: its init container writes the file; check that the mounted volume is \
         the member's own";
    FileMismatch "The static-IP file contains another address."
        "restart the pod: its init container writes the file; check that the mounted volume is \
         the member's own";
    FileInvalid "The static-IP file does not contain an IPv4 address."
        "restart the pod: its init container writes the file; check that the mounted volume is \
         the member's own";
}

impl Reason {
    /// Whether no link is known to be broken or pending.
    pub fn is_healthy(self) -> bool {
        matches!(self, Self::Reachable | Self::NotInUse | Self::NotVerified)
    }
}
