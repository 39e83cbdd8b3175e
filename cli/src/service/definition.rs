//! What a user says about a service: the flags of `firecamp service create` and `update`, and the
//! same as a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use firecamp_core::contract::env;
use firecamp_core::contract::names::zone_asked;
use serde::{Deserialize, Serialize};

use super::objects::MEMBER_CONF;
use super::restart::progress::Order;
use crate::failure::Failure;

/// A service, or the part of it that a command changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Definition {
    /// A stateless service: a Deployment, without volumes and static addresses
    #[arg(long)]
    #[serde(skip_serializing_if = "is_default")]
    pub stateless: bool,
    /// Number of members
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// The StaticIPPool of the members' addresses. Without it, they have no static addresses
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The DNS zone of the members' names, or `default`: CLUSTER-firecamp.com
    #[arg(long, value_name = "ZONE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_zone: Option<String>,
    /// A port of the service: NAME=PORT; repeat it for more
    #[arg(long = "port", value_name = "NAME=PORT", value_parser = port)]
    #[serde(skip_serializing_if = "Vec::is_empty", with = "pairs")]
    pub ports: Vec<(String, u16)>,
    /// The container.
    #[command(flatten)]
    #[serde(skip_serializing_if = "is_default")]
    pub container: Container,
    /// The volumes of each member.
    #[command(flatten)]
    #[serde(skip_serializing_if = "is_default")]
    pub volumes: Volumes,
    /// Where members run.
    #[command(flatten)]
    #[serde(skip_serializing_if = "is_default")]
    pub placement: Placement,
    /// How members stop and restart.
    #[command(flatten)]
    #[serde(skip_serializing_if = "is_default")]
    pub restart: Restart,
    /// Whether members find a generated /data/conf/member.conf, which scripts source
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_conf: Option<bool>,
    /// Files of configuration, by name; the members find them in /data/conf.
    #[arg(skip)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
}

/// The container of a member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Container {
    /// The image
    #[arg(long, value_name = "IMAGE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Image of FireCamp's init container, as your nodes pull it: with --pool, where the API server
    /// does not add it (Kubernetes before 1.36)
    #[arg(long, value_name = "IMAGE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_image: Option<String>,
    /// The command and its arguments, after --. Default: that of the image
    #[arg(last = true, value_name = "COMMAND")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// An environment variable: NAME=VALUE; repeat it for more
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = super::restart::label)]
    #[serde(skip_serializing_if = "Vec::is_empty", with = "pairs")]
    pub env: Vec<(String, String)>,
    /// CPU that each member requests
    #[arg(long, value_name = "QUANTITY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Memory that each member requests; also its limit
    #[arg(long, value_name = "QUANTITY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// The user and group of the process, by number; the group owns the files of the volumes.
    /// Without it, the image must name a user other than root by number
    #[arg(long, value_name = "UID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// A shell command that succeeds once a member is ready. Default: its first port accepts
    /// connections
    #[arg(long, value_name = "COMMAND")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_command: Option<String>,
}

/// The volumes of each member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Volumes {
    /// Size of the volume at /data
    #[arg(long, value_name = "QUANTITY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// StorageClass of the volume at /data
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_class: Option<String>,
    /// Size of the volume at /journal
    #[arg(long, value_name = "QUANTITY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
    /// StorageClass of the volume at /journal
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_class: Option<String>,
}

/// Where members run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Placement {
    /// The zones over which members are spread, separated by commas. Default: those of the pool,
    /// or all
    #[arg(long, value_name = "ZONE,...", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// Whether members use the network of their node
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,
    /// Whether several members may run on one node
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_nodes: Option<bool>,
}

/// How members stop and restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Restart {
    /// The order in which members are restarted
    #[arg(long, value_enum, value_name = "ORDER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The label that the pod of the primary has: NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "primary_command")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_label: Option<String>,
    /// A shell command that succeeds in the pod of the primary only
    #[arg(long, value_name = "COMMAND")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_command: Option<String>,
    /// Seconds that a member has to stop
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<u32>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn port(text: &str) -> Result<(String, u16), String> {
    let (name, port) = text.split_once('=').ok_or("use NAME=PORT")?;
    let number = port.parse().ok().filter(|port| *port > 0);
    let number = number.ok_or_else(|| format!("{port:?} is not a port"))?;
    Ok((name.to_owned(), number))
}

/// A list of pairs is a map in files, in the order of the file.
mod pairs {
    use std::fmt;
    use std::marker::PhantomData;

    use serde::de::{MapAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    struct InOrder<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
        type Value = Vec<(String, V)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }

    pub(super) fn serialize<S: Serializer, V: Serialize>(
        pairs: &[(String, V)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(pairs.iter().map(|(name, value)| (name, value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
        from: D,
    ) -> Result<Vec<(String, V)>, D::Error> {
        from.deserialize_map(InOrder(PhantomData))
    }
}

impl Definition {
    /// Reads a definition from a YAML file.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let text =
            fs::read_to_string(file).map_err(|why| Failure::file("failed to read", file, why))?;
        serde_saphyr::from_str(&text)
            .map_err(|why| Failure::Usage(format!("{}: {why}", file.display())))
    }

    /// Adds files of configuration.
    pub fn with_config(mut self, files: &[PathBuf]) -> Result<Self, Failure> {
        for file in files {
            let name = file.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| {
                Failure::Usage(format!("{}: it has no name in UTF-8", file.display()))
            })?;
            let read = fs::read_to_string(file);
            let text = read.map_err(|why| Failure::file("failed to read", file, why))?;
            self.config.insert(name.to_owned(), text);
        }
        Ok(self)
    }

    /// Checks what does not depend on the cluster.
    ///
    /// # Errors
    ///
    /// What is missing, or what does not go together.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.ports.is_empty() {
            return Err("a service has at least one port: --port NAME=PORT".to_owned());
        }
        if self.container.env.iter().any(|(name, _)| name == env::POD_NAME) {
            return Err(format!("--env {}: every member has this variable", env::POD_NAME));
        }
        if self.container.init_image.is_some() && self.pool.is_none() && !self.stateless {
            return Err("--init-image: only members of a pool have it: --pool NAME".to_owned());
        }
        self.check_member_conf()?;
        let refused = self.stateless.then(|| self.needs_members()).flatten();
        refused.map_or(Ok(()), |(flag, why)| Err(format!("{flag} with --stateless: {why}")))
    }

    /// Whether members find a generated member.conf.
    pub(super) fn has_member_conf(&self) -> bool {
        self.member_conf.unwrap_or_default()
    }

    /// The generated file has the member's static address and its name, which must be known.
    fn check_member_conf(&self) -> Result<(), String> {
        if !self.has_member_conf() {
            return Ok(());
        }
        if self.pool.is_none() {
            return Err("--member-conf: members have no static address without --pool".to_owned());
        }
        if self.config.contains_key(MEMBER_CONF) {
            let text = "--config has a file of the same name: omit one of them, or use \
                        --member-conf false";
            return Err(format!("--member-conf: {text}"));
        }
        match self.dns_zone.as_deref() {
            Some(zone) if zone_asked(zone, None).is_none() => Err(format!(
                "--member-conf: {zone:?} names no DNS zone here: use --dns-zone with its whole name"
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// What only the members of a StatefulSet can have, with the reason.
    fn needs_members(&self) -> Option<(&'static str, &'static str)> {
        let Self { volumes, restart, .. } = self;
        let addresses = "pods of a Deployment have neither static addresses nor constant names";
        let storage = "pods of a Deployment have no volumes of their own";
        let order = "a Deployment replaces its pods in no order";
        let flags = [
            ("--pool", self.pool.is_some(), addresses),
            ("--init-image", self.container.init_image.is_some(), addresses),
            ("--dns-zone", self.dns_zone.is_some(), addresses),
            ("--data", volumes.data.is_some() || volumes.data_class.is_some(), storage),
            ("--journal", volumes.journal.is_some() || volumes.journal_class.is_some(), storage),
            ("--order", restart.order.is_some(), order),
            ("--primary-label", restart.primary_label.is_some(), order),
            ("--primary-command", restart.primary_command.is_some(), order),
        ];
        let refused = flags.into_iter().find(|(_flag, is_given, _why)| *is_given);
        refused.map(|(flag, _is_given, why)| (flag, why))
    }

    /// This definition with what the other one says. Ports, variables and files are replaced by
    /// their names; zones and the command as a whole.
    #[must_use]
    pub fn overlaid(self, over: Self) -> Self {
        let mut config = self.config;
        config.extend(over.config);
        Self {
            stateless: over.stateless || self.stateless,
            replicas: over.replicas.or(self.replicas),
            pool: over.pool.or(self.pool),
            dns_zone: over.dns_zone.or(self.dns_zone),
            ports: merged(self.ports, over.ports),
            container: self.container.overlaid(over.container),
            volumes: Volumes {
                data: over.volumes.data.or(self.volumes.data),
                data_class: over.volumes.data_class.or(self.volumes.data_class),
                journal: over.volumes.journal.or(self.volumes.journal),
                journal_class: over.volumes.journal_class.or(self.volumes.journal_class),
            },
            placement: Placement {
                zones: if over.placement.zones.is_empty() {
                    self.placement.zones
                } else {
                    over.placement.zones
                },
                host_network: over.placement.host_network.or(self.placement.host_network),
                share_nodes: over.placement.share_nodes.or(self.placement.share_nodes),
            },
            restart: self.restart.overlaid(over.restart),
            member_conf: over.member_conf.or(self.member_conf),
            config,
        }
    }
}

impl Container {
    fn overlaid(self, over: Self) -> Self {
        Self {
            image: over.image.or(self.image),
            init_image: over.init_image.or(self.init_image),
            command: if over.command.is_empty() { self.command } else { over.command },
            env: merged(self.env, over.env),
            cpu: over.cpu.or(self.cpu),
            memory: over.memory.or(self.memory),
            user: over.user.or(self.user),
            ready_command: over.ready_command.or(self.ready_command),
        }
    }
}

impl Restart {
    /// A primary that is known in another way replaces the old way.
    fn overlaid(self, over: Self) -> Self {
        let replaced = over.primary_label.is_some() || over.primary_command.is_some();
        let (label, command) =
            if replaced { (None, None) } else { (self.primary_label, self.primary_command) };
        Self {
            order: over.order.or(self.order),
            primary_label: over.primary_label.or(label),
            primary_command: over.primary_command.or(command),
            grace: over.grace.or(self.grace),
        }
    }
}

/// The pairs of both, each name once and in its place: the last value of a name counts.
fn merged<V>(base: Vec<(String, V)>, over: Vec<(String, V)>) -> Vec<(String, V)> {
    let mut all: Vec<(String, V)> = Vec::new();
    for (name, value) in base.into_iter().chain(over) {
        match all.iter_mut().find(|(other, _value)| *other == name) {
            Some((_name, old)) => *old = value,
            None => all.push((name, value)),
        }
    }
    all
}
