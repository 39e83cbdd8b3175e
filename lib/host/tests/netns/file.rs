//! The static-IP file on disks that fail.

use std::fs;
use std::path::Path;

use firecamp_core::ports::MemberFile;
use firecamp_host::{FileOptions, StaticIpFile};
use nix::mount::{MsFlags, mount};

use crate::fixture::ADDRESS;

const DATA: &str = "/run/data";
const CONF: &str = "/run/data/conf";

/// Mounts a data volume with these options.
fn volume(options: &str) {
    fs::create_dir_all(DATA).unwrap();
    mount(Some("tmpfs"), DATA, Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
}

fn make_read_only() {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, DATA, None::<&str>, flags, None::<&str>).unwrap();
}

fn file() -> StaticIpFile {
    StaticIpFile::new(Path::new(CONF), FileOptions::default())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn write(file: &StaticIpFile) -> Result<(), firecamp_core::failure::FileFailure> {
    file.probe().await?;
    if file.stage(ADDRESS).await? {
        file.publish().await?;
    }
    file.sync().await
}

fn probe_fails(words: &[&str]) {
    let failure = run(file().probe()).expect_err("the probe should fail");
    for word in words {
        assert!(failure.detail.contains(word), "{word:?} is not in: {failure}");
    }
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(CONF).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

pub(crate) fn f011_the_file_of_another_member_is_overwritten() {
    volume("size=1m");
    fs::create_dir(CONF).unwrap();
    for left in ["10.9.9.9", "", "10.0.1.10\n", "10.0.1.", "garbage \u{1F980}"] {
        fs::write(file().path(), left).unwrap();
        run(write(&file())).unwrap();
        assert_eq!(fs::read(file().path()).unwrap(), b"10.0.1.10", "{left:?}");
    }
    assert_eq!(names(), ["firecamp-service-staticip"]);
}

pub(crate) fn f012_probe_fails_on_a_full_disk() {
    volume("size=64k");
    run(write(&file())).unwrap();
    let filler = fs::write(format!("{DATA}/filler"), vec![0; 1 << 20]);
    assert_eq!(filler.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    probe_fails(&["write /run/data/conf/.firecamp-probe", "No space left on device"]);
    assert_eq!(fs::read(file().path()).unwrap(), b"10.0.1.10", "the old file stays");
    assert_eq!(names(), ["firecamp-service-staticip"]);
}

pub(crate) fn f012_probe_fails_on_a_disk_without_free_inodes() {
    volume("nr_inodes=2");
    fs::create_dir(CONF).unwrap();
    probe_fails(&["create /run/data/conf/.firecamp-probe", "No space left on device"]);
}

pub(crate) fn f012_probe_fails_on_a_read_only_disk() {
    volume("size=1m");
    run(write(&file())).unwrap();
    make_read_only();
    probe_fails(&["create /run/data/conf/.firecamp-probe", "Read-only file system"]);
    assert_eq!(run(file().stage(ADDRESS)), Ok(false), "a correct file is not written again");
    let other = StaticIpFile::new(Path::new("/run/data/absent"), FileOptions::default());
    let failure = run(other.probe()).unwrap_err();
    assert!(failure.detail.contains("/run/data/absent: Read-only file system"), "{failure}");
}

pub(crate) fn f086_directory_that_is_not_a_mount_point_is_refused() {
    let strict = FileOptions { require_mount: true, ..FileOptions::default() };
    let strict = StaticIpFile::new(Path::new(CONF), strict);
    fs::create_dir(DATA).unwrap();
    let failure = run(strict.probe()).unwrap_err();
    assert!(failure.detail.contains("/run/data is not a mount point"), "{failure}");
    assert!(!Path::new(CONF).exists(), "the probe creates nothing");
    run(file().probe()).unwrap();
    mount(Some(DATA), DATA, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    run(strict.probe()).expect("a bind mount of the same filesystem is a mount point");
}
