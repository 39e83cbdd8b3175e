//! Reads an archive as a runtime does: every digest is computed anew.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use serde_json::Value;
use tar::{Archive, EntryType};

use crate::Fault;
use crate::archive::{FULL_NAME, blob_path, digest};
use crate::root::{Entry, Files};

/// An archive in which everything fits together.
#[derive(Debug)]
pub struct Opened {
    /// The name under which containerd keeps the image.
    pub name: String,
    /// The digest by which a registry knows the image.
    pub digest: String,
    /// The image's configuration.
    pub config: Value,
    /// The files and links of its one layer.
    pub files: Files,
    /// What a registry keeps of the layer, in bytes.
    pub packed: usize,
    /// What a node keeps of it, in bytes.
    pub unpacked: usize,
}

/// Opens an archive.
///
/// # Errors
///
/// If anything is missing, does not have the digest by which it is known, or is not named.
pub fn open(archive: &[u8]) -> Result<Opened, Fault> {
    let parts = Parts(untar(archive)?);
    let index = parts.json("index.json")?;
    let [listed] = list(&index, "/manifests")? else {
        return Err(Fault::malformed("the index has not one manifest"));
    };
    let manifest = parsed(parts.blob(listed)?)?;
    let config = manifest.get("config").ok_or_else(|| Fault::malformed("no configuration"))?;
    let [layer] = list(&manifest, "/layers")? else {
        return Err(Fault::malformed("the image has not one layer"));
    };
    parts.older(config, layer)?;
    let (config, packed) = (parsed(parts.blob(config)?)?, parts.blob(layer)?);
    let mut plain = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut plain).map_err(Fault::io("the layer"))?;
    if text(&config, "/rootfs/diff_ids/0")? != digest(&plain) {
        return Err(Fault::malformed("the layer has not the content that its image tells"));
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
            Some(Entry::Link(_)) | None => Err(Fault::malformed(format!("there is no {path}"))),
        }
    }

    fn json(&self, path: &str) -> Result<Value, Fault> {
        parsed(self.file(path)?)
    }

    /// What a descriptor describes, if it does so truly.
    fn blob(&self, descriptor: &Value) -> Result<&[u8], Fault> {
        let path = blob_path(descriptor);
        let content = self.file(&path)?;
        let size = descriptor.get("size").and_then(Value::as_u64);
        let fits = text(descriptor, "/digest")? == digest(content)
            && size == u64::try_from(content.len()).ok();
        fits.then_some(content).ok_or_else(|| Fault::malformed(format!("{path} is another")))
    }

    /// Docker before version 25 reads this, and must find the same.
    fn older(&self, config: &Value, layer: &Value) -> Result<(), Fault> {
        let told = self.json("manifest.json")?;
        let same = text(&told, "/0/Config")? == blob_path(config)
            && text(&told, "/0/Layers/0")? == blob_path(layer);
        same.then_some(()).ok_or_else(|| Fault::malformed("manifest.json is of another image"))
    }
}

fn list<'a>(value: &'a Value, pointer: &str) -> Result<&'a [Value], Fault> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map(Vec::as_slice).ok_or_else(|| Fault::malformed(format!("no {pointer}")))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, Fault> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.ok_or_else(|| Fault::malformed(format!("no {pointer}")))
}

fn parsed(content: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(content).map_err(|why| Fault::malformed(why.to_string()))
}

/// The files and links of a tar, all of them root's and changed by nobody else.
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
            return Err(Fault::malformed(format!("{path} is no file, link or directory")));
        }
    }
    Ok(files)
}

fn owner(header: &tar::Header) -> io::Result<(u64, u64)> {
    Ok((header.uid()?, header.gid()?))
}
