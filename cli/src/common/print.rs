//! Output formats: table, JSON and YAML.

use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Failure;

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// A table
    #[default]
    Table,
    /// A table with more columns
    Wide,
    /// One JSON object, for programs
    Json,
    /// The same object as YAML
    Yaml,
}

impl Output {
    /// Formats a value: for tables by `people`, whose argument is whether the table is wide; for
    /// programs by serialization.
    pub fn text<T: Serialize>(
        self,
        value: &T,
        people: impl FnOnce(bool) -> String,
    ) -> Result<String, Failure> {
        let failed = |why: String| Failure::Show { why };
        match self {
            Self::Table => Ok(people(false)),
            Self::Wide => Ok(people(true)),
            Self::Json => {
                let text = serde_json::to_string_pretty(value);
                text.map(|text| text + "\n").map_err(|why| failed(why.to_string()))
            }
            Self::Yaml => serde_saphyr::to_string(value).map_err(|why| failed(why.to_string())),
        }
    }
}

/// Writes to standard output. A closed pipe, as in `| head`, is not an error.
pub fn out(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Output(why)),
        Ok(()) | Err(_) => Ok(()),
    }
}
