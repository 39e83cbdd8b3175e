//! Measured values, which processes exchange as JSON, one object per line.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// The figure.
    pub(crate) id: String,
    /// The value in the figure's unit.
    pub(crate) value: f64,
}

/// All values by figure, in the order of measurement.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Samples(pub(crate) BTreeMap<String, Vec<f64>>);

impl Samples {
    pub(crate) fn add(&mut self, id: impl Into<String>, value: f64) {
        self.0.entry(id.into()).or_default().push(value);
    }

    /// The same values of figures whose names have this prefix.
    pub(crate) fn prefixed(self, prefix: &str) -> Self {
        let renamed = |(id, values)| (format!("{prefix}{id}"), values);
        Self(self.0.into_iter().map(renamed).collect())
    }

    pub(crate) fn join(&mut self, other: Self) {
        for (id, values) in other.0 {
            self.0.entry(id).or_default().extend(values);
        }
    }

    /// Reads the samples in the output of another process; ignores other lines.
    pub(crate) fn read(text: &str) -> Self {
        let mut samples = Self::default();
        for line in text.lines() {
            if let Ok(Sample { id, value }) = serde_json::from_str(line) {
                samples.add(id, value);
            }
        }
        samples
    }

    pub(crate) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for (id, values) in &self.0 {
            for value in values {
                let sample = Sample { id: id.clone(), value: *value };
                writeln!(out, "{}", serde_json::to_string(&sample)?)?;
            }
        }
        out.flush()
    }
}

/// Prints progress to standard error, if it is open.
pub(crate) fn progress(text: &str) {
    writeln!(io::stderr(), "bench: {text}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_from_output_with_other_lines() {
        let text = "{\"id\":\"a\",\"value\":1.5}\nnoise\n{\"id\":\"a\",\"value\":2}\n";
        let read = Samples::read(text);
        assert_eq!(read.0.get("a"), Some(&vec![1.5, 2.0]));
        assert_eq!(read.prefixed("of.").0.get("of.a"), Some(&vec![1.5, 2.0]));
    }
}
