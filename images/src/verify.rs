//! Reads an archive like a runtime, and verifies all digests.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use serde_json::Value;
use tar::{Archive, EntryType};

use crate::Fault;
use crate::archive::{FULL_NAME, blob_path, digest};
use crate::root_filesystem::{Entry, Files};

/// A verified archive.
#[derive(Debug)]
pub struct Opened {
    /// The name under which containerd stores the image.
    pub name: String,
    /// The digest of the image in a registry.
    pub digest: String,
    /// The image's configuration.
    pub config: Value,
    /// The files and links of its one layer.
    pub files: Files,
    /// The compressed size of the layer, in bytes.
    pub packed: usize,
    /// The uncompressed size of the layer, in bytes.
    pub unpacked: usize,
}

/// Opens an archive.
///
/// # Errors
///
/// If anything is missing, has another digest, or has no name.
pub fn open(archive: &[u8]) -> Result<Opened, Fault> {
    let parts = Parts(untar(archive)?);
    let index = parts.json("index.json")?;
    let [listed] = list(&index, "/manifests")? else {
        return Err(Fault::malformed("the index does not have exactly one manifest"));
    };
    let manifest = parsed(parts.blob(listed)?)?;
    let config = manifest.get("config").ok_or_else(|| Fault::malformed("no configuration"))?;
    let [layer] = list(&manifest, "/layers")? else {
        return Err(Fault::malformed("the image does not have exactly one layer"));
    };
    parts.older(config, layer)?;
    let (config, packed) = (parsed(parts.blob(config)?)?, parts.blob(layer)?);
    let mut plain = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut plain).map_err(Fault::io("the layer"))?;
    if text(&config, "/rootfs/diff_ids/0")? != digest(&plain) {
        return Err(Fault::malformed(
            "the digest of the layer differs from the image configuration",
        ));
    }
    let annotations = listed.get("annotations").unwrap_or(&Value::Null);
    let name = annotations.get(FULL_NAME).and_then(Value::as_str);
    Ok(Opened {
        name: name.ok_or_else(|| Fault::malformed("the image has no name"))?.to_owned(),
        digest: text(listed, "/digest")?.to_owned(),
        config,
        files: untar(&plain)?,
        packed: packed.len(),
        unpacked: plain.len(),
    })
}

/// The files of an archive.
struct Parts(Files);

impl Parts {
    fn file(&self, path: &str) -> Result<&[u8], Fault> {
        match self.0.get(path) {
            Some(Entry::File(_mode, content)) => Ok(content),
            Some(Entry::Link(_)) | None => Err(Fault::malformed(format!("{path} does not exist"))),
        }
    }

    fn json(&self, path: &str) -> Result<Value, Fault> {
        parsed(self.file(path)?)
    }

    /// The blob of a descriptor, if size and digest match.
    fn blob(&self, descriptor: &Value) -> Result<&[u8], Fault> {
        let path = blob_path(descriptor);
        let content = self.file(&path)?;
        let size = descriptor.get("size").and_then(Value::as_u64);
        let fits = text(descriptor, "/digest")? == digest(content)
            && size == u64::try_from(content.len()).ok();
        fits.then_some(content)
            .ok_or_else(|| Fault::malformed(format!("{path} differs from its descriptor")))
    }

    /// Checks `manifest.json`, which Docker before version 25 reads.
    fn older(&self, config: &Value, layer: &Value) -> Result<(), Fault> {
        let reported = self.json("manifest.json")?;
        let same = text(&reported, "/0/Config")? == blob_path(config)
            && text(&reported, "/0/Layers/0")? == blob_path(layer);
        same.then_some(()).ok_or_else(|| Fault::malformed("manifest.json describes another image"))
    }
}

fn list<'a>(value: &'a Value, pointer: &str) -> Result<&'a [Value], Fault> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map(Vec::as_slice).ok_or_else(|| Fault::malformed(format!("{pointer} is missing")))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, Fault> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.ok_or_else(|| Fault::malformed(format!("{pointer} is missing")))
}

fn parsed(content: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(content).map_err(|why| Fault::malformed(why.to_string()))
}

/// The files and links of a tar; all must be owned by root and writable only by root.
fn untar(content: &[u8]) -> Result<Files, Fault> {
    let wrong = || Fault::io("a tar");
    let mut files = Files::new();
    for entry in Archive::new(content).entries().map_err(wrong())? {
        let mut entry = entry.map_err(wrong())?;
        let path = entry.path().map_err(wrong())?.to_string_lossy().into_owned();
        let header = entry.header().clone();
        let (kind, mode) = (header.entry_type(), header.mode().map_err(wrong())?);
        let owner = owner(&header).map_err(wrong())?;
        let is_link = kind == EntryType::Symlink;
        if owner != (0, 0) || (mode & 0o7022 != 0 && !is_link) {
            return Err(Fault::malformed(format!("{path}: mode {mode:o}, owner {owner:?}")));
        }
        if kind == EntryType::Regular {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(wrong())?;
            files.insert(path, Entry::File(mode, bytes));
        } else if is_link {
            let to = entry.link_name().map_err(wrong())?.unwrap_or_default();
            files.insert(path, Entry::Link(to.to_string_lossy().into_owned()));
        } else if kind != EntryType::Directory {
            return Err(Fault::malformed(format!("{path} is not a file, link or directory")));
        }
    }
    Ok(files)
}

fn owner(header: &tar::Header) -> io::Result<(u64, u64)> {
    Ok((header.uid()?, header.gid()?))
}
