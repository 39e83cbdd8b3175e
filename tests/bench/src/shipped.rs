//! What users get: the program of the images, in place of builds for speed.

use std::path::Path;

use firecamp_images::{check, root};

use crate::boxed::orders::Tools;
use crate::failure::Failure;
use crate::samples::Samples;
use crate::startup::megabytes;

/// The images, unpacked for as long as this lives.
pub(crate) struct Shipped {
    _root: tempfile::TempDir,
    /// Of each image: packed and unpacked, in bytes.
    sizes: Vec<(usize, usize)>,
}

impl Shipped {
    /// Unpacks the archives of this directory; from now on their programs are the tools.
    pub(crate) fn open(archives: &Path, tools: &mut Tools) -> Result<Self, Failure> {
        let base = std::env::current_exe().map_err(Failure::of("find this program"))?;
        let beside = base.parent().unwrap_or(Path::new("."));
        let root = tempfile::tempdir_in(beside).map_err(Failure::of("make a directory"))?;
        let mut sizes = Vec::new();
        for (name, tool) in [
            ("firecamp-initcontainer", &mut tools.init),
            ("firecamp-stopcontainer", &mut tools.stop),
            ("firecamp-agent", &mut tools.agent),
        ] {
            let path = archives.join(format!("{name}.tar"));
            let archive = std::fs::read(&path).map_err(Failure::of(path.display()))?;
            let image = check::open(&archive).map_err(Failure::of(path.display()))?;
            let to = root.path().join(name);
            root::write(&image.files, &to).map_err(Failure::of(path.display()))?;
            *tool = to.join(name);
            sizes.push((image.packed, image.unpacked));
        }
        Ok(Self { _root: root, sizes })
    }

    /// Adds what was seen of the archives.
    pub(crate) fn sizes(&self, samples: &mut Samples) {
        for &(packed, unpacked) in &self.sizes {
            samples.add("image.packed", megabytes(packed as u64));
            samples.add("image.unpacked", megabytes(unpacked as u64));
        }
    }
}
