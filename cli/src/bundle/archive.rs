//! Files in a compressed archive.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

/// No file in a bundle is longer; of one that would be, the end is left out.
const MAX_FILE: usize = 8 * 1024 * 1024;

/// The files of a bundle, by their names in it, in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(Vec<(String, String)>);

impl Files {
    /// Adds a file.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) {
        let (name, mut text) = (name.into(), text.into());
        if text.len() > MAX_FILE {
            let mut end = MAX_FILE;
            while !text.is_char_boundary(end) {
                end = end.saturating_sub(1);
            }
            text.truncate(end);
            text.push_str("\n(the rest was left out)\n");
        }
        self.0.push((name, text));
    }

    /// Names and texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// All files with other texts.
    #[must_use]
    pub fn map(self, change: impl Fn(&str) -> String) -> Self {
        Self(self.0.into_iter().map(|(name, text)| (name, change(&text))).collect())
    }

    /// Writes them below a directory `top`, dated `seconds` after 1970, for their owner alone.
    pub fn write(&self, to: impl Write, top: &str, seconds: u64) -> io::Result<()> {
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
