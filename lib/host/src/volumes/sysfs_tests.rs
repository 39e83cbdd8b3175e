use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use firecamp_node::volumes::observation::DeviceNumber;

/// A sysfs and a device directory in temporary files.
struct Fake {
    root: TempDir,
}

impl Fake {
    fn new() -> Self {
        let fake = Self { root: TempDir::new().unwrap() };
        fs::create_dir_all(fake.root.path().join("sys/block")).unwrap();
        fake
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn disk(&self, name: &str, number: &str, sectors: u64) {
        self.write(&format!("sys/block/{name}/dev"), &format!("{number}\n"));
        self.write(&format!("sys/block/{name}/size"), &format!("{sectors}\n"));
        self.write(&format!("sys/block/{name}/ro"), "0\n");
    }

    fn nvme(&self, name: &str, number: &str, serial: &str) {
        self.disk(name, number, 2048);
        let model = "Amazon Elastic Block Store              \n";
        self.write(&format!("sys/block/{name}/device/model"), model);
        self.write(&format!("sys/block/{name}/device/serial"), serial);
    }

    fn link(&self, kind: &str, name: &str, device: &str) {
        let directory = self.root.path().join("dev/disk").join(kind);
        fs::create_dir_all(&directory).unwrap();
        symlink(format!("../../{device}"), directory.join(name)).unwrap();
    }

    fn read(&self) -> Result<Vec<BlockDevice>, Failed> {
        read(&self.root.path().join("sys"), &self.root.path().join("dev"))
    }
}

#[test]
fn f084_the_serial_of_an_nvme_device_is_read_without_its_padding() {
    let fake = Fake::new();
    fake.nvme("nvme1n1", "259:1", "vol0123456789abcdef0   \n");
    let devices = fake.read().unwrap();
    assert_eq!(devices[0].serial.as_deref(), Some("vol0123456789abcdef0"));
    assert_eq!(devices[0].model.as_deref(), Some("Amazon Elastic Block Store"));
    assert_eq!(devices[0].number, DeviceNumber { major: 259, minor: 1 });
    assert_eq!(devices[0].bytes, 1 << 20);
    let disks = firecamp_node::volumes::identify_device::Disks::new(&devices, &[]);
    let volume = "vol-0123456789abcdef0".parse().unwrap();
    assert_eq!(
        disks.identity(&devices[0]),
        firecamp_node::volumes::identify_device::Identity::Ebs(volume)
    );
}

#[test]
fn partitions_mapped_devices_and_links_are_read() {
    let fake = Fake::new();
    fake.nvme("nvme1n1", "259:1", "vol0123456789abcdef0");
    fake.write("sys/block/nvme1n1/nvme1n1p1/dev", "259:2\n");
    fake.write("sys/block/nvme1n1/nvme1n1p1/partition", "1\n");
    fake.write("sys/block/nvme1n1/queue/partition", "not a partition\n");
    fake.disk("dm-0", "253:0", 8);
    fake.write("sys/block/dm-0/slaves/nvme1n1p1/dev", "259:2\n");
    fake.write("sys/block/dm-0/ro", "1\n");
    fake.link("by-id", "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0", "nvme1n1");
    fake.link("by-path", "ip-10.0.0.9:3260-iscsi-iqn.x-lun-0-part1", "nvme1n1p1");
    let devices = fake.read().unwrap();
    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(names, ["dm-0", "nvme1n1"]);
    assert_eq!(devices[0].below, ["nvme1n1p1"]);
    assert!(devices[0].read_only && !devices[1].read_only);
    assert_eq!(devices[1].partitions[0].name, "nvme1n1p1");
    assert_eq!(devices[1].partitions.len(), 1);
    assert_eq!(devices[1].links.len(), 2);
}

#[test]
fn unused_loop_devices_and_nvme_paths_without_a_number_are_skipped() {
    let fake = Fake::new();
    fake.disk("loop0", "7:0", 0);
    fake.write("sys/block/nvme0c0n1/size", "2048\n");
    assert_eq!(fake.read().unwrap(), []);
}

#[test]
fn partially_unreadable_list_is_an_error() {
    let fake = Fake::new();
    fake.disk("sda", "8:0", 8);
    fake.write("sys/block/sdb/dev", "garbage\n");
    fake.write("sys/block/sdb/size", "8\n");
    let error = fake.read().unwrap_err().to_string();
    assert!(error.contains("block/sdb/dev"), "{error}");
    fake.write("sys/block/sdb/dev", "8:16\n");
    fake.write("sys/block/sdb/size", "-1\n");
    let error = fake.read().unwrap_err().to_string();
    assert!(error.contains("block/sdb/size"), "{error}");
    fs::remove_dir_all(fake.root.path().join("sys/block")).unwrap();
    let error = fake.read().unwrap_err().to_string();
    assert!(
        error.starts_with("failed to list "),
        "a missing sysfs is an error, not an empty list: {error}"
    );
}

#[test]
fn the_devices_of_this_machine_can_be_read() {
    let devices = read(Path::new("/sys"), Path::new("/dev")).unwrap();
    assert!(devices.iter().all(|device| device.bytes > 0), "{devices:?}");
}
