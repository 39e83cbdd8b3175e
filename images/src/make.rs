//! Writes archives, or the root filesystem for an engine.

use std::fs;
use std::path::Path;

use crate::archive::Layer;
use crate::root_filesystem::Files;
use crate::sbom::Linked;
use crate::spec::{IMAGES, Release};
use crate::{Fault, archive, root_filesystem, verify};

/// Writes `out/NAME.tar` for each image, and returns a line about each.
///
/// # Errors
///
/// If `binaries` has no static program, or a command or a write fails.
pub fn archives(
    binaries: &Path,
    out: &Path,
    release: &Release,
    registry: Option<&str>,
) -> Result<String, Fault> {
    let layer = Layer::new(&contents(binaries, release)?, release)?;
    let mut lines = Vec::new();
    for image in &IMAGES {
        let packed = archive::pack(image, release, &layer, registry)?;
        let opened = verify::open(&packed)?;
        write(&out.join(format!("{}.tar", image.name)), &packed)?;
        let (name, digest) = (opened.name, opened.digest);
        let (pulled, unpacked) = (megabytes(opened.packed), megabytes(opened.unpacked));
        lines.push(format!("{name}@{digest}: {pulled} MB, unpacked {unpacked} MB\n"));
    }
    Ok(lines.concat())
}

/// Writes the root filesystem of the images to `out`.
///
/// # Errors
///
/// As for [`archives`].
pub fn root(binaries: &Path, out: &Path, release: &Release) -> Result<(), Fault> {
    root_filesystem::write(&contents(binaries, release)?, out)
}

fn contents(binaries: &Path, release: &Release) -> Result<Files, Fault> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let linked = Linked::ask(&repository, release.platform)?;
    root_filesystem::files(binaries, &linked.document(release)?)
}

/// Writes atomically, because other processes may read the file.
fn write(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let half = path.with_extension("tar.part");
    let directory = path.parent().unwrap_or(Path::new("."));
    let written = fs::create_dir_all(directory)
        .and_then(|()| fs::write(&half, content))
        .and_then(|()| fs::rename(&half, path));
    written.map_err(Fault::io(path.display()))
}

fn megabytes(bytes: usize) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
}
