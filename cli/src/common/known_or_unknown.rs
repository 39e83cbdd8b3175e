//! Results of queries, known or unknown.

/// The result of a query. An unknown result is never treated as absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// The query succeeded.
    Known(T),
    /// The query was not made or failed, for this reason.
    Unknown(String),
}

impl<T> Answer<T> {
    /// An unknown result, with the reason.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown(why.into())
    }

    /// The result, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(answer) => Some(answer),
            Self::Unknown(_) => None,
        }
    }
}

impl<T, E: ToString> From<Result<T, E>> for Answer<T> {
    fn from(asked: Result<T, E>) -> Self {
        asked.map_or_else(|why| Self::Unknown(why.to_string()), Self::Known)
    }
}
