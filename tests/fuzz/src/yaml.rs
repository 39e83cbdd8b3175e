//! Objects of the file registry as YAML.
//!
//! Input: the kind, a position to truncate at, and the text.

use std::fmt::Debug;

use firecamp_core::record::{Claim, Pool, StaticIp};
use firecamp_registry::api::{
    InvalidObject, Kind, Object, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec, parse, render,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::carrier::is_one_short_line;
use crate::draw::Draw;

/// No text makes the parser panic. A parsed object, written and parsed again, is the same object
/// and the same record, and a truncated text is never a different object.
pub fn yaml(input: &[u8]) {
    let mut draw = Draw::new(input);
    let kind = draw.byte();
    let cut = draw.below(1 << 16);
    let text = draw.rest();
    match kind % 3 {
        0 => object::<StaticIPSpec, StaticIp>(text, cut),
        1 => object::<StaticIPClaimSpec, Claim>(text, cut),
        _ => object::<StaticIPPoolSpec, Pool>(text, cut),
    }
}

fn object<S, T>(text: &[u8], cut: usize)
where
    S: Kind + Serialize + DeserializeOwned + PartialEq + Debug,
    T: PartialEq + Debug + for<'a> TryFrom<&'a Object<S>, Error = InvalidObject>,
    for<'a> Object<S>: From<&'a T>,
{
    let object: Object<S> = match parse(text) {
        Ok(object) => object,
        Err(wrong) => {
            assert!(is_one_line(&wrong.to_string()), "{wrong}");
            return;
        }
    };
    if let Ok(record) = T::try_from(&object) {
        let again = Object::<S>::from(&record);
        assert_eq!(again.metadata.name, object.metadata.name);
        assert_eq!(T::try_from(&again).as_ref(), Ok(&record));
        round_trip(&again, cut);
    }
    round_trip(&object, cut);
    check_truncated(text, cut, &object);
}

fn round_trip<S>(object: &Object<S>, cut: usize)
where
    S: Kind + Serialize + DeserializeOwned + PartialEq + Debug,
{
    // Escapes lengthen a text, so an object of nearly the maximum size may be too large to write.
    let Ok(text) = render(object) else { return };
    let back = parse::<S>(text.as_bytes());
    assert_eq!(back.as_ref(), Ok(object), "{text}");
    assert_eq!(render(object).as_ref(), Ok(&text));
    check_truncated(text.as_bytes(), cut, object);
}

fn check_truncated<S>(text: &[u8], cut: usize, whole: &Object<S>)
where
    S: Kind + DeserializeOwned + PartialEq + Debug,
{
    let start = text.get(..cut.checked_rem(text.len()).unwrap_or(0)).unwrap_or_default();
    if let Ok(read) = parse::<S>(start) {
        assert_eq!(&read, whole, "{:?}", String::from_utf8_lossy(start));
    }
}

/// The parser's messages may repeat a part of the text, but not its line breaks.
fn is_one_line(text: &str) -> bool {
    is_one_short_line(text) || !text.contains('\n')
}
