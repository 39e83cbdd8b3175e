//! The version check between init container, stop container and agent. The agent writes a small
//! file into the directory of the node-local locks; the containers read it first of all.

use std::fs::read_to_string;
use std::io;
use std::path::Path;

use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::path::AGENT_PROTOCOL;
use firecamp_core::contract::protocol::{Program, Protocol};
use serde::{Deserialize, Serialize};

use crate::report::Report;

/// The file of an agent. Later versions may add fields but keep these.
#[derive(Debug, Serialize, Deserialize)]
struct AgentProtocol {
    protocol: u32,
    oldest: u32,
    version: String,
}

/// The contents of the file that the agent of this version writes.
pub fn agent_file() -> String {
    let Program { protocol, version } = Program::this();
    let Protocol { current, oldest } = protocol;
    let text = serde_json::to_string(&AgentProtocol { protocol: current, oldest, version });
    // Serialization of three plain fields cannot fail.
    text.unwrap_or_default() + "\n"
}

/// Why this program is incompatible with the agent of this node; `None` if it is compatible. A
/// missing file means that the agent is too old to write one; an invalid file is ignored.
fn incompatibility_with_agent(run_dir: &Path) -> Option<String> {
    let path = run_dir.join(AGENT_PROTOCOL);
    let read =
        || -> io::Result<AgentProtocol> { Ok(serde_json::from_str(&read_to_string(&path)?)?) };
    match read() {
        Ok(AgentProtocol { protocol, oldest, version }) => {
            let agent = Program { protocol: Protocol { current: protocol, oldest }, version };
            let part = format!("according to {}, the agent of this node", path.display());
            Program::this().incompatibility_with(&agent, &part)
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => None,
        Err(why) => {
            let file = path.display();
            tracing::warn!(%file, error = %why, "failed to read the agent's protocol");
            None
        }
    }
}

/// Refuses an attach next to an incompatible agent. The file of an agent that has ended is ignored.
pub fn check_before_attach(run_dir: &Path, agent_runs: bool) -> Result<(), Report> {
    match incompatibility_with_agent(run_dir).filter(|_why| agent_runs) {
        Some(why) => Err(Report::new(Exit::VersionMismatch, why)),
        None => Ok(()),
    }
}

/// Warns about an incompatible agent, for a release, which continues anyway: only the stop
/// container can release what an init container of its version recorded, because that agent ignores
/// records that it does not understand.
pub fn warn_of_agent(run_dir: &Path) {
    if let Some(why) = incompatibility_with_agent(run_dir) {
        tracing::warn!(%why, "releasing despite an incompatible agent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(AGENT_PROTOCOL), text).unwrap();
        incompatibility_with_agent(dir.path())
    }

    #[test]
    fn f097_init_container_and_agent_of_one_version_are_compatible() {
        let Protocol { current, oldest } = Protocol::OURS;
        let written: AgentProtocol = serde_json::from_str(&agent_file()).unwrap();
        assert_eq!((written.protocol, written.oldest), (current, oldest));
        assert_eq!(after(&agent_file()), None);
    }

    #[test]
    fn f097_an_incompatible_agent_refuses_an_attach_only_while_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        let next = Protocol::OURS.current + 1;
        let text = format!(r#"{{"version": "9", "oldest": {next}, "protocol": {next}}}"#);
        std::fs::write(dir.path().join(AGENT_PROTOCOL), text).unwrap();
        let refused = check_before_attach(dir.path(), true).unwrap_err();
        assert_eq!(refused.exit, Exit::VersionMismatch);
        assert!(check_before_attach(dir.path(), false).is_ok());
    }

    #[test]
    fn f097_a_missing_or_invalid_agent_file_is_ignored() {
        assert_eq!(incompatibility_with_agent(Path::new("/nowhere")), None);
        for text in ["", "{}", "garbage", r#"{"protocol": "9", "oldest": 9, "version": ""}"#] {
            assert_eq!(after(text), None, "{text}");
        }
    }

    #[test]
    fn f097_a_file_with_additional_fields_is_accepted() {
        let text = |current, oldest| {
            format!(r#"{{"more": [1], "version": "9", "oldest": {oldest}, "protocol": {current}}}"#)
        };
        let next = Protocol::OURS.current + 1;
        assert_eq!(after(&text(next, next - 1)), None);
        let why = after(&text(next + 1, next)).unwrap();
        assert!(why.contains(AGENT_PROTOCOL), "{why}");
    }
}
