//! Which questions a call asks IAM, with the resource types and condition keys of the Service
//! Authorization Reference for EC2. A key that it does not list for an action and resource type
//! is absent.
//!
//! A resource that does not exist has no tags, so that a policy that requires one denies the call
//! (unverified: EC2 may report first that it does not exist).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Simulator;
use crate::auth::LONG_LIVED;
use crate::ec2::{Action, ApiError, Form, GROUP};
use crate::iam::{AuthorizationRequest, Policy};
use crate::model::{Eni, VpcState};

type Tags = BTreeMap<String, String>;

/// Builds the questions of one call.
struct Questions<'a> {
    simulator: &'a Simulator,
    vpc: &'a VpcState,
    all: Vec<AuthorizationRequest>,
}

impl Simulator {
    /// From now on this policy alone decides what the roles of the nodes may do in EC2. Before,
    /// they may do everything. `admin` and `external` are not affected.
    pub fn set_node_policy(&mut self, policy: Policy) {
        self.node_policy = Some(policy);
    }

    /// Whether the caller may send this call.
    pub(super) fn authorize(
        &self,
        (caller, seq): (&str, u64),
        action: Action,
        form: &Form,
    ) -> Result<(), ApiError> {
        let Some(policy) = self.node_policy.as_ref().filter(|_| !LONG_LIVED.contains(&caller))
        else {
            return Ok(());
        };
        let vpc = self.timeline.latest();
        let mut questions = Questions { simulator: self, vpc: &vpc, all: Vec::new() };
        questions.of_call(action, form)?;
        if questions.all.iter().all(|request| policy.allows(request)) {
            return Ok(());
        }
        Err(ApiError::unauthorized(&self.rng.hex17("denied", seq)))
    }
}

impl Questions<'_> {
    fn of_call(&mut self, action: Action, form: &Form) -> Result<(), ApiError> {
        let text = |name: &str| form.text(name).unwrap_or_default();
        match action {
            Action::Interfaces
            | Action::Instances
            | Action::Subnets
            | Action::Reservations
            | Action::InstanceTypes
            | Action::Volumes
            | Action::Unreserve => self.ask(action, "*".to_owned(), BTreeMap::new()),
            Action::Assign | Action::Unassign | Action::Delete | Action::Modify => {
                self.interface(action, text("NetworkInterfaceId"), &[]);
            }
            Action::Attach => {
                self.interface(action, text("NetworkInterfaceId"), &[]);
                self.instance(action, text("InstanceId"), &[]);
            }
            Action::Detach => {
                let id = text("AttachmentId");
                let attached = |eni: &&Arc<Eni>| {
                    eni.attachment.as_ref().is_some_and(|attachment| *attachment.id == *id)
                };
                let eni = self.vpc.enis.values().find(attached);
                let instance = eni.and_then(|eni| eni.attachment.as_ref()).map(|it| &*it.instance);
                self.interface(action, eni.map_or("", |eni| &*eni.id), &[]);
                self.instance(action, instance.unwrap_or_default(), &[]);
            }
            Action::Create => self.create(form)?,
            Action::CreateTags | Action::DeleteTags => self.tags(action, form)?,
            Action::Reserve => self.subnet(action, text("SubnetId")),
        }
        Ok(())
    }

    fn create(&mut self, form: &Form) -> Result<(), ApiError> {
        let action = Action::Create;
        let requested = requested(&form.pairs("TagSpecification.1.Tag")?);
        let new = self.arn("network-interface", "*");
        self.ask(action, new.clone(), requested.clone());
        if form.has_any("TagSpecification.") {
            let mut keys = requested;
            keys.insert("ec2:CreateAction".to_owned(), action.name().to_owned());
            self.ask(Action::CreateTags, new, keys);
        }
        self.subnet(action, form.text("SubnetId").unwrap_or_default());
        let topology = &self.simulator.topology;
        let groups = form.list("SecurityGroupId");
        // Without one, EC2 takes the default group of the VPC.
        let groups = if groups.is_empty() { vec![GROUP.0] } else { groups };
        for group in groups {
            let mut keys = BTreeMap::new();
            if group == GROUP.0 {
                keys.insert("ec2:Vpc".to_owned(), self.arn("vpc", &topology.vpc));
            }
            self.ask(action, self.arn("security-group", group), keys);
        }
        Ok(())
    }

    fn subnet(&mut self, action: Action, id: &str) {
        let topology = &self.simulator.topology;
        let mut keys = BTreeMap::new();
        if let Some(known) = topology.subnet(id) {
            keys = with_tags(&known.tags);
            keys.insert("ec2:Vpc".to_owned(), self.arn("vpc", &topology.vpc));
            keys.insert("ec2:AvailabilityZone".to_owned(), known.zone.clone());
        }
        self.ask(action, self.arn("subnet", id), keys);
    }

    fn tags(&mut self, action: Action, form: &Form) -> Result<(), ApiError> {
        // A request to delete tags may name keys without values.
        let named = form.keys_with_values("Tag")?.into_iter();
        let valued: Vec<(String, String)> =
            named.filter_map(|(key, value)| Some((key, value?))).collect();
        let requested: Vec<(String, String)> = requested(&valued).into_iter().collect();
        for id in form.list("ResourceId") {
            match id.rsplit_once('-').map_or("", |(kind, _)| kind) {
                "eni" => self.interface(action, id, &requested),
                "i" => self.instance(action, id, &requested),
                kind => {
                    let kind = if kind == "vol" { "volume" } else { kind };
                    let resource = self.arn(kind, id);
                    self.ask(action, resource, requested.iter().cloned().collect());
                }
            }
        }
        Ok(())
    }

    fn interface(&mut self, action: Action, id: &str, requested: &[(String, String)]) {
        let mut keys = BTreeMap::new();
        if let Some(eni) = self.vpc.enis.get(id) {
            let topology = &self.simulator.topology;
            keys = with_tags(&eni.tags);
            keys.insert("ec2:Vpc".to_owned(), self.arn("vpc", &topology.vpc));
            keys.insert("ec2:Subnet".to_owned(), self.arn("subnet", &eni.subnet));
            keys.insert("ec2:NetworkInterfaceID".to_owned(), id.to_owned());
            if let Some(subnet) = topology.subnet(&eni.subnet) {
                keys.insert("ec2:AvailabilityZone".to_owned(), subnet.zone.clone());
            }
        }
        keys.extend(requested.iter().cloned());
        self.ask(action, self.arn("network-interface", id), keys);
    }

    /// An instance has no key for its VPC.
    fn instance(&mut self, action: Action, id: &str, requested: &[(String, String)]) {
        let mut keys = BTreeMap::new();
        if let Some(instance) = self.vpc.instances.get(id) {
            keys = with_tags(&instance.tags);
            keys.insert("ec2:AvailabilityZone".to_owned(), instance.zone.clone());
            keys.insert("ec2:InstanceID".to_owned(), id.to_owned());
            keys.insert("ec2:InstanceType".to_owned(), instance.size.name.to_owned());
        }
        keys.extend(requested.iter().cloned());
        self.ask(action, self.arn("instance", id), keys);
    }

    fn ask(&mut self, action: Action, resource: String, mut context: BTreeMap<String, String>) {
        let region = &self.simulator.topology.region;
        for key in ["aws:RequestedRegion", "ec2:Region"] {
            context.insert(key.to_owned(), region.clone());
        }
        let action = format!("ec2:{}", action.name());
        self.all.push(AuthorizationRequest { action, resource, context });
    }

    fn arn(&self, kind: &str, id: &str) -> String {
        let topology = &self.simulator.topology;
        format!("arn:aws:ec2:{}:{}:{kind}/{id}", topology.region, topology.account)
    }
}

fn with_tags(tags: &Tags) -> BTreeMap<String, String> {
    let keys = |(key, value): (&String, &String)| {
        ["aws", "ec2"].map(|service| (format!("{service}:ResourceTag/{key}"), value.clone()))
    };
    tags.iter().flat_map(keys).collect()
}

fn requested(tags: &[(String, String)]) -> BTreeMap<String, String> {
    tags.iter().map(|(key, value)| (format!("aws:RequestTag/{key}"), value.clone())).collect()
}
