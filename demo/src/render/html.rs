//! Formats a run as one self-contained page, without scripts and external resources.

use std::fmt::Write;

use crate::event::{Began, Check, Event, Ran, StepResult, Summary, Verdict};
use crate::format::{calls_in_words, ms, privileges_in_words};
use crate::render::svg::{self, Chart};
use crate::render::text;

const STYLE: &str = include_str!("page.css");

/// The page of a run.
pub fn page(events: &[Event]) -> String {
    let mut began: Option<&Began> = None;
    let mut summary: Option<&Summary> = None;
    let mut steps: Vec<&StepResult> = Vec::new();
    let mut stories: Vec<(u8, &str)> = Vec::new();
    let mut spans: Vec<&Ran> = Vec::new();
    for event in events {
        match event {
            Event::Began(event) => began = Some(event),
            Event::StepBegan { step, story, .. } => stories.push((*step, story)),
            Event::Ran(ran) => spans.push(ran),
            Event::StepEnded(result) => steps.push(result),
            Event::Ended(event) => summary = Some(event),
            Event::Note { .. } => {}
        }
    }
    let mut body = String::new();
    if let Some(began) = began {
        body += &head(began, summary);
        body += &svg::timeline(&Chart {
            began,
            steps: &steps,
            spans: &spans,
            all: summary.map(|all| &all.strip),
        });
        body += &svg::legend(began);
    }
    if let Some(summary) = summary {
        body += &table(summary);
    }
    for step in steps {
        let story = stories.iter().find(|(number, _)| *number == step.step);
        body += &section(step, story.map(|(_, story)| *story).unwrap_or_default(), began);
    }
    let title = began.map(|began| format!("FireCamp demo: {} keeps its address", began.member));
    document(&title.unwrap_or_else(|| "FireCamp demo".to_owned()), &body)
}

fn document(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         {body}</main>\n</body>\n</html>\n"
    )
}

fn head(began: &Began, summary: Option<&Summary>) -> String {
    let Began { version, profile, build, seed, member, pool, client, every_ms, .. } = began;
    let mut text = format!("<h1>{} keeps its address</h1>\n", escape(member));
    text.extend([format!(
        "<p class=\"dim\">FireCamp {}, VPC in a box, {} EC2, {} build, seed {seed}</p>\n",
        escape(version),
        profile.as_str(),
        escape(build)
    )]);
    let verdict = match summary {
        Some(summary) if summary.kept => format!(
            "<p><strong class=\"met\">All guarantees held</strong>: {} attempts to reach {} in \
             {}.",
            summary.attempts,
            summary.address,
            text::seconds(summary.at_us)
        ),
        Some(_) => {
            "<p><strong class=\"missed\">A guarantee was violated</strong>: see the table.".into()
        }
        None => "<p><strong class=\"missed\">The run is incomplete.</strong>".to_owned(),
    };
    let (zone, pool) = (escape(&client.zone), escape(pool));
    text + &format!(
        "{verdict} A client in {zone} dials the member's address every {every_ms} ms. \
         Pool: {pool}.</p>\n"
    )
}

fn table(summary: &Summary) -> String {
    let mut text = format!(
        "<h2>Goals and measurements</h2>\n<p class=\"dim\">{} build, {} EC2.{}</p>\n\
         <div class=\"wide\"><table>\n<thead><tr><th>What</th><th>Goal</th><th>Measured</th>\
         <th>Result</th></tr></thead>\n<tbody>\n",
        escape(&summary.build),
        summary.profile.as_str(),
        if summary.build == "release" {
            ""
        } else {
            " The goals for times apply to a release build."
        }
    );
    for row in &summary.rows {
        let (class, word) = match (row.verdict, row.promise) {
            (Verdict::Met, _) => ("met", "met"),
            (Verdict::Missed, true) => ("missed", "failed"),
            (Verdict::Missed, false) => ("late", "missed"),
            (Verdict::NotJudged, _) => ("", "-"),
        };
        // Writing to a string cannot fail.
        writeln!(
            text,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
            escape(&row.what),
            escape(&row.goal),
            escape(&row.measured)
        )
        .ok();
    }
    text + "</tbody>\n</table></div>\n"
}

fn section(step: &StepResult, story: &str, began: Option<&Began>) -> String {
    let mut text = format!(
        "<section>\n<h2>{}. {}</h2>\n<p>{}</p>\n",
        step.step,
        escape(&step.title),
        escape(story)
    );
    if let Some(began) = began {
        text += &svg::strip(began, step);
    }
    text += "<ul>\n";
    for fact in facts(step) {
        text.extend([format!("<li>{fact}</li>\n")]);
    }
    text += "</ul>\n";
    if !step.calls.is_empty() {
        text += &calls(step);
    }
    text + "</section>\n"
}

fn facts(step: &StepResult) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(outage) = &step.outage {
        facts.push(format!(
            "No response for <b>{}</b>: {}application {}, FireCamp <b>{}</b>.",
            text::span(outage.total_us),
            ec2(outage.ec2_us),
            ms(outage.member_us),
            ms(outage.beyond_us)
        ));
    } else {
        let (answered, silent) = (step.answered, step.silent);
        facts.push(format!("{answered} responses, {silent} attempts without a response."));
    }
    if let Some(time) = &step.init {
        let describe = match time.describe_us {
            0 => String::new(),
            part => format!(", including {} for Describe calls", ms(part)),
        };
        facts.push(format!(
            "Init container: {}, {}FireCamp <b>{}</b>{describe}.",
            text::span(time.total_us),
            ec2(time.ec2_us),
            ms(time.own_us)
        ));
    }
    if let Some(privileges) = step.privileges {
        facts.push(format!(
            "Privileges of the init container: {}.",
            privileges_in_words(privileges)
        ));
    }
    if let Some(stop) = step.stop_us {
        facts.push(format!("Stop container: {} from SIGTERM to exit.", text::span(stop)));
    }
    facts.push(format!("{}.", calls_in_words(&step.calls)));
    facts.extend(step.checks.iter().map(check));
    facts
}

/// The time of EC2, if any.
fn ec2(us: u64) -> String {
    if us == 0 { String::new() } else { format!("EC2 {}, ", text::span(us)) }
}

fn check(check: &Check) -> String {
    let (class, sign) = if check.held { ("met", "✓") } else { ("missed", "✗") };
    let (what, seen) = (escape(&check.what), escape(&check.seen));
    format!("<span class=\"{class}\">{sign}</span> {what}: {seen}")
}

fn calls(step: &StepResult) -> String {
    let mut text = "<div class=\"wide\"><table>\n<thead><tr><th>EC2 call</th><th>By</th>\
                    <th>Kind</th><th>Outcome</th><th>Response after</th>\
                    <th>Data path switched after</th><th>Verified after</th></tr>\
                    </thead>\n<tbody>\n"
        .to_owned();
    for call in &step.calls {
        let time = |time: Option<u64>| time.map_or_else(|| "–".to_owned(), text::span);
        // Writing to a string cannot fail.
        writeln!(
            text,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td></tr>",
            escape(&call.action),
            escape(&call.caller),
            if call.mutating { "mutating" } else { "read" },
            escape(&call.outcome),
            time(call.took_us),
            time(call.routed_after_us),
            time(call.proven_after_us)
        )
        .ok();
    }
    text + "</tbody>\n</table></div>\n"
}

/// Escapes text for use between tags and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    }

    #[test]
    fn an_incomplete_run_is_a_complete_page() {
        let page = page(&[]);
        assert!(page.starts_with("<!doctype html>"));
        assert!(page.ends_with("</html>\n"));
    }
}
