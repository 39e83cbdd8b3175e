use proptest::prelude::*;

use super::*;
use firecamp_node::volumes::observation::DeviceNumber;

const LINE: &str =
    "36 35 259:1 /sub /var/lib/x ro,noatime shared:7 - ext4 /dev/nvme1n1 rw,errors=remount-ro";

fn one(line: &str) -> Mount {
    let mut mounts = parse(line.as_bytes()).unwrap();
    assert_eq!(mounts.len(), 1);
    mounts.remove(0)
}

#[test]
fn mountinfo_line_is_parsed() {
    let mount = one(LINE);
    assert_eq!(mount.device, DeviceNumber { major: 259, minor: 1 });
    assert_eq!((mount.root.as_str(), mount.point.as_str()), ("/sub", "/var/lib/x"));
    assert_eq!((mount.fstype.as_str(), mount.source.as_str()), ("ext4", "/dev/nvme1n1"));
    assert!(mount.read_only && !mount.filesystem_read_only);
}

#[test]
fn octal_escapes_in_names_are_decoded() {
    let line = r"36 35 0:60 / /mnt/a\040b\011c\012d\134040e rw - nfs4 server:/my\040share rw";
    let mount = one(line);
    assert_eq!(mount.point, "/mnt/a b\tc\nd\\040e");
    assert_eq!(mount.source, "server:/my share");
    assert_eq!(one(r"1 0 0:1 / /a\400\9\04 rw - tmpfs tmpfs rw").point, r"/a\400\9\04");
    let umlaut = one(r"1 0 0:1 / /\303\244 rw - tmpfs tmpfs rw");
    assert_eq!(umlaut.point, "/ä", "several escapes form one character");
}

#[test]
fn non_utf8_name_does_not_break_other_mounts() {
    let bytes = [LINE.as_bytes(), b"\n1 0 0:1 / /\xff\xfe rw - tmpfs tmpfs rw\n"].concat();
    let mounts = parse(&bytes).unwrap();
    assert_eq!(mounts.len(), 2);
    assert_eq!(mounts[1].point, "/\u{fffd}\u{fffd}");
}

#[test]
fn a_source_may_be_missing_and_tags_may_be_many_or_none() {
    assert_eq!(one("1 0 0:1 / /a rw - tmpfs none rw").source, "none");
    assert_eq!(
        one("1 0 0:1 / /a rw shared:1 master:2 propagate_from:3 - tmpfs  rw").source,
        "none"
    );
    assert_eq!(one("1 0 0:1 / /a rw unbindable news:4 - tmpfs t rw").source, "t");
}

#[test]
fn read_only_option_or_shutdown_makes_a_filesystem_read_only() {
    for options in ["ro", "ro,relatime", "rw,emergency_ro", "rw,shutdown,x=y"] {
        let mount = one(&format!("1 0 8:1 / /a rw - ext4 /dev/sda {options}"));
        assert!(mount.filesystem_read_only && !mount.read_only, "{options}");
    }
    assert!(!one("1 0 8:1 / /a rw - ext4 /dev/sda rw,errors=remount-ro").filesystem_read_only);
}

#[test]
fn unparsable_line_fails_the_list() {
    for wrong in ["x", "1 0 259 / /a rw - ext4 /dev/sda rw", "1 0 8:1 / /a rw"] {
        let text = format!("{LINE}\n{wrong}\n");
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(wrong), "{error}");
    }
    let missing = read(Path::new("/nonexistent/mountinfo")).unwrap_err();
    assert!(
        missing.to_string().starts_with("failed to read the mounts in /nonexistent/mountinfo: ")
    );
}

/// Escapes a name as the kernel does.
fn escaped(name: &str) -> String {
    name.chars().fold(String::new(), |text, c| match c {
        ' ' | '\t' | '\n' | '\\' | '#' => text + &format!("\\{:03o}", u32::from(c)),
        c => text + &c.to_string(),
    })
}

proptest! {
    #[test]
    fn every_name_is_read_as_it_was_written(name in "/[a-z \t\n\\\\#0-9ä€]{0,20}") {
        let line = format!("1 0 0:1 / {} rw - tmpfs {} rw", escaped(&name), escaped(&name));
        let mount = one(&line);
        prop_assert_eq!(&mount.point, &name);
        prop_assert_eq!(&mount.source, &name);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&bytes));
        let line = [b"1 0 0:1 / /a rw ".as_slice(), &bytes].concat();
        drop(parse(&line));
    }
}
