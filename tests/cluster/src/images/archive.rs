//! Writes an OCI archive.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use tar::{Builder, Header};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image of one layer.
pub(super) struct Image {
    /// With registry and tag.
    pub(super) name: String,
    /// Where each is in the image, and what it is.
    pub(super) files: Vec<(String, PathBuf)>,
    pub(super) entry: Vec<String>,
}

/// Writes the image.
pub(super) fn write(image: &Image, to: &Path) -> io::Result<()> {
    let mut archive = Builder::new(File::create(to)?);
    let layer = layer(&image.files)?;
    let diff = sum(&layer);
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Entrypoint": image.entry, "WorkingDir": "/", "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff}")] },
    });
    let layer = blob(&mut archive, LAYER, &layer)?;
    let config = blob(&mut archive, CONFIG, config.to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
    });
    let mut manifest = blob(&mut archive, MANIFEST, manifest.to_string().as_bytes())?;
    manifest["annotations"] = json!({ "io.containerd.image.name": image.name });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    add(&mut archive, "index.json", index.to_string().as_bytes(), 0o644)?;
    add(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
    archive.finish()
}

fn layer(files: &[(String, PathBuf)]) -> io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    for (path, file) in files {
        let content = std::fs::read(file)?;
        add(&mut layer, path.trim_start_matches('/'), &content, 0o755)?;
    }
    layer.into_inner()
}

/// Adds a part under the name that its content gives it, and says what refers to it.
fn blob(archive: &mut Builder<File>, kind: &str, content: &[u8]) -> io::Result<Value> {
    let name = sum(content);
    add(archive, &format!("blobs/sha256/{name}"), content, 0o644)?;
    let size = content.len();
    Ok(json!({ "mediaType": kind, "digest": format!("sha256:{name}"), "size": size }))
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
