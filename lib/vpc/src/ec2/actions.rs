//! The supported actions.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::describe::DescribeRequest;
use super::pages::{Listing, Page, PageKnobs, PageRequest};
use super::{
    ApiError, Form, VERSION, assign, attach, create, instances, interfaces, modify, reservations,
    subnets, tags, types, unassign, volumes,
};
use crate::faults::FullForm;
use crate::model::{Id, Limits, Topology, VpcState};
use crate::profile::Profile;
use crate::rng::SeededRng;

/// An EC2 action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    Assign,
    Unassign,
    Interfaces,
    Instances,
    Subnets,
    Reservations,
    InstanceTypes,
    Volumes,
    Create,
    Delete,
    Attach,
    Detach,
    Modify,
    CreateTags,
    DeleteTags,
    Reserve,
    Unreserve,
}

impl Action {
    /// Every action.
    pub(crate) const ALL: [Self; 17] = [
        Self::Assign,
        Self::Unassign,
        Self::Interfaces,
        Self::Instances,
        Self::Subnets,
        Self::Reservations,
        Self::InstanceTypes,
        Self::Volumes,
        Self::Create,
        Self::Delete,
        Self::Attach,
        Self::Detach,
        Self::Modify,
        Self::CreateTags,
        Self::DeleteTags,
        Self::Reserve,
        Self::Unreserve,
    ];

    /// The action's name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Assign => "AssignPrivateIpAddresses",
            Self::Unassign => "UnassignPrivateIpAddresses",
            Self::Interfaces => "DescribeNetworkInterfaces",
            Self::Instances => "DescribeInstances",
            Self::Subnets => "DescribeSubnets",
            Self::Reservations => "GetSubnetCidrReservations",
            Self::InstanceTypes => "DescribeInstanceTypes",
            Self::Volumes => "DescribeVolumes",
            Self::Create => "CreateNetworkInterface",
            Self::Delete => "DeleteNetworkInterface",
            Self::Attach => "AttachNetworkInterface",
            Self::Detach => "DetachNetworkInterface",
            Self::Modify => "ModifyNetworkInterfaceAttribute",
            Self::CreateTags => "CreateTags",
            Self::DeleteTags => "DeleteTags",
            Self::Reserve => "CreateSubnetCidrReservation",
            Self::Unreserve => "DeleteSubnetCidrReservation",
        }
    }

    /// The action with this name on the wire.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether it is a mutating action.
    pub(crate) const fn mutating(self) -> bool {
        match self {
            Self::Assign
            | Self::Unassign
            | Self::Create
            | Self::Delete
            | Self::Attach
            | Self::Detach
            | Self::Modify
            | Self::CreateTags
            | Self::DeleteTags
            | Self::Reserve
            | Self::Unreserve => true,
            Self::Interfaces
            | Self::Instances
            | Self::Subnets
            | Self::Reservations
            | Self::InstanceTypes
            | Self::Volumes => false,
        }
    }
}

/// A parsed and valid request.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Assign(assign::Assign),
    Unassign(unassign::Unassign),
    Interfaces(DescribeRequest),
    Instances(DescribeRequest),
    Subnets(DescribeRequest),
    Reservations(reservations::Reservations),
    InstanceTypes(DescribeRequest),
    Volumes(DescribeRequest),
    Create(create::Create),
    Delete(create::Delete),
    Attach(attach::Attach),
    Detach(attach::Detach),
    Modify(modify::Modify),
    CreateTags(tags::CreateTags),
    DeleteTags(tags::DeleteTags),
    Reserve(reservations::Reserve),
    Unreserve(reservations::Unreserve),
}

/// Parses the parameters of an action; refuses unknown or malformed ones.
pub(crate) fn parse(action: Action, form: &Form) -> Result<Request, ApiError> {
    let version = form.text("Version").unwrap_or_default();
    if version != VERSION {
        let text = format!("The requested version ({version}) of service AmazonEC2 does not exist");
        return Err(ApiError::new(400, "NoSuchVersion", text));
    }
    let request = match action {
        Action::Assign => Request::Assign(assign::parse(form)?),
        Action::Unassign => Request::Unassign(unassign::parse(form)?),
        Action::Interfaces => Request::Interfaces(interfaces::DESCRIBE.parse(form)?),
        Action::Instances => Request::Instances(instances::DESCRIBE.parse(form)?),
        Action::Subnets => Request::Subnets(subnets::DESCRIBE.parse(form)?),
        Action::Reservations => Request::Reservations(reservations::parse(form)?),
        Action::InstanceTypes => Request::InstanceTypes(types::DESCRIBE.parse(form)?),
        Action::Volumes => Request::Volumes(volumes::DESCRIBE.parse(form)?),
        Action::Create => Request::Create(create::parse(form)?),
        Action::Delete => Request::Delete(create::parse_delete(form)?),
        Action::Attach => Request::Attach(attach::parse(form)?),
        Action::Detach => Request::Detach(attach::parse_detach(form)?),
        Action::Modify => Request::Modify(modify::parse(form)?),
        Action::CreateTags => Request::CreateTags(tags::parse(form)?),
        Action::DeleteTags => Request::DeleteTags(tags::parse_delete(form)?),
        Action::Reserve => Request::Reserve(reservations::parse_create(form)?),
        Action::Unreserve => Request::Unreserve(reservations::parse_delete(form)?),
    };
    Ok(request)
}

/// How faults change the execution of one call, each with the ID of its fault.
#[derive(Debug, Clone, Default)]
pub(crate) struct Knobs {
    /// Assigning an address that the ENI already holds is an error.
    pub(crate) own_is_error: Option<u64>,
    /// An address held elsewhere returns `Resource.AlreadyAssigned`.
    pub(crate) already_assigned: Option<u64>,
    /// Address limits of instance types.
    pub(crate) limits: BTreeMap<String, (u32, u64)>,
    /// ENI limits of instance types.
    pub(crate) eni_limits: BTreeMap<String, (u32, u64)>,
    /// The ENI quota.
    pub(crate) quota: Option<(u32, u64)>,
    /// Subnets without free addresses.
    pub(crate) full: Vec<(Id, FullForm, u64)>,
    /// Pagination.
    pub(crate) pages: PageKnobs,
    /// The faults that set `pages`.
    pub(crate) page_faults: Vec<u64>,
    /// What Describe omits; `None`: everything.
    pub(crate) omits: Vec<(Option<String>, u64)>,
    /// The faults that took effect.
    pub(crate) fired: RefCell<BTreeSet<u64>>,
}

impl Knobs {
    /// Records that a fault took effect.
    pub(crate) fn fire(&self, fault: u64) {
        self.fired.borrow_mut().insert(fault);
    }

    /// The changed limits of instance types.
    pub(crate) fn limits(&self) -> Limits {
        let plain = |limits: &BTreeMap<String, (u32, u64)>| {
            limits.iter().map(|(name, (limit, _))| (name.clone(), *limit)).collect()
        };
        Limits { ips: plain(&self.limits), enis: plain(&self.eni_limits) }
    }

    /// Whether Describe omits an item with these names.
    pub(crate) fn omitted(&self, is: impl Fn(&str) -> bool) -> bool {
        let hit = |(resource, _): &&(Option<String>, u64)| resource.as_deref().is_none_or(&is);
        let found = self.omits.iter().find(hit);
        if let Some((_, fault)) = found {
            self.fire(*fault);
        }
        found.is_some()
    }
}

/// The state that an action is executed on.
#[derive(Debug)]
pub(crate) struct ActionContext<'a> {
    pub(crate) topology: &'a Topology,
    /// The current state for a mutation, a lagging view for a Describe.
    pub(crate) vpc: Arc<VpcState>,
    /// The lagging view for counts of free addresses.
    pub(crate) counts: Arc<VpcState>,
    pub(crate) rng: SeededRng,
    pub(crate) profile: &'a Profile,
    pub(crate) knobs: &'a Knobs,
    pub(crate) request_id: &'a str,
    /// The number of the call.
    pub(crate) call: u64,
    pub(crate) now: Duration,
    /// The wall clock at the start of the simulation.
    pub(crate) epoch: Duration,
}

impl ActionContext<'_> {
    /// A page of a listing. Marks pagination faults that took effect as fired.
    pub(super) fn page<T>(
        &self,
        listing: &Listing<'_>,
        items: Vec<T>,
        id: impl Fn(&T) -> String,
        request: &PageRequest,
    ) -> Result<Page<T>, ApiError> {
        let expired = self.knobs.pages.expired && request.token.is_some();
        let page = listing.page(items, id, request, self.knobs.pages);
        if expired || page.as_ref().is_ok_and(|page| page.touched) {
            for fault in &self.knobs.page_faults {
                self.knobs.fire(*fault);
            }
        }
        page
    }
}

/// The result of an action.
#[derive(Debug)]
pub(crate) struct Effect {
    pub(crate) body: Vec<u8>,
    /// The new state, if it changed.
    pub(crate) next: Option<VpcState>,
}

impl Effect {
    /// The result of a read-only action.
    pub(crate) fn read(body: Vec<u8>) -> Self {
        Self { body, next: None }
    }
}

/// Executes a request.
pub(crate) fn execute(request: &Request, on: &ActionContext<'_>) -> Result<Effect, ApiError> {
    match request {
        Request::Assign(request) => assign::execute(request, on),
        Request::Unassign(request) => unassign::execute(request, on),
        Request::Interfaces(request) => interfaces::execute(request, on),
        Request::Instances(request) => instances::execute(request, on),
        Request::Subnets(request) => subnets::execute(request, on),
        Request::Reservations(request) => reservations::execute(request, on),
        Request::InstanceTypes(request) => types::execute(request, on),
        Request::Volumes(request) => volumes::execute(request, on),
        Request::Create(request) => create::execute(request, on),
        Request::Delete(request) => create::delete(request, on),
        Request::Attach(request) => attach::execute(request, on),
        Request::Detach(request) => attach::detach(request, on),
        Request::Modify(request) => modify::execute(request, on),
        Request::CreateTags(request) => tags::execute(request, on),
        Request::DeleteTags(request) => tags::delete(request, on),
        Request::Reserve(request) => reservations::create(request, on),
        Request::Unreserve(request) => reservations::delete(request, on),
    }
}
