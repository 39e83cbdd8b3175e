//! Objects as YAML. The input is untrusted: size, depth and nodes are bounded; aliases, merge
//! keys, tags, duplicate keys and further documents are rejected.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_saphyr::Options;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use thiserror::Error;

use super::{Kind, Object};

/// The largest YAML text of an object.
pub const MAX_BYTES: usize = 1024 * 1024;

/// YAML's document end marker, the last line of every object that a program writes. Without it, a
/// file truncated between two lines could parse as a different, complete object.
///
/// The files of people ([`Kind::WRITTEN_BY_PEOPLE`]) need only a complete last line. Then a
/// truncated pool is invalid or has fewer ranges. Within a line, `10.0.0.16` could become
/// `10.0.0.1`.
pub const END_OF_OBJECT: &str = "...";

/// An object has five levels (`spec.subnets[].ranges[].start`).
const MAX_DEPTH: usize = 16;
/// A pool of 64 subnets with 256 ranges each has about 100,000.
const MAX_NODES: usize = 200_000;

/// Why a text is not the YAML of an object.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidYaml {
    /// The text is only white space.
    #[error("is empty")]
    Empty,
    /// The text exceeds [`MAX_BYTES`].
    #[error("has {0} bytes; an object has at most {MAX_BYTES}")]
    TooLong(u64),
    /// The text is not UTF-8.
    #[error("line {line}: is not UTF-8")]
    NotText {
        /// The line, counted from 1.
        line: usize,
    },
    /// The document end marker is missing.
    #[error(
        "line {line}: the end marker is missing: the file may be truncated; its last line must be \
         {END_OF_OBJECT:?}"
    )]
    Truncated {
        /// The last line, counted from 1.
        line: usize,
    },
    /// The last line of a file of people has no line feed.
    #[error(
        "line {line}: the last line has no line feed: the file may be truncated; end it with a \
         line feed, or with the line {END_OF_OBJECT:?}"
    )]
    IncompleteLine {
        /// The last line, counted from 1.
        line: usize,
    },
    /// The text is not YAML, or not the YAML of this kind.
    #[error("{0}")]
    Syntax(String),
}

/// Parses one object. The error names the line.
pub fn parse<S>(bytes: &[u8]) -> Result<Object<S>, InvalidYaml>
where
    S: Kind + DeserializeOwned,
{
    if bytes.len() > MAX_BYTES {
        return Err(InvalidYaml::TooLong(u64::try_from(bytes.len()).unwrap_or(u64::MAX)));
    }
    let text = std::str::from_utf8(bytes).map_err(|wrong| {
        let good = bytes.get(..wrong.valid_up_to()).unwrap_or_default();
        InvalidYaml::NotText { line: good.split(|byte| *byte == b'\n').count() }
    })?;
    let body = text.trim_end();
    if body.is_empty() {
        return Err(InvalidYaml::Empty);
    }
    // Checked before parsing: the parser's error for a truncated text is less helpful.
    if body.lines().next_back() != Some(END_OF_OBJECT) {
        let line = body.lines().count();
        if !S::WRITTEN_BY_PEOPLE {
            return Err(InvalidYaml::Truncated { line });
        }
        if !text.ends_with('\n') {
            return Err(InvalidYaml::IncompleteLine { line });
        }
    }
    serde_saphyr::from_str_with_options(text, options())
        .map_err(|wrong| InvalidYaml::Syntax(one_line(&wrong)))
}

/// Serializes the object. [`parse`] reads the text back as the same object.
pub fn render<S>(object: &Object<S>) -> Result<String, InvalidYaml>
where
    S: Kind + Serialize,
{
    let mut text =
        serde_saphyr::to_string(object).map_err(|wrong| InvalidYaml::Syntax(wrong.to_string()))?;
    text.push_str(END_OF_OBJECT);
    text.push('\n');
    if text.len() > MAX_BYTES {
        return Err(InvalidYaml::TooLong(u64::try_from(text.len()).unwrap_or(u64::MAX)));
    }
    Ok(text)
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_documents: 1,
            max_aliases: 0,
            max_anchors: 0,
            max_recorded_anchor_events: 0,
            max_recorded_anchor_bytes: 0,
            max_merge_keys: 0,
            max_inclusion_depth: 0,
            max_total_scalar_bytes: MAX_BYTES,
        },
        emit_comments: false,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// Formats the error as one line for logs and termination messages, with the line number first.
fn one_line(wrong: &serde_saphyr::Error) -> String {
    let text = wrong.to_string();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(place) = wrong.location() else { return text };
    let (line, column) = (place.line(), place.column());
    let text = text.replace(&format!(" at line {line}, column {column}"), "");
    format!("line {line}, column {column}: {text}")
}
