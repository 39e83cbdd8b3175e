//! EC2 and the metadata service in memory: one account, as one of its instances sees it. For unit
//! tests; `firecamp-vpc` simulates EC2's protocol, delays and limits.

mod calls;
mod created;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, InstanceId, SubnetId};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{Eni, NodeIdentity, TypeLimits};
use firecamp_node::preflight::facts::{NodeFacts, Reservation, Right};
use firecamp_node::volumes::observation::Attachment;

pub use self::created::CreatedInterfaces;

/// The state of the account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// The instances by ID.
    pub instances: BTreeMap<String, Instance>,
    /// The limits of each instance type.
    pub types: BTreeMap<String, TypeLimits>,
    /// The permissions that the IAM policy denies.
    pub denied: BTreeSet<Right>,
    /// The seconds by which the node's clock is ahead of AWS's.
    pub ahead: i64,
    /// The interfaces that calls created.
    pub created: CreatedInterfaces,
    /// The CIDR reservations of each subnet.
    pub reservations: BTreeMap<String, Vec<Reservation>>,
    /// The contents of the node's files.
    pub node: NodeFacts,
    /// The faults.
    pub faults: Faults,
    /// The calls so far.
    pub calls: Calls,
}

/// An instance.
#[derive(Debug, Clone, Default)]
pub struct Instance {
    /// What its metadata service answers. None: it does not answer.
    pub identity: Option<NodeIdentity>,
    /// Its interfaces in EC2.
    pub interfaces: Vec<Interface>,
    /// What a Describe of its interfaces still shows, if that is not the present state.
    pub stale_interfaces: Option<Vec<Interface>>,
    /// Its volumes.
    pub volumes: Vec<Attachment>,
    /// EC2 terminated it.
    pub terminated: bool,
}

/// What goes wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Reads are not answered, nor those of the metadata service.
    pub hangs: bool,
    /// Reads fail like this.
    pub reads: Option<CloudKind>,
    /// Calls that change something fail like this.
    pub mutations: Option<CloudKind>,
    /// An Assign is not answered while this is set.
    pub assigns_hang: bool,
    /// An Assign succeeds without an effect.
    pub assigns_are_lost: bool,
    /// How long a read takes.
    pub read_delay: Duration,
    /// How long an Unassign takes.
    pub unassign_delay: Duration,
}

/// The number of calls.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    /// Reads of the metadata service.
    pub metadata: u32,
    /// Reads of EC2 for preflight checks: interfaces, instance types, permissions, volumes.
    pub checks: u32,
    /// Describes of an instance's interfaces.
    pub interfaces: u32,
    /// Describes of an instance's volumes.
    pub volumes: u32,
    /// Describes of instance types.
    pub types: u32,
    /// Lookups of an address.
    pub owners: u32,
    /// Describes of created interfaces and of instances.
    pub managed: u32,
    /// Reads that hang.
    pub unanswered: usize,
    /// Calls that change something that were sent.
    pub mutations: u32,
    /// Unassigns that took effect.
    pub unassigned: u32,
    /// Moments at which the caller of an Unassign, or of a change of a created interface, may be
    /// killed: before and after its effect.
    pub steps: usize,
}

/// Called with the address when an Assign is sent.
type AssignHook = Arc<dyn Fn(Ipv4Addr) + Send + Sync>;

/// EC2 as seen from one instance. Clones share the account.
#[derive(Clone)]
pub struct SimEc2 {
    own: InstanceId,
    account: Arc<Mutex<Account>>,
    assign_hook: Arc<Mutex<Option<AssignHook>>>,
}

impl fmt::Debug for SimEc2 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SimEc2").field(&self.account()).finish()
    }
}

/// The cluster's tag on interfaces, unless a test says otherwise.
const CLUSTER: &str = "prod";

/// An interface with the cluster's tag, and without addresses.
pub fn interface(id: EniId, subnet: SubnetId) -> Interface {
    Interface {
        id,
        subnet,
        device_index: 1,
        network_card: 0,
        primary: Ipv4Addr::UNSPECIFIED,
        addresses: BTreeSet::new(),
        prefixes: 0,
        groups: BTreeSet::new(),
        cluster: Some(CLUSTER.to_owned()),
        no_manage: None,
        operator: None,
        delete_on_termination: false,
    }
}

/// The interface in EC2 that the metadata service describes.
fn described(eni: &Eni) -> Interface {
    Interface {
        device_index: eni.device_index,
        network_card: eni.network_card,
        primary: eni.primary_address,
        addresses: eni.listed.clone(),
        prefixes: eni.prefixes,
        ..interface(eni.id.clone(), eni.subnet.clone())
    }
}

impl SimEc2 {
    /// The account as this instance sees it.
    pub fn new(own: InstanceId, account: Account) -> Self {
        Self { own, account: Arc::new(Mutex::new(account)), assign_hook: Arc::default() }
    }

    /// The account, to be read or changed.
    pub fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls this whenever an Assign is sent.
    pub fn on_assign(&self, hook: impl Fn(Ipv4Addr) + Send + Sync + 'static) {
        *self.assign_hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    /// Changes this instance.
    pub fn own<T>(&self, change: impl FnOnce(&mut Instance) -> T) -> T {
        change(self.account().instances.entry(self.own.to_string()).or_default())
    }

    /// The instance has these interfaces, according to EC2 and to the metadata service.
    pub fn set_enis(&self, enis: &[Eni]) {
        self.own(|own| {
            own.interfaces = enis.iter().map(described).collect();
            if let Some(identity) = &mut own.identity {
                identity.enis = enis.to_vec();
            }
        });
    }

    /// EC2 moves the address to this interface of an instance, which is created if it is not there.
    /// The metadata service does not show it yet.
    pub fn put(&self, address: Ipv4Addr, instance: &InstanceId, holder: Interface) {
        let mut account = self.account();
        account.remove(address);
        let there = account.instances.entry(instance.to_string()).or_default();
        match there.interfaces.iter_mut().find(|one| one.id == holder.id) {
            Some(there) => _ = there.addresses.insert(address),
            None => there.interfaces.push(Interface { addresses: [address].into(), ..holder }),
        }
    }

    /// EC2 assigns the address to this instance's first interface, and the metadata service lists
    /// it.
    pub fn give(&self, address: Ipv4Addr) {
        self.account().remove(address);
        self.own(|own| {
            if let Some(first) = own.interfaces.first_mut() {
                first.addresses.insert(address);
                let id = first.id.clone();
                own.list(&id, address);
            }
        });
    }

    /// EC2 has the address on no interface any more. The metadata service still lists it.
    pub fn lose(&self, address: Ipv4Addr) {
        self.account().remove(address);
    }

    /// The metadata service does not list the address any more.
    pub fn unlist(&self, address: Ipv4Addr) {
        self.own(|own| own.enis().for_each(|eni| _ = eni.listed.remove(&address)));
    }

    /// Whether the metadata service lists the address.
    pub fn is_listed(&self, address: Ipv4Addr) -> bool {
        self.own(|own| own.enis().any(|eni| eni.listed.contains(&address)))
    }

    /// Whether EC2 has the address on an interface.
    pub fn has(&self, address: Ipv4Addr) -> bool {
        self.account().interface_of(address).is_some()
    }

    /// EC2 attaches and detaches what is incomplete, and completes later calls at once.
    pub fn complete(&self) {
        self.account().complete();
    }

    /// EC2 terminates the instance. Created interfaces remain and keep their addresses.
    pub fn terminate(&self, instance: &InstanceId) {
        self.account().terminate(instance);
    }

    /// From now on reads fail like this, and changes like that.
    pub fn refuse(&self, reads: Option<CloudKind>, mutations: Option<CloudKind>) {
        let faults = &mut self.account().faults;
        (faults.reads, faults.mutations) = (reads, mutations);
    }

    /// From now on reads are not answered.
    pub fn hang(&self) {
        self.account().faults.hangs = true;
    }

    /// No more faults.
    pub fn recover(&self) {
        self.account().faults = Faults::default();
    }

    /// Calls of EC2 that read something so far.
    pub fn reads(&self) -> u32 {
        let calls = &self.account().calls;
        let checks = [calls.checks, calls.interfaces, calls.volumes, calls.types];
        let others = [calls.owners, calls.managed];
        checks.iter().chain(&others).sum()
    }

    /// Calls that change something that were sent so far.
    pub fn mutations(&self) -> u32 {
        self.account().calls.mutations
    }

    /// Unassigns that took effect so far.
    pub fn unassigned(&self) -> u32 {
        self.account().calls.unassigned
    }

    /// Describes of an instance's interfaces so far.
    pub fn queries(&self) -> u32 {
        self.account().calls.interfaces
    }
}

impl Instance {
    /// The metadata service's interfaces.
    fn enis(&mut self) -> impl Iterator<Item = &mut Eni> {
        self.identity.iter_mut().flat_map(|identity| &mut identity.enis)
    }

    /// The metadata service lists the address on this interface.
    fn list(&mut self, id: &EniId, address: Ipv4Addr) {
        for eni in self.enis().filter(|eni| eni.id == *id) {
            eni.listed.insert(address);
        }
    }
}

impl Account {
    /// The interface that has the address, and its instance if it is attached.
    fn interface_of(&self, address: Ipv4Addr) -> Option<(Option<&String>, &Interface)> {
        let all = self.instances.iter();
        let all = all.flat_map(|(id, one)| one.interfaces.iter().map(move |eni| (Some(id), eni)));
        let mut all = all.chain(self.created.free().map(|eni| (None, eni)));
        all.find(|(_, eni)| eni.addresses.contains(&address))
    }

    fn remove(&mut self, address: Ipv4Addr) {
        let all = self.instances.values_mut().flat_map(|one| &mut one.interfaces);
        for eni in all.chain(self.created.free_mut()) {
            eni.addresses.remove(&address);
        }
    }

    /// Assigns the address to the interface. EC2 and the metadata service show it at once.
    /// All of the addresses or none.
    fn assign(
        &mut self,
        id: &EniId,
        addresses: &[Ipv4Addr],
        force: bool,
    ) -> Result<(), CloudFailure> {
        if self.faults.assigns_are_lost {
            return Ok(());
        }
        let elsewhere = |address: &Ipv4Addr| {
            self.interface_of(*address).is_some_and(|(_, there)| there.id != *id)
        };
        if !force && addresses.iter().any(elsewhere) {
            return Err(failed(CloudKind::HeldElsewhere, "another interface has the address"));
        }
        addresses.iter().try_for_each(|address| self.assign_one(id, *address))
    }

    fn assign_one(&mut self, id: &EniId, address: Ipv4Addr) -> Result<(), CloudFailure> {
        self.remove(address);
        for instance in self.instances.values_mut() {
            let Some(eni) = instance.interfaces.iter_mut().find(|eni| eni.id == *id) else {
                continue;
            };
            eni.addresses.insert(address);
            instance.list(id, address);
            return Ok(());
        }
        if let Some(eni) = self.created.free_mut().find(|eni| eni.id == *id) {
            eni.addresses.insert(address);
            return Ok(());
        }
        Err(failed(CloudKind::NotFound, "there is no such interface"))
    }

    fn unassign(&mut self, id: &EniId, address: Ipv4Addr) -> Result<(), CloudFailure> {
        if self.interface_of(address).is_none_or(|(_, there)| there.id != *id) {
            return Err(failed(CloudKind::NotOnInterface, "the interface lacks the address"));
        }
        self.remove(address);
        self.calls.unassigned = self.calls.unassigned.saturating_add(1);
        Ok(())
    }
}

fn failed(kind: CloudKind, detail: &str) -> CloudFailure {
    CloudFailure { kind, effect: Effect::None, detail: detail.to_owned() }
}
