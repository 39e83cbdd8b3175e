//! The command: lists the configurations and explores them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{CONFIGS, Config, named};
use crate::explore::{Report, explore};

/// Explores the core's machines in a small model, exhaustively.
#[derive(Debug, Parser)]
#[command(name = "firecamp-model", version, after_help = EXITS)]
struct Command {
    #[command(subcommand)]
    what: What,
}

const EXITS: &str = "Exit codes: 0 as expected; 1 not as expected; 2 wrong usage; 3 timeout before \
every state was checked.";

#[derive(Debug, Subcommand)]
enum What {
    /// Prints the configurations.
    List,
    /// Explores configurations.
    Check(Check),
}

#[derive(Debug, Args)]
struct Check {
    /// The configuration; may be repeated. Default: all configurations.
    #[arg(long = "config", value_name = "NAME")]
    configs: Vec<String>,
    /// Only the configurations that `cargo test` explores.
    #[arg(long, conflicts_with = "configs")]
    quick: bool,
    /// Stop after this many seconds for each configuration.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// The number of threads.
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, Into::into))]
    threads: usize,
    /// The expected result of each configuration.
    #[arg(long, value_enum, default_value_t = Expected::Holds)]
    expect: Expected,
    /// Write the reports to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Change a number of the configurations, for experiments: `crash=2`.
    #[arg(long = "set", value_name = "FIELD=NUMBER", value_parser = setting)]
    settings: Vec<(String, u8)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Expected {
    /// Every property holds in every state.
    Holds,
    /// Some property is violated.
    Violated,
}

fn setting(text: &str) -> Result<(String, u8), String> {
    let (field, number) = text.split_once('=').ok_or("expected FIELD=NUMBER")?;
    let number = number.parse().map_err(|error| format!("{number}: {error}"))?;
    if Config::default().with(field, number).is_none() {
        return Err(format!("no field {field}"));
    }
    Ok((field.to_owned(), number))
}

/// Runs the command and returns its exit code.
pub fn command() -> ExitCode {
    match Command::parse().what {
        What::List => {
            for Config { name, about, quick, .. } in CONFIGS {
                let when = if *quick { "cargo test" } else { "make model" };
                println!("{name:<16} {when:<11} {about}");
            }
            ExitCode::SUCCESS
        }
        What::Check(check) => check.run(),
    }
}

impl Check {
    fn run(self) -> ExitCode {
        let configs = match self.chosen() {
            Ok(configs) => configs,
            Err(name) => {
                eprintln!("no configuration {name}: see `firecamp-model list`");
                return ExitCode::from(2);
            }
        };
        let timeout = self.timeout.map(Duration::from_secs);
        let mut reports = Vec::new();
        let mut code = 0;
        println!("{HEAD}");
        for config in configs {
            let report = explore(config, self.threads, timeout);
            println!("{}", row(&report));
            print_report(&report);
            code = code.max(self.judge(&report));
            reports.push(report);
        }
        if let Some(file) = &self.json
            && let Err(error) = std::fs::write(file, json(&reports))
        {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
        ExitCode::from(code)
    }

    fn chosen(&self) -> Result<Vec<Config>, String> {
        let mut chosen: Vec<Config> = if self.configs.is_empty() {
            CONFIGS.iter().filter(|config| config.quick || !self.quick).copied().collect()
        } else {
            let named = |name: &String| named(name).ok_or_else(|| name.clone());
            self.configs.iter().map(named).collect::<Result<_, _>>()?
        };
        for (field, number) in &self.settings {
            for config in &mut chosen {
                *config = config.with(field, *number).ok_or_else(|| field.clone())?;
            }
        }
        Ok(chosen)
    }

    fn judge(&self, report: &Report) -> u8 {
        match self.expect {
            Expected::Violated => u8::from(report.broken.is_empty()),
            Expected::Holds if report.holds() => 0,
            Expected::Holds if report.broken.is_empty() && !report.explored => 3,
            Expected::Holds => 1,
        }
    }
}

const HEAD: &str = "configuration         states  transitions  depth   seconds  machines  result";

fn row(report: &Report) -> String {
    let Report { config, states, transitions, depth, seconds, machines, .. } = report;
    let result = if let Some(broken) = report.broken.first() {
        format!("BROKEN: {}", broken.property)
    } else if !report.explored {
        "NOT EXPLORED TO THE END".to_owned()
    } else if report.missing.is_empty() {
        "holds".to_owned()
    } else {
        format!("holds, but never reached: {}", report.missing.join(", "))
    };
    format!(
        "{config:<16} {states:>11} {transitions:>12} {depth:>6} {seconds:>9.1} {machines:>9}  {result}"
    )
}

fn print_report(report: &Report) {
    for broken in &report.broken {
        eprintln!("{}, after {} steps:", broken.property, broken.trace.len().saturating_sub(1));
        for line in &broken.trace {
            eprintln!("  {line}");
        }
    }
}

fn json(reports: &[Report]) -> String {
    serde_json::to_string_pretty(reports).unwrap_or_default()
}
