//! Which addresses on the node's links are FireCamp's.

use nix::sys::utsname::uname;

use crate::kernel::address;
use crate::lock::record::Recorded;

/// Whether the kernel stores a protocol tag for addresses (IFA_PROTO).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressTags {
    /// It does (Linux 5.18 and later): an address with FireCamp's tag is FireCamp's.
    Kept,
    /// It ignores tags: an address without a tag is FireCamp's if the lock record says that
    /// FireCamp added it. Caveat: if a FireCamp process dies between writing the record and adding
    /// the address, and another program then adds the same /32, it counts as FireCamp's.
    Ignored,
}

impl AddressTags {
    /// The behaviour of the running kernel, by its release. A vendor kernel with a backport of
    /// IFA_PROTO works too: an existing tag always counts.
    pub fn of_this_kernel() -> Self {
        let release = uname().map(|name| name.release().to_string_lossy().into_owned());
        release.map_or(Self::Kept, |text| Self::of_release(&text))
    }

    fn of_release(release: &str) -> Self {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (5, 18) => Self::Ignored,
            _newer_or_unreadable => Self::Kept,
        }
    }
}

/// Whether FireCamp owns the /32 on a link.
pub(crate) fn is_ours(one: &address::Assigned, recorded: &Recorded, tags: AddressTags) -> bool {
    let by_record = match tags {
        AddressTags::Kept => false,
        AddressTags::Ignored => one.protocol.is_none() && recorded.added(),
    };
    one.tagged() || by_record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_before_5_18_ignore_tags() {
        assert_eq!(AddressTags::of_release("5.17.9-arch"), AddressTags::Ignored);
        assert_eq!(AddressTags::of_release("4.14.355-275.amzn2"), AddressTags::Ignored);
        assert_eq!(AddressTags::of_release("5.18.0"), AddressTags::Kept);
        assert_eq!(AddressTags::of_release("6.1.0-49-cloud"), AddressTags::Kept);
        assert_eq!(AddressTags::of_release("unreadable"), AddressTags::Kept);
    }
}
