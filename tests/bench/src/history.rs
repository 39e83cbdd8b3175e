//! The saved results, one per line, oldest first.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use crate::failure::Failure;
use crate::figures::Record;

/// Reads all results.
pub(crate) fn read(path: &Path) -> Result<Vec<Record>, Failure> {
    let what = format!("read {}", path.display());
    let file = File::open(path).map_err(Failure::of(&what))?;
    let mut records = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(Failure::of(&what))?;
        let place = format!("{what}, line {}", number.saturating_add(1));
        records.push(serde_json::from_str(&line).map_err(Failure::of(place))?);
    }
    Ok(records)
}

/// Appends a result.
pub(crate) fn append(path: &Path, record: &Record) -> Result<(), Failure> {
    let what = format!("write {}", path.display());
    let mut text = serde_json::to_string(record).map_err(Failure::of(&what))?;
    text.push('\n');
    let file = OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.map_err(Failure::of(&what))?;
    file.write_all(text.as_bytes()).map_err(Failure::of(&what))
}
