//! Quantities of Kubernetes, such as `10Gi`. Pure.

/// The bytes of a quantity; none if the text is no quantity. A size of EBS, at most 64 TiB, is
/// exact.
pub fn bytes(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let factor = match suffix {
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 2_f64.powi(10),
        "Mi" => 2_f64.powi(20),
        "Gi" => 2_f64.powi(30),
        "Ti" => 2_f64.powi(40),
        "Pi" => 2_f64.powi(50),
        "Ei" => 2_f64.powi(60),
        _ => 10_f64.powi(suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let gib = f64::from(1 << 30);
        for (text, expected) in [
            ("1Gi", gib),
            ("0.5Ti", 512.0 * gib),
            ("1073741824", gib),
            ("10G", 1e10),
            ("1e10", 1e10),
            ("1E3", 1e3),
            ("2E", 2e18),
            ("1500m", 1.5),
        ] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for text in ["", "Gi", "ten", "1GB", "-1Gi", "1 Gi", "1.2.3", "1e"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
