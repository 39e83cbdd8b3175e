//! A compressed archive with limits for each file and for all files together.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

/// The tar block size: a file takes a header block, and its text is padded to full blocks.
const BLOCK: usize = 512;
/// The end of an archive, and the length of the directory name before each file name.
const FRAME: usize = 2 * BLOCK;
const TOP: usize = 40;
/// Longer names take extra blocks.
const SHORT_NAME: usize = 100;
/// The space reserved for the manifest, besides a line for each file.
const MANIFEST: usize = 64 * 1024;
/// A file that would be truncated to less than this is omitted.
const LEAST: usize = 1024;

/// The files of a bundle with their names, in the order in which they were added. Files that are
/// added first have precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    packed: Vec<(String, String)>,
    /// The size limit of one file.
    file_limit: usize,
    /// The remaining space.
    free: usize,
    truncated: Vec<String>,
    /// The first omitted file, and the number of omitted files.
    omitted: Option<(String, usize)>,
}

impl Files {
    /// An empty bundle. The archive will be at most `bytes` long before compression, and each file
    /// at most a quarter of that.
    pub(super) fn within(bytes: usize) -> Self {
        let free = bytes.saturating_sub(FRAME).saturating_sub(MANIFEST);
        Self {
            packed: Vec::new(),
            file_limit: bytes / 4,
            free,
            truncated: Vec::new(),
            omitted: None,
        }
    }

    /// Adds a file, truncated if it does not fit. Secrets must be removed before: a truncated
    /// secret is not recognized.
    pub(super) fn add(&mut self, name: impl Into<String>, text: impl Into<String>) {
        let (name, mut text) = (name.into(), text.into());
        let overhead = overhead(&name);
        let most = self.free.saturating_sub(overhead).min(self.file_limit);
        if overhead > self.free || text.len() > most {
            if most < LEAST {
                self.omitted.get_or_insert((name, 0)).1 += 1;
                return;
            }
            let length = text.len();
            shorten(&mut text, most);
            self.truncated.push(format!("{name}: first {} of {length} bytes", text.len()));
        }
        self.free = self.free.saturating_sub(overhead.saturating_add(text.len()));
        self.packed.push((name, text));
    }

    /// What was truncated or omitted.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.truncated.iter().map(|one| format!("truncated file: {one}")).collect();
        if let Some((first, count)) = &self.omitted {
            all.push(format!(
                "{count} files were omitted because of the size limit, the first one is {first}"
            ));
        }
        all
    }

    /// Adds the manifest, for which space is reserved, as the last file.
    pub(super) fn close(&mut self, mut manifest: String) {
        let lines: usize = self.iter().map(|(name, _)| name.len().saturating_add(TOP)).sum();
        let most = MANIFEST.saturating_sub(overhead("")).saturating_add(lines);
        if manifest.len() > most {
            shorten(&mut manifest, most);
        }
        self.packed.push(("manifest.txt".to_owned(), manifest));
    }

    /// Names and texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.packed.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Writes the files into a directory `top`, with the modification time `seconds` after 1970 and
    /// mode 0600.
    pub(super) fn write(&self, to: impl Write, top: &str, seconds: u64) -> io::Result<()> {
        let mut archive = Builder::new(GzEncoder::new(to, Compression::default()));
        for (name, text) in self.iter() {
            let mut header = Header::new_gnu();
            header.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
            header.set_mode(0o600);
            header.set_mtime(seconds);
            archive.append_data(&mut header, format!("{top}/{name}"), text.as_bytes())?;
        }
        archive.into_inner()?.finish()?.flush()
    }
}

/// The space that a file takes besides its text, including its line in the manifest.
fn overhead(name: &str) -> usize {
    let full = name.len().saturating_add(TOP);
    let long = if full > SHORT_NAME { full.saturating_add(3 * BLOCK) } else { 0 };
    full.saturating_add(2 * BLOCK).saturating_add(long)
}

/// Truncates the text after its last complete line, or within the first line if it is too long.
fn shorten(text: &mut String, most: usize) {
    let mut end = most;
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let kept = text.get(..end).unwrap_or_default();
    let end = kept.rfind('\n').map_or(end, |at| at.saturating_add(1));
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    const MIB: usize = 1 << 20;

    /// The archive before compression.
    fn archive(files: &Files) -> Vec<u8> {
        let mut packed = Vec::new();
        files.write(&mut packed, "firecamp-bundle-20261121-190000", 1).unwrap();
        let mut bytes = Vec::new();
        GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_long_file_is_truncated_after_a_complete_line_and_listed() {
        let mut files = Files::within(MIB);
        let text = "ä line\n".repeat(MIB / 4);
        files.add("a.txt", text.as_str());
        files.add("b.txt", "short");
        let kept: Vec<(&str, &str)> = files.iter().collect();
        assert!(kept[0].1.len() <= MIB / 4 && kept[0].1.len() > MIB / 4 - 10);
        assert!(kept[0].1.ends_with("ä line\n") && text.starts_with(kept[0].1));
        assert_eq!(kept[1], ("b.txt", "short"));
        let reported =
            format!("truncated file: a.txt: first {} of {} bytes", kept[0].1.len(), text.len());
        assert_eq!(files.missing(), [reported]);
    }

    #[test]
    fn the_archive_never_exceeds_its_limit() {
        let name = "n".repeat(300);
        for length in [0, 1, 511, 513, 9_000, 200_000, MIB] {
            let mut files = Files::within(MIB);
            for nth in 0..3_000 {
                files.add(format!("{nth}/{name}"), "x".repeat(length));
            }
            let bytes = archive(&files);
            assert!(bytes.len() <= MIB, "{} bytes of files of {length}", bytes.len());
            assert!(bytes.len() > MIB / 4, "{} bytes of files of {length}", bytes.len());
            let last = files.missing().pop().unwrap();
            let missing = 3_000 - files.iter().count();
            assert!(last.starts_with(&format!("{missing} files were omitted")), "{last}");
        }
    }

    #[test]
    fn the_manifest_fits_into_a_full_archive() {
        for long in [8_000, MIB] {
            let mut files = Files::within(MIB);
            for nth in 0..9_000 {
                files.add(format!("{nth}"), "x\n".repeat(nth));
            }
            files.close("y\n".repeat(long / 2));
            let (name, text) = files.iter().last().unwrap();
            assert!(name == "manifest.txt" && text.len() >= 8_000, "{name}: {}", text.len());
            assert!(archive(&files).len() <= MIB);
        }
    }

    #[test]
    fn a_small_file_is_complete() {
        let mut files = Files::within(MIB);
        files.add("a", "x");
        assert_eq!((files.missing(), files.iter().count()), (Vec::new(), 1));
    }
}
