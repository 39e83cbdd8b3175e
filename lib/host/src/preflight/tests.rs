use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use firecamp_node::preflight::facts::{Cni, CniPlugin, Fact, LinkPolicy, Networkd, RunDir};

/// A node's files in a temporary directory.
struct Fake(tempfile::TempDir);

impl Fake {
    fn new() -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        fake.file("/proc/self/status", "Name:\tx\nCapEff:\t0000000000003000\n");
        fake.file("/proc/self/mountinfo", MOUNTS);
        fake.dir("/run/firecamp");
        fake
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn dir(&self, path: &str) {
        std::fs::create_dir_all(self.path(path)).unwrap();
    }

    fn file(&self, path: &str, text: &str) {
        std::fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        std::fs::write(self.path(path), text).unwrap();
    }

    fn link(&self, name: &str, index: u32, flags: &str) {
        let at = |key: &str| format!("/sys/class/net/{name}/{key}");
        self.file(&at("address"), "06:00:00:00:00:01\n");
        self.file(&at("ifindex"), &format!("{index}\n"));
        self.file(&at("flags"), &format!("{flags}\n"));
    }

    fn files(&self, in_cluster: bool) -> NodeFiles {
        NodeFiles::new(self.0.path(), Path::new("/run/firecamp"), in_cluster)
    }

    fn facts(&self) -> NodeFacts {
        self.files(false).all()
    }
}

const MOUNTS: &str = "\
22 1 259:1 / / rw,relatime shared:1 - xfs /dev/root rw
25 22 0:22 / /run rw,nosuid shared:5 - tmpfs tmpfs rw,size=1k
26 22 0:23 / /run/lock rw - ramfs x rw
";

fn failed<T: std::fmt::Debug>(fact: &Fact<T>) -> &str {
    let Fact::Failed(why) = fact else { panic!("{fact:?}") };
    why
}

#[test]
fn capabilities_and_run_directory_of_a_good_node() {
    let facts = Fake::new().facts();
    assert_eq!(facts.net_admin, Fact::Known(true));
    let (path, filesystem) = ("/run/firecamp".to_owned(), "tmpfs".to_owned());
    assert_eq!(facts.run_dir, Fact::Known(RunDir { path, filesystem, writable: true }));
}

#[test]
fn missing_net_admin_differs_from_unknown_capabilities() {
    let fake = Fake::new();
    fake.file("/proc/self/status", "CapEff:\t0000000000000fff\n");
    assert_eq!(fake.facts().net_admin, Fact::Known(false));
    fake.file("/proc/self/status", "CapEff:\tnonsense\n");
    assert!(failed(&fake.facts().net_admin).contains("CapEff"));
    fake.file("/proc/self/status", "Name: x\n");
    assert!(failed(&fake.facts().net_admin).contains("no line CapEff"));
}

#[test]
fn run_directory_has_the_filesystem_of_its_innermost_mount() {
    let fake = Fake::new();
    let over = "31 25 0:40 / /run/firecamp rw - ext4 /dev/sdb rw\n";
    fake.file("/proc/self/mountinfo", &format!("{MOUNTS}{over}"));
    assert_eq!(fake.facts().run_dir.known().unwrap().filesystem, "ext4");
    std::fs::remove_dir(fake.path("/run/firecamp")).unwrap();
    fake.file("/proc/self/mountinfo", MOUNTS);
    let dir = fake.facts().run_dir;
    assert!(dir.known().unwrap().writable, "its parent is writable, so it can be created");
}

#[test]
fn unwritable_run_directory_is_reported() {
    let fake = Fake::new();
    if nix::unistd::geteuid().is_root() {
        // Root may write anywhere, so remove the parent: a missing directory is not writable.
        std::fs::remove_dir_all(fake.path("/run")).unwrap();
    } else {
        let closed = std::fs::Permissions::from_mode(0o500);
        std::fs::set_permissions(fake.path("/run/firecamp"), closed).unwrap();
    }
    assert!(!fake.facts().run_dir.known().unwrap().writable);
}

#[test]
fn f057_vpc_cni_is_detected_by_its_configuration() {
    let fake = Fake::new();
    assert_eq!(fake.facts().cni, Fact::Known(None));
    fake.file("/etc/cni/net.d/05-bridge.conflist", r#"{"plugins":[{"type":"bridge"}]}"#);
    assert_eq!(fake.facts().cni, Fact::Known(None));
    let aws = "/etc/cni/net.d/10-aws.conflist";
    fake.file(aws, r#"{"plugins":[{"name":"aws-cni","type":"aws-cni"}]}"#);
    assert_eq!(fake.facts().cni, Fact::Known(Some(Cni::vpc(aws))));
}

#[test]
fn an_unknown_cni_plugin_is_detected_by_its_type() {
    let calico = r#"{"plugins":[{"type":"calico","ipam":{"type":"calico-ipam"}},
        {"type":"portmap"}]}"#;
    let multus = r#"{"type":"multus","delegates":[{"type":"bridge"}]}"#;
    let cilium = r#"{"plugins":[{"type":"cilium-cni"}]}"#;
    for (name, text, unknown) in [
        ("10-calico.conflist", calico, None),
        ("05-cilium.conflist", cilium, Some("cilium-cni")),
        ("05-cilium.conflist.cilium_bak", cilium, None),
        ("00-multus.conf", multus, Some("multus")),
    ] {
        let fake = Fake::new();
        let file = format!("/etc/cni/net.d/{name}");
        fake.file(&file, text);
        let cni = unknown.map(|plugin| Cni {
            plugin: CniPlugin::Unknown(plugin.to_owned()),
            file: file.clone(),
        });
        assert_eq!(fake.facts().cni, Fact::Known(cni), "{name}");
        fake.file("/etc/cni/net.d/10-aws.conflist", r#"{"plugins":[{"type":"aws-cni"}]}"#);
        assert_eq!(fake.facts().cni.known().unwrap().as_ref().unwrap().plugin, CniPlugin::Vpc);
    }
    let fake = Fake::new();
    fake.file("/etc/cni/net.d/10-x.conflist", "{");
    assert!(failed(&fake.facts().cni).contains("10-x.conflist: failed to parse"));
    fake.file("/etc/cni/net.d/20-aws.conflist", r#"{"plugins":[{"type":"aws-cni"}]}"#);
    assert_eq!(fake.facts().cni.known().unwrap().as_ref().unwrap().plugin, CniPlugin::Vpc);
}

#[test]
fn f057_unmounted_directory_in_a_cluster_is_unknown() {
    let fake = Fake::new();
    let facts = fake.files(true).all();
    assert!(failed(&facts.cni).contains("/etc/cni/net.d"));
    assert!(failed(&facts.net_utils).contains("/usr/lib/udev/rules.d"));
    assert!(failed(&facts.networkd).contains("/run/systemd"));
    assert!(failed(&facts.network_manager).contains("/run/NetworkManager/devices"));
    fake.dir("/run/NetworkManager/devices");
    fake.dir("/etc/cni/net.d");
    fake.dir("/usr/lib/udev/rules.d");
    fake.dir("/run/systemd");
    let facts = fake.files(true).all();
    assert_eq!((facts.cni, facts.net_utils), (Fact::Known(None), Fact::Known(None)));
    assert_eq!(facts.networkd, Fact::Known(None));
    assert_eq!(facts.network_manager, Fact::Known([].into()));
}

#[test]
fn f064_net_utils_is_active_unless_its_rule_is_masked() {
    let fake = Fake::new();
    assert_eq!(fake.facts().net_utils, Fact::Known(None));
    let rule = "/usr/lib/udev/rules.d/99-vpc-policy-routes.rules";
    fake.file(rule, "SUBSYSTEM==\"net\"\n");
    assert_eq!(fake.facts().net_utils, Fact::Known(Some(rule.to_owned())));
    fake.dir("/etc/udev/rules.d");
    let mask = fake.path("/etc/udev/rules.d/99-vpc-policy-routes.rules");
    symlink("/dev/null", &mask).unwrap();
    assert_eq!(fake.facts().net_utils, Fact::Known(None));
    std::fs::remove_file(&mask).unwrap();
    std::fs::write(&mask, "").unwrap();
    assert_eq!(fake.facts().net_utils, Fact::Known(None), "an empty file masks as well");
    let old = "/etc/udev/rules.d/53-ec2-network-interfaces.rules";
    fake.file(old, "ACTION==\"add\"\n");
    assert_eq!(fake.facts().net_utils, Fact::Known(Some(old.to_owned())), "1.x");
}

#[test]
fn f063_networkd_drop_ins_are_read_in_order() {
    let fake = Fake::new();
    assert_eq!(fake.facts().networkd, Fact::Known(None), "networkd does not run");
    fake.file("/run/systemd/netif/state", "OPER_STATE=routable\n");
    let reported = |fake: &Fake| {
        let Networkd { manages_routes, manages_rules } =
            fake.facts().networkd.known().unwrap().unwrap();
        (manages_routes, manages_rules)
    };
    assert_eq!(reported(&fake), (true, true), "the defaults");
    let no = "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n";
    fake.file("/usr/lib/systemd/networkd.conf", no);
    assert_eq!(reported(&fake), (false, false));
    fake.file("/etc/systemd/networkd.conf", "[Network]\n");
    assert_eq!(reported(&fake), (true, true), "only the first main file counts");
    fake.file("/usr/lib/systemd/networkd.conf.d/80-ec2.conf", no);
    assert_eq!(reported(&fake), (false, false));
    let rules = "[Network]\nManageForeignRoutingPolicyRules=yes\n";
    fake.file("/etc/systemd/networkd.conf.d/90-own.conf", rules);
    assert_eq!(reported(&fake), (false, true), "the later name overrides");
    fake.file("/etc/systemd/networkd.conf.d/80-ec2.conf", "");
    assert_eq!(reported(&fake), (true, true), "the file of the directory with precedence wins");
}

#[test]
fn f063_managed_link_drops_foreign_addresses_unless_configured_otherwise() {
    let fake = Fake::new();
    fake.link("ens5", 2, "0x1003");
    let policy = |fake: &Fake| fake.facts().links.known().unwrap()[0].networkd.clone();
    assert_eq!(policy(&fake), LinkPolicy::Unmanaged);
    let file = "/run/systemd/network/70-eks-ens5.network".to_owned();
    let state = format!("# private\nADMIN_STATE=configured\nNETWORK_FILE={file}\n");
    fake.file("/run/systemd/netif/links/2", &state);
    fake.file(&file, "[Network]\nDHCP=ipv4\n");
    assert_eq!(policy(&fake), LinkPolicy::Drops(file.clone()));
    let keeps = |value: &str| {
        let drop_in = "/etc/systemd/network/70-eks-ens5.network.d/keep.conf";
        fake.file(drop_in, &format!("[Network]\nKeepConfiguration={value}\n"));
        policy(&fake) == LinkPolicy::Keeps(file.clone())
    };
    assert!(keeps("yes") && keeps("static"));
    assert!(!keeps("dhcp") && !keeps("no") && !keeps("dhcp-on-stop"));
    fake.file("/run/systemd/netif/links/2", "ADMIN_STATE=unmanaged\n");
    assert_eq!(policy(&fake), LinkPolicy::Unmanaged);
}

#[test]
fn links_that_network_manager_manages_are_found_by_their_index() {
    let fake = Fake::new();
    let managed = |fake: &Fake| fake.facts().network_manager.known().unwrap().clone();
    assert!(managed(&fake).is_empty(), "NetworkManager is not there");
    for (name, index) in [("ens5", 2), ("ens6", 3), ("ens7", 4), ("ens8", 5)] {
        fake.link(name, index, "0x1003");
    }
    fake.file("/sys/class/net/bonding_masters", "");
    let state = |index: u32, text: &str| {
        fake.file(&format!("/run/NetworkManager/devices/{index}"), text);
    };
    state(2, "[device]\nmanaged=true\nconnection-uuid=5fb06bd0\nnm-owned=false\n");
    state(3, "[device]\nmanaged=false\n");
    state(4, "[device]\nperm-hw-addr-fake=06:00:00:00:00:01\n");
    state(9, "[device]\nmanaged=true\n");
    assert_eq!(managed(&fake), ["ens5".to_owned()].into(), "only it is known to be managed");
}

#[test]
fn links_are_devices_with_a_mac_and_up_or_down() {
    let fake = Fake::new();
    fake.link("ens5", 2, "0x1003");
    fake.link("ens6", 3, "0x1002");
    fake.link("br0", 4, "0x1003");
    fake.dir("/sys/class/net/br0/bridge");
    fake.link("ens5.7", 5, "0x1003");
    fake.file("/sys/class/net/ens5.7/uevent", "DEVTYPE=vlan\n");
    fake.file("/sys/class/net/tun0/address", "\n");
    fake.file("/sys/class/net/bonding_masters", "");
    let links = fake.facts().links;
    let found: Vec<(&str, bool)> =
        links.known().unwrap().iter().map(|link| (link.name.as_str(), link.up)).collect();
    assert_eq!(found, [("ens5", true), ("ens6", false)]);
}
