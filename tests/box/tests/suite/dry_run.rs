//! A dry run changes nothing, and its plan matches the real run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::member::Member;
use crate::support::test_box::TestBox;

/// All files below a directory, with their content.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
            all.insert(path, Vec::new());
        } else {
            let text = fs::read(&path).unwrap();
            all.insert(path, text);
        }
    }
    all
}

/// The EC2 mutations of a plan.
fn mutations(plan: &Value) -> usize {
    let steps = plan["steps"].as_array().unwrap();
    let text = |step: &Value| step["action"].as_str().unwrap_or_default().to_owned();
    let ec2 = steps.iter().filter(|step| step["system"] == "ec2");
    ec2.filter(|step| text(step).contains("ssign")).count()
}

#[test]
fn dry_run_changes_nothing_and_predicts_the_real_run() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let plans = [("pod-1", "node-a", 1), ("pod-2", "node-a", 0), ("pod-3", "node-b", 1)];
    for (uid, node, expected) in plans {
        let pod = member.pod(uid, node);
        let (registry, kernel) = (files(&test_box.registry_dir()), test_box.kernel(node));
        let (file, since) = (pod.file(), test_box.last_call());
        let human = pod.init().arg("--dry-run").end();
        assert_eq!(human.succeeded()["path"], "dry-run", "{}", human.log);
        let plan = pod.init().arg("--dry-run").arg("--output=json").end();
        plan.succeeded();
        let plan: Value = serde_json::from_str(&plan.out).unwrap();
        assert_eq!(files(&test_box.registry_dir()), registry);
        assert_eq!(test_box.kernel(node), kernel);
        assert_eq!(pod.file(), file);
        let calls = test_box.control().calls(since).unwrap();
        assert!(!calls.iter().any(|call| call.mutating), "{calls:#?}");

        let since = test_box.last_call();
        let up = member.bring_up(&pod);
        assert_eq!(mutations(&plan), expected, "{plan:#}");
        let made = member.ec2_calls(since).iter().filter(|call| call.mutating).count();
        assert_eq!(made, expected);
        assert_eq!(plan["outcome"]["reason"], "Success", "{plan:#}");
        let address = member.address().to_string();
        assert!(human.out.contains(&address) && plan.to_string().contains(&address), "{plan:#}");
        member.assert_healthy(&pod, &up.started);
        drop(up.server);
        pod.stop("release").end().succeeded();
    }
}
