//! Migration from the original FireCamp: its ConfigMaps are imported, and members start with their
//! previous addresses.

use std::net::Ipv4Addr;
use std::process::Stdio;

use firecamp_cli::common::registry_reader::RegistryReader;
use firecamp_cli::common::select_registry::Target;
use firecamp_cli::import::{self, Outcome as Import};
use firecamp_core::contract::exit::Imported;
use firecamp_kube::Choice;
use serde_json::{Value, json};
use vpcbox::protocol::KernelAct;
use vpcbox::vpc::Act;

use super::processes::{Background, Watch, finish_traffic};
use super::set::{NAMESPACE, Set};
use super::test_cluster::{ADDRESSES, TestCluster, all_but, ensure};
use crate::install::until;
use crate::topology::{Layout, worker};
use crate::{Outcome, failed};

const NODE: &str = "node-a";
/// From the pool's upper end; the allocation starts at the lower one.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 187);
const SERVICE: &str = "0123456789abcdef0123456789abcdef";
const MEMBER: &str = "migrated-0";
/// Init does not wait longer for client connections of the old service.
const SETTINGS: &[(&str, &str)] = &[("FIRECAMP_PREDECESSOR_GRACE", "2s")];

impl TestCluster<'_> {
    /// Sets up an address in EC2, in the node's kernel, and in ConfigMaps, as the original does.
    async fn set_up_original(&self) -> Outcome {
        let truth = self.vpc(vpcbox::client::Client::truth)?;
        let node = truth
            .nodes
            .iter()
            .find(|node| node.name == NODE)
            .ok_or_else(|| format!("no machine {NODE}"))?;
        let eni = node.enis.first().ok_or_else(|| format!("{NODE} has no ENI"))?.id.clone();
        self.vpc(|vpc| vpc.act(Act::Reassign { address: ADDRESS, to: Some(eni.clone()) }))?;
        let kernel = KernelAct::KernelAdd { node: NODE.to_owned(), address: ADDRESS, link: None };
        self.vpc(|vpc| vpc.kernel(kernel))?;
        until("the address is routed to its node", || async {
            let seen = self.vpc(|vpc| vpc.address(ADDRESS))?.ok_or("EC2 does not know it")?;
            ensure(seen.routed_node.as_deref() == Some(NODE), || format!("{seen:?}"))
        })
        .await?;
        let zone = worker(NODE)?.subnet(Layout::OneSubnet).zone;
        let address = json!({
            "ServiceUUID": SERVICE,
            "AvailableZone": zone,
            "ServerInstanceID": node.instance,
            "NetworkInterfaceID": eni,
        });
        let member = json!({ "AvailableZone": zone, "StaticIP": ADDRESS.to_string() });
        let address = json!({
            "StaticIP": ADDRESS.to_string(),
            "Revision": "1",
            "StaticIPSpec": address.to_string(),
        });
        let member = json!({
            "ServiceUUID": SERVICE,
            "MemberName": MEMBER,
            "Revision": "1",
            "MemberMeta": "{}",
            "MemberSpec": member.to_string(),
        });
        self.create_config_map(&address_map(), &address).await?;
        self.create_config_map(&member_map(), &member).await
    }

    async fn create_config_map(&self, name: &str, data: &Value) -> Outcome {
        let maps = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "data": data,
        });
        self.create_object(&maps, &object).await
    }

    /// `firecamp import --apply`, with the administrator's kubeconfig.
    async fn import(&self) -> Outcome<Import> {
        let kubeconfig = Some(self.admin.kubeconfig.clone());
        let target = Target::Cluster(Choice { kubeconfig, context: None });
        let registry = RegistryReader::open(&target).await.map_err(|error| error.chain())?;
        import::of(&registry, Some(NAMESPACE), true).await.map_err(|error| error.chain())
    }

    /// Waits until a pod has attached the address, whether its service starts or not.
    async fn wait_attached(&self) -> Outcome {
        until(&format!("{ADDRESS} is attached"), || async {
            let object = self.admin.get(&format!("{ADDRESSES}/{ADDRESS}")).await?;
            let state = &object["spec"]["attachment"]["state"];
            ensure(state == "Attached", || object["spec"].to_string())
        })
        .await
    }
}

fn address_map() -> String {
    format!("firecamp-staticip-{ADDRESS}")
}

fn member_map() -> String {
    format!("firecamp-servicemember-{SERVICE}-{MEMBER}")
}

pub(super) async fn f098_addresses_of_the_original_are_adopted_in_place(
    cluster: &TestCluster<'_>,
) -> Outcome {
    cluster.set_up_original().await?;
    let before = cluster.last_call()?;
    // The old service runs until the new pod's init container has exited.
    let (mut service, at) = (cluster.running.in_network_of(NODE)?, ADDRESS.to_string());
    let service = Background::start(service.args(["serve", &at]).stderr(Stdio::null()))?;
    until("the old service answers", || async { cluster.dial(ADDRESS).map(drop) }).await?;
    let clients = cluster.traffic(&[ADDRESS])?;
    let watch = Watch::start(cluster.in_network_of(NODE)?).await?;

    let Import { report, failed: stopped } = cluster.import().await?;
    ensure(stopped.is_none() && report.end() == Imported::All, || report.people())?;
    ensure(report.imported.len() == 1, || report.people())?;
    let Import { report, .. } = cluster.import().await?;
    ensure(report.imported.is_empty() && report.present.len() == 1, || report.people())?;

    let others = all_but(NODE);
    cluster.cordon(&others, true).await?;
    let set = Set { settings: SETTINGS, ..Set::new("migrated", 1) };
    cluster.create(&set).await?;
    cluster.wait_attached().await?;
    finish_traffic(clients)?.verify_undisturbed()?;
    watch.verify_never_lost(ADDRESS).await?;
    cluster.verify_mutations(before, 0)?;

    // The new service can listen, at its next restart, once the old one is gone.
    drop(service);
    let pod = cluster.wait_ready(MEMBER, None).await?;
    let held = cluster.wait_held(&pod).await?;
    ensure(held.address == ADDRESS && held.epoch == 2, || format!("{held:?}"))?;
    cluster.verify_mutations(before, 0)?;
    cluster.delete(&set).await?;
    cluster.cordon(&others, false).await?;
    // The original's kernel address has no tag of ours: it stays until a person removes it.
    ensure(cluster.in_kernel(NODE, ADDRESS)?, || {
        format!("{ADDRESS} is gone from the kernel of {NODE}")
    })?;
    cluster.remove_original().await
}

impl TestCluster<'_> {
    async fn remove_original(&self) -> Outcome {
        let (node, address) = (NODE.to_owned(), ADDRESS);
        self.vpc(|vpc| vpc.kernel(KernelAct::KernelStrip { node, address }))?;
        let maps = [address_map(), member_map()];
        let words = ["-n", NAMESPACE, "delete", "configmap", &maps[0], &maps[1]];
        self.admin.kubectl(&words).await.map(drop).map_err(failed("the original's records"))
    }
}
