//! A pod of a member: its containers, with the environment of the pod template.

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use firecamp_core::contract::{env, path};
use serde_json::Value;

use super::process::{Ended, OutputFiles, Process};
use super::test_box::{NAMESPACE, TestBox, binaries};

/// A pod: a member's name, a UID and a node.
pub(crate) struct Pod<'w> {
    test_box: &'w TestBox,
    pub(crate) member: String,
    pub(crate) uid: String,
    pub(crate) node: String,
}

impl<'w> Pod<'w> {
    pub(crate) fn new(test_box: &'w TestBox, member: &str, uid: &str, node: &str) -> Self {
        Self { test_box, member: member.to_owned(), uid: uid.to_owned(), node: node.to_owned() }
    }

    /// The directory of the static-IP file, on the member's volume.
    pub(crate) fn conf_dir(&self) -> PathBuf {
        self.test_box.path(format!("volume-{}/conf", self.member))
    }

    /// The content of the static-IP file.
    pub(crate) fn file(&self) -> Option<String> {
        fs::read_to_string(self.conf_dir().join(path::STATIC_IP_FILE)).ok()
    }

    /// Deletes the static-IP file, as if the volume were replaced.
    pub(crate) fn delete_static_ip_file(&self) {
        fs::remove_file(self.conf_dir().join(path::STATIC_IP_FILE)).unwrap();
    }

    /// The init container.
    pub(crate) fn init(&self) -> Container<'w> {
        self.with_init_settings(self.container("init", binaries().init.as_ref()))
    }

    /// The init container with a read-only volume.
    pub(crate) fn init_on_a_read_only_volume(&self) -> Container<'w> {
        let tool = self.container("init", TestBox::tool_path().as_os_str());
        let volume = self.conf_dir();
        let tool = tool.arg("read-only").arg(volume.parent().unwrap()).arg(&binaries().init);
        self.with_init_settings(tool)
    }

    /// Adds the settings that only an init container has.
    pub(crate) fn with_init_settings(&self, container: Container<'w>) -> Container<'w> {
        fs::create_dir_all(self.conf_dir().parent().unwrap()).unwrap();
        container
            .set(env::POOL, "main")
            .set(env::CONF_DIR, self.conf_dir())
            .set(env::TIMEOUT, "50s")
    }

    pub(crate) fn test_box(&self) -> &'w TestBox {
        self.test_box
    }

    /// The stop container: `wait` or `release`.
    pub(crate) fn stop(&self, command: &str) -> Container<'w> {
        self.container("stop", binaries().stop.as_ref()).arg(command)
    }

    /// Runs the init container, which must succeed.
    #[track_caller]
    pub(crate) fn run_init(&self) -> Started {
        self.started(&self.init().end())
    }

    /// Parses the report of this pod's init container, which must have succeeded.
    #[track_caller]
    pub(crate) fn started(&self, ended: &Ended) -> Started {
        let report = ended.succeeded();
        assert_eq!(report["podUID"], self.uid, "{report}");
        let address = report["address"].as_str().unwrap().parse().unwrap();
        Started { address, at_us: ended.at_us, report }
    }

    /// Starts its service and waits until clients can connect.
    #[track_caller]
    pub(crate) fn start_service(&self, address: Ipv4Addr) -> Process {
        let mut server =
            self.test_box.tool(&self.node, &["serve", &address.to_string(), &self.uid]);
        server.wait_for_output("listening");
        server
    }

    /// A container of this pod that runs `program`.
    pub(crate) fn container(&self, name: &str, program: &OsStr) -> Container<'w> {
        let files = self.test_box.output_files(&format!("{name}-{}-{}", self.member, self.uid));
        let registry = format!("file://{}", self.test_box.registry_dir().display());
        let service = self.member.rsplit_once('-').expect("SERVICE-ORDINAL").0;
        let mut command = self.test_box.command(&self.node, program);
        command
            .env(env::CLUSTER, "prod")
            .env(env::SERVICE_NAME, service)
            .env(env::POD_NAME, &self.member)
            .env(env::K8S_NAMESPACE, NAMESPACE)
            .env(env::POD_UID, &self.uid)
            .env(env::NODE_NAME, &self.node)
            .env(env::REGISTRY, registry)
            .env(env::TERMINATION_LOG, &files.termination_log)
            .env(env::TRACE, &files.trace);
        Container { test_box: self.test_box, command, files }
    }
}

/// The report of an init container that succeeded.
pub(crate) struct Started {
    pub(crate) address: Ipv4Addr,
    /// When the test observed its success.
    pub(crate) at_us: u64,
    pub(crate) report: Value,
}

/// A container that is about to run.
pub(crate) struct Container<'w> {
    test_box: &'w TestBox,
    command: Command,
    files: OutputFiles,
}

impl Container<'_> {
    pub(crate) fn set(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Makes the process kill itself at this step.
    pub(crate) fn crash_at(self, step: &str) -> Self {
        let profile = binaries().init.parent().unwrap();
        assert!(
            !profile.ends_with("release"),
            "only debug builds crash on request: run without --release"
        );
        self.set(env::CRASH_AT, step)
    }

    /// Makes the process stop itself at this step, as on a suspended machine.
    pub(crate) fn freeze_at(self, step: &str) -> Self {
        self.crash_at(step).set(env::CRASH_HOW, "freeze")
    }

    pub(crate) fn start(mut self) -> Process {
        Process::start(&mut self.command, self.files, self.test_box.clock())
    }

    #[track_caller]
    pub(crate) fn end(self) -> Ended {
        self.start().end()
    }
}
