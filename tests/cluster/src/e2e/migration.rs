//! From the original FireCamp: what its ConfigMaps say is imported, and members start with the
//! addresses that they had.

use std::net::Ipv4Addr;
use std::process::Stdio;

use firecamp_cli::common::reader::RegistryReader;
use firecamp_cli::common::target::Target;
use firecamp_cli::import::{self, Outcome as Import};
use firecamp_core::contract::exit::Imported;
use firecamp_kube::Choice;
use serde_json::{Value, json};
use vpcbox::protocol::KernelAct;
use vpcbox::vpc::Act;

use super::ports::{Beside, ended};
use super::scene::{ADDRESSES, Scene, all_but, ensure};
use super::set::{NAMESPACE, Set};
use crate::install::until;
use crate::topology::{Layout, worker};
use crate::{Outcome, failed};

const NODE: &str = "node-a";
/// Of the pool; others are handed out from its lower end.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 187);
const SERVICE: &str = "0123456789abcdef0123456789abcdef";
const MEMBER: &str = "migrated-0";
/// A client's connections, which are the old service's, are not waited for any longer.
const SETTINGS: &[(&str, &str)] = &[("FIRECAMP_PREDECESSOR_GRACE", "2s")];

impl Scene<'_> {
    /// The address in EC2 and in the node's kernel, and the records of it, as the original has
    /// them.
    async fn original(&self) -> Outcome {
        let truth = self.vpc(vpcbox::client::Client::truth)?;
        let node = truth.nodes.iter().find(|node| node.name == NODE).ok_or("there is no node")?;
        let eni = node.enis.first().ok_or("the node has no ENI")?.id.clone();
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
        self.recorded(&address_map(), &address).await?;
        self.recorded(&member_map(), &member).await
    }

    async fn recorded(&self, name: &str, data: &Value) -> Outcome {
        let maps = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "data": data,
        });
        self.made(&maps, &object).await
    }

    /// `firecamp import --apply`, with the administrator's kubeconfig.
    async fn import(&self) -> Outcome<Import> {
        let kubeconfig = Some(self.admin.kubeconfig.clone());
        let target = Target::Cluster(Choice { kubeconfig, context: None });
        let book = RegistryReader::open(&target).await.map_err(|wrong| wrong.chain())?;
        import::of(&book, Some(NAMESPACE), true).await.map_err(|wrong| wrong.chain())
    }

    /// Waits until a pod has attached the address, whatever becomes of its service.
    async fn attached(&self) -> Outcome {
        until("the first init container has ended", || async {
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

pub(super) async fn f098_what_the_original_had_is_adopted_where_it_is(
    scene: &Scene<'_>,
) -> Outcome {
    scene.original().await?;
    let before = scene.calls()?;
    // The old service goes on until the new pod's init container has ended.
    let (mut service, at) = (scene.running.beside(NODE)?, ADDRESS.to_string());
    let service = Beside::start(service.args(["serve", &at]).stderr(Stdio::null()))?;
    until("the old service answers", || async { scene.dial(ADDRESS).map(drop) }).await?;
    let clients = scene.traffic(&[ADDRESS])?;
    let watch = scene.watch(NODE).await?;

    let Import { report, failed: stopped } = scene.import().await?;
    ensure(stopped.is_none() && report.end() == Imported::All, || report.people())?;
    ensure(report.imported.len() == 1, || report.people())?;
    let Import { report, .. } = scene.import().await?;
    ensure(report.imported.is_empty() && report.present.len() == 1, || report.people())?;

    let others = all_but(NODE);
    scene.cordon(&others, true).await?;
    let set = Set { settings: SETTINGS, ..Set::new("migrated", 1) };
    scene.create(&set).await?;
    scene.attached().await?;
    ended(clients)?.undisturbed()?;
    scene.never_lost(watch, ADDRESS).await?;
    scene.changed(before, 0)?;

    // The kubelet starts the new service again once the old one is gone.
    drop(service);
    let pod = scene.ready(MEMBER, None).await?;
    let held = scene.holds(&pod).await?;
    ensure(held.address == ADDRESS && held.epoch == 2, || format!("{held:?}"))?;
    scene.changed(before, 0)?;
    scene.delete(&set).await?;
    scene.cordon(&others, false).await?;
    // What the original left in the kernel is foreign to us, and stays until a person removes it.
    ensure(scene.in_kernel(NODE, ADDRESS)?, || "it is gone from the kernel".to_owned())?;
    scene.forget_the_original().await
}

impl Scene<'_> {
    async fn forget_the_original(&self) -> Outcome {
        let (node, address) = (NODE.to_owned(), ADDRESS);
        self.vpc(|vpc| vpc.kernel(KernelAct::KernelStrip { node, address }))?;
        let maps = [address_map(), member_map()];
        let words = ["-n", NAMESPACE, "delete", "configmap", &maps[0], &maps[1]];
        self.admin.kubectl(&words).await.map(drop).map_err(failed("the original's records"))
    }
}
