//! What was measured, as it is passed on: one JSON object a line.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Of which figure.
    pub(crate) id: String,
    /// In the figure's unit.
    pub(crate) value: f64,
}

/// All values, by figure, in the order in which they were measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Samples(pub(crate) BTreeMap<String, Vec<f64>>);

impl Samples {
    pub(crate) fn add(&mut self, id: impl Into<String>, value: f64) {
        self.0.entry(id.into()).or_default().push(value);
    }

    pub(crate) fn join(&mut self, other: Self) {
        for (id, values) in other.0 {
            self.0.entry(id).or_default().extend(values);
        }
    }

    /// Reads what another process has printed; other lines are not ours.
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

/// Tells people how far it is. Nobody is left to tell if standard error is closed.
pub(crate) fn progress(text: &str) {
    writeln!(io::stderr(), "bench: {text}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_prints_another_reads() {
        let text = "{\"id\":\"a\",\"value\":1.5}\nnoise\n{\"id\":\"a\",\"value\":2}\n";
        let read = Samples::read(text);
        assert_eq!(read.0.get("a"), Some(&vec![1.5, 2.0]));
    }
}
