//! Short texts from outside: the registry's URL, the kernel's table of mounts, the record in a
//! node-local lock file.
//!
//! Input: which of them, and the text.

use std::path::Component;

use firecamp_host::read_record;
use firecamp_registry::registry_url::{self, RegistryUrl};
use firecamp_run::pod::Surroundings;

use crate::draw::Draw;

/// No text makes a parser panic, and each reads as what it says or not at all.
pub fn texts(input: &[u8]) {
    let mut draw = Draw::new(input);
    let kind = draw.byte();
    let bytes = draw.rest();
    let text = String::from_utf8_lossy(bytes);
    match kind % 3 {
        0 => url(&text),
        1 => mounts(&text),
        _ => record(bytes),
    }
}

fn url(text: &str) {
    match registry_url::parse(text) {
        Ok(url) => {
            assert_eq!(url.to_string(), text, "nothing is decoded");
            let (RegistryUrl::File(path) | RegistryUrl::Kubeconfig(path)) = url else { return };
            let stays = |part| matches!(part, Component::RootDir | Component::Normal(_));
            assert!(path.is_absolute() && path.components().all(stays), "{text:?}");
        }
        Err(wrong) => assert!(wrong.to_string().len() < 700, "{wrong}"),
    }
}

/// A pod's UID is only what the table names.
fn mounts(text: &str) {
    if let Some(uid) = Surroundings::from_mountinfo(text).pod_uid {
        assert!(text.contains(&format!("/{uid}/")), "{uid} is not in {text:?}");
    }
}

/// A record is what its bytes say, and no piece of them is another record.
fn record(bytes: &[u8]) {
    let Ok(Some(record)) = read_record(bytes) else { return };
    let text = String::from_utf8_lossy(bytes);
    let (pod, epoch) = (&record.holder.pod, record.holder.epoch);
    assert!(text.contains(&format!(" pod={pod} epoch={epoch} ")), "{text:?}: {record:?}");
    for length in 1..bytes.len() {
        let read = read_record(bytes.get(..length).unwrap_or_default());
        assert!(read.is_err() || read == Ok(Some(record.clone())), "cut at {length}: {text:?}");
    }
}
