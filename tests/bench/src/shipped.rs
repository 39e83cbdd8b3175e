//! The program of the released images, measured instead of a release build.

use std::path::Path;

use firecamp_images::{root_filesystem, verify};

use crate::boxed::job::Tools;
use crate::failure::Failure;
use crate::samples::Samples;
use crate::startup::megabytes;

/// The unpacked images, which are removed when the value is dropped.
pub(crate) struct Shipped {
    _root: tempfile::TempDir,
    /// The packed and the unpacked size of each image in bytes.
    sizes: Vec<(usize, usize)>,
}

impl Shipped {
    /// Unpacks the archives of this directory and replaces the tools by their programs.
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
            let image = verify::open(&archive).map_err(Failure::of(path.display()))?;
            let to = root.path().join(name);
            root_filesystem::write(&image.files, &to).map_err(Failure::of(path.display()))?;
            *tool = to.join(name);
            sizes.push((image.packed, image.unpacked));
        }
        Ok(Self { _root: root, sizes })
    }

    /// Adds the sizes of the archives.
    pub(crate) fn sizes(&self, samples: &mut Samples) {
        for &(packed, unpacked) in &self.sizes {
            samples.add("image.packed", megabytes(packed as u64));
            samples.add("image.unpacked", megabytes(unpacked as u64));
        }
    }
}
