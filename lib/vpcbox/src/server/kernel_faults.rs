//! Actions of other programs on a node's kernel.

use std::time::Duration;

use super::admin::{Outcome, json, refused};
use crate::netlink::Net;
use crate::protocol::{KernelAct, Refusal};
use crate::real_time_simulator::Driver;

/// The link of the primary ENI, and of a client.
const PRIMARY_LINK: &str = "ens5";

/// Performs the action, and replies when it is done.
pub(super) async fn act(driver: &Driver, act: KernelAct) -> Outcome {
    match act {
        KernelAct::KernelStrip { node, address } => {
            let net = net(driver, &node).await?;
            match net.strip_address(address).await.map_err(|e| refused(e.chain()))? {
                0 => Err(refused(format!("no link of {node} has {address}"))),
                links => json(links),
            }
        }
        KernelAct::KernelAdd { node, address, link } => {
            let net = net(driver, &node).await?;
            let name = link.unwrap_or_else(|| PRIMARY_LINK.to_owned());
            let index = net.link(&name).await.map_err(|e| refused(e.chain()))?.index;
            net.add_address(index, address, 32).await.map_err(|e| refused(e.chain()))?;
            json(())
        }
        KernelAct::LinkDown { node, link } => set(driver, &node, link, false).await,
        KernelAct::LinkUp { node, link } => set(driver, &node, link, true).await,
        KernelAct::LinkFlap { node, link, down_ms } => {
            set(driver, &node, link.clone(), false).await?;
            tokio::time::sleep(Duration::from_millis(down_ms)).await;
            set(driver, &node, link, true).await
        }
    }
}

async fn net(driver: &Driver, node: &str) -> Result<Net, Refusal> {
    let network = driver.network.lock().await;
    let names = || network.names().join(", ");
    let unknown = || refused(format!("no running node or client {node}; running: {}", names()));
    Ok(network.site(node).ok_or_else(unknown)?.net.clone())
}

async fn set(driver: &Driver, node: &str, link: Option<String>, up: bool) -> Outcome {
    let net = net(driver, node).await?;
    let name = link.unwrap_or_else(|| PRIMARY_LINK.to_owned());
    let index = net.link(&name).await.map_err(|e| refused(e.chain()))?.index;
    net.set_up(index, up).await.map_err(|e| refused(e.chain()))?;
    json(())
}
