//! Parses `cases.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A kind of test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A function of values.
    Pure,
    /// Real binaries or the real loop against the simulator.
    Sim,
    /// A real kernel in network namespaces.
    Netns,
    /// A real API server and kubelet.
    Cluster,
    /// A real account.
    Aws,
}

impl Level {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Sim => "sim",
            Self::Netns => "netns",
            Self::Cluster => "cluster",
            Self::Aws => "aws",
        }
    }
}

/// A test by its package and its function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct TestName {
    /// The package, as in `cargo test -p PACKAGE`.
    pub package: String,
    /// The function.
    pub test: String,
}

impl TryFrom<String> for TestName {
    type Error = TableError;

    fn try_from(written: String) -> Result<Self, TableError> {
        let word = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        };
        match written.split_once("::") {
            Some((package, test)) if word(package) && word(test) => {
                Ok(Self { package: package.to_owned(), test: test.to_owned() })
            }
            Some(_) | None => Err(TableError::TestName(written)),
        }
    }
}

impl std::fmt::Display for TestName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{}", self.package, self.test)
    }
}

/// A failure case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it concerns.
    pub area: String,
    /// The lowest kinds of test that can prove it.
    pub levels: Vec<Level>,
    /// The right behaviour.
    pub what: String,
    /// The tests that prove it.
    #[serde(default)]
    pub tests: Vec<TestName>,
    /// The levels at which nothing proves it yet.
    #[serde(default)]
    pub open: Vec<Level>,
}

/// A crash point with one way to recover from it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// The boundary and the recovery.
    pub at: String,
    /// What is left behind.
    pub left: String,
    /// The tests that show the recovery.
    #[serde(default)]
    pub tests: Vec<TestName>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Points {
    point: Vec<Point>,
}

/// Both tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The cases by id.
    pub cases: BTreeMap<String, Case>,
    /// The crash points in the order of the protocol.
    pub points: Vec<Point>,
}

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It is not the TOML that it should be.
    #[error("{file} is not a valid table")]
    Syntax {
        /// Which file.
        file: &'static str,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Not a test's name.
    #[error("{0:?} is not PACKAGE::TEST")]
    TestName(String),
}

impl Table {
    /// The tables of this package.
    pub fn read() -> Result<Self, TableError> {
        Self::parse(include_str!("../../cases.toml"), include_str!("../../crash-points.toml"))
    }

    /// Reads both tables from their text.
    pub fn parse(cases: &str, points: &str) -> Result<Self, TableError> {
        let failed = |file| move |source| TableError::Syntax { file, source: Box::new(source) };
        let cases = toml::from_str(cases).map_err(failed("cases.toml"))?;
        let points: Points = toml::from_str(points).map_err(failed("crash-points.toml"))?;
        Ok(Self { cases, points: points.point })
    }

    /// Every test that a table names.
    pub fn tests(&self) -> impl Iterator<Item = &TestName> {
        let cases = self.cases.values().flat_map(|c| &c.tests);
        cases.chain(self.points.iter().flat_map(|p| &p.tests))
    }

    /// The cases and crash points that have no test and are not open.
    pub fn forgotten(&self) -> Vec<&str> {
        let cases = self.cases.iter().filter(|(_, c)| c.tests.is_empty() && c.open.is_empty());
        let points = self.points.iter().filter(|p| p.tests.is_empty());
        cases.map(|(id, _)| id.as_str()).chain(points.map(|p| p.at.as_str())).collect()
    }
}
