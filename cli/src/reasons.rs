//! Enums of stable reasons, each with its meaning and advice.

/// Defines `Reason`: its documentation, then for each reason a name, a meaning and advice.
macro_rules! reasons {
    ($about:literal; $($name:ident $meaning:literal $advice:literal;)*) => {
        #[doc = $about]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub enum Reason {
            $(#[doc = $meaning] $name,)*
        }

        impl Reason {
            /// All reasons, in the order in which they are documented.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What the reason means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What to do.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

pub(crate) use reasons;
