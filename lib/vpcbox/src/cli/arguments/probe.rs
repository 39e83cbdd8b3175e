//! Arguments of `vpcbox probe`.

use std::net::{Ipv4Addr, SocketAddrV4};

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(in crate::cli) struct ProbeArguments {
    #[command(subcommand)]
    pub(in crate::cli) command: ProbeCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ProbeCommand {
    /// Answers TCP connections and UDP datagrams with the node's name, until it is stopped.
    Serve(ServeArguments),
    /// Sends one request and prints the name in the answer; exits with 124 without an answer.
    Dial(DialArguments),
    /// Sends one HTTP request and prints the status, the headers and the body of the response.
    Http(HttpArguments),
    /// Removes an address from the node's kernel and prints the time until it is restored; exits
    /// with 124 if it is not restored.
    Strip(StripArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Prints `restored after N`, in microseconds.

Example:
  vpcbox exec node-a -- vpcbox probe strip 10.0.1.50")]
pub(in crate::cli) struct StripArguments {
    /// The address
    #[arg(env = "VPCBOX_ADDRESS", value_name = "ADDRESS")]
    pub(in crate::cli) address: Ipv4Addr,
    /// Timeout, in seconds
    #[arg(long, env = "VPCBOX_TIMEOUT", value_name = "SECONDS", default_value_t = 30.0)]
    pub(in crate::cli) timeout: f64,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Prints `serving` once it can be reached.

Example:
  vpcbox exec node-a -- vpcbox probe serve 10.0.1.50:7000")]
pub(in crate::cli) struct ServeArguments {
    /// The address to listen on; it must be on a link of the node
    #[arg(env = "VPCBOX_BIND", value_name = "ADDRESS:PORT")]
    pub(in crate::cli) bind: SocketAddrV4,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  vpcbox exec client-a -- vpcbox probe dial 10.0.1.50:7000 --udp --timeout 0.2")]
pub(in crate::cli) struct DialArguments {
    /// The address to connect to
    #[arg(env = "VPCBOX_TO", value_name = "ADDRESS:PORT")]
    pub(in crate::cli) to: SocketAddrV4,
    /// Source address; by default the kernel's choice
    #[arg(long, env = "VPCBOX_FROM", value_name = "ADDRESS")]
    pub(in crate::cli) from: Option<Ipv4Addr>,
    /// Send a datagram instead of opening a connection
    #[arg(long, env = "VPCBOX_UDP")]
    pub(in crate::cli) udp: bool,
    /// Timeout, in seconds
    #[arg(long, env = "VPCBOX_TIMEOUT", value_name = "SECONDS", default_value_t = 1.0)]
    pub(in crate::cli) timeout: f64,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  vpcbox exec node-a -- vpcbox probe http 169.254.169.254/latest/api/token \\
    --method PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 60'")]
pub(in crate::cli) struct HttpArguments {
    // Not a doc comment: rustdoc would interpret the brackets as a link.
    #[arg(env = "VPCBOX_URL", value_name = "URL", help = "ADDRESS[:PORT]/PATH")]
    pub(in crate::cli) url: String,
    /// The method
    #[arg(long, env = "VPCBOX_METHOD", value_name = "METHOD", default_value = "GET")]
    pub(in crate::cli) method: String,
    /// A header; may be repeated
    #[arg(long, env = "VPCBOX_HEADER", value_name = "NAME: VALUE")]
    pub(in crate::cli) header: Vec<String>,
    /// The body
    #[arg(long, env = "VPCBOX_BODY", value_name = "TEXT", default_value = "")]
    pub(in crate::cli) body: String,
    /// Print only the body, and exit with 1 unless the status is 2xx
    #[arg(long, env = "VPCBOX_BODY_ONLY")]
    pub(in crate::cli) body_only: bool,
    /// Timeout, in seconds
    #[arg(long, env = "VPCBOX_TIMEOUT", value_name = "SECONDS", default_value_t = 2.0)]
    pub(in crate::cli) timeout: f64,
}
