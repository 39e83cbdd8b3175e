//! What takes long says so on standard error, so that nobody waits before a silent terminal.

use std::io::Write;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

/// Nothing is said before that.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for the work and says meanwhile what is waited for. Boxed, because the futures of the
/// clients are large, and who waits for several of them would be all of them together.
pub fn during<'a, T: 'a>(
    what: &'a str,
    work: impl Future<Output = T> + 'a,
) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    Box::pin(async move { said(what, PATIENCE, &mut std::io::stderr(), work).await })
}

async fn said<T>(
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
                // If standard error is gone there is nobody left to tell.
                writeln!(to, "firecamp: still busy after {seconds} s: {what}").ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shown(takes: Duration) -> String {
        let mut text = Vec::new();
        said("read the StaticIPs", PATIENCE, &mut text, tokio::time::sleep(takes)).await;
        String::from_utf8(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_takes_long_is_told_and_then_again_and_again() {
        assert_eq!(shown(Duration::from_millis(1900)).await, "");
        let long = shown(Duration::from_millis(4500)).await;
        assert_eq!(
            long,
            "firecamp: still busy after 2 s: read the StaticIPs\n\
             firecamp: still busy after 4 s: read the StaticIPs\n"
        );
    }
}
