//! Answers, and the lack of them.

/// An answer, or why there is none. What could not be asked is never taken for absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked<T> {
    /// It was asked, and this is the answer.
    Known(T),
    /// It was not, for this reason.
    Unknown(String),
}

impl<T> Asked<T> {
    /// Not asked, for this reason.
    pub fn not(why: impl Into<String>) -> Self {
        Self::Unknown(why.into())
    }

    /// The answer, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(answer) => Some(answer),
            Self::Unknown(_) => None,
        }
    }
}

impl<T, E: ToString> From<Result<T, E>> for Asked<T> {
    fn from(asked: Result<T, E>) -> Self {
        asked.map_or_else(|why| Self::Unknown(why.to_string()), Self::Known)
    }
}
