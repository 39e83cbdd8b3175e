use super::*;
use crate::volumes::fixture::{attachment, disk, mount, number, nvme, shared, volume};
use crate::volumes::observation::{AttachmentState, DeviceNumber, Partition};

fn identity(device: &BlockDevice, attachments: &[Attachment]) -> Identity {
    let devices = [device.clone()];
    Disks::new(&devices, attachments).identity(device)
}

fn labelled(number: u64, label: &str) -> Attachment {
    let attachment = attachment(&volume(number), AttachmentState::Attached);
    Attachment { label: label.to_owned(), ..attachment }
}

#[test]
fn f084_a_volume_is_identified_by_its_serial_not_by_the_device_name() {
    // EC2 calls volume 1 /dev/xvda, and the kernel found volume 2 first.
    let attachments = [labelled(1, "/dev/xvda"), labelled(2, "/dev/xvdb")];
    assert_eq!(identity(&nvme(0, &volume(2)), &attachments), Identity::Ebs(volume(2)));
    assert_eq!(identity(&nvme(1, &volume(1)), &attachments), Identity::Ebs(volume(1)));
    let called_xvda = BlockDevice { name: "xvda".to_owned(), ..nvme(0, &volume(2)) };
    assert_eq!(identity(&called_xvda, &attachments), Identity::Ebs(volume(2)));
}

#[test]
fn f084_an_ebs_device_without_a_valid_serial_is_no_volume() {
    let serials = ["", "vol", "vol123", "0123456789abcdef0", "vol0123456789ABCDEF0", "volvol1"];
    for serial in serials {
        let device = BlockDevice { serial: Some(serial.to_owned()), ..nvme(1, &volume(1)) };
        assert_eq!(identity(&device, &[labelled(1, "/dev/nvme1n1")]), Identity::Unreadable);
    }
    let none = BlockDevice { serial: None, ..nvme(1, &volume(1)) };
    assert_eq!(identity(&none, &[]), Identity::Unreadable);
}

#[test]
fn f084_a_serial_on_a_device_of_another_model_names_no_volume() {
    let other = |model: &str| {
        let device = BlockDevice { model: Some(model.to_owned()), ..nvme(1, &volume(1)) };
        identity(&device, &[])
    };
    assert_eq!(other("Amazon EC2 NVMe Instance Storage"), Identity::InstanceStore);
    assert_eq!(other("Samsung SSD 990"), Identity::Other);
}

#[test]
fn f084_a_link_that_names_another_volume_than_the_serial_is_reported() {
    let with = |links: &[&str]| {
        let links = links.iter().map(|link| (*link).to_owned()).collect();
        BlockDevice { links, ..nvme(1, &volume(0x1a)) }
    };
    let own = "nvme-Amazon_Elastic_Block_Store_vol0000000000000001a";
    let other = "nvme-Amazon_Elastic_Block_Store_vol0000000000000001b_1-part2";
    let fine = [own, &format!("{own}-part1"), &format!("{own}_1"), &format!("{own}-ns-1")];
    assert_eq!(mismatched_link(&with(&fine)), None);
    assert_eq!(mismatched_link(&with(&["nvme-nvme.1d0f-766f6c-x", "wwn-0x5000"])), None);
    assert_eq!(mismatched_link(&with(&[own, other])), Some(other));
}

#[test]
fn on_xen_without_serials_the_requested_name_counts() {
    let attachments =
        [labelled(1, "/dev/sda1"), labelled(2, "/dev/xvdf"), labelled(3, "sdg"), labelled(4, "x")];
    let is = |name| identity(&disk(name, number(202, 0)), &attachments);
    assert_eq!(is("xvda"), Identity::Ebs(volume(1)));
    assert_eq!(is("xvda1"), Identity::Ebs(volume(1)));
    assert_eq!(is("xvdf"), Identity::Ebs(volume(2)));
    assert_eq!(is("xvdg"), Identity::Ebs(volume(3)));
    assert_eq!(is("xvdh"), Identity::Other);
    assert_eq!(is("sdf"), Identity::Other, "that is no Xen disk");
    let named = BlockDevice { serial: Some("x".to_owned()), ..disk("xvdf", number(202, 0)) };
    assert_eq!(identity(&named, &attachments), Identity::Other, "that has a serial");
    let twice = [labelled(1, "/dev/sdf"), labelled(2, "/dev/xvdf")];
    assert_eq!(identity(&disk("xvdf", number(202, 0)), &twice), Identity::Other);
}

#[test]
fn an_iscsi_lun_is_identified_by_its_path() {
    let link = "ip-10.0.0.9:3260-iscsi-iqn.2003-01.org.x:sn.1-lun-0";
    let links = Vec::from([format!("{link}-part1"), link.to_owned()]);
    let lun = BlockDevice { links, ..disk("sdb", number(8, 16)) };
    assert_eq!(identity(&lun, &[]), Identity::Iscsi);
    assert_eq!(iscsi_link(&lun), Some(link));
}

fn behind(devices: &[BlockDevice], mount: &Mount) -> Vec<String> {
    let disks = Disks::new(devices, &[]);
    disks.behind(mount).into_iter().map(|device| device.name.clone()).collect()
}

fn made_of(name: &str, number: DeviceNumber, below: &[&str]) -> BlockDevice {
    let below = below.iter().map(|name| (*name).to_owned()).collect();
    BlockDevice { below, ..disk(name, number) }
}

#[test]
fn the_disks_behind_a_mount_include_partitions_and_mapped_devices() {
    let part = Partition { name: "nvme1n1p1".to_owned(), number: number(259, 17) };
    let devices = [
        BlockDevice { partitions: Vec::from([part]), ..nvme(1, &volume(1)) },
        nvme(2, &volume(2)),
        made_of("dm-0", number(253, 0), &["nvme1n1p1", "nvme2n1"]),
        made_of("dm-1", number(253, 1), &["dm-0", "gone"]),
    ];
    assert_eq!(behind(&devices, &mount(number(259, 16), "/x")), ["nvme1n1"]);
    assert_eq!(behind(&devices, &mount(number(259, 17), "/x")), ["nvme1n1"]);
    assert_eq!(behind(&devices, &mount(number(253, 1), "/x")), ["nvme1n1", "nvme2n1"]);
    assert_eq!(behind(&devices, &mount(number(8, 0), "/x")), [""; 0]);
    assert!(Disks::new(&devices, &[]).carries(&devices[0]));
    assert!(!Disks::new(&devices, &[]).carries(&devices[3]));
}

#[test]
fn cyclic_devices_do_not_loop() {
    let devices =
        [made_of("dm-0", number(253, 0), &["dm-1"]), made_of("dm-1", number(253, 1), &["dm-0"])];
    assert_eq!(behind(&devices, &mount(number(253, 0), "/x")), [""; 0]);
}

#[test]
fn a_filesystem_with_its_own_device_number_is_found_by_its_source() {
    let devices = [nvme(1, &volume(1))];
    let btrfs = shared(44, "btrfs", "/dev/nvme1n1", "/data");
    assert_eq!(behind(&devices, &btrfs), ["nvme1n1"]);
    let liar = shared(44, "fuse.x", "/dev/nvme1n1", "/data");
    assert_eq!(behind(&devices, &liar), [""; 0], "anybody may call a source so");
}

#[test]
fn a_raw_device_is_found_by_its_node() {
    let devices = [nvme(1, &volume(1)), nvme(2, &volume(2))];
    let node = Mount { root: "/nvme2n1".to_owned(), ..shared(6, "devtmpfs", "udev", "/x") };
    assert_eq!(behind(&devices, &node), ["nvme2n1"]);
}
