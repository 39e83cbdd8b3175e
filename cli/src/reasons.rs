//! Words for how things stand, each with its meaning, which never changes, and with what to do.

/// Makes `Reason` of what it is about, and then a name, a meaning and an advice for each.
macro_rules! reasons {
    ($about:literal; $($name:ident $meaning:literal $advice:literal;)*) => {
        #[doc = $about]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub enum Reason {
            $(#[doc = $meaning] $name,)*
        }

        impl Reason {
            /// All of them, in the order in which they are documented.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it says.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What to do about it.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

pub(crate) use reasons;
