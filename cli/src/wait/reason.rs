//! What may be missing, in words that never change their meaning, each with what to do.

use crate::reasons::reasons;

reasons! {
    "Why something is not yet as it is waited for.";
    SetWantsPods "The StatefulSet is to have pods."
        "to stop it: `kubectl -n NAMESPACE scale statefulset NAME --replicas=0`";
    SetNotObserved "The StatefulSet's controller has not acted on its last change."
        "wait some seconds; if it stays, does kube-controller-manager run?";
    SetMissing "There is no such StatefulSet."
        "check the name, the namespace and the cluster, or create it";
    SetDeleted "The StatefulSet is being deleted."
        "wait until it is gone, and create it again";
    PodLive "A pod is there that nobody has deleted."
        "nothing if its StatefulSet is there, which deletes its pods one after the other; a pod \
         without one stays until you delete it: `kubectl -n NAMESPACE delete pod NAME`";
    PodTerminating "A pod is being deleted."
        "nothing until its grace period is over; if it stays then, does the kubelet of its node \
         run? Where the machine is gone for good: `kubectl taint node NODE \
         node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`. Do not delete it with --force \
         while its containers may run";
    PodEnded "A pod is there whose containers have ended for good."
        "nothing if its StatefulSet is there, which replaces or deletes it; else \
         `kubectl -n NAMESPACE delete pod NAME`";
    PodMissing "A replica has no pod."
        "`kubectl -n NAMESPACE describe statefulset NAME` says why none is made";
    PodUnscheduled "A pod has no node yet."
        "`kubectl -n NAMESPACE describe pod NAME` says what the scheduler lacks: a zone, a volume, \
         or a free slot of firecamp.io/static-ip";
    PodOfOther "A pod has the name of a replica, and the StatefulSet does not control it."
        "delete that pod: the StatefulSet can make its own only then";
    AddressHeld "An address is attached, or is just being attached."
        "nothing while a pod has it; after the pod the node's agent releases it within seconds, \
         and where the node is gone the agent that holds the Lease, after minutes; if it stays: \
         `firecamp explain MEMBER`";
    AddressReleasing "An address is on its way out of EC2."
        "wait some seconds: an agent finishes what a pod has left";
    NoAddress "A member has a live pod and no address."
        "read the log of the pod's init container, which chooses it; `firecamp explain MEMBER`";
    NotAttached "A member has a live pod, and nobody holds its address."
        "read the log of the pod's init container; without one in its template the pod gets none";
    Attaching "An attach is under way, or was cut off."
        "wait some seconds; if it stays, read the log of the pod's init container";
    HeldByOther "Another pod holds the member's address."
        "wait for the pod's init container, which takes it over; if it stays: \
         `firecamp explain MEMBER`";
    Unread "An object is there and cannot be read."
        "repair the object that is named, or use the version of this command that the agents have";
}
