//! The containers with nothing around them: a root file system that holds the binary and the
//! libraries that it is linked to. There is no program that they could run.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::member::Member;
use crate::support::pod::{Container, Pod};
use crate::support::world::{World, binaries};

/// The libraries and the loader of a binary, as the kernel maps them for a running one.
fn libraries() -> BTreeSet<PathBuf> {
    // This test program is linked as they are: the C library and what comes with it.
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let files = paths.filter(|path| path.contains(".so")).map(PathBuf::from);
    files.collect()
}

/// Copies a program with a program: what this process has open for writing, a child of another
/// test may have as well until it has become its own program, and then the kernel runs no copy.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

/// A root with the binary as `/container` and its libraries where they were.
pub(crate) fn image(world: &World, binary: &Path) -> PathBuf {
    let name = binary.file_name().unwrap().to_str().unwrap();
    let root = world.path(format!("image-{name}"));
    fs::create_dir(&root).unwrap();
    copy(binary, &root.join("container"));
    for library in libraries() {
        let target = root.join(library.strip_prefix("/").unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(fs::canonicalize(&library).unwrap(), target).unwrap();
    }
    // The path of the loader is written in the binary.
    for loader in ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"] {
        let target = root.join(&loader[1..]);
        if Path::new(loader).exists() && !target.exists() {
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(fs::canonicalize(loader).unwrap(), target).unwrap();
        }
    }
    root
}

/// Files in the image that could be executed.
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
    let mounts = [pod.world().path("").display().to_string(), "/run".to_owned()].join(":");
    let container = pod.container(name, World::tool_path().as_os_str());
    container.set("FIRECAMP_TEST_MOUNTS", mounts).arg("jail").arg(root).arg("/container")
}

#[test]
fn f014_both_containers_work_where_there_is_no_other_program() {
    let world = World::start();
    let (init, stop) = (image(&world, &binaries().init), image(&world, &binaries().stop));
    for root in [&init, &stop] {
        let mut found = Vec::new();
        programs(root, &mut found);
        let other = |path: &&PathBuf| {
            !path.ends_with("container") && !path.to_string_lossy().contains(".so")
        };
        assert_eq!(found.iter().filter(other).count(), 0, "{found:?}");
    }
    let mut member = Member::new(&world, "redis-0");
    for (uid, node) in [("pod-1", "node-a"), ("pod-2", "node-b")] {
        let pod = member.pod(uid, node);
        let ended = pod.settings_of_init(in_image(&pod, "init", &init)).end();
        let started = pod.started(&ended);
        member.is_held_by(&pod, &started);
        let server = member.serves(&pod, &started);
        member.is_well(&pod, &started);
        drop(server);
        let ended = in_image(&pod, "stop", &stop).arg("release").end();
        assert_eq!(ended.succeeded()["path"], "parked", "{}", ended.log);
    }
}
