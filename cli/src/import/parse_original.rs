//! Parses the records of the original strictly. Each ConfigMap is a record; its structured parts
//! are JSON with Go's field names. Other fields are ignored, because nothing is written back.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_core::contract::original::{ADDRESS_PREFIX, MEMBER_PREFIX, NO_ADDRESS, key};
use firecamp_core::ids::{EniId, InstanceId, Member, Zone, parse_address};
use serde_json::Value;

/// The data of a ConfigMap.
pub type Texts = BTreeMap<String, String>;

/// `firecamp-staticip-ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldAddress {
    /// The address.
    pub address: Ipv4Addr,
    /// The UUID of the service that owns it.
    pub service: String,
    /// Its zone.
    pub zone: Zone,
    /// The last instance that had it.
    pub instance: InstanceId,
    /// The last ENI that had it.
    pub eni: EniId,
}

/// `firecamp-servicemember-UUID-NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldMember {
    /// The member.
    pub member: Member,
    /// The UUID of its service.
    pub service: String,
    /// Its zone.
    pub zone: Zone,
    /// Its address; `None` if its service needs none.
    pub address: Option<Ipv4Addr>,
}

/// A record that exists but cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The ConfigMap's name.
    pub name: String,
    /// Why it cannot be parsed.
    pub why: String,
}

/// All records of the original in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OldRecords {
    /// Its addresses.
    pub addresses: BTreeMap<Ipv4Addr, OldAddress>,
    /// Its members, ordered by the names of their ConfigMaps.
    pub members: Vec<OldMember>,
    /// The records that cannot be parsed.
    pub unreadable: Vec<Unreadable>,
}

impl OldRecords {
    /// Parses and adds one ConfigMap of a namespace.
    pub fn add(&mut self, namespace: &str, name: &str, texts: &Texts) {
        let read = if let Some(rest) = name.strip_prefix(ADDRESS_PREFIX) {
            address(rest, texts).map(|one| drop(self.addresses.insert(one.address, one)))
        } else if let Some(rest) = name.strip_prefix(MEMBER_PREFIX) {
            member(namespace, rest, texts).map(|one| self.members.push(one))
        } else {
            return;
        };
        if let Err(why) = read {
            self.unreadable.push(Unreadable { name: name.to_owned(), why });
        }
    }

    /// Whether a member's record cannot be parsed: it may name any address.
    pub fn has_unreadable_member(&self) -> bool {
        self.unreadable.iter().any(|one| one.name.starts_with(MEMBER_PREFIX))
    }
}

fn address(named: &str, texts: &Texts) -> Result<OldAddress, String> {
    let own = text(texts, key::ADDRESS)?;
    let address = parse_address(own).map_err(|wrong| of(key::ADDRESS, &wrong))?;
    if named != own {
        return Err(format!("{}: {own:?} does not match the name of the ConfigMap", key::ADDRESS));
    }
    let spec = Spec::of(texts, key::ADDRESS_SPEC)?;
    Ok(OldAddress {
        address,
        service: spec.read(key::SERVICE_UUID, uuid)?,
        zone: spec.read(key::ZONE, Zone::new)?,
        instance: spec.read(key::INSTANCE, InstanceId::new)?,
        eni: spec.read(key::ENI, EniId::new)?,
    })
}

fn member(namespace: &str, named: &str, texts: &Texts) -> Result<OldMember, String> {
    let service = text(texts, key::SERVICE_UUID)?;
    let service = uuid(service).map_err(|wrong| of(key::SERVICE_UUID, &wrong))?;
    let name = text(texts, key::MEMBER_NAME)?;
    if named != format!("{service}-{name}") {
        return Err(format!(
            "{}: {service}-{name} does not match the name of the ConfigMap",
            key::MEMBER_NAME
        ));
    }
    let member = Member::new(namespace, name).map_err(|wrong| of(key::MEMBER_NAME, &wrong))?;
    let spec = Spec::of(texts, key::MEMBER_SPEC)?;
    let address = spec.read(key::ADDRESS, parse_address)?;
    Ok(OldMember {
        member,
        service,
        zone: spec.read(key::ZONE, Zone::new)?,
        address: (address != NO_ADDRESS).then_some(address),
    })
}

/// The structured part of a record.
struct Spec<'a> {
    key: &'a str,
    fields: BTreeMap<String, Value>,
}

impl<'a> Spec<'a> {
    fn of(texts: &Texts, key: &'a str) -> Result<Self, String> {
        let fields = serde_json::from_str(text(texts, key)?).map_err(|wrong| of(key, &wrong))?;
        Ok(Self { key, fields })
    }

    fn read<T, E: ToString>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, String> {
        let text = self.fields.get(name).and_then(Value::as_str);
        let text = text
            .ok_or_else(|| format!("{}: field {name} is missing or is not a string", self.key))?;
        parse(text).map_err(|wrong| format!("{}: {name}: {}", self.key, wrong.to_string()))
    }
}

fn text<'a>(texts: &'a Texts, key: &str) -> Result<&'a str, String> {
    texts.get(key).map(String::as_str).ok_or_else(|| format!("{key} is missing"))
}

/// A UUID in the original's format: 32 hexadecimal digits.
fn uuid(text: &str) -> Result<String, String> {
    let is_uuid = text.len() == 32 && text.chars().all(|c| c.is_ascii_hexdigit());
    if is_uuid {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not the UUID of a service"))
    }
}

fn of(key: &str, wrong: &impl ToString) -> String {
    format!("{key}: {}", wrong.to_string())
}
