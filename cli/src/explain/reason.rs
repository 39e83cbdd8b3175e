//! What a member's chain ends with, each with what to do. The words never change their meaning.

use crate::reasons::reasons;

reasons! {
    "Where the chain breaks, or that it does not.";
    Reachable "Every link holds." "nothing";
    AtRest "No pod holds the address, and none wants it." "nothing";
    Unproven "Every link that could be seen holds."
        "run this on the node of the member, with AWS credentials, to see every link";
    RegistryUnread "The registry could not be asked."
        "check that the registry can be reached and read from here";
    NoClaim "The member has no claim."
        "check the name and the namespace; a claim is made by the init container of the member's \
         first pod: is it in the pod's template, and what does its log say?";
    ClaimUnbound "The claim has no address yet."
        "read the log of the pod's init container: it chooses the address; a pool that is full or \
         has no subnet in the pod's zone gives none (`firecamp doctor`)";
    CannotBind "The claim can be given no address as things are."
        "do what the message says; the pod's init container tries again by itself";
    VolumeNotReady "The pod lacks a volume that it claims."
        "do what the message says of the volume: no container of the pod, its init container \
         included, starts before the pod has all of its volumes (`firecamp node NODE`)";
    AddressMissing "The claim names an address that has no object."
        "restart the pod: its init container makes the StaticIP anew, or chooses another address \
         if somebody else has this one by now; if it ends with 11 and names an ENI, EC2 \
         still has the address there: unassign it, or make its StaticIP with spec.reservedOn of \
         that ENI";
    AddressOfOther "The claim names an address of another member."
        "delete the claim, and then the pod: the member gets an address of its own";
    ControllerMismatch "The pod is not controlled by the StatefulSet that the claim is bound to."
        "let that StatefulSet start the member; or, to give its address to something else on \
         purpose, remove the annotation firecamp.io/statefulset from the claim";
    NeverAttached "No pod has ever held the address."
        "start the member's pod, or read the log of its init container";
    Attaching "An attach is under way, or was cut off."
        "wait some seconds; if it stays, read the log of the pod's init container";
    Releasing "The address is on its way out of EC2."
        "wait some seconds: an agent finishes what a pod has left";
    AwaitingInit "A pod is there and has not taken the address."
        "read the log and the state of the pod's init container; without one in its template the \
         pod gets no address";
    PodGone "The pod on record is gone, and nobody has released for it."
        "nothing at first: the agent of that node releases it, and for a node that is gone the \
         agent that holds the Lease; if it stays, see `firecamp doctor`";
    PodReplaced "Another pod of the member is there, and the record still has the old one."
        "wait for the new pod's init container; if it does not come up, read its log";
    PodElsewhere "The pod runs on another node than the one on record."
        "delete the pod: its init container takes the address anew";
    CallInFlight "A call to EC2 may still be in flight."
        "wait some seconds: whoever takes the address next waits until the call is over";
    OnNoEni "EC2 shows the address on no network interface."
        "nothing at first: the node's agent re-asserts it; if it stays, read the agent's log and \
         look for who moves addresses of this cluster by hand";
    OnOtherEni "EC2 shows the address on another network interface of a cluster."
        "nothing at first: the node's agent re-asserts it; if it stays, read the agent's log and \
         look for who moves addresses of this cluster by hand";
    OnForeignEni "EC2 shows the address on a network interface that is none of ours."
        "look up that network interface and release the address there: FireCamp never takes it \
         from somebody else; reserve the pool's ranges in the subnet";
    LockAhead "The node's lock knows a later epoch than the registry."
        "the registry was set back, perhaps by a backup: restart the pod, whose init container \
         takes an epoch that is higher than both";
    LockReleased "The node's lock says that the address was released."
        "nothing if the pod is ending; else delete the pod: a stop container has let go";
    LockBehind "The node's lock knows an older holder."
        "delete the pod: its init container did not come to its end here";
    LinkMissing "The kernel has no link for the network interface."
        "look at `ip link` and at the instance's network interfaces: the ENI is not attached, or \
         its driver did not come up";
    LinkDown "The link of the network interface is down."
        "bring the link up, and see what takes it down (networkd?)";
    KernelLacks "The kernel lacks the address."
        "nothing at first: the node's agent puts it back within milliseconds; if it stays, is an \
         agent running there (`firecamp node`), and who removes it?";
    RoutingLacks "The kernel lacks the rule or a route of the address."
        "nothing at first: the node's agent puts it back within milliseconds; if it stays, is an \
         agent running there (`firecamp node`), and who removes it?";
    KernelLeftover "The kernel still has an address that nobody holds."
        "nothing at first: the node's agent removes it; if it stays, is an agent running there?";
    FileMissing "There is no static-IP file."
        "restart the pod: its init container writes the file; is the volume that is mounted the \
         member's own?";
    FileOther "The static-IP file holds another address."
        "restart the pod: its init container writes the file; is the volume that is mounted the \
         member's own?";
    FileGarbled "The static-IP file holds no address."
        "restart the pod: its init container writes the file; is the volume that is mounted the \
         member's own?";
}

impl Reason {
    /// Whether nothing that was seen is wrong.
    pub fn is_sound(self) -> bool {
        matches!(self, Self::Reachable | Self::AtRest | Self::Unproven)
    }
}
