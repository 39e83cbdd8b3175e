//! `firecamp-crashes`: enumerates all crashes, or replays one run: `firecamp-crashes SCENARIO
//! killed|frozen|powerless same-pod|elsewhere|nothing BOUNDARY [BOUNDARY]`.

use std::io::{self, Write as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (text, good) = firecamp_histories::crashes::cli::run(&words);
    let written = writeln!(io::stdout(), "{text}");
    if good && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
