//! Patches: unified diffs that apply only where their context is unambiguous.

/// Changes to several files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The text before the first file.
    pub about: String,
    /// The changed files.
    pub files: Vec<FilePatch>,
}

/// Changes to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePatch {
    /// Relative to the root of the tree.
    pub path: String,
    hunks: Vec<Hunk>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Hunk {
    old: String,
    new: String,
}

/// Why a patch cannot be read or applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// A line is neither a header, nor context, nor a change.
    #[error("line {0} is not part of a unified diff")]
    Line(usize),
    /// The file has changed, or the patch has too little context.
    #[error("{path} has {times} places like this, not one:\n{old}")]
    Place {
        /// The file.
        path: String,
        /// The number of places.
        times: usize,
        /// The lines that the hunk replaces.
        old: String,
    },
}

impl Patch {
    /// Reads a unified diff whose paths begin with `a/` and `b/`. The numbers in the headers of the
    /// hunks have no meaning: the lines themselves say where a hunk applies.
    pub fn parse(text: &str) -> Result<Self, PatchError> {
        let mut patch = Self { about: String::new(), files: Vec::new() };
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            if line.starts_with("--- a/") {
                continue;
            }
            if let Some(path) = line.strip_prefix("+++ b/") {
                patch.files.push(FilePatch { path: path.trim_end().to_owned(), hunks: Vec::new() });
                continue;
            }
            let Some(file) = patch.files.last_mut() else {
                patch.about.push_str(line);
                continue;
            };
            if line.starts_with("@@ ") {
                file.hunks.push(Hunk::default());
                continue;
            }
            let hunk = file.hunks.last_mut().ok_or(PatchError::Line(number))?;
            hunk.add(line).ok_or(PatchError::Line(number))?;
        }
        patch.about.truncate(patch.about.trim_end().len());
        Ok(patch)
    }
}

impl Hunk {
    fn add(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_at_checked(1)?;
        match kind {
            " " => {
                self.old.push_str(rest);
                self.new.push_str(rest);
            }
            "-" => self.old.push_str(rest),
            "+" => self.new.push_str(rest),
            _ => return None,
        }
        Some(())
    }
}

impl FilePatch {
    /// The changed text. The lines that a hunk replaces must occur exactly once.
    pub fn apply(&self, text: &str) -> Result<String, PatchError> {
        let mut text = text.to_owned();
        for Hunk { old, new } in &self.hunks {
            let times = text.matches(old.as_str()).count();
            if times != 1 {
                let (path, old) = (self.path.clone(), old.clone());
                return Err(PatchError::Place { path, times, old });
            }
            text = text.replacen(old.as_str(), new, 1);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str =
        "What it breaks.\n\n--- a/f.rs\n+++ b/f.rs\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n";

    #[test]
    fn hunk_replaces_the_lines_that_it_names_wherever_they_are() {
        let patch = Patch::parse(PATCH).unwrap();
        assert_eq!(patch.about, "What it breaks.");
        assert_eq!(patch.files[0].path, "f.rs");
        assert_eq!(patch.files[0].apply("new\none\ntwo\n").unwrap(), "new\none\nthree\n");
    }

    #[test]
    fn hunk_whose_lines_are_missing_or_ambiguous_is_refused() {
        let patch = Patch::parse(PATCH).unwrap();
        for (text, found) in [("one\n", 0), ("one\ntwo\none\ntwo\n", 2)] {
            match patch.files[0].apply(text) {
                Err(PatchError::Place { times, .. }) => assert_eq!(times, found),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn line_without_a_mark_is_refused() {
        assert_eq!(Patch::parse(&format!("{PATCH}\n")), Err(PatchError::Line(9)));
    }
}
