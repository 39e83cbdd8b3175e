//! Reports slow operations on standard error.

use std::io::Write;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

/// An operation that takes longer is reported, repeatedly at this interval.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Unchanged progress of a longer wait is reported again after this time.
const AGAIN: Duration = Duration::from_secs(15);

/// Waits for the work and reports meanwhile what it waits for. Boxed, because the futures of the
/// clients are large, and a future that awaits several of them would contain them all.
pub fn during<'a, T: 'a>(
    what: &'a str,
    work: impl Future<Output = T> + 'a,
) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    Box::pin(async move { report_slow(what, PATIENCE, &mut std::io::stderr(), work).await })
}

async fn report_slow<T>(
    what: &str,
    patience: Duration,
    to: &mut impl Write,
    work: impl Future<Output = T>,
) -> T {
    let begun = Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(patience, &mut work).await {
            Ok(done) => return done,
            Err(_elapsed) => {
                let seconds = begun.elapsed().as_secs();
                // If standard error is closed, the work still continues.
                writeln!(to, "firecamp: still waiting after {seconds} s: {what}").ok();
            }
        }
    }
}

/// Writes a line of progress.
pub fn to_stderr(line: &str) {
    let text = format!("firecamp: {line}\n");
    // If standard error is closed, the command still continues.
    std::io::stderr().write_all(text.as_bytes()).ok();
}

/// The last reported progress, and when it was reported.
#[derive(Debug, Default)]
pub struct Reported {
    line: String,
    at: Duration,
}

impl Reported {
    /// Reports progress if it has changed, and unchanged progress from time to time.
    pub fn report(&mut self, after: Duration, line: String, report: &mut dyn FnMut(&str)) {
        let due = line != self.line || after.saturating_sub(self.at) >= AGAIN;
        if after < PATIENCE || !due {
            return;
        }
        report(&format!("{line} ({} s)", after.as_secs()));
        (self.line, self.at) = (line, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shown(takes: Duration) -> String {
        let mut text = Vec::new();
        report_slow("read the StaticIPs", PATIENCE, &mut text, tokio::time::sleep(takes)).await;
        String::from_utf8(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_operations_are_reported_repeatedly() {
        assert_eq!(shown(Duration::from_millis(1900)).await, "");
        let long = shown(Duration::from_millis(4500)).await;
        assert_eq!(
            long,
            "firecamp: still waiting after 2 s: read the StaticIPs\n\
             firecamp: still waiting after 4 s: read the StaticIPs\n"
        );
    }
}
