//! What init, stop and agent tell each other of their versions before anything else: the agent by
//! a small file in the directory of the node-local locks, the others by reading it.

use std::io;
use std::path::Path;

use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::path::AGENT_PROTOCOL;
use firecamp_core::contract::protocol::{Program, Protocol};
use serde::{Deserialize, Serialize};

use crate::report::Report;

/// The file of an agent. A later version adds fields and keeps these.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    protocol: u32,
    oldest: u32,
    version: String,
}

/// What an agent of this program writes.
pub fn said() -> String {
    let Program { protocol, version } = Program::this();
    let Protocol { current, oldest } = protocol;
    let text = serde_json::to_string(&Said { protocol: current, oldest, version });
    // Three plain fields can always be written.
    text.unwrap_or_default() + "\n"
}

/// Refuses to meet an agent that this program does not understand. Without a file there is no
/// agent, or one from before there was any; a file that no agent can have written says nothing.
pub fn meet_agent(run_dir: &Path) -> Result<(), Report> {
    let path = run_dir.join(AGENT_PROTOCOL);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(why) => return not_read(&path, &why),
    };
    match serde_json::from_str(&text) {
        Ok(said) => meet(&said, &path),
        Err(why) => not_read(&path, &why),
    }
}

fn not_read(path: &Path, why: &dyn std::fmt::Display) -> Result<(), Report> {
    tracing::warn!(file = %path.display(), error = %why, "The agent's version is not read");
    Ok(())
}

fn meet(Said { protocol, oldest, version }: &Said, path: &Path) -> Result<(), Report> {
    let protocol = Protocol { current: *protocol, oldest: *oldest };
    let agent = Program { protocol, version: version.clone() };
    let part = format!("by {} the agent of this node", path.display());
    match Program::this().apart_from(&agent, &part) {
        Some(why) => Err(Report::new(Exit::VersionMismatch, why)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Result<(), Report> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(AGENT_PROTOCOL), text).unwrap();
        meet_agent(dir.path())
    }

    #[test]
    fn f097_what_this_agent_says_its_own_init_container_understands() {
        let Protocol { current, oldest } = Protocol::OURS;
        let said: Said = serde_json::from_str(&said()).unwrap();
        assert_eq!((said.protocol, said.oldest), (current, oldest));
        assert!(after(&super::said()).is_ok());
    }

    #[test]
    fn f097_without_an_agent_or_with_one_that_says_nothing_it_goes_on() {
        assert!(meet_agent(Path::new("/nowhere")).is_ok());
        for text in ["", "{}", "garbage", r#"{"protocol": "9", "oldest": 9, "version": ""}"#] {
            assert!(after(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn f097_an_agent_of_a_later_format_is_understood_by_the_fields_that_stay() {
        let text = |current, oldest| {
            format!(r#"{{"more": [1], "version": "9", "oldest": {oldest}, "protocol": {current}}}"#)
        };
        let next = Protocol::OURS.current + 1;
        assert!(after(&text(next, next - 1)).is_ok());
        let refused = after(&text(next + 1, next)).unwrap_err();
        assert_eq!(refused.exit, Exit::VersionMismatch);
        assert!(refused.message.contains(AGENT_PROTOCOL), "{}", refused.message);
    }
}
