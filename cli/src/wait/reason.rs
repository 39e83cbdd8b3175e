//! The reasons of `firecamp wait`, each with its meaning and advice. Stable: a reason never
//! changes its meaning.

use crate::reasons::reasons;

reasons! {
    "Why the awaited state is not reached yet.";
    ReplicasNotZero "The StatefulSet still has replicas."
        "to stop the service: `kubectl -n NAMESPACE scale statefulset NAME --replicas=0`";
    StatefulSetNotObserved "The StatefulSet controller has not processed the last change yet."
        "wait a few seconds; if this persists, check that kube-controller-manager runs";
    StatefulSetNotFound "The StatefulSet does not exist."
        "check the name, the namespace and the cluster, or create the StatefulSet";
    StatefulSetTerminating "The StatefulSet is being deleted."
        "wait until it is deleted, then create it again";
    PodNotDeleted "The pod exists and nothing has deleted it."
        "nothing if its StatefulSet exists: the StatefulSet deletes its pods one after the other; \
         a pod without a StatefulSet stays until you delete it: \
         `kubectl -n NAMESPACE delete pod NAME`";
    PodTerminating "The pod is terminating."
        "nothing until its grace period is over; if the pod is still there afterwards, check the \
         kubelet of its node; if the machine is lost for good: `kubectl taint node NODE \
         node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`; do not delete the pod with \
         --force while its containers may still run";
    PodFinished "All containers of the pod have terminated, but the pod still exists."
        "nothing if its StatefulSet exists: the StatefulSet replaces or deletes the pod; otherwise \
         `kubectl -n NAMESPACE delete pod NAME`";
    PodMissing "A replica has no pod."
        "find out why no pod is created: `kubectl -n NAMESPACE describe statefulset NAME`";
    PodUnscheduled "The pod is not assigned to a node yet."
        "find out what the scheduler needs, for example a zone, a volume, or a free slot of \
         firecamp.io/static-ip: `kubectl -n NAMESPACE describe pod NAME`";
    ControllerMismatch "The pod has the name of a replica but is not controlled by the StatefulSet."
        "delete that pod, so that the StatefulSet can create its own";
    AddressHeld "The address is attached or being attached."
        "nothing while a pod uses it; once the pod is gone, the node's agent releases the address \
         within seconds; if the node is gone, the leader does within minutes; if this persists: \
         `firecamp explain MEMBER`";
    Releasing "The address is being released from EC2."
        "wait a few seconds: an agent finishes the release";
    NoAddress "The member has a live pod but no address."
        "read the log of the pod's init container, which chooses the address; \
         `firecamp explain MEMBER`";
    NotAttached "The member has a live pod, but its address is not attached to any pod."
        "read the log of the pod's init container; a pod whose template has no init container \
         gets no address";
    Attaching "An attach is in progress or was interrupted."
        "wait a few seconds; if this persists, read the log of the pod's init container";
    HeldByAnotherPod "Another pod holds the member's address."
        "wait for the pod's init container, which acquires the address; if this persists: \
         `firecamp explain MEMBER`";
    Unreadable "The object exists but could not be read."
        "repair the named object, or use the version of this command that matches the agents";
}
