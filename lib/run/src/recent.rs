//! The last lines of the log, kept in memory for whoever asks this process.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// All lines together take no more.
pub const MAX_BYTES: usize = 64 * 1024;
/// Of a longer line the end is left out.
const MAX_LINE: usize = 4 * 1024;
const CUT: &str = "… (cut)";

/// As many of the last lines as there is room for, each of them whole.
#[derive(Debug, Clone, Default)]
pub struct Recent(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    bytes: VecDeque<u8>,
    /// How many were there before.
    gone: u64,
}

impl Recent {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps this line, and forgets the oldest ones for it.
    pub fn push(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        let (kept, end) = if line.len() > MAX_LINE { (begin(line), CUT) } else { (line, "") };
        let mut lines = self.lines();
        lines.make_room(kept.len().saturating_add(end.len()).saturating_add(1));
        lines.bytes.extend([kept, end, "\n"].into_iter().flat_map(str::bytes));
    }

    /// The lines, the oldest first, and before them how many are not kept any more.
    pub fn text(&self) -> String {
        let lines = self.lines();
        let (first, second) = lines.bytes.as_slices();
        let kept = [first, second].concat();
        let gone = lines.gone;
        drop(lines);
        let kept = String::from_utf8_lossy(&kept).into_owned();
        if gone == 0 {
            return kept;
        }
        format!("{{\"message\":\"Lines before these are not kept\",\"lines\":{gone}}}\n{kept}")
    }
}

/// As much of a line as is kept of one that is too long: whole words, because half a secret would
/// not be known as one.
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
    /// Forgets the oldest lines until there is room for so many bytes.
    fn make_room(&mut self, bytes: usize) {
        while !self.bytes.is_empty() && self.bytes.len().saturating_add(bytes) > MAX_BYTES {
            let first = self.bytes.iter().position(|byte| *byte == b'\n');
            let first = first.map_or(self.bytes.len(), |at| at.saturating_add(1));
            self.bytes.drain(..first);
            self.gone = self.gone.saturating_add(1);
        }
    }
}

/// Takes one line at a time, as the log writes them.
#[derive(Debug)]
pub struct Keeper(Recent);

impl Write for Keeper {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Recent {
    type Writer = Keeper;

    fn make_writer(&self) -> Keeper {
        Keeper(self.clone())
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
    fn lines_come_back_whole_and_in_their_order() {
        let (_recent, lines) = kept(["a b\n".to_owned(), "c\n".to_owned()]);
        assert_eq!(lines, ["a b", "c"]);
        assert_eq!(Recent::default().text(), "");
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_the_last_lines_stay() {
        let (recent, lines) = kept((0..5000).map(|nth| format!("{{\"line\":\"{nth:0>90}\"}}\n")));
        assert!(recent.lines().bytes.len() <= MAX_BYTES);
        assert!(recent.lines().bytes.capacity() <= 2 * MAX_BYTES, "and no memory beside it");
        let gone = 5000 - (lines.len() - 1);
        assert_eq!(
            lines.first().unwrap(),
            &format!("{{\"message\":\"Lines before these are not kept\",\"lines\":{gone}}}")
        );
        assert!(lines.len() > 600, "{}", lines.len());
        for (line, nth) in lines.iter().skip(1).zip(gone..) {
            assert_eq!(line, &format!("{{\"line\":\"{nth:0>90}\"}}"));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_two_words() {
        let long = format!("{} {} hushhush\n", "ä".repeat(10), "b".repeat(MAX_LINE));
        let (_recent, lines) = kept([long, "next\n".to_owned(), "c".repeat(MAX_BYTES)]);
        assert_eq!(lines, [format!("{}{CUT}", "ä".repeat(10)), "next".to_owned(), CUT.to_owned()]);
    }
}
