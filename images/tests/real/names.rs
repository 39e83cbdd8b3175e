//! Name resolution and certificate verification work without libraries.

use std::net::Ipv4Addr;
use std::sync::mpsc::Receiver;

use firecamp_testkit::netns::Net;

use crate::server::{TIMEOUT, metadata, resolver, tls_port};
use crate::unpacked::{Running, Unpacked};

const RESOLVER: (&str, &str) = ("etc/resolv.conf", "nameserver 127.0.0.1\n");
const TOKEN: &str = "var/run/secrets/kubernetes.io/serviceaccount/token";
const AUTHORITY: &str = "var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
const NAMESPACE: &str = "var/run/secrets/kubernetes.io/serviceaccount/namespace";

const MEMBER: [(&str, &str); 8] = [
    ("CLUSTER", "prod"),
    ("SERVICE_NAME", "redis"),
    ("POD_NAME", "redis-0"),
    ("K8S_NAMESPACE", "prod"),
    ("POD_UID", "0d1f7d0c-6b5e-4f5a-9b52-9a8f3f6f3c11"),
    ("NODE_NAME", "node-a"),
    ("FIRECAMP_POOL", "main"),
    ("KUBERNETES_SERVICE_PORT", "6443"),
];

/// Waits for a TLS client; without one, fails with the program's output.
fn expect_client(clients: &Receiver<String>, running: Running) {
    let connected = clients.recv_timeout(TIMEOUT).is_ok();
    assert!(connected, "no TLS client; output: {}", running.ended());
}

pub(crate) fn the_agent_resolves_ec2_and_has_its_root_certificates() {
    const EC2: &str = "ec2.us-east-1.amazonaws.com";
    const IMDS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
    Net::current().add_address("lo", IMDS, 32, None);
    metadata(IMDS);
    let questions = resolver(EC2);
    let clients = tls_port(443, EC2);
    let image = Unpacked::new("firecamp-agent").with(RESOLVER.0, RESOLVER.1);
    image.directory("run/firecamp");
    image.directory("registry");
    let variables = [
        ("CLUSTER", "prod"),
        ("NODE_NAME", "node-a"),
        ("FIRECAMP_REGISTRY", "file:///registry"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "example"),
    ];
    expect_client(&clients, image.start(&[], &variables));
    assert_eq!(questions.recv_timeout(TIMEOUT).unwrap(), EC2);
}

/// An image with the mounts of a service account; some root certificate serves as the cluster's CA.
fn member() -> Unpacked {
    let image =
        Unpacked::new("firecamp-initcontainer").with(TOKEN, "a-token").with(NAMESPACE, "prod");
    let roots =
        std::fs::read_to_string("/run/firecamp-initcontainer/etc/ssl/certs/ca-certificates.crt");
    let roots = roots.unwrap();
    let end = "-----END CERTIFICATE-----\n";
    let one = roots.split_once(end).unwrap().0.to_owned() + end;
    image.directory("data");
    image.directory("run/firecamp");
    image.with(AUTHORITY, &one)
}

pub(crate) fn the_init_container_resolves_the_api_server() {
    const API: &str = "api.cluster.test";
    let questions = resolver(API);
    let clients = tls_port(6443, API);
    let image = member().with(RESOLVER.0, RESOLVER.1);
    let server = ("KUBERNETES_SERVICE_HOST", API);
    expect_client(&clients, image.start(&[], &[MEMBER.as_slice(), &[server]].concat()));
    assert_eq!(questions.recv_timeout(TIMEOUT).unwrap(), API);
}

pub(crate) fn a_name_in_the_hosts_file_needs_no_dns_server() {
    const API: &str = "api.cluster.test";
    let clients = tls_port(6443, API);
    let image = member().with("etc/hosts", "127.0.0.1 api.cluster.test\n");
    let server = ("KUBERNETES_SERVICE_HOST", API);
    expect_client(&clients, image.start(&[], &[MEMBER.as_slice(), &[server]].concat()));
}
