//! The cluster's DNS: CoreDNS, which runs beside the control plane, so that it survives the nodes
//! that scenarios stop.

use std::path::PathBuf;

use firecamp_testkit::kubernetes::User;

use crate::home::Home;
use crate::install::{Admin, source, until};
use crate::settings::kubeconfig;
use crate::{Outcome, failed};

/// The name of the component.
pub(crate) const COREDNS: &str = "coredns";
/// The variable with the path of the program; scripts/cluster.sh sets it.
const PROGRAM: &str = "COREDNS";
/// The address of its Service: by convention the tenth of their range.
pub(crate) const ADDRESS: &str = "10.96.0.10";
pub(crate) const DOMAIN: &str = "cluster.local";
/// What the API server permits to CoreDNS, and its Service.
const OBJECTS: &str = "tests/cluster/src/dns.yaml";

pub(crate) const USER: User<'static> =
    User { token: "coredns-of-this-test", name: "system:coredns", group: "system:authenticated" };

pub(crate) fn program() -> Outcome<PathBuf> {
    let path = std::env::var_os(PROGRAM);
    path.map(PathBuf::from).ok_or_else(|| format!("{PROGRAM} is not set: run this by `make`"))
}

/// The resolver of the VPC.
pub(crate) const RESOLVER: &str = "169.254.169.253";

/// The configuration of CoreDNS's usual manifest.
pub(crate) fn corefile(home: &Home) -> String {
    format!(
        ".:53 {{\n\
         errors\n\
         health\n\
         ready\n\
         kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{\n\
         kubeconfig {}\n\
         pods insecure\n\
         ttl 30\n\
         }}\n\
         prometheus :9153\n\
         forward . {RESOLVER}\n\
         cache 30\n\
         reload\n\
         loadbalance\n\
         }}\n",
        kubeconfig(home, COREDNS)
    )
}

/// Creates the objects, once the API server has created their namespace.
pub(crate) async fn install(admin: &Admin) -> Outcome {
    let objects = source(OBJECTS);
    let words = ["apply", "--server-side", "--filename", &objects];
    let applied = until("cluster DNS", || admin.kubectl(&words)).await;
    applied.map(drop).map_err(failed(OBJECTS))
}
