//! Formats events as text, JSON and HTML. Events are the only input.

pub mod html;
mod live;
mod svg;
pub mod text;

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use crate::event::{Event, Strip};
pub(crate) use live::Live;

/// How a run is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text.
    Text,
    /// One JSON object per line.
    Json,
}

/// Prints events immediately and stores them for the report.
pub(crate) struct Sink {
    form: Form,
    out: AutoStream<io::Stdout>,
    live: Option<Live>,
    events: Vec<Event>,
}

impl Sink {
    /// Standard output, with colors if it is a terminal that supports them.
    pub(crate) fn stdout(form: Form, no_color: bool) -> Self {
        let stdout = io::stdout();
        let live = (form == Form::Text && stdout.is_terminal()).then(Live::new);
        let out = if no_color {
            AutoStream::new(stdout, ColorChoice::Never)
        } else {
            AutoStream::auto(stdout)
        };
        Self { form, out, live, events: Vec::new() }
    }

    /// Prints and stores an event.
    pub(crate) fn report(&mut self, event: Event) -> io::Result<()> {
        let text = match self.form {
            Form::Text => text::event(&event),
            Form::Json => serde_json::to_string(&event)? + "\n",
        };
        if let Some(live) = &mut self.live {
            live.wipe(&mut self.out)?;
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        self.events.push(event);
        Ok(())
    }

    /// Shows what the client sees during a step, until the next event.
    pub(crate) fn show(&mut self, strip: &Strip) -> io::Result<()> {
        match &mut self.live {
            Some(live) => live.draw(&mut self.out, strip),
            None => Ok(()),
        }
    }

    /// All events so far.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }
}
