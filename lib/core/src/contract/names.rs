//! Names of members in DNS: what a user writes on a Service, and what FireCamp makes of it.

use crate::ids::{ClusterName, DnsZone};

/// Label of a Service without selector: the StatefulSet whose members it names.
pub const SET_LABEL: &str = "firecamp.io/statefulset";
/// Annotation of such a Service: the DNS zone of the members' records, or [`DEFAULT_ZONE`].
pub const ZONE_ANNOTATION: &str = "firecamp.io/dns-zone";
/// Stands for the zone of the cluster: [`zone_of`].
pub const DEFAULT_ZONE: &str = "default";
/// Condition of such a Service: its members have their names.
pub const NAMES_READY: &str = "firecamp.io/NamesReady";

/// Label of an EndpointSlice with its Service.
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Label of an EndpointSlice with the program that keeps it.
pub const SLICE_MANAGER_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// Label of the EndpointSlices of a headless Service: kube-proxy reads no others.
pub const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
/// Label of a DNSEndpoint with the program that keeps it.
pub const MANAGER_LABEL: &str = "app.kubernetes.io/managed-by";
/// FireCamp as a manager, in both labels.
pub const MANAGER: &str = "firecamp.io";
/// API version of ExternalDNS.
pub const EXTERNAL_DNS: &str = "externaldns.k8s.io/v1alpha1";
/// Kind of the records that ExternalDNS reads.
pub const DNS_ENDPOINT: &str = "DNSEndpoint";
/// Time to live of a record in seconds, as in the original FireCamp.
pub const RECORD_TTL: u32 = 5;

/// The zone of a cluster, as in the original FireCamp.
pub fn zone_of(cluster: &ClusterName) -> String {
    format!("{cluster}-firecamp.com").to_ascii_lowercase()
}

/// The zone that a Service asks for: itself, or for [`DEFAULT_ZONE`] that of the cluster. None if
/// it is no DNS zone, or if it is the default one and the cluster is not known.
pub fn zone_asked(asked: &str, cluster: Option<&ClusterName>) -> Option<DnsZone> {
    if asked == DEFAULT_ZONE { zone_of(cluster?).parse().ok() } else { asked.parse().ok() }
}

/// The name of a member in a DNS zone.
pub fn in_zone(member: &str, zone: &DnsZone) -> String {
    format!("{member}.{zone}")
}

/// The name of a member in the cluster, by a headless Service.
pub fn in_cluster(member: &str, service: &str, namespace: &str) -> String {
    format!("{member}.{service}.{namespace}.svc")
}

/// Reasons of the condition.
pub mod reason {
    /// Every member has its name.
    pub const PUBLISHED: &str = "Published";
    /// The Service has a selector or a cluster IP, so that others write its endpoints.
    pub const SERVICE_NOT_SUITABLE: &str = "ServiceNotSuitable";
    /// There is no such StatefulSet.
    pub const SET_NOT_FOUND: &str = "StatefulSetNotFound";
    /// The agents are not configured to make records in that zone.
    pub const ZONE_NOT_ALLOWED: &str = "ZoneNotAllowed";
    /// A StatefulSet of another namespace has the same names.
    pub const NAME_COLLISION: &str = "NameCollision";
    /// The API server does not serve DNSEndpoints, or not to the agents.
    pub const NO_DNS_ENDPOINTS: &str = "DNSEndpointsUnavailable";
    /// An EndpointSlice or a DNSEndpoint could not be written.
    pub const NOT_WRITTEN: &str = "WriteFailed";
    /// ExternalDNS has not read the records.
    pub const NOT_PROCESSED: &str = "RecordsNotProcessed";
    /// DNS does not know a member's name.
    pub const RECORD_NOT_FOUND: &str = "RecordNotFound";
    /// DNS has another address for a member's name.
    pub const RECORD_DIFFERS: &str = "RecordDiffers";
    /// DNS did not answer.
    pub const LOOKUP_FAILED: &str = "LookupFailed";
}
