//! The privileges of this process on the node.

use nix::unistd::{AccessFlags, access};

use super::NodeFiles;
use firecamp_node::preflight::facts::RunDir;

const STATUS: &str = "/proc/self/status";
const MOUNTS: &str = "/proc/self/mountinfo";
/// Bit of `CAP_NET_ADMIN`.
const NET_ADMIN: u32 = 12;

impl NodeFiles {
    pub(super) fn net_admin(&self) -> Result<bool, String> {
        let text = self.text(STATUS)?.ok_or_else(|| format!("{STATUS} does not exist"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let line = line.ok_or_else(|| format!("{STATUS} has no line CapEff"))?;
        let bits = u64::from_str_radix(line.trim(), 16);
        let bits = bits.map_err(|why| format!("failed to parse CapEff in {STATUS}: {why}"))?;
        Ok(bits >> NET_ADMIN & 1 == 1)
    }

    pub(super) fn run_dir(&self) -> Result<RunDir, String> {
        let path = self.run_dir.to_string_lossy().into_owned();
        let text = self.text(MOUNTS)?.ok_or_else(|| format!("{MOUNTS} does not exist"))?;
        let mounts: Vec<(String, String)> = text.lines().filter_map(mount).collect();
        // The last mount over the longest part of the path: later ones cover earlier ones.
        let over = mounts.iter().filter(|(point, _)| self.run_dir.starts_with(point));
        let (_, filesystem) = over
            .max_by_key(|(point, _)| point.len())
            .ok_or_else(|| format!("{MOUNTS} has no mount over {path}"))?;
        // Before the directory exists, its parent must be writable.
        let own = self.at(&path);
        let there = if own.is_dir() { Some(own.as_path()) } else { own.parent() };
        let writable = there.is_some_and(|dir| access(dir, AccessFlags::W_OK).is_ok());
        Ok(RunDir { path, filesystem: filesystem.clone(), writable })
    }
}

/// The mount point and the filesystem of a line of mountinfo.
fn mount(line: &str) -> Option<(String, String)> {
    let (front, back) = line.split_once(" - ")?;
    let point = front.split(' ').nth(4)?;
    let filesystem = back.split(' ').next()?;
    Some((unescaped(point), filesystem.to_owned()))
}

/// Space, tab, newline and backslash are written as octal numbers.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
