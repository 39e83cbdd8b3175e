//! The root filesystem, which is the same in all images: the program, links with the names by which
//! it is started, and the few files that it reads.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use pem::{EncodeConfig, LineEnding, Pem};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::Fault;
use crate::spec::{IMAGES, PROGRAM};
use crate::static_binary::needs_loader;

/// The path of the root certificates for TLS libraries on Linux.
pub const ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";
/// The configuration of name resolution: only methods that need no library.
const RESOLVER: (&str, &str) = ("etc/nsswitch.conf", "hosts: files dns\n");
/// The license.
const LICENSE: (&str, &str) =
    ("usr/share/licenses/firecamp/LICENSE", include_str!("../../LICENSE"));

/// The path of the SBOM for scanners.
pub const SBOM: &str = "usr/share/sbom/firecamp.cdx.json";

/// A file or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file: mode and content.
    File(u32, Vec<u8>),
    /// A symbolic link: its target.
    Link(String),
}

/// Entries by path, without the leading slash.
pub type Files = BTreeMap<String, Entry>;

/// The files of the images, with the program from the directory `binaries`.
///
/// # Errors
///
/// If the program is missing or not static.
pub fn files(binaries: &Path, sbom: &[u8]) -> Result<Files, Fault> {
    let path = binaries.join(PROGRAM);
    let program = fs::read(&path).map_err(Fault::io(path.display()))?;
    if needs_loader(&program) {
        return Err(Fault::Dynamic(path));
    }
    let text = |(path, text): (&str, &str)| plain(path, text.as_bytes());
    let mut files = Files::from([
        (PROGRAM.to_owned(), Entry::File(0o755, program)),
        plain(ROOTS, roots().as_bytes()),
        plain(SBOM, sbom),
        text(RESOLVER),
        text(LICENSE),
    ]);
    let link = || Entry::Link(PROGRAM.to_owned());
    files.extend(IMAGES.iter().map(|image| (image.name.to_owned(), link())));
    Ok(files)
}

fn plain(path: &str, content: &[u8]) -> (String, Entry) {
    (path.to_owned(), Entry::File(0o644, content.to_vec()))
}

/// Mozilla's root certificates, in the version of the lock file.
fn roots() -> String {
    let all = TLS_SERVER_ROOT_CERTS.iter().map(|root| Pem::new("CERTIFICATE", root.to_vec()));
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_many_config(&all.collect::<Vec<_>>(), config)
}

/// Writes the files to `directory`, for an engine that copies them.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write(files: &Files, directory: &Path) -> Result<(), Fault> {
    for (path, entry) in files {
        let path: PathBuf = directory.join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| match entry {
            Entry::File(mode, content) => fs::write(&path, content)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(*mode))),
            Entry::Link(to) => symlink(to, &path),
        });
        written.map_err(Fault::io(path.display()))?;
    }
    Ok(())
}
