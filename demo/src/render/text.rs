//! Formats events as text, with colors but readable without them.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::event::{
    Began, Call, Check, Event, InitTime, Outage, Ran, Role, StepResult, Strip, Summary, Verdict,
};
use crate::format::{ms, privileges_in_words};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default();
/// One colour for each node, in the order of the nodes.
const NODES: [Style; 4] = [
    AnsiColor::Green.on_default(),
    AnsiColor::Blue.on_default(),
    AnsiColor::Magenta.on_default(),
    AnsiColor::Cyan.on_default(),
];
/// One fill character for each node, for output without colors.
const FILLINGS: [char; 4] = ['█', '▓', '▒', '░'];
/// Characters of a strip on one line.
const WIDTH: usize = 80;

/// The lines of one event, styled.
pub fn event(event: &Event) -> String {
    match event {
        Event::Began(began) => head(began),
        Event::StepBegan { step, title, story, .. } => {
            format!("\n{BOLD}{step}  {title}{BOLD:#}\n   {DIM}{story}{DIM:#}\n")
        }
        Event::Note { text, .. } => line("", text),
        Event::Ran(ran) => process(ran),
        Event::StepEnded(result) => step(result),
        Event::Ended(summary) => end(summary),
    }
}

/// A labelled line of a step.
fn line(label: &str, text: &str) -> String {
    format!("   {DIM}{label:<7}{DIM:#}{text}\n")
}

fn head(began: &Began) -> String {
    let Began { version, profile, build, seed, member, pool, nodes, client, every_ms, .. } = began;
    let mut text = format!(
        "{BOLD}FireCamp {version}: {member} keeps its address{BOLD:#}\n\
         {DIM}VPC in a box · {} EC2 · {build} build · seed {seed}{DIM:#}\n\n",
        profile.as_str()
    );
    for (index, node) in nodes.iter().enumerate() {
        let (style, filling) = appearance(index);
        text.extend([format!(
            "   {style}{filling}{style:#} {:<8} {:<12} {}\n",
            node.name, node.zone, node.address
        )]);
    }
    text.extend([format!("     {:<8} {:<12} {}", client.name, client.zone, client.address)]);
    text.extend([format!("   dials the member's address every {every_ms} ms\n")]);
    text.extend([format!("     pool     {pool}\n")]);
    text
}

fn appearance(index: usize) -> (Style, char) {
    let style = NODES.get(index).copied().unwrap_or_default();
    (style, FILLINGS.get(index).copied().unwrap_or('░'))
}

fn process(ran: &Ran) -> String {
    let took = ran.to_us.saturating_sub(ran.began_us);
    let text = match (ran.role, ran.exit) {
        (Role::Sandbox, _) => format!("network of its own after {}", span(took)),
        (Role::ServerStart, _) => format!("the server listens after {}", span(took)),
        (Role::ServerEnd, _) => format!("the server exited after {}", span(took)),
        (Role::Init | Role::Stop, Some(0)) => {
            format!("{} container: {}", ran.role.as_str(), span(took))
        }
        (Role::Init | Role::Stop, exit) => {
            let code = exit.map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
            format!(
                "{} container: {BAD}exited {code}{BAD:#} after {}",
                ran.role.as_str(),
                span(took)
            )
        }
    };
    let words = if ran.words.is_empty() { String::new() } else { format!(" · {}", ran.words) };
    line("pod", &format!("{} on {}  {text}{DIM}{words}{DIM:#}", ran.pod, ran.node))
}

fn step(result: &StepResult) -> String {
    let mut text = String::new();
    if result.calls.is_empty() {
        text += &line("EC2", "no calls");
    }
    for call in &result.calls {
        text += &line("EC2", &call_line(call));
    }
    if let Some(time) = &result.init {
        text += &line("init", &init(time));
    }
    if let Some(privileges) = result.privileges {
        text += &line("rights", &privileges_in_words(privileges));
    }
    if let Some(away) = result.restored_us {
        let away = span(away);
        text += &line("agent", &format!("restored the address after {BOLD}{away}{BOLD:#}"));
    }
    text += &strip(&result.strip);
    text += &line("", &seen(result));
    for check in &result.checks {
        text += &checked(check);
    }
    text
}

fn call_line(call: &Call) -> String {
    let outcome = if call.outcome == "ok" {
        format!("{GOOD}ok{GOOD:#}")
    } else {
        format!("{WARN}{}{WARN:#}", call.outcome)
    };
    let took = call.took_us.map(|took| format!(" {}", span(took))).unwrap_or_default();
    let kind = if call.mutating { "mutating" } else { "read" };
    let mut text = format!("{:<28} {:<8} {kind:<8} {outcome}{took}", call.action, call.caller);
    if call.is_agents() {
        text += if call.for_pod { " · agent, for the pod" } else { " · agent" };
    }
    if let (Some(routed), Some(proven)) = (call.routed_after_us, call.proven_after_us) {
        let (routed, proven) = (span(routed), span(proven));
        text.extend([format!(" · data path switched after {routed}, verified after {proven}")]);
    }
    text
}

fn init(time: &InitTime) -> String {
    let mut text = span(time.total_us);
    if time.ec2_us > 0 {
        text.extend([format!(" = EC2 {}", span(time.ec2_us))]);
        text.extend([format!(" + {BOLD}FireCamp {}{BOLD:#}", ms(time.own_us))]);
    } else {
        text.extend([format!(", {BOLD}FireCamp only{BOLD:#}")]);
    }
    if time.describe_us > 0 {
        text.extend([format!(" (including {} for Describe calls)", ms(time.describe_us))]);
    }
    text
}

fn seen(result: &StepResult) -> String {
    if let Some(outage) = &result.outage {
        return apart(outage);
    }
    let StepResult { answered, silent, .. } = result;
    format!("{answered} responses, {silent} attempts without a response")
}

fn apart(outage: &Outage) -> String {
    let mut parts = vec![format!("application {}", ms(outage.member_us))];
    if outage.ec2_us > 0 {
        parts.insert(0, format!("EC2 {}", span(outage.ec2_us)));
    }
    let (total, parts) = (span(outage.total_us), parts.join(" + "));
    format!("no response for {total} = {parts} + {BOLD}FireCamp {}{BOLD:#}", ms(outage.beyond_us))
}

fn checked(check: &Check) -> String {
    let Check { what, held, seen } = check;
    if *held {
        line("", &format!("{GOOD}✓{GOOD:#} {what}: {seen}"))
    } else {
        line("", &format!("{BAD}✗ {what}: {seen}{BAD:#}"))
    }
}

/// The strip, wrapped to the line width.
fn strip(strip: &Strip) -> String {
    let all: Vec<char> = strip.text.chars().collect();
    let mut text = String::new();
    for (row, part) in all.chunks(WIDTH).enumerate() {
        let part: String = part.iter().collect();
        let label = if row == 0 { "client" } else { "" };
        text += &line(label, &glyphs(&part));
    }
    text
}

/// Draws the characters of a strip.
pub(crate) fn glyphs(strip: &str) -> String {
    let mut text = String::new();
    let mut rest = strip.chars().peekable();
    while let Some(first) = rest.next() {
        let mut count = 1;
        while rest.next_if_eq(&first).is_some() {
            count += 1;
        }
        let (style, glyph) = match first {
            'a'..='z' => appearance(usize::from(u8::try_from(first).unwrap_or(b'a') - b'a')),
            '!' => (BAD, '!'),
            '.' => (DIM, '·'),
            other => (Style::new(), other),
        };
        let run: String = std::iter::repeat_n(glyph, count).collect();
        // Writing to a string cannot fail.
        write!(text, "{style}{run}{style:#}").ok();
    }
    text
}

fn end(summary: &Summary) -> String {
    let width = |pick: fn(&crate::event::Row) -> &str| {
        summary.rows.iter().map(|row| pick(row).chars().count()).max().unwrap_or_default()
    };
    let (what, goal) = (width(|row| &row.what), width(|row| &row.goal));
    let mut text = format!(
        "\n{BOLD}{:<what$}  {:<goal$}  {:<6}  measured{BOLD:#} {DIM}({} build, {} EC2){DIM:#}\n",
        "",
        "goal",
        "",
        summary.build,
        summary.profile.as_str()
    );
    for row in &summary.rows {
        let verdict = match (row.verdict, row.promise) {
            (Verdict::Met, _) => format!("{GOOD}met   {GOOD:#}"),
            (Verdict::Missed, true) => format!("{BAD}FAILED{BAD:#}"),
            (Verdict::Missed, false) => format!("{WARN}missed{WARN:#}"),
            (Verdict::NotJudged, _) => format!("{DIM}-     {DIM:#}"),
        };
        text.extend([format!(
            "{:<what$}  {:<goal$}  {verdict}  {}\n",
            row.what, row.goal, row.measured
        )]);
    }
    text + &verdict(summary)
}

fn verdict(summary: &Summary) -> String {
    let debug = if summary.build == "release" {
        ""
    } else {
        "The goals for times apply to a release build: use cargo demo --release.\n"
    };
    let seconds = seconds(summary.at_us);
    let Summary { address, attempts, .. } = summary;
    if summary.kept {
        format!(
            "\n{debug}{GOOD}All guarantees held{GOOD:#}: {attempts} attempts to reach {address} in \
             {seconds}, through restart, address removal, move, crash, node failure and \
             scale-down.\n"
        )
    } else {
        format!("\n{debug}{BAD}A guarantee was violated{BAD:#}: see the table.\n")
    }
}

/// A duration: seconds from one second on, otherwise milliseconds.
pub(crate) fn span(us: u64) -> String {
    if us >= 1_000_000 { seconds(us) } else { ms(us) }
}

/// Seconds with two decimal places.
pub(crate) fn seconds(us: u64) -> String {
    let hundredths = us.saturating_add(5_000) / 10_000;
    format!("{}.{:02} s", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(styled: &str) -> String {
        anstream::adapter::strip_str(styled).to_string()
    }

    #[test]
    fn nodes_are_distinguishable_without_colors() {
        assert_eq!(plain(&glyphs("aab..!c ")), "██▓··!▒ ");
    }

    #[test]
    fn a_long_strip_is_wrapped() {
        let long = Strip { from_us: 0, bucket_us: 50_000, text: "a".repeat(200) };
        let drawn = plain(&strip(&long));
        assert_eq!(drawn.lines().count(), 3);
        assert_eq!(drawn.matches('█').count(), 200);
    }

    #[test]
    fn durations_have_the_right_unit() {
        assert_eq!(span(999_499), "999 ms");
        assert_eq!(span(2_345_000), "2.35 s");
        assert_eq!(seconds(0), "0.00 s");
    }

    #[test]
    fn a_failed_container_is_highlighted() {
        let ran = Ran {
            step: 1,
            role: Role::Init,
            pod: "pod-1".to_owned(),
            node: "node-a".to_owned(),
            from_us: 0,
            began_us: 0,
            to_us: 1_000,
            exit: Some(12),
            words: "the ENI is full".to_owned(),
        };
        assert!(process(&ran).contains(&format!("{BAD}exited 12{BAD:#}")));
        assert!(plain(&process(&ran)).contains("the ENI is full"));
    }
}
