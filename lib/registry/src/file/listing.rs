//! Lists the objects of a kind by the names of their files.

use std::fs::DirEntry;
use std::io;
use std::path::Path;

use super::object_paths::SUFFIX;

/// The names of the objects in a directory. Names that begin with a dot (staged files, editors'
/// swap files) or do not end in `.yaml` are not objects. A missing directory has none.
pub(super) fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in entries(dir)? {
        let file_name = entry.file_name();
        // Lossy: a name that is not UTF-8 stays in the list, and the caller rejects it.
        let file_name = file_name.to_string_lossy();
        let name = file_name.strip_suffix(SUFFIX).filter(|name| !name.starts_with('.'));
        names.extend(name.map(str::to_owned));
    }
    Ok(names)
}

/// The names of the directories in a directory, except those that begin with a dot.
pub(super) fn directories(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in entries(dir)? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() && !name.starts_with('.') {
            names.push(name);
        }
    }
    Ok(names)
}

fn entries(dir: &Path) -> io::Result<Vec<DirEntry>> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries.collect(),
        Err(wrong) if wrong.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(wrong) => Err(wrong),
    }
}
