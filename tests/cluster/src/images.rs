//! Container images as OCI archives, which containerd imports: the cluster has no registry.

mod archive;
mod stubs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use firecamp_core::contract::env::PASSES_FOR;
use firecamp_core::contract::protocol::Protocol;
use firecamp_testkit::build::{Binaries, binaries};

use crate::{Outcome, failed};
use archive::{Image, write};

/// Debian's statically linked BusyBox.
pub(crate) const BUSYBOX: &str = "/bin/busybox";
/// The EC2 client does not start without root certificates.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Image of a member's service.
pub(crate) const MEMBER: &str = "localhost/member:1";
/// Image of Redis.
pub(crate) const REDIS: &str = "localhost/redis:7";
/// Image of Kafka and ZooKeeper.
pub(crate) const KAFKA: &str = "localhost/kafka:3";
/// Image of PostgreSQL.
pub(crate) const POSTGRES: &str = "localhost/postgres:15";
/// The client of PostgreSQL; the `psql` in the path is a script that chooses one.
pub(crate) const PSQL: &str = "/usr/lib/postgresql/15/bin/psql";
/// Image of RabbitMQ.
pub(crate) const RABBITMQ: &str = "localhost/rabbitmq:3";
/// Image of the log collector.
const COLLECTOR: &str = "otel/opentelemetry-collector-contrib:0.156.0";
/// Version of FireCamp's images, as in the chart.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The next version, which is compatible with ours, and the one after it, which is compatible only
/// with the next. Both are our debug binaries, which an environment variable makes report that
/// version.
pub(crate) const NEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "-next");
pub(crate) const LATER: &str = concat!(env!("CARGO_PKG_VERSION"), "-later");

/// Writes the archives of a cluster to `dir`: FireCamp's release images from `shipped`
/// (`make images`), or else images of debug binaries and their shared libraries.
pub(crate) fn build(dir: &Path, shipped: Option<&Path>) -> Outcome {
    fs::create_dir_all(dir).map_err(failed(dir.display()))?;
    let scratch = tempfile::tempdir().map_err(failed("a directory"))?;
    let own_binary = std::env::current_exe().map_err(failed("our own binary"))?;
    let member = image_of_binary("clusterbox", &own_binary, scratch.path())?;
    let member = Image { name: MEMBER.to_owned(), ..member };
    let mut services = stubs::images(&member, scratch.path())?;
    services.push(member);
    let mut archives =
        vec![(vec![pause()?], dir.join("pause.tar")), (services, dir.join("services.tar"))];
    if let Some(shipped) = shipped {
        for part in ["agent", "initcontainer", "stopcontainer"] {
            let archive = format!("firecamp-{part}.tar");
            let from = shipped.join(&archive);
            fs::copy(&from, dir.join(archive)).map_err(failed(from.display()))?;
        }
    } else {
        let Binaries { init, stop, agent, vpcbox: _ } =
            binaries().map_err(failed("build FireCamp"))?;
        for binary in [init, stop, agent] {
            let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let archive = dir.join(format!("{name}.tar"));
            let image = image_of_binary(&name, binary, scratch.path())?;
            let (next, later) = (with_version(&image, NEXT, 1), with_version(&image, LATER, 2));
            archives.push((vec![image, next, later], archive));
        }
    }
    for (images, archive) in archives {
        write(&images, &archive).map_err(failed(archive.display()))?;
    }
    Ok(())
}

/// Writes the archive of the log collector's image, by the name in its manifest.
pub(crate) fn collector(program: &Path, archive: &Path) -> Outcome {
    let entry = "/otelcol";
    let files = vec![(entry.to_owned(), program.to_owned()), (ROOTS.to_owned(), ROOTS.into())];
    let name = format!("docker.io/{COLLECTOR}");
    let image = Image { name, layers: vec![files], entry: owned(&[entry]), variable: None };
    write(&[image], archive).map_err(failed(archive.display()))
}

/// Writes the archive of [`REDIS`], from Debian's packages.
pub(crate) fn redis(archive: &Path) -> Outcome {
    let mut files = shell();
    for program in ["/usr/bin/redis-server", "/usr/bin/redis-cli"].map(Path::new) {
        files.extend(program_of("redis-server", program)?);
    }
    write_service((REDIS, "PATH=/bin:/usr/bin"), files, archive)
}

/// Writes the archive of [`POSTGRES`], from Debian's packages. Its programs look up their user.
pub(crate) fn postgres(archive: &Path) -> Outcome {
    let (home, shared) = (Path::new("/usr/lib/postgresql/15"), "/usr/share/postgresql/15");
    let mut files = shell();
    for name in ["postgres", "initdb", "pg_basebackup", "psql"] {
        files.extend(program_of("postgresql-15", &home.join("bin").join(name))?);
    }
    for name in ["plpgsql.so", "dict_snowball.so", "libpqwalreceiver.so"] {
        files.extend(program_of("postgresql-15", &home.join("lib").join(name))?);
    }
    files.extend(own_paths(files_below(Path::new(shared))?));
    let users = archive.with_extension("passwd");
    fs::write(&users, "postgres:x:65532:65532::/:/bin/sh\n").map_err(failed(users.display()))?;
    files.push(("/etc/passwd".to_owned(), users));
    let path = format!("PATH=/bin:{}/bin", home.display());
    write_service((POSTGRES, &path), files, archive)
}

/// Writes the archive of [`RABBITMQ`], from Debian's packages, and what its scripts run.
pub(crate) fn rabbitmq(archive: &Path) -> Outcome {
    let (erlang, server) = ("/usr/lib/erlang", "/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8");
    let mut files = shell();
    for name in ["basename", "date", "df", "dirname", "readlink"] {
        files.push((format!("/bin/{name}"), PathBuf::from(BUSYBOX)));
    }
    for dir in [erlang, server] {
        files.extend(own_paths(files_below(Path::new(dir))?));
    }
    let own = files.clone();
    let needs = |(path, _): &&(String, PathBuf)| {
        ["/bin/beam.smp", "/bin/epmd", "/lib/crypto.so"].iter().any(|end| path.ends_with(end))
    };
    for (_, program) in own.iter().filter(needs) {
        files.extend(own_paths(libraries(program)?));
    }
    let path = format!("PATH=/bin:{erlang}/bin:{server}/sbin");
    write_service((RABBITMQ, &path), files, archive)
}

/// A program of a Debian package, with its libraries.
fn program_of(package: &str, program: &Path) -> Outcome<Vec<(String, PathBuf)>> {
    let what = format!("{} (Debian: {package})", program.display());
    fs::metadata(program).map_err(failed(what))?;
    Ok(own_paths([vec![program.to_owned()], libraries(program)?].concat()).collect())
}

/// Writes the archive of [`KAFKA`], from the directory that `scripts/kafka.sh` makes.
pub(crate) fn kafka(dir: &Path, archive: &Path) -> Outcome {
    let mut files = shell();
    let runtime = dir.join("jre");
    for (from, to) in [(&runtime, "/opt/java"), (&dir.join("libs"), "/opt/kafka")] {
        for file in files_below(from)? {
            let below = file.strip_prefix(from).map_err(failed(file.display()))?;
            files.push((format!("{to}/{}", below.display()), file));
        }
    }
    for program in ["bin/java", "lib/server/libjvm.so", "lib/libnio.so", "lib/libzip.so"] {
        let outside = libraries(&runtime.join(program))?;
        files.extend(own_paths(outside).filter(|(_, file)| !file.starts_with(&runtime)));
    }
    write_service((KAFKA, "PATH=/bin:/opt/java/bin"), files, archive)
}

/// An image of a service that a shell script starts.
fn write_service(
    (name, path): (&str, &str),
    mut files: Vec<(String, PathBuf)>,
    archive: &Path,
) -> Outcome {
    files.sort();
    files.dedup();
    let image = Image {
        name: name.to_owned(),
        layers: vec![files],
        entry: owned(&["/bin/sh"]),
        variable: Some(path.to_owned()),
    };
    write(&[image], archive).map_err(failed(archive.display()))
}

fn shell() -> Vec<(String, PathBuf)> {
    [BUSYBOX, "/bin/sh"].map(|path| (path.to_owned(), PathBuf::from(BUSYBOX))).into()
}

fn own_paths(files: Vec<PathBuf>) -> impl Iterator<Item = (String, PathBuf)> {
    files.into_iter().map(|file| (file.display().to_string(), file))
}

fn files_below(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed(dir.display()))? {
        let path = entry.map_err(failed(dir.display()))?.path();
        if path.is_dir() { files.extend(files_below(&path)?) } else { files.push(path) }
    }
    Ok(files)
}

/// The pause image, whose process holds a pod's namespaces.
fn pause() -> Outcome<Image> {
    fs::metadata(BUSYBOX).map_err(failed(format!("{BUSYBOX} (Debian: busybox-static)")))?;
    let layers = vec![vec![(BUSYBOX.to_owned(), PathBuf::from(BUSYBOX))]];
    let name = "localhost/pause:1".to_owned();
    let entry = owned(&[BUSYBOX, "sleep", "infinity"]);
    Ok(Image { name, layers, entry, variable: None })
}

fn image_of_binary(name: &str, binary: &Path, scratch: &Path) -> Outcome<Image> {
    let bare = scratch.join(name);
    // Debug information is most of the file.
    let mut strip = Command::new("strip");
    strip.args(["--strip-debug", "-o"]).arg(&bare).arg(binary);
    output_of(&mut strip)?;
    let mut files = vec![(format!("/{name}"), bare), (ROOTS.to_owned(), ROOTS.into())];
    for library in libraries(binary)? {
        files.push((library.display().to_string(), library));
    }
    let entry = format!("/{name}");
    let name = format!("docker.io/library/{name}:{VERSION}");
    Ok(Image { name, layers: vec![files], entry: owned(&[&entry]), variable: None })
}

/// The same image, whose program reports a version `ahead` protocol versions above ours.
fn with_version(image: &Image, version: &str, ahead: u32) -> Image {
    let oldest = Protocol::OURS.current + ahead - 1;
    let variable = format!("{PASSES_FOR}={}:{oldest}:{version}", oldest + 1);
    let name = image.name.replace(VERSION, version);
    Image { name, variable: Some(variable), ..image.clone() }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The shared libraries of a binary, and the dynamic linker.
fn libraries(binary: &Path) -> Outcome<Vec<PathBuf>> {
    let text = output_of(Command::new("ldd").arg(binary))?;
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(PathBuf::from).collect())
}

/// Runs a program and returns its standard output. Fails if the exit status is not 0.
fn output_of(command: &mut Command) -> Outcome<String> {
    let what = format!("{command:?}");
    let ended = command.output().map_err(failed(&what))?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    Err(format!("{what}: {}", String::from_utf8_lossy(&ended.stderr)))
}
