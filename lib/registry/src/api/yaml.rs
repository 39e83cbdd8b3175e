//! Objects as YAML text, read as if by an enemy: bounded in size, depth and nodes, without
//! aliases, merge keys or tags, one document, every key once.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_saphyr::Options;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use thiserror::Error;

use super::{Kind, Object};

/// No object's text may be longer.
pub const MAX_BYTES: usize = 1024 * 1024;

/// YAML's mark for the end of a document, the last line of every object's text. Without it a file
/// that was cut off between two lines could pass for a whole one that says something else.
pub const END_OF_OBJECT: &str = "...";

/// An object nests five deep (`spec.subnets[].ranges[].start`).
const MAX_DEPTH: usize = 16;
/// A pool of 64 subnets with 256 ranges each has about 100,000.
const MAX_NODES: usize = 200_000;

/// Why a text is not an object's YAML.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidYaml {
    /// There is nothing but white space.
    #[error("is empty")]
    Empty,
    /// It is longer than any object.
    #[error("has {0} bytes, more than the {MAX_BYTES} that an object may have")]
    TooLong(u64),
    /// It is not text.
    #[error("line {line}: is not UTF-8")]
    NotText {
        /// The line, counted from 1.
        line: usize,
    },
    /// The mark of the end is missing.
    #[error(
        "line {line}: the end is missing: the last line must be {END_OF_OBJECT:?}, so that a \
         file that was cut off is not taken for a whole one"
    )]
    CutOff {
        /// The last line, counted from 1.
        line: usize,
    },
    /// It is not YAML, or not the YAML of such an object.
    #[error("{0}")]
    Syntax(String),
}

/// Parses one object. The error says the line.
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
    // Before the parser, whose view of an incomplete text would say less.
    if body.lines().next_back() != Some(END_OF_OBJECT) {
        return Err(InvalidYaml::CutOff { line: body.lines().count() });
    }
    serde_saphyr::from_str_with_options(text, options())
        .map_err(|wrong| InvalidYaml::Syntax(one_line(&wrong)))
}

/// The object's text, which [`parse`] reads back as the same object.
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

/// One line for logs and termination messages, the line number first and once.
fn one_line(wrong: &serde_saphyr::Error) -> String {
    let text = wrong.to_string();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(place) = wrong.location() else { return text };
    let (line, column) = (place.line(), place.column());
    let text = text.replace(&format!(" at line {line}, column {column}"), "");
    format!("line {line}, column {column}: {text}")
}
