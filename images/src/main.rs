//! Packs the images of the compiled program; see `scripts/images.sh`.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use firecamp_images::make::{archives, root};
use firecamp_images::spec::{Platform, Release};

const USAGE: &str = "usage: firecamp-images archives|root BINARIES OUT TIME [REVISION [REGISTRY]]\n\
    archives: write OCI archives OUT/NAME.tar; root: write the root filesystem to OUT\n\
    TIME: the time of the commit, such as 2026-01-02T03:04:05Z\n";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(text) => print(&mut io::stdout(), &text, ExitCode::SUCCESS),
        Err(why) => print(&mut io::stderr(), &why, ExitCode::FAILURE),
    }
}

fn print(out: &mut dyn Write, text: &str, then: ExitCode) -> ExitCode {
    out.write_all(text.as_bytes()).map_or(ExitCode::FAILURE, |()| then)
}

fn run(args: &[String]) -> Result<String, String> {
    let arg = |index: usize| args.get(index).map(String::as_str).filter(|text| !text.is_empty());
    let (Some(kind), Some(binaries), Some(out), Some(time)) = (arg(0), arg(1), arg(2), arg(3))
    else {
        return Err(USAGE.to_owned());
    };
    let platform = Platform::of_this_machine();
    let release = Release {
        platform: platform.ok_or("firecamp-images: images are for amd64 and arm64 alone\n")?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: arg(4).unwrap_or_default().to_owned(),
        created: time.parse().map_err(|why| format!("{time}: {why}\n{USAGE}"))?,
    };
    let (binaries, out) = (Path::new(binaries), Path::new(out));
    let done = match kind {
        "archives" => archives(binaries, out, &release, arg(5)),
        "root" => root(binaries, out, &release).map(|()| String::new()),
        _ => return Err(USAGE.to_owned()),
    };
    done.map_err(|why| format!("firecamp-images: {why}\n"))
}
