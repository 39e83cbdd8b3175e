//! The schema of a case's YAML.

use serde::Deserialize;

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    /// What this case shows.
    #[expect(dead_code, reason = "for the reader of the file")]
    pub(crate) about: String,
    /// `attach` (default) or `release`.
    #[serde(default)]
    pub(crate) machine: Machine,
    /// How the ENI is chosen.
    #[serde(default)]
    pub(crate) eni: Option<String>,
    /// Release only: unassign whatever the pool's policy is.
    #[serde(default)]
    pub(crate) unassign: bool,
    /// The member's record; none before the first attach.
    #[serde(default)]
    pub(crate) record: Option<Record>,
    /// The member's claim, if it is not the one that the record implies.
    #[serde(default)]
    pub(crate) claim: Option<Claim>,
    /// The live pod: `vouched` (default), `absent`, `live`, `ending`, `other`, `elsewhere`.
    #[serde(default)]
    pub(crate) pod: Pod,
    /// There is no pool.
    #[serde(default)]
    pub(crate) no_pool: bool,
    /// The pool has `releasePolicy: Unassign`.
    #[serde(default)]
    pub(crate) pool_unassigns: bool,
    /// Last octets of the allocated addresses.
    #[serde(default)]
    pub(crate) allocated: Vec<u8>,
    /// IMDS lists the address on ENI `a`.
    #[serde(default)]
    pub(crate) listed: bool,
    /// The node has no ENI in the pool's subnet.
    #[serde(default)]
    pub(crate) wrong_subnet: bool,
    /// No link has the ENI's MAC.
    #[serde(default)]
    pub(crate) no_link: bool,
    /// The ENI that EC2 shows as the owner.
    #[serde(default)]
    pub(crate) owner: Option<Owner>,
    /// Sockets that use the address.
    #[serde(default)]
    pub(crate) sockets: Sockets,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Machine {
    #[default]
    Attach,
    Release,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Pod {
    #[default]
    Vouched,
    Absent,
    Live,
    Ending,
    Other,
    Elsewhere,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) epoch: u64,
    /// `attaching`, `attached`, `parked`, `releasing`, `released`, or nothing before the first.
    #[serde(default)]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) pod: Option<String>,
    #[serde(default)]
    pub(crate) node: Option<String>,
    #[serde(default)]
    pub(crate) eni: Option<String>,
    #[serde(default)]
    pub(crate) reserved_on: Option<String>,
    /// The pod has completed an attach before.
    #[serde(default)]
    pub(crate) served: bool,
    /// `assign:ENI:RUN` or `unassign:ENI:RUN`.
    #[serde(default)]
    pub(crate) pending: Vec<String>,
    /// Another member than `demo/redis-0`.
    #[serde(default)]
    pub(crate) member: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    #[serde(default)]
    pub(crate) requested: Option<u8>,
    #[serde(default)]
    pub(crate) address: Option<u8>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    pub(crate) eni: String,
    #[serde(default)]
    pub(crate) primary: bool,
    /// The value of its tag `firecamp.io/cluster`.
    #[serde(default)]
    pub(crate) cluster: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sockets {
    pub(crate) listeners: u32,
    pub(crate) connections: u32,
    pub(crate) datagrams: u32,
}
