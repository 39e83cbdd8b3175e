//! Files in a compressed archive, none of them too long, and all together bounded.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

/// What a file takes of an archive beside its text: its header, and what fills its last block.
const BLOCK: usize = 512;
/// What ends an archive, and the directory's name before each file's.
const FRAME: usize = 2 * BLOCK;
const TOP: usize = 40;
/// A name that is longer takes blocks of its own.
const SHORT_NAME: usize = 100;
/// What is kept for the manifest, beside a line for each file.
const MANIFEST: usize = 64 * 1024;
/// Of a file that would be cut to less than this nothing is kept.
const LEAST: usize = 1024;

/// The files of a bundle, by their names in it, in the order in which they were added: what is
/// added first has its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    packed: Vec<(String, String)>,
    /// The most that one text may take.
    part: usize,
    /// What is left of the whole.
    room: usize,
    cut: Vec<String>,
    /// The first file that had no place, and how many had none.
    left_out: Option<(String, usize)>,
}

impl Files {
    /// None yet. The archive will not be longer than `bytes` before it is compressed, and no text
    /// longer than a quarter of that.
    pub(super) fn within(bytes: usize) -> Self {
        let room = bytes.saturating_sub(FRAME).saturating_sub(MANIFEST);
        Self { packed: Vec::new(), part: bytes / 4, room, cut: Vec::new(), left_out: None }
    }

    /// Adds a file, or as much of it as there is room for. What is added has no secrets any more:
    /// half of one is not known as one.
    pub(super) fn add(&mut self, name: impl Into<String>, text: impl Into<String>) {
        let (name, mut text) = (name.into(), text.into());
        let overhead = overhead(&name);
        let most = self.room.saturating_sub(overhead).min(self.part);
        if overhead > self.room || text.len() > most {
            if most < LEAST {
                self.left_out.get_or_insert((name, 0)).1 += 1;
                return;
            }
            let whole = text.len();
            shorten(&mut text, most);
            self.cut.push(format!("{name}: its first {} of {whole} bytes", text.len()));
        }
        self.room = self.room.saturating_sub(overhead.saturating_add(text.len()));
        self.packed.push((name, text));
    }

    /// What was cut or left out.
    pub(super) fn lacking(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.cut.iter().map(|one| format!("the rest of a file was cut off: {one}")).collect();
        if let Some((first, count)) = &self.left_out {
            all.push(format!("no room was left for {count} files, the first one is {first}"));
        }
        all
    }

    /// Adds the last file, for which room was kept: what is in the others, and what is not.
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

    /// Writes them below a directory `top`, dated `seconds` after 1970, for their owner alone.
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

/// What a file takes beside its text, its line in the manifest included.
fn overhead(name: &str) -> usize {
    let full = name.len().saturating_add(TOP);
    let long = if full > SHORT_NAME { full.saturating_add(3 * BLOCK) } else { 0 };
    full.saturating_add(2 * BLOCK).saturating_add(long)
}

/// Cuts the text behind a line, if it has any that is whole.
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
    fn a_text_that_is_too_long_ends_with_a_whole_line_and_it_is_told() {
        let mut files = Files::within(MIB);
        let text = "ä line\n".repeat(MIB / 4);
        files.add("a.txt", text.as_str());
        files.add("b.txt", "short");
        let kept: Vec<(&str, &str)> = files.iter().collect();
        assert!(kept[0].1.len() <= MIB / 4 && kept[0].1.len() > MIB / 4 - 10);
        assert!(kept[0].1.ends_with("ä line\n") && text.starts_with(kept[0].1));
        assert_eq!(kept[1], ("b.txt", "short"));
        let told = format!(
            "the rest of a file was cut off: a.txt: its first {} of {} bytes",
            kept[0].1.len(),
            text.len()
        );
        assert_eq!(files.lacking(), [told]);
    }

    #[test]
    fn the_whole_archive_stays_within_its_bound_whatever_is_added() {
        let name = "n".repeat(300);
        for length in [0, 1, 511, 513, 9_000, 200_000, MIB] {
            let mut files = Files::within(MIB);
            for nth in 0..3_000 {
                files.add(format!("{nth}/{name}"), "x".repeat(length));
            }
            let bytes = archive(&files);
            assert!(bytes.len() <= MIB, "{} bytes of files of {length}", bytes.len());
            assert!(bytes.len() > MIB / 4, "{} bytes of files of {length}", bytes.len());
            let last = files.lacking().pop().unwrap();
            let missing = 3_000 - files.iter().count();
            assert!(last.starts_with(&format!("no room was left for {missing} files")), "{last}");
        }
    }

    #[test]
    fn the_manifest_has_its_place_when_all_else_is_used_up() {
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
    fn what_fits_is_whole_and_nothing_is_lacking() {
        let mut files = Files::within(MIB);
        files.add("a", "x");
        assert_eq!((files.lacking(), files.iter().count()), (Vec::new(), 1));
    }
}
