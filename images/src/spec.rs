//! The metadata of an image for runtimes and registries.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

/// The source repository.
const SOURCE: &str = "https://github.com/cloudstax/firecamp";

/// The user of all images. They need a capability, and Kubernetes grants added capabilities only to
/// root: with any other user, the address could not be configured.
pub const USER: &str = "0:0";

/// The program of all containers; the name with which it is started selects the container. Its
/// package has the same name.
pub const PROGRAM: &str = "firecamp-containers";

/// An image: the program, started with the image's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Its name, which is also the name of the link to the program.
    pub name: &'static str,
    /// The target in `images/Dockerfile`.
    pub target: &'static str,
    /// A description in one sentence.
    pub description: &'static str,
}

/// All images.
pub const IMAGES: [Image; 3] = [
    Image {
        name: "firecamp-agent",
        target: "agent",
        description: "Reconciles the static IP addresses of a node",
    },
    Image {
        name: "firecamp-initcontainer",
        target: "initcontainer",
        description: "Attaches the static IP address of a StatefulSet member before it starts",
    },
    Image {
        name: "firecamp-stopcontainer",
        target: "stopcontainer",
        description: "Releases the static IP address of a StatefulSet member when it terminates",
    },
];

/// What the program runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// The architecture, as OCI and Kubernetes call it.
    pub architecture: &'static str,
    /// The build target of the program.
    pub target: &'static str,
}

/// Where the tests run.
pub const AMD64: Platform = Platform { architecture: "amd64", target: "x86_64-unknown-linux-gnu" };
/// By documentation: nobody has built it.
pub const ARM64: Platform = Platform { architecture: "arm64", target: "aarch64-unknown-linux-gnu" };

impl Platform {
    /// The platform of this program, which is built on the machine that builds the images. None if
    /// there are no images for it.
    pub fn of_this_machine() -> Option<Self> {
        Self::of(std::env::consts::ARCH)
    }

    /// The platform of an architecture, as Rust calls it.
    pub fn of(architecture: &str) -> Option<Self> {
        match architecture {
            "x86_64" => Some(AMD64),
            "aarch64" => Some(ARM64),
            _ => None,
        }
    }
}

/// The build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// What the program was built for.
    pub platform: Platform,
    /// The version of the workspace, which is also the image tag.
    pub version: String,
    /// The commit; empty without a repository.
    pub revision: String,
    /// The time of the commit, which is the time of everything in the image.
    pub created: Timestamp,
}

impl Release {
    /// The time in seconds since 1970.
    pub fn epoch(&self) -> u64 {
        u64::try_from(self.created.as_second()).unwrap_or_default()
    }
}

impl Image {
    /// The entrypoint.
    pub fn entrypoint(&self) -> String {
        format!("/{}", self.name)
    }

    /// The labels.
    pub fn labels(&self, release: &Release) -> BTreeMap<String, String> {
        let labels = [
            ("title", self.name.to_owned()),
            ("description", self.description.to_owned()),
            ("version", release.version.clone()),
            ("revision", release.revision.clone()),
            ("created", release.created.to_string()),
            ("source", SOURCE.to_owned()),
            ("licenses", "Apache-2.0".to_owned()),
        ];
        let reported = labels.into_iter().filter(|(_, text)| !text.is_empty());
        reported.map(|(key, text)| (format!("org.opencontainers.image.{key}"), text)).collect()
    }

    /// The image configuration for a layer with the uncompressed digest `diff_id`.
    pub fn config(&self, release: &Release, diff_id: &str) -> Value {
        json!({
            "architecture": release.platform.architecture,
            "os": "linux",
            "created": release.created.to_string(),
            "config": {
                "User": USER,
                "Entrypoint": [self.entrypoint()],
                "WorkingDir": "/",
                "Labels": self.labels(release),
            },
            "rootfs": { "type": "layers", "diff_ids": [diff_id] },
            "history": [{
                "created": release.created.to_string(),
                "created_by": format!("firecamp-images {}", release.version),
            }],
        })
    }
}
