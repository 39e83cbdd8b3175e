use std::os::unix::fs::{PermissionsExt, symlink};

use firecamp_core::ids::{Epoch, PodUid};
use tempfile::TempDir;

use super::*;
use firecamp_core::lock_rule::Hold;
use nix::sys::stat::makedev;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

fn run_dir() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    (dir, run)
}

fn record() -> Record {
    let holder = Holder { pod: PodUid::new("pod-a").unwrap(), epoch: Epoch(3) };
    Record { holder, hold: Hold::Held, added: true, pid: std::process::id() }
}

async fn refusal(locks: &Locks) -> String {
    locks.address(ADDRESS).await.err().expect("the lock should be refused").to_string()
}

#[tokio::test]
async fn directories_are_created_private() {
    let (_keep, run) = run_dir();
    drop(Locks::new(&run, Duration::ZERO).address(ADDRESS).await.unwrap());
    for dir in [run.clone(), run.join(LOCK_SUBDIR)] {
        assert_eq!(std::fs::metadata(dir).unwrap().permissions().mode() & 0o7777, 0o700);
    }
    let file = run.join(LOCK_SUBDIR).join("10.0.0.5");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[tokio::test]
async fn lock_times_out_and_names_the_holder() {
    let (_keep, run) = run_dir();
    let locks = Locks::new(&run, Duration::from_millis(30));
    let held = locks.address(ADDRESS).await.unwrap();
    held.write(&record()).unwrap();
    let refusal = refusal(&locks).await;
    let pid = std::process::id();
    assert!(refusal.contains(&format!("process {pid} holds it")), "{refusal}");
    assert!(refusal.contains("epoch 3, held by pod pod-a"), "{refusal}");
    drop(held);
    locks.address(ADDRESS).await.unwrap();
}

#[tokio::test]
async fn waiter_gets_the_released_lock_and_other_addresses_do_not_wait() {
    let (_keep, run) = run_dir();
    let locks = Locks::new(&run, Duration::from_secs(20));
    let held = locks.address(ADDRESS).await.unwrap();
    locks.address(Ipv4Addr::new(10, 0, 0, 50)).await.unwrap();
    let waiter = tokio::spawn(async move { locks.address(ADDRESS).await.map(drop) });
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    drop(held);
    waiter.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shorter_record_replaces_a_longer_one() {
    let (_keep, run) = run_dir();
    let lock = Locks::new(&run, Duration::ZERO).address(ADDRESS).await.unwrap();
    assert_eq!(lock.read().unwrap(), Recorded::Nothing);
    let mut long = record();
    long.holder.pod = PodUid::new(&"x".repeat(128)).unwrap();
    lock.write(&long).unwrap();
    assert_eq!(lock.read().unwrap(), Recorded::This(long));
    lock.write(&record()).unwrap();
    assert_eq!(lock.read().unwrap(), Recorded::This(record()));
    let text = std::fs::read_to_string(&lock.path).unwrap();
    assert_eq!(text, record().text(), "the old record's tail is truncated");
}

#[tokio::test]
async fn a_directory_that_others_may_write_is_refused() {
    let (_keep, run) = run_dir();
    std::fs::create_dir(&run).unwrap();
    std::fs::set_permissions(&run, PermissionsExt::from_mode(0o777)).unwrap();
    let refusal = refusal(&Locks::new(&run, Duration::ZERO)).await;
    assert!(refusal.contains("its permissions are 0777, not 0700"), "{refusal}");
}

#[tokio::test]
async fn a_readable_directory_that_is_not_empty_is_refused() {
    let (_keep, run) = run_dir();
    std::fs::create_dir_all(run.join("something")).unwrap();
    std::fs::set_permissions(&run, PermissionsExt::from_mode(0o755)).unwrap();
    let refusal = refusal(&Locks::new(&run, Duration::ZERO)).await;
    assert!(refusal.contains("its permissions are 0755, not 0700"), "{refusal}");
}

#[tokio::test]
async fn an_empty_directory_created_by_kubelet_becomes_private() {
    let (_keep, run) = run_dir();
    std::fs::create_dir(&run).unwrap();
    std::fs::set_permissions(&run, PermissionsExt::from_mode(0o755)).unwrap();
    Locks::new(&run, Duration::ZERO).address(ADDRESS).await.unwrap();
    assert_eq!(std::fs::metadata(run).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[tokio::test]
async fn a_symlink_in_place_of_the_directory_or_the_file_is_refused() {
    let (keep, run) = run_dir();
    symlink(keep.path(), &run).unwrap();
    let locks = Locks::new(&run, Duration::ZERO);
    assert!(refusal(&locks).await.contains("it is a symbolic link or not a directory"));

    std::fs::remove_file(&run).unwrap();
    drop(locks.address(ADDRESS).await.unwrap());
    let file = run.join(LOCK_SUBDIR).join(ADDRESS.to_string());
    std::fs::remove_file(&file).unwrap();
    symlink(keep.path().join("elsewhere"), &file).unwrap();
    assert!(refusal(&locks).await.starts_with("failed to open "));
    assert!(!keep.path().join("elsewhere").exists());
}

#[tokio::test]
async fn a_fifo_in_place_of_the_file_is_refused_at_once() {
    let (_keep, run) = run_dir();
    let locks = Locks::new(&run, Duration::ZERO);
    drop(locks.address(ADDRESS).await.unwrap());
    let file = run.join(LOCK_SUBDIR).join(ADDRESS.to_string());
    std::fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    assert!(refusal(&locks).await.contains("it is not a regular file"));
}

#[test]
fn waiters_posix_locks_and_other_files_are_not_the_holder() {
    let locks = "1: POSIX  ADVISORY  WRITE 11 00:1b:99 0 EOF\n\
                 2: FLOCK  ADVISORY  WRITE 12 00:1b:98 0 EOF\n\
                 3: -> FLOCK  ADVISORY  WRITE 13 00:1b:99 0 EOF\n\
                 4: FLOCK  ADVISORY  WRITE 0 00:1b:97 0 EOF\n\
                 5: FLOCK  ADVISORY  WRITE 14 00:1b:99 0 EOF\n";
    assert_eq!(pid_in(locks, makedev(0, 0x1b), 99), Some(14));
    assert_eq!(pid_in(locks, makedev(0, 0x1b), 97), None);
    assert_eq!(pid_in("", makedev(0, 0x1b), 99), None);
}

#[test]
fn of_several_files_with_the_number_of_the_lock_file_the_one_on_its_device_counts() {
    let locks = "1: FLOCK  ADVISORY  WRITE 11 103:1b:99 0 EOF\n\
                 2: FLOCK  ADVISORY  WRITE 12 00:1c:99 0 EOF\n\
                 3: FLOCK  ADVISORY  WRITE 13 00:1d:99 0 EOF\n\
                 4: FLOCK  ADVISORY  WRITE 0 00:1e:99 0 EOF\n";
    assert_eq!(pid_in(locks, makedev(0, 0x1c), 99), Some(12));
    assert_eq!(pid_in(locks, makedev(0x103, 0x1b), 99), Some(11));
    assert_eq!(pid_in(locks, makedev(0, 0x1e), 99), None, "a process of another PID namespace");
}
