//! Block devices in sysfs. Opens no device.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;

use super::Failed;
use firecamp_node::volumes::observation::{BlockDevice, DeviceNumber, Partition};

/// The unit of sizes in sysfs, whatever the device's own sectors are.
const SECTOR: u64 = 512;

/// Reads all block devices, or fails. Ignores a device that disappears meanwhile.
pub(super) fn read(sys: &Path, dev: &Path) -> Result<Vec<BlockDevice>, Failed> {
    let links = links(&dev.join("disk"))?;
    let directory = sys.join("block");
    let mut found = Vec::new();
    for name in names(&directory)? {
        if let Some(device) = device(&directory.join(&name), &name, &links)? {
            found.push(device);
        }
    }
    Ok(found)
}

fn device(
    path: &Path,
    name: &str,
    links: &BTreeMap<String, Vec<String>>,
) -> Result<Option<BlockDevice>, Failed> {
    // A path of a shared namespace has no number, and an unused loop device no size.
    let (Some(number), Some(bytes)) = (number(path)?, size(path)?) else { return Ok(None) };
    let partitions = partitions(path, name)?;
    let own = std::iter::once(name).chain(partitions.iter().map(|part| part.name.as_str()));
    let links = own.filter_map(|name| links.get(name)).flatten().cloned().collect();
    Ok(Some(BlockDevice {
        name: name.to_owned(),
        number,
        bytes,
        read_only: text(&path.join("ro"))?.as_deref() == Some("1"),
        model: text(&path.join("device/model"))?,
        serial: text(&path.join("device/serial"))?,
        partitions,
        below: names(&path.join("slaves"))?,
        links,
    }))
}

fn number(path: &Path) -> Result<Option<DeviceNumber>, Failed> {
    let file = path.join("dev");
    let Some(written) = text(&file)? else { return Ok(None) };
    let number = written.parse().map_err(|error| garbled(&file, &error))?;
    Ok(Some(number))
}

fn size(path: &Path) -> Result<Option<u64>, Failed> {
    let file = path.join("size");
    let Some(written) = text(&file)? else { return Ok(None) };
    let sectors: u64 = written.parse().map_err(|error| garbled(&file, &error))?;
    Ok((sectors > 0).then(|| sectors.saturating_mul(SECTOR)))
}

fn partitions(path: &Path, disk: &str) -> Result<Vec<Partition>, Failed> {
    let mut found = Vec::new();
    for name in names(path)?.into_iter().filter(|name| name.starts_with(disk)) {
        let part = path.join(&name);
        if text(&part.join("partition"))?.is_none() {
            continue;
        }
        if let Some(number) = number(&part)? {
            found.push(Partition { name, number });
        }
    }
    Ok(found)
}

/// The udev names of each device, by kernel name.
fn links(disk: &Path) -> Result<BTreeMap<String, Vec<String>>, Failed> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in ["by-id", "by-path"] {
        let directory = disk.join(kind);
        for name in names(&directory)? {
            let path = directory.join(&name);
            let target = match fs::read_link(&path) {
                Ok(target) => target,
                Err(error) if is_gone(&error) => continue,
                Err(source) => return Err(failed("read the link", &path, source)),
            };
            if let Some(device) = target.file_name() {
                found.entry(device.to_string_lossy().into_owned()).or_default().push(name);
            }
        }
    }
    Ok(found)
}

/// The sorted names in a directory; none if it does not exist.
fn names(directory: &Path) -> Result<Vec<String>, Failed> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) && !directory.ends_with("block") => return Ok(Vec::new()),
        Err(source) => return Err(failed("list", directory, source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| failed("list", directory, source))?;
        found.push(entry.file_name().to_string_lossy().into_owned());
    }
    found.sort();
    Ok(found)
}

/// An attribute without its padding; none if it is missing or empty.
fn text(path: &Path) -> Result<Option<String>, Failed> {
    match fs::read(path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
            Ok((!text.is_empty()).then(|| text.to_owned()))
        }
        Err(error) if is_gone(&error) => Ok(None),
        Err(source) => Err(failed("read", path, source)),
    }
}

/// The file does not exist, or disappeared while it was read.
fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::ENOENT, Errno::ENODEV, Errno::ENXIO, Errno::ENOTDIR];
    gone.iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

fn garbled(path: &Path, error: &dyn std::fmt::Display) -> Failed {
    let source = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    failed("read", path, source)
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> Failed {
    Failed { operation, object: path.display().to_string(), source }
}

#[cfg(test)]
#[path = "sysfs_tests.rs"]
mod tests;
