//! The static-IP file: order, content, modes, and refusal of planted objects.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use firecamp_core::contract::path::STATIC_IP_FILE;
use firecamp_core::failure::FileFailure;
use firecamp_core::ports::MemberFile;
use firecamp_host::{FileOptions, StaticIpFile, parse};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 100);

struct Volume {
    data: TempDir,
    file: StaticIpFile,
}

impl Volume {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let file = StaticIpFile::new(&data.path().join("conf"), FileOptions::default());
        Self { data, file }
    }

    fn with_conf() -> Self {
        let volume = Self::new();
        fs::create_dir(volume.conf()).unwrap();
        volume
    }

    fn conf(&self) -> PathBuf {
        self.data.path().join("conf")
    }

    fn path(&self) -> PathBuf {
        self.conf().join(STATIC_IP_FILE)
    }

    fn tmp(&self) -> PathBuf {
        self.conf().join(format!("{STATIC_IP_FILE}.tmp"))
    }

    async fn write(&self, address: Ipv4Addr) -> Result<bool, FileFailure> {
        self.file.probe().await?;
        let changed = self.file.stage(address).await?;
        if changed {
            self.file.publish().await?;
        }
        self.file.sync().await?;
        Ok(changed)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.conf()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = entries.map(|e| name(e).into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn refused<T: std::fmt::Debug>(result: Result<T, FileFailure>, words: &[&str]) {
    let failure = result.expect_err("the operation should be refused");
    for word in words {
        assert!(failure.detail.contains(word), "{word:?} is not in: {failure}");
    }
}

#[tokio::test]
async fn file_has_the_original_content_and_is_world_readable() {
    let volume = Volume::new();
    assert_eq!(volume.write(ADDRESS).await, Ok(true));
    assert_eq!(fs::read(volume.path()).unwrap(), b"10.0.1.10");
    assert_eq!((mode(&volume.path()), mode(&volume.conf())), (0o644, 0o755));
    assert_eq!(volume.names(), [STATIC_IP_FILE]);
    assert_eq!(volume.file.path(), volume.path());
    assert_eq!(parse(&fs::read(volume.path()).unwrap()), Ok(ADDRESS));
}

#[tokio::test]
async fn f013_file_appears_only_with_the_rename() {
    let volume = Volume::with_conf();
    fs::write(volume.path(), OTHER.to_string()).unwrap();
    assert_eq!(volume.file.stage(ADDRESS).await, Ok(true));
    assert_eq!(fs::read(volume.path()).unwrap(), b"10.0.1.100", "the complete old file");
    assert_eq!(fs::read(volume.tmp()).unwrap(), b"10.0.1.10");
    volume.file.publish().await.unwrap();
    assert_eq!(fs::read(volume.path()).unwrap(), b"10.0.1.10");
    assert!(!volume.tmp().exists());
    volume.file.sync().await.unwrap();
}

#[tokio::test]
async fn f013_a_stale_temporary_file_is_replaced() {
    let volume = Volume::with_conf();
    fs::write(volume.tmp(), "10.9.9.9 and more than fits").unwrap();
    set_mode(&volume.tmp(), 0o400);
    assert_eq!(volume.write(ADDRESS).await, Ok(true));
    assert_eq!(fs::read(volume.path()).unwrap(), b"10.0.1.10");
    assert_eq!((mode(&volume.path()), volume.names()), (0o644, vec![STATIC_IP_FILE.to_owned()]));
}

#[tokio::test]
async fn f013_publishing_without_staging_is_an_error() {
    let volume = Volume::with_conf();
    refused(volume.file.publish().await, &["no new content was written"]);
    volume.write(ADDRESS).await.unwrap();
    refused(volume.file.publish().await, &["no new content was written"]);
    assert_eq!(volume.file.stage(ADDRESS).await, Ok(false));
    refused(volume.file.publish().await, &["no new content was written"]);
}

#[tokio::test]
async fn the_same_content_is_untouched() {
    let volume = Volume::new();
    volume.write(ADDRESS).await.unwrap();
    let before = fs::metadata(volume.path()).unwrap();
    assert_eq!(volume.write(ADDRESS).await, Ok(false));
    let after = fs::metadata(volume.path()).unwrap();
    let what = |meta: &fs::Metadata| (meta.ino(), meta.mtime_nsec(), meta.ctime_nsec());
    assert_eq!(what(&before), what(&after));
}

#[tokio::test]
async fn f101_wrong_file_mode_is_corrected() {
    let volume = Volume::new();
    volume.write(ADDRESS).await.unwrap();
    for wrong in [0o600, 0o666, 0o640, 0o755] {
        set_mode(&volume.path(), wrong);
        assert_eq!(volume.write(ADDRESS).await, Ok(false), "{wrong:o}");
        assert_eq!(mode(&volume.path()), 0o644);
    }
}

#[tokio::test]
async fn a_file_of_the_original_is_read_and_kept() {
    let volume = Volume::with_conf();
    fs::write(volume.path(), "10.0.1.10").unwrap();
    set_mode(&volume.path(), 0o600);
    let inode = fs::metadata(volume.path()).unwrap().ino();
    assert_eq!(volume.write(ADDRESS).await, Ok(false));
    assert_eq!(fs::metadata(volume.path()).unwrap().ino(), inode);
}

#[tokio::test]
async fn f102_symlink_in_place_of_the_directory_is_refused() {
    let volume = Volume::new();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), volume.conf()).unwrap();
    refused(volume.file.probe().await, &["/conf is a symbolic link or not a directory"]);
    refused(volume.file.stage(ADDRESS).await, &["/conf is a symbolic link or not a directory"]);
    refused(volume.file.sync().await, &["/conf is a symbolic link or not a directory"]);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn f102_symlink_in_place_of_a_file_is_refused_and_its_target_untouched() {
    type Place = fn(&Volume) -> PathBuf;
    let places: [(Place, &str); 2] =
        [(Volume::path, STATIC_IP_FILE), (Volume::tmp, "firecamp-service-staticip.tmp")];
    for (place, name) in places {
        for dangling in [false, true] {
            let volume = Volume::with_conf();
            let target = volume.data.path().join("target");
            if !dangling {
                fs::write(&target, "10.0.1.10").unwrap();
                set_mode(&target, 0o600);
            }
            symlink(&target, place(&volume)).unwrap();
            let words = [name, "is a symbolic link", "may be an attack"];
            refused(volume.file.probe().await, &words);
            refused(volume.file.stage(ADDRESS).await, &words);
            assert_eq!(target.exists(), !dangling);
            if !dangling {
                assert_eq!(
                    (fs::read(&target).unwrap(), mode(&target)),
                    (b"10.0.1.10".to_vec(), 0o600)
                );
            }
        }
    }
}

#[tokio::test]
async fn f102_a_link_that_appears_between_staging_and_publishing_is_refused() {
    let volume = Volume::with_conf();
    volume.file.stage(ADDRESS).await.unwrap();
    fs::remove_file(volume.tmp()).unwrap();
    symlink(volume.data.path().join("target"), volume.tmp()).unwrap();
    refused(volume.file.publish().await, &["staticip.tmp is a symbolic link"]);
    fs::remove_file(volume.tmp()).unwrap();
    fs::write(volume.tmp(), "10.9.9.9").unwrap();
    refused(volume.file.publish().await, &["staticip.tmp is not the file that this process wrote"]);
    assert!(!volume.path().exists(), "nothing was published");
}

#[tokio::test]
async fn f102_hard_link_to_another_file_is_replaced_not_changed() {
    let volume = Volume::with_conf();
    let secret = volume.data.path().join("secret");
    fs::write(&secret, "10.0.1.10").unwrap();
    set_mode(&secret, 0o600);
    fs::hard_link(&secret, volume.path()).unwrap();
    assert_eq!(volume.write(ADDRESS).await, Ok(true));
    assert_eq!((mode(&secret), mode(&volume.path())), (0o600, 0o644));
    assert_ne!(fs::metadata(&secret).unwrap().ino(), fs::metadata(volume.path()).unwrap().ino());
}

#[tokio::test]
async fn f102_a_fifo_directory_or_socket_is_refused_without_waiting() {
    type Plant = fn(&Path);
    let kinds: [(&str, Plant); 3] = [
        ("is a fifo", |path| mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap()),
        ("is a directory", |path| fs::create_dir(path).unwrap()),
        ("is a socket", |path| drop(UnixListener::bind(path).unwrap())),
    ];
    for (what, plant) in kinds {
        for place in [Volume::path, Volume::tmp] {
            let volume = Volume::with_conf();
            plant(&place(&volume));
            refused(volume.file.probe().await, &[what, "may be an attack"]);
            refused(volume.file.stage(ADDRESS).await, &[what, "may be an attack"]);
        }
    }
}

#[tokio::test]
async fn f012_a_missing_data_directory_is_an_error_that_names_it() {
    let file = StaticIpFile::new(Path::new("/absent/data/conf"), FileOptions::default());
    refused(file.probe().await, &["open /absent/data", "No such file or directory"]);
    refused(file.stage(ADDRESS).await, &["open /absent/data"]);
}

#[tokio::test]
async fn f012_probe_removes_its_file_also_one_left_by_a_crash() {
    let volume = Volume::with_conf();
    fs::write(volume.conf().join(".firecamp-probe"), "left").unwrap();
    volume.file.probe().await.unwrap();
    assert_eq!(volume.names(), Vec::<String>::new());
}

#[tokio::test]
async fn f010_huge_file_is_replaced_without_reading_it_completely() {
    let volume = Volume::with_conf();
    let huge = fs::File::create(volume.path()).unwrap();
    huge.set_len(1 << 40).unwrap();
    assert_eq!(volume.write(ADDRESS).await, Ok(true));
    assert_eq!(fs::read(volume.path()).unwrap(), b"10.0.1.10");
}

#[tokio::test]
async fn two_writers_never_mix_their_content() {
    let volume = Volume::with_conf();
    let others = StaticIpFile::new(&volume.conf(), FileOptions::default());
    assert_eq!(volume.file.stage(ADDRESS).await, Ok(true));
    assert_eq!(others.stage(OTHER).await, Ok(true));
    refused(volume.file.publish().await, &["is not the file that this process wrote"]);
    others.publish().await.unwrap();
    assert_eq!(fs::read(volume.path()).unwrap(), b"10.0.1.100");
}
