//! What a runtime and a registry are told of an image.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

/// Where the source is, also for those who only have the image.
const SOURCE: &str = "https://github.com/cloudstax/firecamp";

/// The three ask for a capability, and Kubernetes gives an added capability to root alone: another
/// user here would only be a member whose address cannot be set.
pub const USER: &str = "0:0";

/// For whom the program is.
pub const ARCHITECTURE: &str = "amd64";

/// The program that is each of the containers, by the name by which it is started; its package
/// has the same name.
pub const PROGRAM: &str = "firecamp-containers";

/// An image: the program, started by the image's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Its name, and that of the link to the program.
    pub name: &'static str,
    /// The target in `images/Dockerfile`.
    pub target: &'static str,
    /// In a sentence.
    pub description: &'static str,
}

/// All of them.
pub const IMAGES: [Image; 3] = [
    Image {
        name: "firecamp-agent",
        target: "agent",
        description: "Keeps the static IP addresses of a node true",
    },
    Image {
        name: "firecamp-initcontainer",
        target: "initcontainer",
        description: "Gives a StatefulSet member its static IP address before it starts",
    },
    Image {
        name: "firecamp-stopcontainer",
        target: "stopcontainer",
        description: "Lets a StatefulSet member's static IP address go after it has ended",
    },
];

/// Which build it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The version of the workspace, which is the image's tag.
    pub version: String,
    /// The commit, or nothing where there is no repository.
    pub revision: String,
    /// When the commit was made: the time of everything in the image.
    pub created: Timestamp,
}

impl Release {
    /// Seconds since 1970, for files.
    pub fn epoch(&self) -> u64 {
        u64::try_from(self.created.as_second()).unwrap_or_default()
    }
}

impl Image {
    /// What a runtime starts.
    pub fn entrypoint(&self) -> String {
        format!("/{}", self.name)
    }

    /// What registries and people read.
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
        let told = labels.into_iter().filter(|(_, text)| !text.is_empty());
        told.map(|(key, text)| (format!("org.opencontainers.image.{key}"), text)).collect()
    }

    /// The image's configuration, for a layer whose content has the digest `diff_id`.
    pub fn config(&self, release: &Release, diff_id: &str) -> Value {
        json!({
            "architecture": ARCHITECTURE,
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
