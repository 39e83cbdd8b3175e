//! The command line: exec and its environment, errors, and output.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::support::{User, as_root_and_user, output_text, text};

fn environment(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn exec_sets_the_sdk_variables_and_hides_the_callers_account_and_proxies() {
    as_root_and_user(|user| {
        let running = user.start();
        let mut command = running.exec("node-a", "env");
        command
            .env("AWS_ACCESS_KEY_ID", "AKIAMYOWN")
            .env("AWS_PROFILE", "mine")
            .env("https_proxy", "http://10.9.9.9:3128")
            .env("KEPT", "as it was");
        let env = environment(&text(&mut command));
        let get = |key: &str| env.get(key).map(String::as_str);
        assert_eq!(get("AWS_ENDPOINT_URL_EC2"), Some("http://198.18.0.10"));
        assert_eq!(get("AWS_REGION"), Some("us-east-1"));
        assert_eq!(get("AWS_CONFIG_FILE"), Some("/dev/null"));
        assert_eq!(get("AWS_ACCESS_KEY_ID"), None, "credentials come from the role, by IMDS");
        assert_eq!((get("AWS_PROFILE"), get("https_proxy")), (None, None));
        assert_eq!(get("KEPT"), Some("as it was"));
        assert_eq!(get("VPCBOX_NODE"), Some("node-a"));
        assert_eq!(get("VPCBOX_ADDRESS"), Some("10.0.1.11"));
        assert_eq!(get("VPCBOX_SOCKET"), Some("/run/vpcbox/admin.sock"));
    });
}

#[test]
fn a_node_has_its_own_run_and_host_name_in_the_callers_directory() {
    as_root_and_user(|user| {
        let running = user.start();
        text(
            running
                .exec("node-a", "sh")
                .args(["-c", "echo mine > /run/file; hostname | grep -x node-a"]),
        );
        let other = text(running.exec("node-b", "ls").arg("/run"));
        assert_eq!(other, "vpcbox", "node-b does not see node-a's file");
        let again = text(running.exec("node-a", "cat").arg("/run/file"));
        assert_eq!(again, "mine", "files stay for the next command in the node");
        let cwd = text(running.exec("node-a", "pwd").current_dir("/usr/bin"));
        assert_eq!(cwd, "/usr/bin");
        assert!(text(running.exec("node-a", "ls").arg("/sys/class/net")).contains("ens6"));
    });
}

#[test]
fn inside_a_box_exec_becomes_the_command_with_its_own_signals_and_exit_code() {
    as_root_and_user(|user| {
        let script = "$0 exec node-a --env A=1 -- sh -c 'test $A = 1 && exit 33'; echo code $?
            $0 exec node-a -- sleep 1000 & pid=$!
            while ! grep -q sleep /proc/$pid/comm; do :; done
            kill -TERM $pid; wait $pid; echo code $?
            $0 exec node-a -- nonesuch; echo code $?
            $0 exec node-a -- /etc/passwd; echo code $?
            exit 9";
        let output = user.run(script).output().unwrap();
        let printed = output_text(&output);
        let codes: Vec<&str> =
            printed.lines().filter_map(|line| line.strip_prefix("code ")).collect();
        assert_eq!(codes, ["33", "143", "127", "126"], "{printed}");
        assert_eq!(output.status.code(), Some(9), "{printed}");
    });
}

#[test]
fn from_outside_exec_forwards_signals_and_its_death_kills_the_command() {
    as_root_and_user(|user| {
        let running = user.start();
        let script = "trap 'exit 44' TERM; touch /run/up; sleep 1000 & wait";
        let mut child = running.exec("node-a", "sh").args(["-c", script]).spawn().unwrap();
        let up = || running.exec("node-a", "test").args(["-e", "/run/up"]).status().unwrap();
        crate::support::eventually("the command runs", || up().success());
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(44));

        let mut child = running.exec("node-a", "sleep").arg("4321").spawn().unwrap();
        let alive = || {
            let mut list = running.exec("node-a", "sh");
            let find = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -q 'sleep 4321'";
            // The shell's own command line contains the words in another order.
            list.args(["-c", &find.replace("sleep 4321", "sleep [4]321")])
                .status()
                .unwrap()
                .success()
        };
        crate::support::eventually("the command runs", alive);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        crate::support::eventually("the command died with its caller", || !alive());
    });
}

#[test]
fn the_command_of_a_box_inherits_directory_environment_and_input_and_gets_the_socket() {
    as_root_and_user(|user| {
        let mut command =
            user.run("pwd; echo $KEPT; echo $VPCBOX_SOCKET; cat; $0 truth >/dev/null && echo ok");
        command.current_dir("/usr").env("KEPT", "as it was");
        let mut input = Command::new("echo").arg("typed").stdout(Stdio::piped()).spawn().unwrap();
        command.stdin(input.stdout.take().unwrap());
        let output = text(&mut command);
        input.wait().unwrap();
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines, ["/usr", "as it was", "/run/vpcbox/admin.sock", "typed", "ok"]);
    });
}

fn failure(user: User, arguments: &[&str]) -> (Option<i32>, String) {
    let output = user.vpcbox(arguments).output().unwrap();
    (output.status.code(), output_text(&output))
}

#[test]
fn an_invalid_spec_is_refused_with_the_field_before_anything_is_created() {
    as_root_and_user(|user| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let cases = [
            ("empty", "", "vpc"),
            ("garbled", "\u{0}\u{1}not toml", "invalid spec"),
            ("unknown", "[vpc]\ncidr='10.0.0.0/16'\nnonsense=1", "nonsense"),
            ("cidr", "subnets=[]\n[vpc]\ncidr='10.0.0.0/99'", "cidr"),
            (
                "reserved",
                "[vpc]\ncidr='198.18.0.0/16'\n[[subnets]]\nname='a'\ncidr='198.18.0.0/24'\nzone='us-east-1a'",
                "which the box uses itself",
            ),
        ];
        for (name, spec, reported) in cases {
            let path = dir.path().join(name);
            std::fs::write(&path, spec).unwrap();
            let path = path.display().to_string();
            let (code, output) = failure(user, &["run", "--spec", &path, "--", "true"]);
            assert_eq!(code, Some(2), "{name}: {output}");
            assert!(output.contains(reported) && output.contains("next:"), "{name}: {output}");
        }
        let (code, output) = failure(user, &["run", "--spec", "/nonesuch", "--", "true"]);
        assert_eq!(code, Some(2), "{output}");
        assert!(output.contains("/nonesuch") && output.contains("vpcbox spec"), "{output}");
    });
}

#[test]
fn every_error_has_a_cause_a_next_step_and_its_own_exit_code() {
    as_root_and_user(|user| {
        let running = user.start();
        let pid = running.pid().to_string();
        let cases: [(&[&str], i32, &str); 9] = [
            (&["exec", "--box", &pid, "node-x", "--", "true"], 1, "node-a, node-b, node-c"),
            (&["exec", "--box", &pid, "node-a", "--", "nonesuch"], 127, "nonesuch"),
            (&["act", "--box", &pid, "terminate", "node=node-x"], 1, "node-x"),
            (&["act", "--box", &pid, "terminate"], 2, "missing field `node`"),
            (&["act", "--box", &pid, "nonesuch"], 2, "nonesuch"),
            (&["fault", "set", "--box", &pid, "delay", "ms=soon"], 2, "soon"),
            (&["fault", "clear", "--box", &pid, "77"], 1, "77"),
            (
                &["wait", "--box", &pid, "--owner", "10.0.1.50=node-b", "--timeout", "0"],
                124,
                "node-a",
            ),
            (&["truth", "--box", "1"], 125, "/proc/1/root"),
        ];
        for (arguments, code, reported) in cases {
            let (got, output) = failure(user, arguments);
            assert_eq!(got, Some(code), "{arguments:?}: {output}");
            assert!(output.contains(reported), "{arguments:?}: {output}");
            assert!(output.contains("vpcbox: next: "), "{arguments:?}: {output}");
        }
        let (code, output) = failure(user, &["truth"]);
        assert_eq!(code, Some(125));
        assert!(output.contains("VPCBOX_SOCKET") && output.contains("vpcbox run"), "{output}");
    });
}

#[test]
fn doctor_succeeds_where_a_box_runs() {
    as_root_and_user(|user| {
        let output = text(&mut user.vpcbox(&["doctor", "--json"]));
        let steps: Vec<serde_json::Value> =
            output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
        assert_eq!(names, ["namespaces", "mounts", "router", "node", "listen"]);
        assert!(steps.iter().all(|step| step["ok"] == true), "{output}");
    });
}

#[test]
fn the_example_spec_runs_and_every_command_has_help_with_variables() {
    let user = User::Current;
    let spec = text(&mut user.vpcbox(&["spec"]));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), spec).unwrap();
    let path = file.path().display().to_string();
    let binary = user.binary().display().to_string();
    let nodes = text(&mut user.vpcbox(&["run", "--spec", &path, "--", &binary, "truth"]));
    for name in ["node-a", "node-b", "node-c", "client-a", "client-b"] {
        assert!(nodes.contains(name), "{nodes}");
    }
    for command in ["run", "exec", "attach", "truth", "calls", "router", "act", "wait", "doctor"] {
        let help = text(&mut user.vpcbox(&[command, "--help"]));
        assert!(help.contains("[env: VPCBOX_"), "{command}: {help}");
    }
    let version = text(&mut user.vpcbox(&["--version"]));
    assert_eq!(version, format!("vpcbox {}", env!("CARGO_PKG_VERSION")));
}

/// The names that serde lists for an unknown one.
fn kinds<T: serde::de::DeserializeOwned>() -> Vec<String> {
    let error = match serde_json::from_str::<T>(r#"{"kind":"?"}"#) {
        Ok(_) => panic!("there is a kind named ?"),
        Err(error) => error.to_string(),
    };
    let (_, list) = error.split_once("expected one of ").unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_documentation_lists_every_fault_and_action() {
    let document = include_str!("../../../../docs/development/vpcbox.md");
    let mut all = kinds::<vpcbox::vpc::Fault>();
    assert!(all.len() > 30, "{all:?}");
    all.extend(kinds::<vpcbox::vpc::Act>());
    all.extend(kinds::<vpcbox::protocol::KernelAct>());
    let missing: Vec<_> = all.iter().filter(|k| !document.contains(&format!("`{k}`"))).collect();
    assert!(missing.is_empty(), "docs/development/vpcbox.md does not document {missing:?}");
}
