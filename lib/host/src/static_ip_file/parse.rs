//! The strict reader of the static-IP file.

use std::net::Ipv4Addr;

use thiserror::Error;

/// Why bytes are not the content of a static-IP file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// The file is empty.
    #[error("the static-IP file is empty")]
    Empty,
    /// The content is not exactly one address.
    #[error("the static-IP file has {length} bytes, which are not one IPv4 address")]
    NotOneAddress {
        /// The number of bytes. Not the bytes themselves: they are untrusted, and this text is
        /// logged.
        length: usize,
    },
}

/// Parses one dotted IPv4 address with at most one newline after it, and nothing else (F010).
/// The result only confirms the content on disk; it authorises nothing.
pub fn parse(content: &[u8]) -> Result<Ipv4Addr, ParseError> {
    let text = content.strip_suffix(b"\n").unwrap_or(content);
    if text.is_empty() {
        return Err(ParseError::Empty);
    }
    let wrong = ParseError::NotOneAddress { length: content.len() };
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn f010_no_content_or_only_a_newline_is_empty() {
        assert_eq!(parse(b""), Err(ParseError::Empty));
        assert_eq!(parse(b"\n"), Err(ParseError::Empty));
    }

    #[test]
    fn f010_anything_but_one_address_is_an_error() {
        let wrong: [&[u8]; 14] = [
            b"10.0.0",
            b"10.0.0.",
            b"10.0.0.256",
            b"10.0.0.01",
            b"10.0.0.1/32",
            b"10.0.0.1\n\n",
            b"10.0.0.1\r\n",
            b" 10.0.0.1",
            b"10.0.0.1 ",
            b"10.0.0.1\0",
            b"10.0.0.510.0.0.5",
            b"10.0.0.1\n10.0.0.2",
            b"::ffff:10.0.0.1",
            b"\xff\xfe1",
        ];
        for content in wrong {
            let length = content.len();
            assert_eq!(parse(content), Err(ParseError::NotOneAddress { length }), "{content:?}");
        }
    }

    proptest! {
        #[test]
        fn f010_every_address_is_read_with_and_without_a_newline(bits in any::<u32>()) {
            let address = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(parse(address.to_string().as_bytes()), Ok(address));
            prop_assert_eq!(parse(format!("{address}\n").as_bytes()), Ok(address));
        }

        #[test]
        fn f010_parsed_content_is_what_would_be_written(
            bytes in prop::collection::vec(any::<u8>(), 0..24),
        ) {
            if let Ok(address) = parse(&bytes) {
                let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                prop_assert_eq!(text.to_vec(), address.to_string().into_bytes());
            }
        }

        #[test]
        fn f010_changed_byte_never_parses_as_the_old_address(
            bits in any::<u32>(), at in any::<prop::sample::Index>(), byte in any::<u8>()
        ) {
            let mut bytes = Ipv4Addr::from_bits(bits).to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(address) = parse(&bytes) {
                let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                prop_assert_eq!(text.to_vec(), address.to_string().into_bytes());
            }
        }

        #[test]
        fn f010_truncated_or_doubled_content_never_parses_as_another_address(bits in any::<u32>()) {
            let text = Ipv4Addr::from_bits(bits).to_string();
            let doubled = format!("{text}{text}");
            prop_assert!(parse(doubled.as_bytes()).is_err());
            let dots_cut = text.rsplit_once('.').map(|(head, _)| head.to_owned()).unwrap();
            prop_assert!(parse(dots_cut.as_bytes()).is_err());
        }
    }
}
