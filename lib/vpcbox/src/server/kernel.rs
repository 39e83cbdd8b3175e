//! What another program on a node might do to its kernel.

use std::time::Duration;

use super::admin::{Outcome, json, refused};
use crate::driver::Driver;
use crate::netlink::Net;
use crate::protocol::{KernelAct, Refusal};

/// Link of the primary ENI, and of a client.
const PRIMARY_LINK: &str = "ens5";

/// Does it, and answers when it is done.
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
    let plant = driver.plant.lock().await;
    let names = || plant.names().join(", ");
    let unknown =
        || refused(format!("there is no node or client {node} up; there are: {}", names()));
    Ok(plant.site(node).ok_or_else(unknown)?.net.clone())
}

async fn set(driver: &Driver, node: &str, link: Option<String>, up: bool) -> Outcome {
    let net = net(driver, node).await?;
    let name = link.unwrap_or_else(|| PRIMARY_LINK.to_owned());
    let index = net.link(&name).await.map_err(|e| refused(e.chain()))?.index;
    net.set_up(index, up).await.map_err(|e| refused(e.chain()))?;
    json(())
}
