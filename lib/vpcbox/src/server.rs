//! The sockets of a box: EC2, Route 53, CloudWatch Logs and the metadata service over HTTP, the
//! resolver of the VPC, the admin protocol over a Unix socket.

mod admin;
mod http;
mod kernel_faults;
mod resolver;
mod state_report;
mod waiting;

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};

use crate::failure::Failure;
use crate::namespace::SOCKET;
use crate::network;
use crate::real_time_simulator::Driver;

/// Opens every socket and serves it until the box ends.
pub(crate) async fn start(driver: &Arc<Driver>) -> Result<(), Failure> {
    let ec2 = listen(network::EC2).await?;
    let imds = listen(network::IMDS).await?;
    let route53 = listen(network::ROUTE53).await?;
    let logs = listen(network::LOGS).await?;
    let admin = UnixListener::bind(SOCKET).map_err(|e| Failure::kernel("listen on", SOCKET, e))?;
    tokio::spawn(http::accept(Arc::clone(driver), ec2, http::Endpoint::Ec2));
    tokio::spawn(http::accept(Arc::clone(driver), imds, http::Endpoint::Imds));
    tokio::spawn(http::accept(Arc::clone(driver), route53, http::Endpoint::Route53));
    tokio::spawn(http::accept(Arc::clone(driver), logs, http::Endpoint::Logs));
    resolver::start(driver).await?;
    tokio::spawn(admin::accept(Arc::clone(driver), admin));
    Ok(())
}

async fn listen(address: Ipv4Addr) -> Result<TcpListener, Failure> {
    TcpListener::bind((address, 80))
        .await
        .map_err(|e| Failure::kernel("listen on", format!("{address}:80"), e))
}
