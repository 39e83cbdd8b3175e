//! Short external texts: the registry's URL, the kernel's mount table, the record in a lock file.
//!
//! Input: the kind of text, and the text.

use std::path::Component;

use firecamp_host::read_record;
use firecamp_registry::registry_url::{self, RegistryUrl};
use firecamp_run::pod_identity::Surroundings;

use crate::draw::Draw;

/// No text makes a parser panic, and every parsed value is in the text.
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
            assert_eq!(url.to_string(), text, "a registry URL must be used without decoding");
            let (RegistryUrl::File(path) | RegistryUrl::Kubeconfig(path)) = url else { return };
            let stays = |part| matches!(part, Component::RootDir | Component::Normal(_));
            assert!(path.is_absolute() && path.components().all(stays), "{text:?}");
        }
        Err(wrong) => assert!(wrong.to_string().len() < 700, "{wrong}"),
    }
}

/// A parsed pod UID is in the mount table.
fn mounts(text: &str) {
    if let Some(uid) = Surroundings::from_mountinfo(text).pod_uid {
        assert!(text.contains(&format!("/{uid}/")), "{uid} is not in {text:?}");
    }
}

/// A record has the values of its text, and no prefix of the text is a different record.
fn record(bytes: &[u8]) {
    let Ok(Some(record)) = read_record(bytes) else { return };
    let text = String::from_utf8_lossy(bytes);
    let (pod, epoch) = (&record.holder.pod, record.holder.epoch);
    assert!(text.contains(&format!(" pod={pod} epoch={epoch} ")), "{text:?}: {record:?}");
    for length in 1..bytes.len() {
        let read = read_record(bytes.get(..length).unwrap_or_default());
        assert!(
            read.is_err() || read == Ok(Some(record.clone())),
            "another record after truncation at {length}: {text:?}"
        );
    }
}
