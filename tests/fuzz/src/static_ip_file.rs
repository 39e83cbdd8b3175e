//! The content of a static-IP file.

use std::net::Ipv4Addr;

/// Only a canonical address with at most one newline parses.
pub fn static_ip_file(input: &[u8]) {
    let text = input.strip_suffix(b"\n").unwrap_or(input);
    let read = firecamp_host::parse(input).ok();
    assert_eq!(read, strict(text));
    if let Some(address) = read {
        assert_eq!(address.to_string().as_bytes(), text, "a non-canonical address was parsed");
        assert!(
            firecamp_host::parse(&[text, text].concat()).is_err(),
            "two concatenated addresses were parsed"
        );
    }
}

/// Four numbers below 256, without leading zeros, separated by dots.
fn strict(text: &[u8]) -> Option<Ipv4Addr> {
    let parts: Option<Vec<u8>> = text.split(|byte| *byte == b'.').map(number).collect();
    let octets: [u8; 4] = parts?.try_into().ok()?;
    Some(octets.into())
}

fn number(digits: &[u8]) -> Option<u8> {
    let canonical = digits.len() == 1 || digits.first() != Some(&b'0');
    if !canonical || !(1..=3).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    u8::try_from(value).ok()
}
