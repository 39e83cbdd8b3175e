//! What the tests start inside of a box, in a node's or client's namespaces.
//!
//! `serve ADDRESS POD` is a member's service, `dial ADDRESS ORIGIN_NS` a client that never stops,
//! `kernel` prints addresses, rules and routes, `watch ADDRESS` tells when the kernel gets or
//! loses an address, `rename LINK NAME` renames a link, `unrule ADDRESS TABLE` and `unroute TABLE`
//! remove our rule of an address and a table's default route, `list DIR` prints the files below a
//! directory, `forward PORT SOCKET` makes a Unix socket a port of the loopback device, `replace
//! FILE OLD NEW` changes a text in a file, `read-only DIR PROGRAM…` runs a program that cannot
//! write to DIR, and `jail DIR PROGRAM…` one with DIR as its root.

mod client;
mod jail;
mod kernel;
mod server;

use std::fmt::Display;
use std::io;
use std::process::ExitCode;
use std::str::FromStr;

/// The port of a member's service.
const PORT: u16 = 6379;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve", address, pod] => parse(address).and_then(|at| server::run(at, pod)),
        ["dial", address, origin] => parse(address).and_then(|at| client::run(at, origin)),
        ["kernel"] => kernel::print(),
        ["watch", address] => parse(address).and_then(kernel::watch),
        ["rename", link, name] => kernel::rename(link, name),
        ["unrule", address, table] => {
            parse(address).and_then(|at| kernel::unrule(at, parse(table)?))
        }
        ["unroute", table] => parse(table).and_then(kernel::unroute),
        ["forward", port, socket] => {
            parse(port).and_then(|port| firecamp_apiserver::socket::forward(port, socket.as_ref()))
        }
        ["replace", file, old, new] => replace(file, (old, new)),
        ["list", dir] => kernel::list(dir.as_ref()),
        ["read-only", dir, program @ ..] => jail::read_only(dir.as_ref(), program),
        ["jail", dir, program @ ..] => jail::run(dir.as_ref(), program),
        _ => Err(io::Error::other(format!("not a command: {words:?}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut err = io::stderr();
            io::Write::write_all(&mut err, format!("{words:?}: {error}\n").as_bytes()).ok();
            ExitCode::FAILURE
        }
    }
}

/// Every file that a process of the box has written is in its own mount namespace.
fn replace(file: &str, (old, new): (&str, &str)) -> io::Result<()> {
    let text = std::fs::read_to_string(file)?;
    if !text.contains(old) {
        return Err(io::Error::other(format!("{old:?} is not in {text:?}")));
    }
    std::fs::write(file, text.replace(old, new))
}

fn parse<T: FromStr<Err: Display>>(word: &str) -> io::Result<T> {
    word.parse().map_err(|e| io::Error::other(format!("{word}: {e}")))
}
