//! Archives of a fake program; the real ones are built in the same way.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot read its files has failed"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use firecamp_images::Fault;
use firecamp_images::archive::{Layer, digest, pack};
use firecamp_images::root_filesystem::{self, Entry, Files, ROOTS, SBOM};
use firecamp_images::spec::{AMD64, ARM64, IMAGES, Image, PROGRAM, Platform, Release, USER};
use firecamp_images::verify::{Opened, open};

fn release() -> Release {
    Release {
        platform: AMD64,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        created: "2026-01-02T03:04:05Z".parse().unwrap(),
    }
}

/// The header of an ELF file without program headers, and some content.
fn static_program() -> Vec<u8> {
    [b"\x7fELF\x02".as_slice(), &[0; 64], b"a program"].concat()
}

fn files() -> Files {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(PROGRAM), static_program()).unwrap();
    root_filesystem::files(directory.path(), b"{}").unwrap()
}

/// The mode and the content of a file.
fn file<'a>(files: &'a Files, path: &str) -> (u32, &'a [u8]) {
    match &files[path] {
        Entry::File(mode, content) => (*mode, content),
        Entry::Link(to) => panic!("{path} is a link to {to}"),
    }
}

fn layer(files: &Files) -> Layer {
    Layer::new(files, &release()).unwrap()
}

fn packed(image: &Image) -> Vec<u8> {
    pack(image, &release(), &layer(&files()), None).unwrap()
}

fn opened(image: &Image) -> Opened {
    open(&packed(image)).unwrap()
}

fn repository(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn an_image_starts_the_program_by_its_name_as_root() {
    for image in &IMAGES {
        let opened = opened(image);
        let config = &opened.config["config"];
        assert_eq!(config["Entrypoint"], serde_json::json!([format!("/{}", image.name)]));
        assert_eq!(config["User"], USER);
        assert_eq!(opened.config["os"], "linux");
        assert_eq!(opened.config["architecture"], "amd64");
        assert_eq!(opened.files[image.name], Entry::Link(PROGRAM.to_owned()));
        assert_eq!(file(&opened.files, PROGRAM), (0o755, static_program().as_slice()));
    }
}

#[test]
fn an_image_names_the_architecture_of_the_machine_that_built_it() {
    for (machine, platform) in [("x86_64", AMD64), ("aarch64", ARM64)] {
        let platform_of = Platform::of(machine).unwrap();
        assert_eq!(platform_of, platform, "{machine}");
        assert!(platform.target.starts_with(machine), "{platform:?}");
        let release = Release { platform, ..release() };
        let packed = pack(&IMAGES[0], &release, &layer(&files()), None).unwrap();
        let opened = open(&packed).unwrap();
        assert_eq!(opened.config["architecture"], platform.architecture);
        // scripts/images.sh builds for the same targets.
        assert!(repository("scripts/images.sh").contains(platform.target), "{platform:?}");
    }
    assert_eq!(Platform::of("riscv64"), None);
}

#[test]
fn labels_have_version_commit_and_source() {
    let opened = opened(&IMAGES[0]);
    let label = |key: &str| {
        let labels = &opened.config["config"]["Labels"];
        labels[format!("org.opencontainers.image.{key}")].as_str().unwrap().to_owned()
    };
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("revision"), release().revision);
    assert_eq!(label("created"), "2026-01-02T03:04:05Z");
    assert_eq!(opened.config["created"], "2026-01-02T03:04:05Z");
    let chart = repository("deploy/chart/firecamp/Chart.yaml");
    assert!(chart.contains(&format!("home: {}\n", label("source"))));
}

#[test]
fn an_image_has_root_certificates_and_resolves_names_without_libraries() {
    let opened = opened(&IMAGES[0]);
    let (mode, roots) = file(&opened.files, ROOTS);
    assert_eq!(mode, 0o644);
    let certificates = pem::parse_many(roots).unwrap();
    assert!(certificates.len() > 100, "{} roots", certificates.len());
    assert!(certificates.iter().all(|root| root.tag() == "CERTIFICATE"));
    assert_eq!(file(&opened.files, "etc/nsswitch.conf").1, b"hosts: files dns\n");
    assert!(opened.files.contains_key(SBOM));
    assert!(opened.files.contains_key("usr/share/licenses/firecamp/LICENSE"));
    assert_eq!(opened.files.len(), 8, "{:?}", opened.files.keys());
}

#[test]
fn archives_are_reproducible() {
    let image = &IMAGES[1];
    assert_eq!(packed(image), packed(image));
    let mut others = files();
    others.insert(PROGRAM.to_owned(), Entry::File(0o755, b"another".to_vec()));
    let others = pack(image, &release(), &layer(&others), None).unwrap();
    assert_ne!(open(&others).unwrap().digest, opened(image).digest);
}

#[test]
fn a_changed_byte_is_detected() {
    let whole = packed(&IMAGES[2]);
    let mut detected = 0;
    // A tar header has unused bytes; digests protect the content.
    let mut tar = tar::Archive::new(whole.as_slice());
    for entry in tar.entries().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        if !path.starts_with("blobs") || entry.size() == 0 {
            continue;
        }
        let start = usize::try_from(entry.raw_file_position()).unwrap();
        let middle = start + usize::try_from(entry.size()).unwrap() / 2;
        let mut changed = whole.clone();
        changed[middle] ^= 1;
        let reported = open(&changed).unwrap_err().to_string();
        assert!(reported.contains("differs from its descriptor"), "{reported}");
        detected += 1;
    }
    assert_eq!(detected, 3, "manifest, configuration and layer");
}

/// containerd's default registry for names without a registry.
#[test]
fn containerd_stores_an_image_under_the_name_in_pod_specs() {
    let plain =
        repository("deploy/daemonset.yaml") + &repository("deploy/examples/redis-direct.yaml");
    for image in &IMAGES {
        let wanted = plain.lines().find_map(|line| {
            let name = line.trim().trim_start_matches("- ").strip_prefix("image: ")?;
            name.starts_with(&format!("{}:", image.name)).then_some(name)
        });
        let wanted = wanted.unwrap_or_else(|| panic!("no pod spec uses {}", image.name));
        assert_eq!(opened(image).name, format!("docker.io/library/{wanted}"));
    }
}

#[test]
fn an_image_for_a_registry_has_the_name_of_the_registry() {
    let image = &IMAGES[0];
    let place = Some("registry.example.com/firecamp/");
    let named = open(&pack(image, &release(), &layer(&files()), place).unwrap()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(named.name, format!("registry.example.com/firecamp/firecamp-agent:{version}"));
    assert_eq!(named.digest, opened(image).digest, "only the name differs");
}

#[test]
fn a_dynamically_linked_program_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    fs::copy(std::env::current_exe().unwrap(), directory.path().join(PROGRAM)).unwrap();
    let refused = root_filesystem::files(directory.path(), b"{}").unwrap_err();
    assert!(matches!(refused, Fault::Dynamic(_)), "{refused}");
}

#[test]
fn all_images_share_one_layer() {
    let layers = IMAGES.iter().map(|image| opened(image).config["rootfs"].clone());
    let layers: Vec<_> = layers.collect();
    assert!(layers.iter().all(|layer| *layer == layers[0]), "{layers:?}");
    assert_ne!(opened(&IMAGES[0]).digest, opened(&IMAGES[1]).digest);
}

#[test]
fn an_engine_copies_the_same_files_as_the_archive() {
    let directory = tempfile::tempdir().unwrap();
    root_filesystem::write(&files(), directory.path()).unwrap();
    for (path, entry) in opened(&IMAGES[0]).files {
        let place = directory.path().join(&path);
        match entry {
            Entry::File(_mode, content) => assert_eq!(fs::read(place).unwrap(), content, "{path}"),
            Entry::Link(to) => assert_eq!(fs::read_link(place).unwrap(), Path::new(&to), "{path}"),
        }
    }
}

/// The lines of a stage of images/Dockerfile, each split after its instruction.
fn stage(target: &str) -> Vec<(String, String)> {
    let text = repository("images/Dockerfile");
    let header = format!("FROM scratch AS {target}");
    let lines = text.lines().skip_while(|line| *line != header).skip(1);
    let lines = lines.take_while(|line| !line.starts_with("FROM")).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (instruction, rest) = line.split_once(' ').unwrap();
            (instruction.to_owned(), rest.to_owned())
        })
        .collect()
}

#[test]
fn the_dockerfile_has_the_same_labels_user_and_entrypoint() {
    let release = release();
    for image in &IMAGES {
        let lines = stage(image.target);
        let all = |wanted: &str| {
            let found = lines.iter().filter(|(instruction, _)| instruction == wanted);
            found.map(|(_, rest)| rest.clone()).collect::<Vec<_>>()
        };
        let labels = all("LABEL").into_iter().map(|label| {
            let (key, text) = label.split_once('=').unwrap();
            let text = text.trim_matches('"').replace("$VERSION", &release.version);
            let text = text.replace("$REVISION", &release.revision);
            (key.to_owned(), text.replace("$CREATED", &release.created.to_string()))
        });
        assert_eq!(labels.collect::<BTreeMap<_, _>>(), image.labels(&release), "{}", image.name);
        assert_eq!(all("USER"), [USER]);
        assert_eq!(all("WORKDIR"), ["/"]);
        assert_eq!(all("ENTRYPOINT"), [format!("[\"{}\"]", image.entrypoint())]);
        assert_eq!(all("COPY"), ["--from=build /image /"]);
    }
}

#[test]
fn the_dockerfile_uses_the_toolchain_of_the_repository() {
    let toolchain = repository("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap();
    let from = format!("FROM rust:{}-bookworm AS build\n", channel.trim_matches('"'));
    assert!(repository("images/Dockerfile").contains(&from), "{from}");
}

#[test]
fn a_digest_has_the_format_of_registries() {
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(digest(b""), empty);
}
