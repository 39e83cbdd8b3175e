//! The SBOM of the program, a CycloneDX document in the images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Fault;
use crate::spec::{PROGRAM, Platform, Release};

/// A package by name and version.
type Key = (String, String);

#[derive(Debug, Default, PartialEq, Eq)]
struct Package {
    license: String,
    uses: BTreeSet<Key>,
}

/// The components of the program.
#[derive(Debug, Default)]
pub struct Linked {
    packages: BTreeMap<Key, Package>,
    checksums: BTreeMap<Key, String>,
    /// Components that are not in the lock file: the standard library and the C library.
    beside: Vec<(&'static str, String, &'static str)>,
}

#[derive(Debug, Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Debug, Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

impl Linked {
    /// Reads the components from cargo.
    ///
    /// # Errors
    ///
    /// If a program cannot be run or prints another format.
    pub fn ask(root: &Path, platform: Platform) -> Result<Self, Fault> {
        let mut args = vec!["tree", "--locked", "--target", platform.target, "--charset", "ascii"];
        args.extend(["--package", PROGRAM, "--edges", "normal,no-proc-macro"]);
        args.extend(["--prefix", "depth", "--format", "\t{p}\t{l}"]);
        let tree = output_of(root, "cargo", &args)?;
        let lock = root.join("Cargo.lock");
        let lock = std::fs::read_to_string(&lock).map_err(Fault::io(lock.display()))?;
        let rustc = second_word(&output_of(root, "rustc", &["--version"])?);
        let libc = second_word(&output_of(root, "getconf", &["GNU_LIBC_VERSION"])?);
        let mut linked = Self::read(&tree, &lock)?;
        linked.beside =
            vec![("rust-std", rustc, "MIT OR Apache-2.0"), ("glibc", libc, "LGPL-2.1-or-later")];
        Ok(linked)
    }

    fn read(tree: &str, lock: &str) -> Result<Self, Fault> {
        let mut packages: BTreeMap<Key, Package> = BTreeMap::new();
        let mut above: Vec<Key> = Vec::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let odd = || Fault::Cargo(format!("unexpected line in its tree: {line:?}"));
            let (depth, key, license) = parsed(line).ok_or_else(odd)?;
            above.truncate(depth);
            if let Some(user) = above.last() {
                packages.entry(user.clone()).or_default().uses.insert(key.clone());
            }
            packages.entry(key.clone()).or_default().license = license;
            above.push(key);
        }
        let lock: Lock = toml::from_str(lock).map_err(|why| Fault::Cargo(why.to_string()))?;
        let sums = lock.package.into_iter();
        let sums = sums.filter_map(|it| Some(((it.name, it.version), it.checksum?)));
        Ok(Self { packages, checksums: sums.collect(), beside: Vec::new() })
    }

    /// The document.
    ///
    /// # Errors
    ///
    /// If the program is not in the output of cargo.
    pub fn document(&self, release: &Release) -> Result<Vec<u8>, Fault> {
        let own = (PROGRAM.to_owned(), release.version.clone());
        if !self.packages.contains_key(&own) {
            return Err(Fault::Cargo(format!("its tree has no {} {}", own.0, own.1)));
        }
        let beside = self.beside.iter().map(|(name, version, license)| {
            let purl = format!("pkg:generic/{name}@{version}");
            component("library", (name, version), license, &purl, None)
        });
        let crates = self.packages.iter().filter(|(key, _)| **key != own);
        let crates = crates.map(|(key, _package)| self.component("library", key));
        let uses = self.packages.iter().map(|(key, package)| {
            let uses = package.uses.iter().map(purl).collect::<Vec<_>>();
            json!({ "ref": purl(key), "dependsOn": uses })
        });
        let document = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {
                "timestamp": release.created.to_string(),
                "component": self.component("application", &own),
            },
            "components": crates.chain(beside).collect::<Vec<_>>(),
            "dependencies": uses.collect::<Vec<_>>(),
        });
        Ok(document.to_string().into_bytes())
    }

    fn component(&self, kind: &str, key: &Key) -> Value {
        let license = self.packages.get(key).map_or("", |package| package.license.as_str());
        let sum = self.checksums.get(key);
        component(kind, (&key.0, &key.1), license, &purl(key), sum)
    }
}

fn component(
    kind: &str,
    (name, version): (&str, &str),
    license: &str,
    purl: &str,
    sum: Option<&String>,
) -> Value {
    let hashes = sum.map(|sum| json!({ "alg": "SHA-256", "content": sum }));
    json!({
        "type": kind,
        "bom-ref": purl,
        "name": name,
        "version": version,
        "licenses": [{ "expression": license.replace('/', " OR ") }],
        "hashes": hashes.into_iter().collect::<Vec<_>>(),
        "purl": purl,
    })
}

fn purl((name, version): &Key) -> String {
    format!("pkg:cargo/{name}@{version}")
}

/// `3<tab>name v1.2.3 (where)<tab>license (*)`.
fn parsed(line: &str) -> Option<(usize, Key, String)> {
    let mut columns = line.split('\t');
    let depth = columns.next()?.parse().ok()?;
    let mut words = columns.next()?.split(' ');
    let key = (words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned());
    let license = columns.next()?.trim_end_matches("(*)").trim().to_owned();
    Some((depth, key, license))
}

fn second_word(text: &str) -> String {
    text.split_whitespace().nth(1).unwrap_or_default().to_owned()
}

fn output_of(root: &Path, program: &str, args: &[&str]) -> Result<String, Fault> {
    let done = Command::new(program).args(args).current_dir(root).output();
    let done = done.map_err(Fault::io(program))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(Fault::Cargo(format!("{program}: {}", String::from_utf8_lossy(&done.stderr).trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0\tfirecamp-containers v0.1.0 (/somewhere/containers)\tApache-2.0\n\
        1\tbytes v1.2.0\tMIT/Apache-2.0\n\
        1\thttp v1.0.0\tMIT OR Apache-2.0\n\
        2\tbytes v1.2.0\tMIT/Apache-2.0\n\
        1\tipnet v2.0.0\tMIT\n\
        2\thttp v1.0.0\tMIT OR Apache-2.0 (*)\n";
    const LOCK: &str = "version = 4\n\
        [[package]]\nname = \"bytes\"\nversion = \"1.2.0\"\nchecksum = \"ab12\"\n\
        [[package]]\nname = \"firecamp-containers\"\nversion = \"0.1.0\"\n";

    fn document(version: &str) -> Result<Vec<u8>, Fault> {
        let release = Release {
            platform: crate::spec::AMD64,
            version: version.to_owned(),
            revision: String::new(),
            created: "2026-01-02T03:04:05Z".parse().unwrap(),
        };
        Linked::read(TREE, LOCK).unwrap().document(&release)
    }

    fn read(document: &[u8]) -> Value {
        serde_json::from_slice(document).unwrap()
    }

    #[test]
    fn a_document_lists_what_the_program_links_and_is_of_the_program() {
        let list = read(&document("0.1.0").unwrap());
        let parts = list["components"].as_array().unwrap().iter();
        let names = parts.map(|part| part["name"].as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(names, ["bytes", "http", "ipnet"]);
        assert_eq!(list["metadata"]["component"]["name"], PROGRAM);
        assert!(document("0.2.0").is_err(), "the tree of cargo has another version");
    }

    #[test]
    fn a_component_has_its_licence_its_checksum_and_what_it_uses() {
        let list = read(&document("0.1.0").unwrap());
        let bytes = &list["components"][0];
        assert_eq!(bytes["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bytes["hashes"][0]["content"], "ab12");
        assert_eq!(bytes["purl"], "pkg:cargo/bytes@1.2.0");
        let uses = |of: &str| {
            let all = list["dependencies"].as_array().unwrap();
            all.iter().find(|it| it["ref"] == of).unwrap()["dependsOn"].clone()
        };
        assert_eq!(uses("pkg:cargo/http@1.0.0"), json!(["pkg:cargo/bytes@1.2.0"]));
        assert_eq!(uses("pkg:cargo/ipnet@2.0.0"), json!(["pkg:cargo/http@1.0.0"]));
    }

    #[test]
    fn nothing_tells_where_it_was_built() {
        let text = String::from_utf8(document("0.1.0").unwrap()).unwrap();
        assert!(!text.contains("/somewhere"), "{text}");
    }
}
