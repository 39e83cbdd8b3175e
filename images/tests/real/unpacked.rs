//! An unpacked image with the mounts of a kubelet.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use firecamp_images::root_filesystem;
use firecamp_images::verify::{Opened, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Reads the archive of this name.
pub(crate) fn archive(name: &str) -> Opened {
    let directory = std::env::var("IMAGES")
        .expect("IMAGES names the directory of the archives: run make test-images");
    let path = Path::new(&directory).join(format!("{name}.tar"));
    open(&fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))).unwrap()
}

/// An image that is unpacked to a directory.
pub(crate) struct Unpacked {
    name: String,
    root: PathBuf,
}

impl Unpacked {
    pub(crate) fn new(name: &str) -> Self {
        let root = PathBuf::from("/run").join(name);
        root_filesystem::write(&archive(name).files, &root).unwrap();
        let unpacked = Self { name: name.to_owned(), root };
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        for kernel in ["dev", "proc", "sys"] {
            let source = Path::new("/").join(kernel);
            let target = unpacked.directory(kernel);
            mount(Some(&source), &target, None::<&str>, bind, None::<&str>).unwrap();
        }
        unpacked
    }

    pub(crate) fn directory(&self, path: &str) -> PathBuf {
        let directory = self.root.join(path);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    /// Adds a file, like a mount.
    pub(crate) fn with(self, path: &str, text: &str) -> Self {
        let file = self.root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        self
    }

    /// Starts the entrypoint with only these variables.
    pub(crate) fn start(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let inside = || {
            // Only this thread and its child have this root directory.
            unshare(CloneFlags::CLONE_FS).unwrap();
            nix::unistd::chroot(&self.root).unwrap();
            std::env::set_current_dir("/").unwrap();
            let mut command = Command::new(format!("/{}", self.name));
            command.args(arguments).env_clear().envs(variables.iter().copied());
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        Running(thread::scope(|scope| scope.spawn(inside).join().unwrap()))
    }
}

/// A running process; dropping it kills the process.
pub(crate) struct Running(Child);

impl Running {
    /// Waits for its end. Returns whether it succeeded, and its output.
    pub(crate) fn end(mut self) -> (bool, String) {
        let status = self.0.wait().unwrap();
        (status.success(), self.output())
    }

    /// Kills it and returns its output.
    pub(crate) fn ended(mut self) -> String {
        self.0.kill().unwrap();
        self.output()
    }

    fn output(&mut self) -> String {
        let mut output = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut output).unwrap();
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if the process has ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
