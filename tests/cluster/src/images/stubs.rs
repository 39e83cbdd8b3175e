//! Stub images for the services of deploy/examples, because the cluster has no registry. Each has
//! the commands that its example uses; they run our own service at the configured address.

use std::fs;
use std::path::{Path, PathBuf};

use super::archive::{Files, Image};
use super::{BUSYBOX, owned};
use crate::{Outcome, failed};

/// A service of the examples.
struct Service {
    name: &'static str,
    /// Paths and scripts of its programs.
    programs: &'static [(&'static str, &'static str)],
}

const SERVICES: [Service; 3] = [
    Service {
        name: "docker.io/library/redis:8.2-alpine",
        programs: &[
            ("bin/redis-server", "[ \"$3\" = --bind ] && exec /clusterbox serve \"$4\""),
            ("bin/redis-cli", "[ \"$1\" = -h ] && exec /clusterbox dial \"$2\""),
        ],
    },
    // It writes its logs to the example's directory, as the example's user.
    Service {
        name: "docker.io/apache/kafka:4.1.0",
        programs: &[(
            "etc/kafka/docker/run",
            "set -e; mkdir -p \"$KAFKA_LOG_DIRS\"; echo $KAFKA_NODE_ID >$KAFKA_LOG_DIRS/node\n\
             [ \"$KAFKA_LISTENERS\" = CLIENT://:9092,CONTROLLER://:9093 ]\n\
             [ \"$KAFKA_ADVERTISED_LISTENERS\" = \"CLIENT://$(cat /run/firecamp.io/address):9092\" ]\n\
             exec /clusterbox serve 0.0.0.0 --port 9092 --also 0.0.0.0:9093",
        )],
    },
    Service {
        name: "docker.io/library/eclipse-mosquitto:2.0",
        programs: &[
            (
                "bin/mosquitto",
                "read -r word port address <\"$2\"\n\
                 [ \"$1 $word\" = \"-c listener\" ] && exec /clusterbox serve \"$address\" --port $port",
            ),
            ("bin/mosquitto_sub", "[ \"$1\" = -h ] && exec /clusterbox dial \"$2\" --port 1883"),
        ],
    },
];

/// All stub images: the member's image plus one layer with the service's programs and a shell.
pub(super) fn images(member: &Image, scratch: &Path) -> Outcome<Vec<Image>> {
    let image = |service: &Service| {
        let applet = |name| (format!("/bin/{name}"), PathBuf::from(BUSYBOX));
        let mut files: Files = ["sh", "cat", "mkdir"].into_iter().map(applet).collect();
        for (program, script) in service.programs {
            let file = scratch.join(program.replace('/', "-"));
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).map_err(failed(file.display()))?;
            files.push((format!("/{program}"), file));
        }
        let layers = member.layers.iter().cloned().chain([files]).collect();
        let (name, entry) = (service.name.to_owned(), owned(&["/bin/sh"]));
        Ok(Image { name, layers, entry, variable: None })
    };
    SERVICES.iter().map(image).collect()
}
