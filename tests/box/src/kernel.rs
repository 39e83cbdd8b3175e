//! Reads and changes the network configuration of a node's kernel.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use firecamp_core::contract::kernel;
use firecamp_testkit::netns::{Net, raw};
use futures_util::StreamExt;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::{MulticastGroup, new_multicast_connection};

/// Prints addresses, rules and routes, one per line.
pub(crate) fn print() -> io::Result<()> {
    let lines = Net::current().everything();
    io::stdout().write_all((lines.join("\n") + "\n").as_bytes())
}

/// Renames a link.
pub(crate) fn rename(link: &str, name: &str) -> io::Result<()> {
    Net::current().rename(link, name);
    Ok(())
}

/// Removes FireCamp's rule that sends an address to a table.
pub(crate) fn unrule(address: Ipv4Addr, table: u32) -> io::Result<()> {
    Net::current().delete_rule(address, table, kernel::RULE_PRIORITY, kernel::PROTOCOL);
    Ok(())
}

/// Removes the default route of a table.
pub(crate) fn unroute(table: u32) -> io::Result<()> {
    Net::current().delete_route((Ipv4Addr::UNSPECIFIED, 0), table);
    Ok(())
}

/// Prints every file below a directory.
pub(crate) fn list(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path)?;
        } else {
            print_now(&format!("{}\n", path.display()))?;
        }
    }
    Ok(())
}

/// Prints `watching`, then `added` or `removed` for each netlink message about the address, so
/// that no removal is missed, however short.
pub(crate) fn watch(address: Ipv4Addr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, _handle, mut messages) =
            new_multicast_connection(&[MulticastGroup::Ipv4Ifaddr])?;
        tokio::spawn(connection);
        print_now("watching\n")?;
        while let Some((message, _from)) = messages.next().await {
            let NetlinkPayload::InnerMessage(change) = message.payload else { continue };
            if let RouteNetlinkMessage::NewAddress(of) = &change
                && raw::local(of) == Some(address)
            {
                print_now("added\n")?;
            } else if let RouteNetlinkMessage::DelAddress(of) = &change
                && raw::local(of) == Some(address)
            {
                print_now("removed\n")?;
            }
        }
        Err(io::Error::other("netlink ended"))
    })
}

fn print_now(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(line.as_bytes())?;
    out.flush()
}
