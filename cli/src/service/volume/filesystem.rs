//! Recognizes the filesystem of a volume by its first bytes. Pure.

use std::fmt;

use clap::ValueEnum;

/// The filesystem that the user states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Filesystem {
    /// ext4
    Ext4,
    /// XFS, the filesystem of the original FireCamp
    Xfs,
}

/// What the first bytes of a volume are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A filesystem that a member can have.
    Filesystem(Filesystem),
    /// ext2 or ext3.
    OlderExt,
    /// A boot sector, as disks with partitions have it.
    BootSector,
    /// Nothing that this program knows.
    Nothing,
    /// The bytes could not be read.
    Unreadable(String),
}

/// Prints the bytes that [`Found::parse`] needs: the first 4, the 2 at the end of the first sector,
/// and those of an ext superblock from its magic number to its features.
pub const SCRIPT: &str = "\
{ od -An -v -tx1 -N4 /dev/firecamp-volume
  od -An -v -tx1 -j510 -N2 /dev/firecamp-volume
  od -An -v -tx1 -j1080 -N48 /dev/firecamp-volume
} > /dev/termination-log 2>&1";

/// The device in the pod that runs [`SCRIPT`].
pub const DEVICE: &str = "/dev/firecamp-volume";

/// The number of bytes that [`SCRIPT`] prints.
const BYTES: usize = 4 + 2 + 48;

/// Features that ext3 may have. Others make it ext4, as for libblkid.
const EXT3_INCOMPATIBLE: u32 = 0x16;
/// The same of the features that permit to mount it read-only.
const EXT3_READ_ONLY: u32 = 0x7;

impl Filesystem {
    /// The name in Kubernetes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

impl Found {
    /// Parses what [`SCRIPT`] printed.
    pub fn parse(output: &str) -> Self {
        let words: Vec<&str> = output.split_whitespace().collect();
        let bytes = words.iter().map(|word| u8::from_str_radix(word, 16));
        match bytes.collect::<Result<Vec<u8>, _>>() {
            Ok(bytes) if bytes.len() == BYTES => Self::of(&bytes),
            Ok(bytes) if bytes.is_empty() => Self::Unreadable("the pod printed nothing".to_owned()),
            Ok(_) | Err(_) => Self::Unreadable(words.join(" ")),
        }
    }

    fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(b"XFSB") {
            return Self::Filesystem(Filesystem::Xfs);
        }
        let (sector, ext) = bytes.split_at(6);
        if ext.starts_with(&[0x53, 0xef]) {
            let features = |at| ext.get(at..at + 4).and_then(|four| four.try_into().ok());
            let features = |at| features(at).map_or(0, u32::from_le_bytes);
            // The superblock has them 40 and 44 bytes behind its magic number.
            let is_ext4 =
                features(40) & !EXT3_INCOMPATIBLE != 0 || features(44) & !EXT3_READ_ONLY != 0;
            return if is_ext4 { Self::Filesystem(Filesystem::Ext4) } else { Self::OlderExt };
        }
        if sector.ends_with(&[0x55, 0xaa]) { Self::BootSector } else { Self::Nothing }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filesystem(one) => write!(f, "the filesystem {}", one.as_str()),
            Self::OlderExt => f.write_str("the filesystem ext2 or ext3"),
            Self::BootSector => f.write_str("a boot sector, as disks with partitions have it"),
            Self::Nothing => f.write_str("neither an XFS nor an ext4 superblock"),
            Self::Unreadable(why) => f.write_str(why),
        }
    }
}
