//! Where the running program was built, and how to build other packages there.

use std::path::{Path, PathBuf};

use crate::build::BuildError;

/// Files that Cargo leaves in target directories, the more reliable one first. `.rustc_info.json`
/// caches compiler information in each target directory, unless `CARGO_CACHE_RUSTC_INFO` is 0.
/// `CACHEDIR.TAG` is missing from directories that existed before, and also exists below a triple.
const MARKS: [&str; 2] = [".rustc_info.json", "CACHEDIR.TAG"];

/// Subdirectories of a profile for test programs and examples.
const BELOW_PROFILE: [&str; 2] = ["deps", "examples"];

/// A target directory, a triple and a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    target_dir: Option<PathBuf>,
    triple: Option<String>,
    profile: String,
}

impl Layout {
    /// The target directory of the running program, with its profile unless `profile` is given.
    pub fn of_this_process(profile: Option<&str>) -> Result<Self, BuildError> {
        let this_program =
            std::env::current_exe().map_err(|e| BuildError::CurrentExe(e.to_string()))?;
        let has = |dir: &Path, mark: &str| dir.join(mark).is_file();
        Ok(Self::of(&this_program, profile, has))
    }

    /// `TARGET/[TRIPLE/]PROFILE/[deps/]PROGRAM`; for any other path, Cargo decides.
    fn of(program: &Path, profile: Option<&str>, has: impl Fn(&Path, &str) -> bool) -> Self {
        let name = |dir: Option<&Path>| Some(dir?.file_name()?.to_str()?.to_owned());
        let below = |dir: &&Path| name(Some(dir)).is_some_and(|n| BELOW_PROFILE.contains(&&*n));
        let mut parents = program.ancestors().skip(1).skip_while(below);
        let own = parents.next();
        let (first, second) = (parents.next(), parents.next());
        let marked = |mark: &str| {
            let is_target = |dir: &&Path| has(dir, mark);
            let above = || second.filter(is_target).map(|dir| (dir, name(first)));
            first.filter(is_target).map(|dir| (dir, None)).or_else(above)
        };
        let (target_dir, triple) = MARKS.into_iter().find_map(marked).unzip();
        let own = name(own).filter(|_| target_dir.is_some());
        let profile = profile.map(str::to_owned).or(own);
        Self {
            target_dir: target_dir.map(Path::to_owned),
            triple: triple.flatten(),
            profile: profile.unwrap_or_else(|| "debug".to_owned()),
        }
    }

    /// `debug`, `release` or the name of another profile.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        // Cargo's development profile is the only one whose directory has another name.
        let profile = if self.profile == "debug" { "dev" } else { &self.profile };
        let mut arguments = vec!["--profile".to_owned(), profile.to_owned()];
        if let Some(dir) = &self.target_dir {
            arguments.extend(["--target-dir".to_owned(), dir.display().to_string()]);
        }
        if let Some(triple) = &self.triple {
            arguments.extend(["--target".to_owned(), triple.clone()]);
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIPLE: &str = "x86_64-unknown-linux-gnu";

    fn layout(path: &str, profile: Option<&str>) -> Layout {
        Layout::of(Path::new(path), profile, |dir, _mark| dir == Path::new("/w/target"))
    }

    /// The layout if only these files exist.
    fn among(path: &str, files: &[&str]) -> Layout {
        let has =
            |dir: &Path, mark: &str| files.iter().any(|file| dir.join(mark) == Path::new(file));
        Layout::of(Path::new(path), None, has)
    }

    #[test]
    fn other_packages_use_the_target_directory_and_profile_of_this_program() {
        let dev = layout("/w/target/debug/firecamp", None);
        assert_eq!(dev.arguments(), ["--profile", "dev", "--target-dir", "/w/target"]);
        assert_eq!(dev.profile(), "debug");
        let release = layout("/w/target/release/firecamp", None);
        assert_eq!(release.arguments(), ["--profile", "release", "--target-dir", "/w/target"]);
    }

    #[test]
    fn a_test_program_is_one_directory_deeper() {
        let test = layout("/w/target/debug/deps/suite-0123456789abcdef", None);
        assert_eq!(test, layout("/w/target/debug/firecamp", None));
    }

    #[test]
    fn the_target_triple_is_preserved() {
        let layout = layout(&format!("/w/target/{TRIPLE}/release/firecamp"), None);
        let expected = ["--profile", "release", "--target-dir", "/w/target", "--target"];
        assert_eq!(layout.arguments()[..5], expected);
        assert_eq!(layout.arguments()[5], TRIPLE);
    }

    #[test]
    fn a_target_directory_with_only_triple_builds_is_recognized() {
        let tag = "/w/target/x86_64-unknown-linux-gnu/CACHEDIR.TAG";
        let files = ["/w/target/.rustc_info.json", tag];
        assert_eq!(
            among("/w/target/release/firecamp", &files),
            layout("/w/target/release/firecamp", None)
        );
        let of_triple = format!("/w/target/{TRIPLE}/release/firecamp");
        assert_eq!(among(&of_triple, &files), layout(&of_triple, None));
    }

    #[test]
    fn a_nested_target_directory_is_not_a_triple() {
        let files = ["/w/target/.rustc_info.json", "/w/target/checked/.rustc_info.json"];
        let inner = among("/w/target/checked/debug/firecamp", &files);
        assert_eq!(inner.arguments(), ["--profile", "dev", "--target-dir", "/w/target/checked"]);
    }

    #[test]
    fn the_cachedir_tag_is_sufficient_without_compiler_information() {
        let files = ["/w/target/CACHEDIR.TAG"];
        assert_eq!(
            among("/w/target/release/firecamp", &files),
            layout("/w/target/release/firecamp", None)
        );
    }

    #[test]
    fn an_explicit_profile_overrides_the_own_one() {
        assert_eq!(layout("/w/target/debug/firecamp", Some("release")).profile(), "release");
    }

    #[test]
    fn a_program_outside_a_target_directory_uses_cargos_default() {
        assert_eq!(layout("/usr/local/bin/firecamp", None).arguments(), ["--profile", "dev"]);
    }
}
