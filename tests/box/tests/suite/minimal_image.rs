//! The containers in a root file system with only the binary and its libraries, so that they cannot
//! run another program.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::member::Member;
use crate::support::pod::{Container, Pod};
use crate::support::test_box::{TestBox, binaries};

/// The shared libraries and the loader that the container binaries need.
fn libraries() -> BTreeSet<PathBuf> {
    // This test program is linked to the same libraries.
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let files = paths.filter(|path| path.contains(".so")).map(PathBuf::from);
    files.collect()
}

/// Copies a program with `cp`. If this process wrote the copy, a child forked by another test could
/// inherit the open file until its exec, and executing the copy would fail with ETXTBSY.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

/// A root directory with the binary as `/container` and its libraries at their own paths.
pub(crate) fn image(test_box: &TestBox, binary: &Path) -> PathBuf {
    let name = binary.file_name().unwrap().to_str().unwrap();
    let root = test_box.path(format!("image-{name}"));
    fs::create_dir(&root).unwrap();
    copy(binary, &root.join("container"));
    for library in libraries() {
        let target = root.join(library.strip_prefix("/").unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(fs::canonicalize(&library).unwrap(), target).unwrap();
    }
    // The binary contains this path of the loader.
    for loader in ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"] {
        let target = root.join(&loader[1..]);
        if Path::new(loader).exists() && !target.exists() {
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(fs::canonicalize(loader).unwrap(), target).unwrap();
        }
    }
    root
}

/// Executable files in the image.
fn programs(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            programs(&path, found);
        } else if path.metadata().unwrap().permissions().mode() & 0o111 != 0 {
            found.push(path);
        }
    }
}

fn in_image<'w>(pod: &Pod<'w>, name: &str, root: &Path) -> Container<'w> {
    let mounts = [pod.test_box().path("").display().to_string(), "/run".to_owned()].join(":");
    let container = pod.container(name, TestBox::tool_path().as_os_str());
    container.set("FIRECAMP_TEST_MOUNTS", mounts).arg("jail").arg(root).arg("/container")
}

#[test]
fn f014_init_and_stop_work_without_any_other_program() {
    let test_box = TestBox::start();
    let (init, stop) = (image(&test_box, &binaries().init), image(&test_box, &binaries().stop));
    for root in [&init, &stop] {
        let mut found = Vec::new();
        programs(root, &mut found);
        let other = |path: &&PathBuf| {
            !path.ends_with("container") && !path.to_string_lossy().contains(".so")
        };
        assert_eq!(found.iter().filter(other).count(), 0, "{found:?}");
    }
    let mut member = Member::new(&test_box, "redis-0");
    for (uid, node) in [("pod-1", "node-a"), ("pod-2", "node-b")] {
        let pod = member.pod(uid, node);
        let ended = pod.with_init_settings(in_image(&pod, "init", &init)).end();
        let started = pod.started(&ended);
        member.add_holder(&pod, &started);
        let server = member.start_service(&pod, &started);
        member.assert_healthy(&pod, &started);
        drop(server);
        let ended = in_image(&pod, "stop", &stop).arg("release").end();
        assert_eq!(ended.succeeded()["path"], "parked", "{}", ended.log);
    }
}
