//! The drawings of the page.

use std::fmt::Write;

use crate::event::{Began, Ran, Role, StepResult, Strip};
use crate::render::html::escape;
use crate::render::text;

/// Width of a drawing, in its own units.
const WIDTH: f64 = 1060.0;
/// The origin of the time axis; left of it are the names of the lanes.
const LEFT: f64 = 84.0;
/// Height of a lane and of what is drawn in it.
const LANE: f64 = 30.0;
const BAR: f64 = 18.0;
/// Room for the numbers of the steps above the lanes, and for the scale below them.
const TOP: f64 = 22.0;
const BOTTOM: f64 = 22.0;

/// Room for the number of a step, and for a time on the scale.
const NUMBER: f64 = 10.0;
const TIME: f64 = 48.0;

/// The data of the timeline.
pub(crate) struct Chart<'a> {
    pub(crate) began: &'a Began,
    pub(crate) steps: &'a [&'a StepResult],
    pub(crate) spans: &'a [&'a Ran],
    /// What the client saw during the run, if it is complete.
    pub(crate) all: Option<&'a Strip>,
}

/// Maps times to positions.
#[derive(Clone, Copy)]
struct Scale {
    from_us: u64,
    to_us: u64,
}

impl Scale {
    fn x(self, at_us: u64) -> f64 {
        let whole = self.to_us.saturating_sub(self.from_us).max(1);
        let part = at_us.clamp(self.from_us, self.to_us).saturating_sub(self.from_us);
        LEFT + (WIDTH - LEFT) * float(part) / float(whole)
    }
}

/// Precise enough for a drawing.
fn float(us: u64) -> f64 {
    u32::try_from(us / 100).map_or(f64::from(u32::MAX), f64::from)
}

/// A rectangle from one time to another.
struct Bar<'a> {
    span: (u64, u64),
    y: f64,
    height: f64,
    class: &'a str,
    title: String,
}

fn bar(out: &mut String, scale: Scale, bar: &Bar<'_>) {
    let Bar { span, y, height, class, title } = bar;
    let (x, end) = (scale.x(span.0), scale.x(span.1));
    // At least one pixel wide.
    let width = (end - x).max(1.0);
    let title = escape(title);
    // Writing to a string cannot fail.
    writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
         class=\"{class}\"><title>{title}</title></rect>"
    )
    .ok();
}

fn label(out: &mut String, (x, y): (f64, f64), class: &str, text: &str) {
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escape(text)).ok();
}

/// All of the run: a lane for each node, one for EC2 and one for the client.
pub(crate) fn timeline(chart: &Chart<'_>) -> String {
    let Chart { began, steps, spans, all } = chart;
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return String::new() };
    let scale = Scale { from_us: first.from_us, to_us: last.to_us };
    let lanes: Vec<&str> = began.nodes.iter().map(|node| node.name.as_str()).collect();
    let count = lanes.len().saturating_add(2);
    let bottom = lane_y(count);
    let height = bottom + BOTTOM;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Timeline of nodes, EC2 and client\">\n"
    );
    bands(&mut out, scale, steps, bottom);
    ticks(&mut out, scale, bottom);
    for (index, name) in lanes.iter().enumerate() {
        label(&mut out, (0.0, lane_y(index) + 14.0), "", name);
        let mine = spans.iter().filter(|ran| ran.node == **name);
        node_lane(&mut out, scale, (lane_y(index), index), &mine.copied().collect::<Vec<_>>());
    }
    label(&mut out, (0.0, lane_y(lanes.len()) + 14.0), "", "EC2");
    ec2_lane(&mut out, scale, steps, lane_y(lanes.len()));
    let client = lane_y(lanes.len().saturating_add(1));
    label(&mut out, (0.0, client + 14.0), "", &began.client.name);
    match all {
        Some(strip) => draw_strip(&mut out, scale, strip, client),
        None => steps.iter().for_each(|step| draw_strip(&mut out, scale, &step.strip, client)),
    }
    out + "</svg>\n"
}

fn lane_y(index: usize) -> f64 {
    TOP + LANE * u32::try_from(index).map_or(0.0, f64::from) + (LANE - BAR) / 2.0
}

fn bands(out: &mut String, scale: Scale, steps: &[&StepResult], bottom: f64) {
    let mut free = 0.0_f64;
    for (index, step) in steps.iter().enumerate() {
        if index % 2 == 0 {
            let title = step.title.clone();
            let span = (step.from_us, step.to_us);
            bar(out, scale, &Bar { span, y: 0.0, height: bottom, class: "band", title });
        }
        let x = (scale.x(step.from_us) + 3.0).max(free);
        free = x + NUMBER;
        label(out, (x, 14.0), "dim", &step.step.to_string());
    }
}

/// Pods on a node: containers opaque, servers pale.
fn node_lane(out: &mut String, scale: Scale, (y, index): (f64, usize), spans: &[&Ran]) {
    let pale = format!("n{index} thin");
    let full = format!("n{index}");
    for start in spans.iter().filter(|ran| ran.role == Role::ServerStart) {
        let end = spans.iter().find(|ran| ran.role == Role::ServerEnd && ran.pod == start.pod);
        let span = (start.to_us, end.map_or(scale.to_us, |end| end.from_us));
        let title = format!("server of {}", start.pod);
        bar(out, scale, &Bar { span, y, height: BAR, class: &pale, title });
    }
    for ran in spans.iter().filter(|ran| matches!(ran.role, Role::Init | Role::Stop)) {
        let span = (ran.from_us, ran.to_us);
        let took = text::span(ran.to_us.saturating_sub(ran.began_us));
        let title = format!("{} container of {}: {took}", ran.role.as_str(), ran.pod);
        bar(out, scale, &Bar { span, y, height: BAR, class: &full, title });
    }
}

/// Calls; behind a call that moves the address, the time until the move is verified.
fn ec2_lane(out: &mut String, scale: Scale, steps: &[&StepResult], y: f64) {
    for call in steps.iter().flat_map(|step| &step.calls) {
        let until = |after: u64| (call.at_us, call.at_us.saturating_add(after));
        if let Some(proven) = call.proven_after_us {
            let title = format!("{}: verified after {}", call.action, text::span(proven));
            let span = until(proven);
            bar(out, scale, &Bar { span, y, height: BAR, class: "ec2 thin", title });
        }
        let took = call.took_us.unwrap_or_default();
        let title = format!("{}: {} after {}", call.action, call.outcome, text::span(took));
        bar(out, scale, &Bar { span: until(took), y, height: BAR, class: "ec2", title });
    }
}

fn draw_strip(out: &mut String, scale: Scale, strip: &Strip, y: f64) {
    let mut at = strip.from_us;
    let mut rest = strip.text.chars().peekable();
    while let Some(letter) = rest.next() {
        let begin = at;
        at = at.saturating_add(strip.bucket_us);
        while rest.next_if_eq(&letter).is_some() {
            at = at.saturating_add(strip.bucket_us);
        }
        let node;
        let (class, what) = match letter {
            'a'..='z' => {
                node = format!("n{}", u32::from(letter).saturating_sub(u32::from('a')));
                (node.as_str(), "response")
            }
            '!' => ("wrong", "response from a wrong node"),
            '.' => ("silent", "no response"),
            _ => continue,
        };
        let title = format!("{what} for {}", text::span(at.saturating_sub(begin)));
        bar(out, scale, &Bar { span: (begin, at), y, height: BAR, class, title });
    }
}

fn ticks(out: &mut String, scale: Scale, bottom: f64) {
    let whole = scale.to_us.saturating_sub(scale.from_us);
    let steps = [50_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000];
    let every = steps.into_iter().find(|step| whole / step <= 14).unwrap_or(30_000_000);
    let mut at = 0;
    while at <= whole {
        let x = scale.x(scale.from_us.saturating_add(at));
        writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" class=\"tick\"/>"
        )
        .ok();
        let text =
            if every < 1_000_000 { text::seconds(at) } else { format!("{} s", at / 1_000_000) };
        if x + TIME <= WIDTH {
            label(out, (x + 2.0, bottom + 16.0), "dim", &text);
        }
        at = at.saturating_add(every);
    }
}

/// One step's strip, with the outage measured.
pub(crate) fn strip(began: &Began, step: &StepResult) -> String {
    let scale = Scale { from_us: step.from_us, to_us: step.to_us };
    let bottom = TOP + BAR + 4.0;
    let height = bottom + BOTTOM;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"What the client saw in step {}\">\n",
        step.step
    );
    ticks(&mut out, scale, bottom);
    label(&mut out, (0.0, TOP + 14.0), "", &began.client.name);
    draw_strip(&mut out, scale, &step.strip, TOP);
    if let Some(outage) = &step.outage {
        let (x, end) = (scale.x(outage.from_us), scale.x(outage.to_us));
        writeln!(
            out,
            "<path d=\"M{x:.1} {TOP} V12 H{end:.1} V{TOP}\" fill=\"none\" class=\"tick\"/>"
        )
        .ok();
        label(&mut out, (x + 4.0, 10.0), "dim", &text::span(outage.total_us));
    }
    out + "</svg>\n"
}

/// The legend of the colors.
pub(crate) fn legend(began: &Began) -> String {
    let mut out = "<p class=\"legend\">".to_owned();
    let mut entry = |class: &str, what: &str| {
        out.extend([format!(
            "<span><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\">\
             <rect width=\"14\" height=\"14\" class=\"{class}\"/></svg>{}</span> ",
            escape(what)
        )]);
    };
    for (index, node) in began.nodes.iter().enumerate() {
        entry(&format!("n{index}"), &format!("{}: init and stop container, responses", node.name));
    }
    entry("n0 thin", "server runs (pale)");
    entry("ec2", "call to EC2");
    entry("ec2 thin", "EC2 moves the address");
    entry("silent", "no response");
    entry("wrong", "response from a wrong node");
    out + "</p>\n"
}
