//! Identifiers, parsed once at the edge. A value of one of these types is well formed.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::contract::api::EXTENDED_RESOURCE;
use crate::contract::cluster::orphaned;
use crate::shared_texts::SharedTexts;
use crate::short_text::ShortText;

/// The API server's UIDs have 36 characters (RFC 9562).
type UidText = ShortText<36>;

/// Why a text is not an identifier of a certain kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a valid {kind}: expected {expected}")]
pub struct InvalidId {
    /// The kind of identifier, for people.
    pub kind: &'static str,
    /// The expected form.
    pub expected: &'static str,
    /// The invalid text, shortened to 80 characters.
    pub text: String,
}

pub(crate) fn invalid(kind: &'static str, expected: &'static str, text: &str) -> InvalidId {
    InvalidId { kind, expected, text: text.chars().take(80).collect() }
}

/// Serde support for an identifier: its text, with the same check as parsing.
macro_rules! text_serde {
    ($name:ident) => {
        #[cfg(feature = "serde")]
        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        #[cfg(feature = "serde")]
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $check:expr) => {
        text_id!($(#[$doc])* $name(Arc<str>), $kind, $expected, $check);

        impl $name {
            /// Keeps the text once for all that have it.
            pub fn share(&mut self, texts: &mut SharedTexts) {
                texts.share(&mut self.0);
            }
        }
    };
    ($(#[$doc:meta])* $name:ident($text:ty), $kind:literal, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(
            feature = "serde",
            derive(serde::Serialize, serde::Deserialize),
            serde(try_from = "String", into = "String")
        )]
        pub struct $name($text);

        impl $name {
            /// Parses the text; fails if it is malformed.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(<$text>::from(text)))
                } else {
                    Err(invalid($kind, $expected, text))
                }
            }

            /// The text of the identifier.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        text_serde!($name);

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }
    };
}

/// RFC 1123 label: lower-case alphanumerics and `-`, at most 63 characters.
fn is_label(text: &str) -> bool {
    let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(|c| alnum(c) || c == '-')
        && text.starts_with(alnum)
        && text.ends_with(alnum)
}

/// RFC 1123 subdomain: labels joined by dots, at most 253 characters.
fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// `PREFIX-` and 8 or 17 lower-case hexadecimal digits, the two forms that EC2 has used.
fn is_ec2_id(text: &str, prefix: &str) -> bool {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|id| (id.len() == 8 || id.len() == 17) && id.chars().all(hex))
}

/// `firecamp.io/static-ip`, or that with `-` and a suffix; the part after the slash is a label.
fn is_resource(text: &str) -> bool {
    let suffix = text.strip_prefix(EXTENDED_RESOURCE);
    suffix.is_some_and(|it| it.is_empty() || it.starts_with('-'))
        && text.split_once('/').is_some_and(|(_domain, name)| is_label(name))
}

fn is_token(text: &str, max: usize) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= max && text.chars().all(ok)
}

text_id!(
    /// The UID of a pod, or in file mode any text by which the caller vouches for a member.
    PodUid(UidText), "pod UID", "1 to 128 letters, digits, '-', '_' or '.'", |t| is_token(t, 128)
);
impl PodUid {
    /// The placeholder for the pod of an adopted address. No API server creates such a UID.
    pub fn orphaned() -> Self {
        Self(UidText::from(orphaned::POD_UID))
    }
}

text_id!(
    /// The name of a Kubernetes node.
    NodeName, "node name", "an RFC 1123 subdomain", is_subdomain
);
text_id!(
    /// The name of a `StaticIPPool`.
    PoolName, "pool name", "an RFC 1123 subdomain", is_subdomain
);
text_id!(
    /// The extended resource that counts the slots of a pool: `firecamp.io/static-ip`, also the
    /// default, or a name that begins with `firecamp.io/static-ip-`.
    ResourceName, "extended resource",
    "firecamp.io/static-ip or firecamp.io/static-ip-SUFFIX, with an RFC 1123 label after the slash",
    is_resource
);
impl ResourceName {
    /// Whether it is the default.
    pub fn is_default(&self) -> bool {
        self.as_str() == EXTENDED_RESOURCE
    }
}

impl Default for ResourceName {
    fn default() -> Self {
        Self(Arc::from(EXTENDED_RESOURCE))
    }
}

text_id!(
    /// The name of a StatefulSet.
    SetName, "StatefulSet name", "an RFC 1123 subdomain", is_subdomain
);
text_id!(
    /// The name of the FireCamp cluster, the value of the tag `firecamp.io/cluster`.
    ClusterName, "cluster name", "1 to 128 letters, digits, '-', '_' or '.'", |t| is_token(t, 128)
);
text_id!(
    /// An EC2 instance id (`i-…`).
    InstanceId, "EC2 instance id", "i- and 8 or 17 hexadecimal digits", |t| is_ec2_id(t, "i")
);
text_id!(
    /// An EC2 network interface id (`eni-…`).
    EniId, "ENI id", "eni- and 8 or 17 hexadecimal digits", |t| is_ec2_id(t, "eni")
);
text_id!(
    /// An EC2 subnet id (`subnet-…`).
    SubnetId, "subnet id", "subnet- and 8 or 17 hexadecimal digits", |t| is_ec2_id(t, "subnet")
);
text_id!(
    /// An EBS volume id (`vol-…`).
    VolumeId, "EBS volume id", "vol- and 8 or 17 hexadecimal digits", |t| is_ec2_id(t, "vol")
);
text_id!(
    /// An availability zone (`us-east-1a`).
    Zone, "availability zone", "1 to 64 letters, digits or '-'", |t| is_token(t, 64)
);
text_id!(
    /// The version of a stored object: opaque, compared for equality only (`resourceVersion`).
    Version(ShortText<20>), "object version", "1 to 128 letters, digits, '-', '_' or '.'",
    |t| is_token(t, 128)
);
text_id!(
    /// The name of a `NodeInterface`.
    InterfaceName, "interface name", "an RFC 1123 subdomain", is_subdomain
);
impl InterfaceName {
    /// The name of the interface with this number of an instance. Two processes that make the same
    /// one conflict.
    pub fn of(instance: &InstanceId, number: u32) -> Self {
        Self(Arc::from(format!("{instance}-{number}").as_str()))
    }
}
text_id!(
    /// The UID of an object of the API server, which distinguishes it from another object of the
    /// same name.
    Uid(UidText), "object UID", "1 to 64 letters, digits, '-', '_' or '.'", |t| is_token(t, 64)
);
text_id!(
    /// One run of one process: distinguishes the answer to its own write from other writes.
    RunId(ShortText<16>), "run id", "1 to 64 letters, digits, '-', '_' or '.'", |t| is_token(t, 64)
);

/// One StatefulSet pod identity: namespace and pod name, written `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "String", into = "String")
)]
pub struct Member {
    namespace: Arc<str>,
    name: Arc<str>,
}

text_serde!(Member);

impl Member {
    /// Parses both parts as RFC 1123 names.
    pub fn new(namespace: &str, name: &str) -> Result<Self, InvalidId> {
        if !is_label(namespace) {
            return Err(invalid("namespace", "an RFC 1123 label", namespace));
        }
        if !is_subdomain(name) {
            return Err(invalid("member name", "an RFC 1123 subdomain", name));
        }
        Ok(Self { namespace: Arc::from(namespace), name: Arc::from(name) })
    }

    /// The placeholder for the member of an adopted address. No pod belongs to it, because the
    /// containers refuse its namespace.
    pub fn orphaned(address: Ipv4Addr) -> Self {
        let name = address.to_string();
        Self { namespace: Arc::from(orphaned::NAMESPACE), name: Arc::from(name) }
    }

    /// Whether it is the placeholder.
    pub fn is_orphaned(&self) -> bool {
        self.namespace() == orphaned::NAMESPACE
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The pod name, which is also the name of the member's claim.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keeps the texts once for all that have them.
    pub fn share(&mut self, texts: &mut SharedTexts) {
        texts.share(&mut self.namespace);
        texts.share(&mut self.name);
    }
}

impl FromStr for Member {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parts = text.split_once('/');
        let (namespace, name) = parts.ok_or_else(|| invalid("member", "NAMESPACE/NAME", text))?;
        Self::new(namespace, name)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

text_id! {
    /// A DNS zone, in lower case and without the dot at its end.
    DnsZone, "DNS zone", "labels of lower-case alphanumerics and `-`, joined by dots", is_subdomain
}

impl DnsZone {
    /// Whether it is this zone or one below it.
    pub fn is_within(&self, zone: &Self) -> bool {
        let below = self.as_str().strip_suffix(zone.as_str());
        below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

/// A link-layer address, always printed in lower case with colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "String", into = "String")
)]
pub struct Mac([u8; 6]);

text_serde!(Mac);

impl Mac {
    /// From the six bytes that netlink reports.
    pub fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// The six bytes.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.0.map(|byte| format!("{byte:02x}"));
        f.write_str(&pairs.join(":"))
    }
}

impl FromStr for Mac {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let wrong = || invalid("MAC address", "six pairs of hexadecimal digits with colons", text);
        let mut bytes = [0_u8; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(wrong)?;
            let hex = part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit());
            let value = hex.then(|| u8::from_str_radix(part, 16).ok()).flatten();
            *byte = value.ok_or_else(wrong)?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self(bytes))
    }
}

/// The number of attachments of one static IP so far. It only grows; a holder of an old epoch can
/// change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of the next attachment.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Parses one IPv4 address in dotted form and nothing else.
pub fn parse_address(text: &str) -> Result<Ipv4Addr, InvalidId> {
    text.parse().map_err(|_source| invalid("IPv4 address", "four decimal numbers with dots", text))
}
