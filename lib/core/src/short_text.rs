//! Texts that hardly any two objects have in common.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use tinystr::TinyAsciiStr;

/// An ASCII text of up to `N` characters is kept in place: tens of thousands of records have their
/// own UIDs and versions, and a block of the heap for each would need more than its text.
#[derive(Clone)]
pub(crate) enum ShortText<const N: usize> {
    InPlace(TinyAsciiStr<N>),
    Elsewhere(Arc<str>),
}

impl<const N: usize> From<&str> for ShortText<N> {
    fn from(text: &str) -> Self {
        let short = TinyAsciiStr::try_from_str(text);
        short.map_or_else(|_long| Self::Elsewhere(Arc::from(text)), Self::InPlace)
    }
}

impl<const N: usize> Deref for ShortText<N> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::InPlace(text) => text.as_str(),
            Self::Elsewhere(text) => text,
        }
    }
}

impl<const N: usize> fmt::Debug for ShortText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<const N: usize> PartialEq for ShortText<N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const N: usize> Eq for ShortText<N> {}

impl<const N: usize> PartialOrd for ShortText<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for ShortText<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<const N: usize> Hash for ShortText<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_itself_and_in_order_whether_it_is_short_or_long() {
        let mut all = ["b", "", "abcd", "abcde", "ab"].map(ShortText::<4>::from);
        all.sort();
        assert_eq!(all.each_ref().map(|text| &**text), ["", "ab", "abcd", "abcde", "b"]);
        assert!(matches!(all[2], ShortText::InPlace(_)));
        assert!(matches!(all[3], ShortText::Elsewhere(_)));
        assert_eq!(ShortText::<4>::from("abcde"), all[3]);
        assert_ne!(all[3], all[2]);
    }

    #[test]
    fn a_uid_and_a_version_need_no_heap() {
        assert_eq!(size_of::<ShortText<36>>(), 40);
        assert_eq!(size_of::<ShortText<20>>(), 24);
        assert_eq!(size_of::<ShortText<16>>(), 24);
        let uid = "6f1c2a44-63e8-4c4f-9c1f-0a63a1c7d1aa";
        assert!(matches!(ShortText::<36>::from(uid), ShortText::InPlace(_)));
    }
}
