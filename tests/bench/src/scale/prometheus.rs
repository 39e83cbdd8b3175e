//! Reads metrics in Prometheus' text format.

/// The sum of all series of a metric whose labels contain every one of these texts, such as
/// `operation="list`. 0 without any.
pub(super) fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (own, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None => ("", rest),
        };
        let wanted = value.starts_with(' ') && labels.iter().all(|label| own.contains(label));
        wanted.then(|| value.trim().parse::<f64>().ok()).flatten()
    });
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE requests counter\n\
        requests{verb=\"LIST\",code=\"200\"} 3\n\
        requests{verb=\"WATCH\",code=\"200\"} 4\n\
        requests{verb=\"LIST\",code=\"500\"} 1e1\n\
        requests_sum 7\n\
        bytes 1.5e+06\n";

    #[test]
    fn series_are_summed_by_name_and_labels() {
        assert!((sum(TEXT, "requests", &[]) - 17.0).abs() < 1e-9);
        assert!((sum(TEXT, "requests", &["verb=\"LIST"]) - 13.0).abs() < 1e-9);
        assert!((sum(TEXT, "requests", &["verb=\"LIST", "code=\"2"]) - 3.0).abs() < 1e-9);
        assert!((sum(TEXT, "bytes", &[]) - 1.5e6).abs() < 1e-9);
        assert!(sum(TEXT, "absent", &[]).abs() < 1e-9);
    }
}
