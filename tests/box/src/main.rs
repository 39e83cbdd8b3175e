//! The tool that the tests run inside a box, in the namespaces of a node or client.
//!
//! | Command | Effect |
//! | --- | --- |
//! | `serve ADDRESS POD` | runs a member's service |
//! | `dial ADDRESS ORIGIN_NS` | connects to the service until it is killed |
//! | `kernel` | prints addresses, rules and routes |
//! | `watch ADDRESS` | prints each addition and removal of the address in the kernel |
//! | `rename LINK NAME` | renames a link |
//! | `unrule ADDRESS TABLE` | removes FireCamp's rule of the address |
//! | `unroute TABLE` | removes the default route of the table |
//! | `list DIR` | prints the files below the directory |
//! | `forward PORT SOCKET` | forwards a port of the loopback device to a Unix socket |
//! | `replace FILE OLD NEW` | replaces a text in a file |
//! | `read-only DIR PROGRAM…` | runs the program with DIR mounted read-only |
//! | `jail DIR PROGRAM…` | runs the program with DIR as its root |
//! | `neighbour …` | plays a program that attaches interfaces to the same node (`neighbours.rs`) |

mod client;
mod jail;
mod kernel;
mod neighbours;
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
        ["neighbour", words @ ..] => neighbours::run(words),
        _ => Err(io::Error::other(format!("unknown command: {words:?}"))),
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

/// Runs inside the box, because files that a node writes are only in its mount namespace.
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
