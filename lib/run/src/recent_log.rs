//! The last lines of the log, in memory, for the page `/v1/log`.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// The size limit of all lines together.
pub const MAX_BYTES: usize = 64 * 1024;
/// Longer lines are truncated.
const MAX_LINE: usize = 4 * 1024;
const TRUNCATED: &str = "… (truncated)";

/// A ring buffer with the last lines of the log.
#[derive(Debug, Clone, Default)]
pub struct Recent(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    bytes: VecDeque<u8>,
    /// The number of dropped lines.
    dropped: u64,
}

impl Recent {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line; drops the oldest lines if necessary.
    pub fn push(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        let (kept, end) = if line.len() > MAX_LINE { (begin(line), TRUNCATED) } else { (line, "") };
        let mut lines = self.lines();
        lines.drop_oldest(kept.len().saturating_add(end.len()).saturating_add(1));
        lines.bytes.extend([kept, end, "\n"].into_iter().flat_map(str::bytes));
    }

    /// The lines, oldest first; the first line has the number of dropped lines, if any.
    pub fn text(&self) -> String {
        let lines = self.lines();
        let (first, second) = lines.bytes.as_slices();
        let kept = [first, second].concat();
        let dropped = lines.dropped;
        drop(lines);
        let kept = String::from_utf8_lossy(&kept).into_owned();
        if dropped == 0 {
            return kept;
        }
        format!("{{\"message\":\"earlier lines dropped\",\"lines\":{dropped}}}\n{kept}")
    }
}

/// The beginning of a line that is too long, up to a complete word, because a truncated secret is
/// not recognized.
fn begin(line: &str) -> &str {
    let mut end = MAX_LINE;
    while !line.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let short = line.get(..end).unwrap_or_default();
    let words = short.rfind(char::is_whitespace).and_then(|at| short.get(..at));
    words.unwrap_or_default()
}

impl Lines {
    /// Drops the oldest lines until this many bytes fit.
    fn drop_oldest(&mut self, bytes: usize) {
        while !self.bytes.is_empty() && self.bytes.len().saturating_add(bytes) > MAX_BYTES {
            let first = self.bytes.iter().position(|byte| *byte == b'\n');
            let first = first.map_or(self.bytes.len(), |at| at.saturating_add(1));
            self.bytes.drain(..first);
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

/// Receives one line at a time from the log.
#[derive(Debug)]
pub struct LineWriter(Recent);

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Recent {
    type Writer = LineWriter;

    fn make_writer(&self) -> LineWriter {
        LineWriter(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lines: impl IntoIterator<Item = String>) -> (Recent, Vec<String>) {
        let recent = Recent::default();
        for line in lines {
            recent.make_writer().write_all(line.as_bytes()).unwrap();
        }
        let text = recent.text();
        assert!(text.is_empty() || text.ends_with('\n'));
        let lines = text.lines().map(str::to_owned).collect();
        (recent, lines)
    }

    #[test]
    fn lines_are_complete_and_in_order() {
        let (_recent, lines) = kept(["a b\n".to_owned(), "c\n".to_owned()]);
        assert_eq!(lines, ["a b", "c"]);
        assert_eq!(Recent::default().text(), "");
    }

    #[test]
    fn the_oldest_lines_are_dropped_and_counted() {
        let (recent, lines) = kept((0..5000).map(|nth| format!("{{\"line\":\"{nth:0>90}\"}}\n")));
        assert!(recent.lines().bytes.len() <= MAX_BYTES);
        assert!(
            recent.lines().bytes.capacity() <= 2 * MAX_BYTES,
            "the buffer does not grow further"
        );
        let dropped = 5000 - (lines.len() - 1);
        assert_eq!(
            lines.first().unwrap(),
            &format!("{{\"message\":\"earlier lines dropped\",\"lines\":{dropped}}}")
        );
        assert!(lines.len() > 600, "{}", lines.len());
        for (line, nth) in lines.iter().skip(1).zip(dropped..) {
            assert_eq!(line, &format!("{{\"line\":\"{nth:0>90}\"}}"));
        }
    }

    #[test]
    fn a_long_line_is_truncated_between_two_words() {
        let long = format!("{} {} hushhush\n", "ä".repeat(10), "b".repeat(MAX_LINE));
        let (_recent, lines) = kept([long, "next\n".to_owned(), "c".repeat(MAX_BYTES)]);
        assert_eq!(
            lines,
            [format!("{}{TRUNCATED}", "ä".repeat(10)), "next".to_owned(), TRUNCATED.to_owned()]
        );
    }
}
