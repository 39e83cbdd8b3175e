//! An image as one file: an OCI layout in a tar, with the older `manifest.json`.
//!
//! `ctr images import`, `podman load`, `skopeo` and `docker load` read it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::Fault;
use crate::root_filesystem::{Entry, Files};
use crate::spec::{Image, Release};

/// Media types of blobs.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The annotation with the name under which containerd stores the image.
pub const FULL_NAME: &str = "io.containerd.image.name";
/// The default registry of runtimes for names without a registry.
const DEFAULT_PLACE: &str = "docker.io/library";

/// The only layer of an image.
#[derive(Debug)]
pub struct Layer {
    diff_id: String,
    packed: Vec<u8>,
}

impl Layer {
    /// A layer with these files.
    ///
    /// # Errors
    ///
    /// If a path is too long for a tar.
    pub fn new(files: &Files, release: &Release) -> Result<Self, Fault> {
        let plain = tar(files, release.epoch()).map_err(Fault::io("the layer"))?;
        let packed = compressed(&plain).map_err(Fault::io("the layer"))?;
        Ok(Self { diff_id: digest(&plain), packed })
    }
}

/// The archive of an image with this layer. `registry` is the host of a registry, optionally with a
/// path; the image gets its name in that registry.
///
/// # Errors
///
/// If a path is too long for a tar.
pub fn pack(
    image: &Image,
    release: &Release,
    layer: &Layer,
    registry: Option<&str>,
) -> Result<Vec<u8>, Fault> {
    let mut blobs = Blobs::default();
    let config = image.config(release, &layer.diff_id).to_string().into_bytes();
    let config = blobs.add(CONFIG, config);
    let layer = blobs.add(LAYER, layer.packed.clone());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
        "annotations": image.labels(release),
    });
    let mut listed = blobs.add(MANIFEST, manifest.to_string().into_bytes());
    let name = format!("{}:{}", image.name, release.version);
    let place = registry.unwrap_or(DEFAULT_PLACE).trim_end_matches('/');
    let full = format!("{place}/{name}");
    let short = registry.map_or(name, |_| full.clone());
    if let Some(listed) = listed.as_object_mut() {
        listed.insert(
            "annotations".to_owned(),
            json!({ FULL_NAME: full, "org.opencontainers.image.ref.name": release.version }),
        );
        let architecture = release.platform.architecture;
        listed
            .insert("platform".to_owned(), json!({ "architecture": architecture, "os": "linux" }));
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [listed] });
    let older = json!([{
        "Config": blob_path(&config),
        "RepoTags": [short],
        "Layers": [blob_path(&layer)],
    }]);
    let text = |value: &Value| Entry::File(0o644, value.to_string().into_bytes());
    let mut all = blobs.0;
    all.insert("index.json".to_owned(), text(&index));
    all.insert("manifest.json".to_owned(), text(&older));
    all.insert("oci-layout".to_owned(), text(&json!({ "imageLayoutVersion": "1.0.0" })));
    tar(&all, release.epoch()).map_err(Fault::io(image.name))
}

/// The blobs of a layout, by path.
#[derive(Debug, Default)]
struct Blobs(Files);

impl Blobs {
    /// Adds a blob and returns its descriptor.
    fn add(&mut self, kind: &str, content: Vec<u8>) -> Value {
        let descriptor =
            json!({ "mediaType": kind, "digest": digest(&content), "size": content.len() });
        self.0.insert(blob_path(&descriptor), Entry::File(0o644, content));
        descriptor
    }
}

/// The path of the blob of this descriptor in a layout.
pub(crate) fn blob_path(descriptor: &Value) -> String {
    let digest = descriptor.get("digest").and_then(Value::as_str).unwrap_or_default();
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// The digest in the format of registries.
pub fn digest(content: &[u8]) -> String {
    let hex = Sha256::digest(content)
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("sha256:{hex}")
}

/// A tar of the files and their parent directories, ordered by path, all with one time and owned by
/// root.
fn tar(files: &Files, epoch: u64) -> io::Result<Vec<u8>> {
    let above = |path: &String| {
        let ends = path.match_indices('/').map(|(at, _)| at + 1).collect::<Vec<_>>();
        let path = path.clone();
        ends.into_iter().filter_map(move |end| path.get(..end).map(str::to_owned))
    };
    let directories: BTreeSet<String> = files.keys().flat_map(above).collect();
    let mut entries: BTreeMap<&str, Option<&Entry>> =
        directories.iter().map(|path| (path.as_str(), None)).collect();
    entries.extend(files.iter().map(|(path, entry)| (path.as_str(), Some(entry))));
    let mut tar = Builder::new(Vec::new());
    for (path, entry) in entries {
        let (kind, mode, content) = match entry {
            None => (EntryType::Directory, 0o755, [].as_slice()),
            Some(Entry::File(mode, content)) => (EntryType::Regular, *mode, content.as_slice()),
            Some(Entry::Link(_)) => (EntryType::Symlink, 0o777, [].as_slice()),
        };
        let mut header = Header::new_ustar();
        header.set_mtime(epoch);
        header.set_uid(0);
        header.set_gid(0);
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(u64::try_from(content.len()).map_err(io::Error::other)?);
        if let Some(Entry::Link(to)) = entry {
            tar.append_link(&mut header, path, to)?;
        } else {
            tar.append_data(&mut header, path, content)?;
        }
    }
    tar.into_inner()
}

fn compressed(layer: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(layer)?;
    gzip.finish()
}
