//! How a box ends, and that it leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{
    Server, User, as_root_and_user, eventually, output_text, spec_file, text, who_answers,
};

/// A namespace by its name, for example `pid:[4026532001]`. Held open, because the kernel reuses
/// the numbers of removed namespaces.
#[derive(Debug)]
struct Namespace {
    name: PathBuf,
    _held: fs::File,
}

impl Namespace {
    fn of(path: &str) -> Option<Self> {
        let held = fs::File::open(path).ok()?;
        Some(Self { name: fs::read_link(path).ok()?, _held: held })
    }
}

/// Processes of the machine in this PID namespace.
fn processes_in(namespace: &Namespace) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|s| s == namespace.name)
    })
    .collect()
}

/// The processes and namespaces of a running `vpcbox run`.
struct BoxProcesses {
    child: Child,
    namespace: Namespace,
    /// Host process IDs of all its processes.
    inside: Vec<i32>,
    /// Network namespaces of the router and the nodes.
    networks: Vec<Namespace>,
}

/// Starts a box whose command prints `up` and keeps running, and collects its processes.
fn start(user: User) -> BoxProcesses {
    let script = "sleep 1000 & $0 exec node-a -- sleep 1000 & \
                  $0 wait --called nonesuch --timeout 0 2>&1; echo up; wait";
    let mut child = user.run(script).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let up = BufReader::new(out).lines().map_while(Result::ok).any(|line| line == "up");
    assert!(up, "the box did not come up");
    let namespace = Namespace::of(&format!("/proc/{}/ns/pid_for_children", child.id())).unwrap();
    // init, six holders, sh and two sleeps
    eventually("every process of the box runs", || processes_in(&namespace).len() >= 9);
    let inside = processes_in(&namespace);
    let network = |pid: &i32| Namespace::of(&format!("/proc/{pid}/ns/net"));
    let mut networks: Vec<Namespace> = inside.iter().filter_map(network).collect();
    networks.sort_by(|one, other| one.name.cmp(&other.name));
    networks.dedup_by(|one, other| one.name == other.name);
    assert_eq!(networks.len(), 6, "the router's, three nodes' and two clients'");
    BoxProcesses { child, namespace, inside, networks }
}

/// Asserts that nothing of the box is left: processes, namespaces, links and mounts.
fn assert_gone(processes: &BoxProcesses) {
    eventually("every process of the box is gone", || {
        processes_in(&processes.namespace).is_empty()
    });
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids {
        let network = fs::read_link(format!("/proc/{pid}/ns/net"));
        assert!(
            !network.is_ok_and(|network| processes
                .networks
                .iter()
                .any(|namespace| namespace.name == network)),
            "process {pid} keeps a network namespace of the box"
        );
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(" vpcbox "), "a mount of the box is left: {mounts}");
    assert!(!Path::new("/run/vpcbox").exists(), "the box's directory is on the host");
}

fn kill_9(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

fn first_process(processes: &BoxProcesses) -> i32 {
    let is_first = |pid: &&i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| {
            line.strip_prefix("NSpid:")
                .is_some_and(|ids| ids.split_whitespace().last() == Some("1"))
        })
    };
    *processes.inside.iter().find(is_first).unwrap()
}

fn command_named(processes: &BoxProcesses, name: &str) -> i32 {
    let has_name = |pid: &&i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
    };
    *processes.inside.iter().find(has_name).unwrap()
}

#[test]
fn nothing_is_left_after_kill_9_of_the_outer_process() {
    as_root_and_user(|user| {
        let mut processes = start(user);
        processes.child.kill().unwrap();
        assert_eq!(processes.child.wait().unwrap().signal(), Some(9));
        assert_gone(&processes);
    });
}

#[test]
fn nothing_is_left_after_kill_9_of_the_first_process_which_the_outer_one_reports() {
    as_root_and_user(|user| {
        let mut processes = start(user);
        kill_9(first_process(&processes));
        assert_eq!(processes.child.wait().unwrap().code(), Some(125));
        assert_gone(&processes);
    });
}

#[test]
fn nothing_is_left_after_kill_9_of_the_command_and_the_exit_code_reports_it() {
    as_root_and_user(|user| {
        let mut processes = start(user);
        kill_9(command_named(&processes, "sh"));
        assert_eq!(processes.child.wait().unwrap().code(), Some(128 + 9));
        assert_gone(&processes);
    });
}

#[test]
fn after_kill_9_of_a_nodes_holder_the_box_ends_and_names_it() {
    as_root_and_user(|user| {
        let mut running = user.start();
        let place = running.client().place("node-b").unwrap();
        let kill = format!("kill -9 {}", place.holder);
        // Its next request fails once the box has ended, at the latest.
        drop(running.exec("node-a", "sh").args(["-c", &kill]).output().unwrap());
        eventually("the box ends", || running.client().truth().is_err());
    });
}

#[test]
fn sigterm_kills_all_processes_of_the_box() {
    as_root_and_user(|user| {
        let mut processes = start(user);
        let pid = Pid::from_raw(i32::try_from(processes.child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        assert_eq!(processes.child.wait().unwrap().code(), Some(128 + 15));
        assert_gone(&processes);
    });
}

/// Fails if this process ignores SIGINT: its children do so, too, and a shell among them cannot
/// trap it. A shell without job control ignores SIGINT for what it starts in the background.
#[track_caller]
fn require_sigint() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    let bit = 1 << (Signal::SIGINT as i32 - 1);
    assert_eq!(ignored & bit, 0, "SIGINT is ignored here: run the tests in the foreground");
}

#[test]
fn sigterm_and_sigint_reach_the_command_and_its_exit_code_is_returned() {
    require_sigint();
    as_root_and_user(|user| {
        for (signal, name, code) in [(Signal::SIGTERM, "TERM", 41), (Signal::SIGINT, "INT", 42)] {
            let script =
                format!("trap 'echo got {name}; exit {code}' {name}; echo up; sleep 1000 & wait");
            let mut child = user.run(&script).stdout(Stdio::piped()).spawn().unwrap();
            let mut out = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            assert_eq!(line, "up\n");
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
            let mut rest = String::new();
            out.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, format!("got {name}\n"), "the command receives the signal once");
            assert_eq!(child.wait().unwrap().code(), Some(code));
        }
    });
}

#[test]
fn ctrl_c_at_a_terminal_reaches_the_command_once() {
    require_sigint();
    as_root_and_user(|user| {
        let script = "n=0; trap 'n=$((n+1)); echo interrupt $n' INT; echo up; \
                      i=0; while [ $i -lt 300 ] && [ $n -lt 1 ]; do sleep 0.05; i=$((i+1)); done; \
                      sleep 0.2; echo total $n; exit $n";
        // script(1) creates a terminal and types what it reads. `exec`, because otherwise the shell
        // that it starts would handle Ctrl-C itself.
        let run = user.run(script);
        let mut line = vec!["exec".to_owned(), run.get_program().to_string_lossy().into_owned()];
        line.extend(run.get_args().map(|word| quote(&word.to_string_lossy())));
        let mut child = std::process::Command::new("script")
            .args(["-q", "-e", "-f", "-c", &line.join(" "), "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs script(1) of util-linux, which creates a terminal");
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut output = String::new();
        while !output.contains("up") {
            assert_ne!(out.read_line(&mut output).unwrap(), 0, "the command ended early: {output}");
        }
        let mut keyboard = child.stdin.take().unwrap();
        keyboard.write_all(b"\x03").unwrap();
        keyboard.flush().unwrap();
        out.read_to_string(&mut output).unwrap();
        drop(keyboard);
        assert_eq!(child.wait().unwrap().code(), Some(1), "{output}");
        assert!(output.contains("total 1"), "{output}");
    });
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[test]
fn a_box_without_a_command_ends_with_success_on_ctrl_c() {
    as_root_and_user(|user| {
        let running = user.start();
        let pid = Pid::from_raw(i32::try_from(running.pid()).unwrap());
        let namespace = Namespace::of(&format!("/proc/{pid}/ns/pid_for_children")).unwrap();
        kill(pid, Signal::SIGINT).unwrap();
        eventually("the box is gone", || processes_in(&namespace).is_empty());
    });
}

#[test]
fn a_box_with_until_eof_dies_with_the_process_that_held_its_input() {
    as_root_and_user(|user| {
        let spec = spec_file();
        let mut child = user
            .vpcbox(&["run", "--spec", &spec, "--until-eof", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, format!("{{\"box\":{},\"ready\":true}}\n", child.id()));
        assert!(child.try_wait().unwrap().is_none(), "the box ended while its input was open");
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    });
}

#[test]
fn two_boxes_are_isolated_from_each_other() {
    as_root_and_user(|user| {
        let mut one = user.start();
        let two = user.start();
        let both = "10.0.1.11:7000";
        let _server = Server::start(&one, user, "node-a", both);
        assert_eq!(who_answers(&one, user, "client-a", both).as_deref(), Some("node-a"));
        let refused = two.exec("client-a", user.binary()).args(["probe", "dial", both]).output();
        let refused = refused.unwrap();
        assert_eq!(
            refused.status.code(),
            Some(125),
            "the other box has no server: {}",
            output_text(&refused)
        );
        let address = "10.0.1.50".parse().unwrap();
        one.client().act(vpcbox::vpc::Act::Unassign { address }).unwrap();
        let mut two = two;
        let owner = two.client().address(address).unwrap().unwrap().node;
        assert_eq!(owner.as_deref(), Some("node-a"), "the other box is unchanged");
        drop(one);
        assert_eq!(text(two.exec("node-a", "hostname").arg("-s")), "node-a");
    });
}
