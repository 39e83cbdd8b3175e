//! Generates pages of the documentation from the code.

use clap::{Arg, Command, CommandFactory};
use firecamp_core::contract::env;
use firecamp_core::contract::event::Notice;
use firecamp_core::contract::exit::{CheckExit, Exit, by_command};

use crate::flags::{AgentFlags, InitFlags, StopFlags};

const GENERATED: &str = "<!-- Generated from the code: `BLESS=1 cargo test -p firecamp-run`. -->\n";

/// `docs/exit-codes.md`.
pub fn exit_codes() -> String {
    let mut page = format!(
        "# Exit codes\n\n{GENERATED}\nInit container, stop container and agent use the same exit \
         codes. The last line of the log,\nwhich is also the termination message (`kubectl get pod \
         -o yaml`,\n`lastState.terminated.message`), is one line of JSON with the reason, the \
         message and the advice\nof this table.\n\n*Retryable*: another run can succeed without \
         any change. Kubernetes restarts a failed init container\nin either case.\n\n\
         | Code | Reason | Retryable | What to do |\n| ---: | --- | --- | --- |\n"
    );
    for exit in Exit::ALL {
        let again = if exit.retryable() { "yes" } else { "no" };
        let again = if exit == Exit::Success { "" } else { again };
        let row = [&exit.code().to_string(), exit.reason(), again, exit.advice()].map(cell);
        page.push_str(&format_row(&row));
    }
    page + &events() + &commands()
}

/// The exit codes of the commands of `firecamp`.
fn commands() -> String {
    let mut text = "\n## The firecamp command\n\nEach [command](cli.md) exits with a code of the \
                    first table, if it cannot do its work, or with one of these. `firecamp \
                    status` and\n`firecamp support-bundle` list theirs with `--help`.\n\n\
                    | Command | Code | Meaning |\n| --- | ---: | --- |\n"
        .to_owned();
    let checks = CheckExit::ALL.map(|end| (end.code(), end.meaning())).to_vec();
    let checks = ("`firecamp doctor`, `explain`, `node`, `service status`".to_owned(), checks);
    let others = by_command().map(|(command, codes)| (format!("`firecamp {command}`"), codes));
    for (command, codes) in [checks].into_iter().chain(others) {
        for (code, meaning) in codes {
            text.push_str(&format_row(&[command.clone(), code.to_string(), cell(meaning)]));
        }
    }
    text
}

/// The Events of the containers.
fn events() -> String {
    let mut text = "\n## Events\n\nIn direct mode the containers also write an Event \
         (`events.k8s.io/v1`) on the pod, with the StaticIP\nas related object: `kubectl describe \
         pod redis-0`. With the label, the agent writes it for them,\nexcept \
         where the container asks again (AgentUnavailable, TokenRefused): then only its\n\
         termination message says why. Each run makes at most one short attempt; a failure is \
         only\nlogged. A run that a signal terminated writes no Event. The other Events of the \
         agent are in\n[status.md](status.md).\n\n\
         | Reason | Type | Meaning |\n| --- | --- | --- |\n"
        .to_owned();
    for notice in Notice::ALL {
        let kind = if notice.warns() { "Warning" } else { "Normal" };
        let row = [notice.reason(), kind, notice.meaning()].map(cell);
        text.push_str(&format_row(&row));
    }
    text
}

/// `docs/configuration.md`.
pub fn configuration() -> String {
    let mut page = format!(
        "# Configuration\n\n{GENERATED}\nEach flag has an environment variable with the same \
         meaning; the flag takes precedence. Flags\ncan have one dash or two, and the value \
         follows `=` or a space. An empty variable or an invalid\nvalue is an error: the process \
         reports all errors and exits with 2.\n\nDurations are whole numbers with the unit `ms`, \
         `s`, `m` or `h` (default: seconds), at most 24 h.\nBooleans are `true` or `false`; a \
         flag without a value is `true`.\n\n"
    );
    for command in [InitFlags::command(), StopFlags::command(), AgentFlags::command()] {
        page.push_str(&section(&command));
    }
    page.push_str(&other_variables());
    page
}

fn other_variables() -> String {
    format!(
        "## Other variables\n\n| Variable | Meaning |\n| --- | --- |\n\
         | `{}` | if `true`, the containers do and check nothing: the init container and \
         `release` exit with 0 immediately, `wait` exits with 0 at SIGTERM. An invalid boolean \
         counts as false |\n\
         | `{}` | the log level, if `{}` is not set |\n\
         | `NO_COLOR` | disables colors in the log on a terminal |\n\
         | `AWS_*` | the variables of the AWS SDK: region, credentials, endpoints \
         (`AWS_ENDPOINT_URL_EC2`, `AWS_EC2_METADATA_SERVICE_ENDPOINT`) |\n\n\
         The flags of glog, the original's logging library (`-logtostderr`, `-alsologtostderr`, \
         `-stderrthreshold`,\n`-v`, `-vmodule`, `-log_backtrace_at`, `-log_dir`) are accepted and \
         ignored.\n",
        env::TESTMODE,
        env::RUST_LOG,
        env::LOG_LEVEL,
    )
}

fn section(command: &Command) -> String {
    let mut text = format!("## {}\n\n", command.get_name());
    if command.has_subcommands() {
        text.push_str("| Command | Meaning |\n| --- | --- |\n");
        for command in command.get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            text.push_str(&format_row(&[code(command.get_name()), cell(&about)]));
        }
        text.push('\n');
    }
    text.push_str("| Flag | Variable | Default | Meaning |\n| --- | --- | --- | --- |\n");
    for flag in command.get_arguments().filter(|flag| flag.get_env().is_some()) {
        text.push_str(&format_row(&row(flag)));
    }
    text.push('\n');
    text
}

fn row(flag: &Arg) -> [String; 4] {
    let name = format!("--{}", flag.get_long().unwrap_or_default());
    let variable = flag.get_env().map(|name| name.to_string_lossy().into_owned());
    let defaults: Vec<_> =
        flag.get_default_values().iter().map(|value| code(&value.to_string_lossy())).collect();
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    [code(&name), code(&variable.unwrap_or_default()), defaults.join(", "), cell(&help)]
}

fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn format_row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}
