//! From events to what people, machines and browsers see. Nothing here has any other source.

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
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where events go: to standard output, at once, and into memory for the report.
pub(crate) struct Sink {
    form: Form,
    out: AutoStream<io::Stdout>,
    live: Option<Live>,
    events: Vec<Event>,
}

impl Sink {
    /// Standard output, with colours where it is a terminal that wants them.
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

    /// Tells and keeps an event.
    pub(crate) fn tell(&mut self, event: Event) -> io::Result<()> {
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

    /// Shows what the client sees while a step goes on. Gone with the next event.
    pub(crate) fn show(&mut self, strip: &Strip) -> io::Result<()> {
        match &mut self.live {
            Some(live) => live.draw(&mut self.out, strip),
            None => Ok(()),
        }
    }

    /// Everything that was told.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }
}
