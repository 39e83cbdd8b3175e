//! What is found, as a table, as JSON or as YAML.

use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Failure;

/// How a command shows what it has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// For people with wide terminals
    Wide,
    /// For programs: one JSON object
    Json,
    /// The same as YAML
    Yaml,
}

impl Output {
    /// The text of a value: that of `people`, which is told whether it may be wide, or the value
    /// itself for programs.
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

/// Writes to standard output. A reader that has gone, as in `| head`, has seen what it wanted.
pub fn out(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Output(why)),
        Ok(()) | Err(_) => Ok(()),
    }
}
