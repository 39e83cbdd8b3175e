//! The boot record that the outer process sends to the first process of the box, over the pipe that
//! also carries signals. The end of the pipe ends the box.

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The initial state of links of ENIs beyond the primary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExtraEnis {
    /// Present and down, without an address, as EKS leaves an ENI that is attached later.
    #[default]
    Down,
    /// Up, without an address.
    Up,
}

/// The configuration of a box.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Boot {
    /// The spec, as TOML.
    pub(crate) spec: String,
    /// `fast` or `realistic`, if not the spec's.
    pub(crate) profile: Option<firecamp_vpc::ProfileName>,
    /// The seed, if not the spec's.
    pub(crate) seed: Option<u64>,
    /// The initial state of links of additional ENIs.
    pub(crate) extra_enis: ExtraEnis,
    /// The command; empty: stay up until a signal.
    pub(crate) command: Vec<String>,
    /// Without a command: end when standard input ends.
    pub(crate) until_eof: bool,
    /// Without a command: announce in JSON that the box is up.
    pub(crate) json: bool,
    /// The process ID of the outer process, as its caller sees it.
    pub(crate) outer: u32,
}

/// The largest accepted boot record.
const MAX_BOOT: usize = 16 * 1024 * 1024;

impl Boot {
    /// Writes the length and the record.
    pub(crate) fn send(&self, pipe: &mut impl Write) -> Result<(), Failure> {
        let failed = |e| Failure::kernel("write to", "the first process of the box", e);
        let body = serde_json::to_vec(self).map_err(|e| failed(e.into()))?;
        let length = format!("{:08x}", body.len());
        pipe.write_all(length.as_bytes()).and_then(|()| pipe.write_all(&body)).map_err(failed)
    }

    /// Reads exactly what [`Self::send`] wrote.
    pub(crate) fn receive(pipe: &mut impl Read) -> Result<Self, Failure> {
        let failed = |e| Failure::kernel("read from", "the outer process", e);
        let mut length = [0; 8];
        pipe.read_exact(&mut length).map_err(failed)?;
        let length = std::str::from_utf8(&length)
            .ok()
            .and_then(|text| usize::from_str_radix(text, 16).ok())
            .filter(|length| *length <= MAX_BOOT)
            .ok_or_else(|| failed(std::io::Error::other("not a boot record")))?;
        let mut body = vec![0; length];
        pipe.read_exact(&mut body).map_err(failed)?;
        serde_json::from_slice(&body).map_err(|e| failed(e.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot() -> Boot {
        Boot {
            spec: "[vpc]\ncidr = \"10.0.0.0/16\"\n".to_owned(),
            profile: Some(firecamp_vpc::ProfileName::Fast),
            seed: Some(7),
            extra_enis: ExtraEnis::Up,
            command: vec!["sh".to_owned(), "-c".to_owned(), "exit 3".to_owned()],
            until_eof: false,
            json: false,
            outer: 4711,
        }
    }

    #[test]
    fn a_boot_record_round_trips_and_leaves_later_bytes_in_the_pipe() {
        let mut pipe = Vec::new();
        boot().send(&mut pipe).unwrap();
        pipe.extend_from_slice(b"SIGTERM\n");
        let mut rest = pipe.as_slice();
        let received = Boot::receive(&mut rest).unwrap();
        assert_eq!((received.seed, received.outer), (Some(7), 4711));
        assert_eq!(received.command, boot().command);
        assert_eq!(received.spec, boot().spec);
        assert_eq!(rest, b"SIGTERM\n");
    }

    #[test]
    fn a_truncated_garbled_or_huge_record_is_refused() {
        let mut whole = Vec::new();
        boot().send(&mut whole).unwrap();
        for cut in 0..whole.len() {
            assert!(Boot::receive(&mut &whole[..cut]).is_err(), "cut after {cut} bytes");
        }
        for garbled in
            [&b"zzzzzzzz{}"[..], b"ffffffff{}", b"00000002[]", b"\xff\xff\xff\xff\xff\xff\xff\xff"]
        {
            assert!(Boot::receive(&mut &garbled[..]).is_err());
        }
    }
}
