//! Writes OCI archives.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::{io, iter};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use tar::{Builder, Header};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Paths in the image, with the files to copy.
pub(super) type Files = Vec<(String, PathBuf)>;

/// An image.
#[derive(Clone)]
pub(super) struct Image {
    /// With registry and tag.
    pub(super) name: String,
    pub(super) layers: Vec<Files>,
    pub(super) entry: Vec<String>,
    /// An environment variable that the image sets: `NAME=VALUE`.
    pub(super) variable: Option<String>,
}

/// Writes images into one archive. They may share layers.
pub(super) fn write(images: &[Image], to: &Path) -> io::Result<()> {
    let mut archive = Archive { tar: Builder::new(File::create(to)?), names: BTreeSet::new() };
    let manifests = images.iter().map(|image| archive.image(image)).collect::<io::Result<Vec<_>>>();
    let index = json!({ "schemaVersion": 2, "manifests": manifests? });
    add(&mut archive.tar, "index.json", index.to_string().as_bytes(), 0o644)?;
    add(&mut archive.tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
    archive.tar.finish()
}

struct Archive {
    tar: Builder<File>,
    /// Digests of the blobs that it contains.
    names: BTreeSet<String>,
}

impl Archive {
    /// Adds an image and returns its descriptor.
    fn image(&mut self, image: &Image) -> io::Result<Value> {
        let mut layers = Vec::new();
        for files in &image.layers {
            layers.push(self.blob(LAYER, &layer(files)?)?);
        }
        let variables: Vec<&str> =
            iter::once("PATH=/bin").chain(image.variable.as_deref()).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Entrypoint": image.entry, "WorkingDir": "/", "Env": variables },
            "rootfs": {
                "type": "layers",
                "diff_ids": layers.iter().map(|layer| &layer["digest"]).collect::<Vec<_>>(),
            },
        });
        let config = self.blob(CONFIG, config.to_string().as_bytes())?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": layers,
        });
        let mut manifest = self.blob(MANIFEST, manifest.to_string().as_bytes())?;
        manifest["annotations"] = json!({ "io.containerd.image.name": image.name });
        Ok(manifest)
    }

    /// Adds a blob under its digest and returns its descriptor.
    fn blob(&mut self, kind: &str, content: &[u8]) -> io::Result<Value> {
        let name = sum(content);
        if self.names.insert(name.clone()) {
            add(&mut self.tar, &format!("blobs/sha256/{name}"), content, 0o644)?;
        }
        let size = content.len();
        Ok(json!({ "mediaType": kind, "digest": format!("sha256:{name}"), "size": size }))
    }
}

fn layer(files: &[(String, PathBuf)]) -> io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    for (path, file) in files {
        let content = std::fs::read(file)?;
        add(&mut layer, path.trim_start_matches('/'), &content, 0o755)?;
    }
    layer.into_inner()
}

fn add(
    archive: &mut Builder<impl io::Write>,
    path: &str,
    content: &[u8],
    mode: u32,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(u64::try_from(content.len()).map_err(io::Error::other)?);
    header.set_mode(mode);
    archive.append_data(&mut header, path, content)
}

fn sum(content: &[u8]) -> String {
    let bytes = digest(&SHA256, content);
    bytes.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
