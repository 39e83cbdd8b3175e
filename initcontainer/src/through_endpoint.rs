//! Attaches through the agent's endpoint, without privileges: asks the agent, and writes the
//! address to the member's files.

use std::net::Ipv4Addr;

use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::FileFailure;
use firecamp_core::ports::MemberFile as _;
use firecamp_host::{FileOptions, StaticIpFile};
use firecamp_run::config::EndpointInit;
use firecamp_run::process::Signals;
use firecamp_run::report::Report;
use firecamp_run::require_mount::{self, NotMounted};

/// The files are written after the agent's outcome and before the success of this container: a
/// crash between the two repeats the attach.
pub(crate) async fn attach(config: &EndpointInit, signals: Signals) -> Result<Report, Report> {
    let files = files(config)?;
    for file in &files {
        file.probe().await.map_err(refused)?;
    }
    let report = tokio::select! {
        biased;
        () = signals.end.cancelled() => return Err(Report::interrupted()),
        report = config.client.attach(config.timeout) => report,
    };
    if report.exit != Exit::Success {
        return Err(report);
    }
    let Some(address) = report.address else {
        let text = "the agent reports success without an address";
        return Err(Report::new(Exit::VersionMismatch, text));
    };
    for file in &files {
        write(file, address).await.map_err(refused)?;
    }
    Ok(report)
}

/// The file of the address, and the static-IP file where the member's volume is mounted.
fn files(config: &EndpointInit) -> Result<Vec<StaticIpFile>, Report> {
    let path = &config.address_file;
    let name = path.file_name().and_then(|name| name.to_str());
    let (Some(dir), Some(name)) = (path.parent(), name) else {
        let text = format!("{} is not the path of a file (--address-file)", path.display());
        return Err(Report::new(Exit::Usage, text));
    };
    let refused = |why: NotMounted| Report::new(Exit::DiskRefused, why.to_string());
    if config.require_mount {
        require_mount::require_own_mount(dir).map_err(refused)?;
    }
    let mut files = vec![StaticIpFile::named(dir, name, FileOptions::default())];
    match require_mount::require_own_mount(&config.conf_dir) {
        Ok(()) => files.push(StaticIpFile::new(&config.conf_dir, FileOptions::default())),
        Err(NotMounted::Root { .. }) => {}
        Err(why @ NotMounted::Unreadable(_)) => return Err(refused(why)),
    }
    Ok(files)
}

async fn write(file: &StaticIpFile, address: Ipv4Addr) -> Result<(), FileFailure> {
    if file.stage(address).await? {
        file.publish().await?;
    }
    file.sync().await
}

fn refused(why: FileFailure) -> Report {
    Report::new(Exit::DiskRefused, why.detail)
}
