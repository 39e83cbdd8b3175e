//! The progress line at the bottom of a terminal that shows the client during a step.

use std::io::{self, Write};

use crate::event::Strip;
use crate::render::text;

/// Returns to the start of the line and clears it.
const WIPE: &str = "\r\u{1b}[2K";

/// Characters of a strip that fit in any terminal.
const WIDTH: usize = 60;

/// The line.
#[derive(Debug)]
pub(crate) struct Live {
    drawn: bool,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self { drawn: false }
    }

    pub(crate) fn draw(&mut self, out: &mut impl Write, strip: &Strip) -> io::Result<()> {
        let length = strip.text.chars().count();
        let tail: String = strip.text.chars().skip(length.saturating_sub(WIDTH)).collect();
        let buckets = u64::try_from(length).unwrap_or(u64::MAX);
        let seconds = text::seconds(buckets.saturating_mul(strip.bucket_us));
        self.drawn = true;
        // The carriage return lets the next drawing replace this one.
        write!(out, "\r   client {} {seconds}\u{1b}[K", text::glyphs(&tail))?;
        out.flush()
    }

    pub(crate) fn wipe(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.drawn {
            out.write_all(WIPE.as_bytes())?;
            self.drawn = false;
        }
        Ok(())
    }
}
