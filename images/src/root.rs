//! The root filesystem of the images, which is the same in all: the program, the names by which it
//! is started, and the few files that it looks for.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use pem::{EncodeConfig, LineEnding, Pem};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::Fault;
use crate::spec::{IMAGES, PROGRAM};

/// Where TLS libraries on Linux look for the roots that they trust.
pub const ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";
/// Which ways of resolving a name there are: those that need no library.
const RESOLVER: (&str, &str) = ("etc/nsswitch.conf", "hosts: files dns\n");
/// The terms under which this is given away.
const LICENSE: (&str, &str) =
    ("usr/share/licenses/firecamp/LICENSE", include_str!("../../LICENSE"));

/// Where scanners look for a list of what is linked.
pub const SBOM: &str = "usr/share/sbom/firecamp.cdx.json";

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file: its mode and its content.
    File(u32, Vec<u8>),
    /// A symbolic link: where it leads.
    Link(String),
}

/// Entries by their path without the first slash.
pub type Files = BTreeMap<String, Entry>;

/// The files of the images, with the program that is in the directory `binaries`.
///
/// # Errors
///
/// If there is no such program, or it is not static.
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

/// Mozilla's roots, of the version that the lock file names.
fn roots() -> String {
    let all = TLS_SERVER_ROOT_CERTS.iter().map(|root| Pem::new("CERTIFICATE", root.to_vec()));
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_many_config(&all.collect::<Vec<_>>(), config)
}

/// Whether an ELF file of 64 bits names a loader (PT_INTERP), which then has to be in the image.
/// What is no such file needs none: it does not start at all, and a test that starts it says so.
fn needs_loader(binary: &[u8]) -> bool {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, width: usize| {
        let bytes = binary.get(at..at + width)?;
        Some(bytes.iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte)))
    };
    let place = |at, width| number(at, width).and_then(|it| usize::try_from(it).ok());
    let (Some(table), Some(size), Some(count)) = (place(32, 8), place(54, 2), place(56, 2)) else {
        return false;
    };
    binary.starts_with(b"\x7fELF\x02")
        && (0..count).any(|index| number(table + index * size, 4) == Some(PT_INTERP))
}

/// Writes the files below `directory`, for an engine that copies them.
///
/// # Errors
///
/// If one cannot be written.
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
