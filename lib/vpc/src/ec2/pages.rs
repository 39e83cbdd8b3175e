//! Pagination: tokens are opaque, verified, and name the item after which a page starts.

use crate::rng::{SeededRng, hex, key_of};

use super::errors::ApiError;

/// Bounds of MaxResults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

/// Pagination faults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PageKnobs {
    /// The largest number of items on a page.
    pub(crate) short: Option<u32>,
    /// The page is empty and its token leads to the next page.
    pub(crate) empty: bool,
    /// The token leads to the same page.
    pub(crate) looping: bool,
    /// The presented token has expired.
    pub(crate) expired: bool,
}

/// The requested page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRequest {
    pub(crate) max: Option<u32>,
    pub(crate) token: Option<String>,
}

/// Checks MaxResults (text of the message: from field reports).
pub(crate) fn check_bounds(max: Option<u32>, bounds: Bounds) -> Result<(), ApiError> {
    let Bounds { least, most } = bounds;
    match max {
        Some(max) if max < least => Err(ApiError::value(format!(
            "Value ( {max} ) for parameter maxResults is invalid. \
             Expecting a value greater than or equal to {least}."
        ))),
        Some(max) if max > most => Err(ApiError::value(format!(
            "Value ( {max} ) for parameter maxResults is invalid. \
             Expecting a value less than or equal to {most}."
        ))),
        _ => Ok(()),
    }
}

/// A page of a listing.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) token: Option<String>,
    /// The faults changed the page.
    pub(crate) touched: bool,
}

/// The scope of a token: the action and its filters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing<'a> {
    pub(crate) rng: SeededRng,
    pub(crate) action: &'a str,
    pub(crate) fingerprint: u64,
}

impl Listing<'_> {
    /// Returns items in a fixed but arbitrary order, because EC2 promises none.
    pub(crate) fn page<T>(
        &self,
        items: Vec<T>,
        id: impl Fn(&T) -> String,
        request: &PageRequest,
        knobs: PageKnobs,
    ) -> Result<Page<T>, ApiError> {
        let after = match &request.token {
            Some(_) if knobs.expired => return Err(ApiError::invalid_token()),
            Some(token) => Some(self.read(token)?),
            None => None,
        };
        let key = |item: &T| {
            let id = id(item);
            (self.rng.bits("order", key_of(&id), 0), id)
        };
        let mut keyed: Vec<((u64, String), T)> =
            items.into_iter().map(|item| (key(&item), item)).collect();
        keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(Some(after)) = &after {
            keyed.retain(|(key, _)| key > after);
        }
        let requested = request.max.unwrap_or(u32::MAX);
        let mut size = usize::try_from(requested).unwrap_or(usize::MAX);
        let mut touched = false;
        if let Some(short) = knobs.short {
            let short = usize::try_from(short).unwrap_or(usize::MAX);
            touched |= short < size && short < keyed.len();
            size = size.min(short);
        }
        if knobs.empty {
            // Another token for the same position, so that a client that continues gets there.
            let hops = request.token.as_deref().and_then(|token| token.split_once('.'));
            let hops: u32 = hops.and_then(|(_, n)| n.parse().ok()).unwrap_or(0);
            let place = self.write(after.flatten().as_ref());
            let token = Some(format!("{place}.{}", hops.saturating_add(1)));
            return Ok(Page { items: Vec::new(), token, touched: true });
        }
        let more = keyed.len() > size;
        keyed.truncate(size);
        let token = if knobs.looping {
            touched = true;
            Some(self.write(after.flatten().as_ref()))
        } else if more {
            keyed.last().map(|(key, _)| self.write(Some(key)))
        } else {
            None
        };
        Ok(Page { items: keyed.into_iter().map(|(_, item)| item).collect(), token, touched })
    }

    fn seal(&self, place: &str) -> u64 {
        self.rng.bits("token", key_of(place) ^ key_of(self.action), self.fingerprint)
    }

    fn write(&self, after: Option<&(u64, String)>) -> String {
        let place = after.map(|(order, id)| format!("{order:016x}{id}")).unwrap_or_default();
        format!("{:016x}{}", self.seal(&place), hex(place.bytes()))
    }

    /// The position that one of our tokens names; `None` is the beginning.
    fn read(&self, token: &str) -> Result<Option<(u64, String)>, ApiError> {
        let read = || -> Option<Option<(u64, String)>> {
            let token = token.split_once('.').map_or(token, |(place, _)| place);
            let (seal, digits) = token.split_at_checked(16)?;
            let seal = u64::from_str_radix(seal, 16).ok()?;
            let bytes: Option<Vec<u8>> = digits
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect();
            let place = String::from_utf8(bytes?).ok()?;
            if seal != self.seal(&place) {
                return None;
            }
            if place.is_empty() {
                return Some(None);
            }
            let (order, id) = place.split_at_checked(16)?;
            Some(Some((u64::from_str_radix(order, 16).ok()?, id.to_owned())))
        };
        read().ok_or_else(ApiError::invalid_token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: Listing<'_> =
        Listing { rng: SeededRng::new(1), action: "Describe", fingerprint: 9 };

    fn all(knobs: PageKnobs, max: Option<u32>) -> (Vec<String>, usize) {
        let items: Vec<String> = (0..23).map(|n| format!("item-{n}")).collect();
        let (mut found, mut pages, mut token) = (Vec::new(), 0, None);
        loop {
            let request = PageRequest { max, token };
            let page = LISTING.page(items.clone(), String::clone, &request, knobs).unwrap();
            found.extend(page.items);
            pages += 1;
            token = page.token;
            if token.is_none() || pages > 50 {
                found.sort();
                return (found, pages);
            }
        }
    }

    #[test]
    fn every_page_size_gives_every_item_once() {
        let (whole, pages) = all(PageKnobs::default(), None);
        assert_eq!((whole.len(), pages), (23, 1));
        for size in [1, 5, 22, 23, 24] {
            assert_eq!(all(PageKnobs::default(), Some(size)).0, whole);
        }
        let short = PageKnobs { short: Some(2), ..PageKnobs::default() };
        assert_eq!(all(short, Some(5)), (whole, 12));
    }

    #[test]
    fn a_looping_token_repeats_forever() {
        let looping = PageKnobs { looping: true, ..PageKnobs::default() };
        assert_eq!(all(looping, Some(5)).1, 51);
    }

    #[test]
    fn a_token_of_another_listing_or_a_forged_one_is_refused() {
        let request = |token: &str| PageRequest { max: Some(1), token: Some(token.to_owned()) };
        let page = |listing: &Listing<'_>, token: &str| {
            let items = vec!["a".to_owned(), "b".to_owned()];
            listing.page(items, String::clone, &request(token), PageKnobs::default())
        };
        let token = LISTING.write(Some(&(0, "a".to_owned())));
        assert!(page(&LISTING, &token).is_ok());
        let other = Listing { fingerprint: 10, ..LISTING };
        assert_eq!(page(&other, &token).unwrap_err().code, "InvalidNextToken");
        for bad in ["", "x", "é", "0123456789abcdefzz", "0123456789abcdef0"] {
            assert_eq!(page(&LISTING, bad).unwrap_err().code, "InvalidNextToken");
        }
    }
}
