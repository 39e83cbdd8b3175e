//! What init, stop and agent tell each other of their versions before anything else: the agent by
//! a small file in the directory of the node-local locks, the others by reading it.

use std::fs::read_to_string;
use std::io;
use std::path::Path;

use firecamp_core::contract::path::AGENT_PROTOCOL;
use firecamp_core::contract::protocol::{Program, Protocol};
use serde::{Deserialize, Serialize};

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

/// Why this program and the agent that runs on this node must not meet; none if they may. Without
/// a file the agent is from before there was any; a file that no agent can have written says
/// nothing.
pub fn apart_from_agent(run_dir: &Path) -> Option<String> {
    let path = run_dir.join(AGENT_PROTOCOL);
    let read = || -> io::Result<Said> { Ok(serde_json::from_str(&read_to_string(&path)?)?) };
    match read() {
        Ok(Said { protocol, oldest, version }) => {
            let agent = Program { protocol: Protocol { current: protocol, oldest }, version };
            let part = format!("by {} the agent of this node", path.display());
            Program::this().apart_from(&agent, &part)
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => None,
        Err(why) => {
            tracing::warn!(file = %path.display(), error = %why, "The agent's version is not read");
            None
        }
    }
}

/// For a release, which goes on: it takes away what an init container of its own version has
/// recorded, and nobody else can, for that agent leaves alone what it does not understand.
pub fn warn_of_agent(run_dir: &Path) {
    if let Some(why) = apart_from_agent(run_dir) {
        tracing::warn!(%why, "It releases beside an agent that it does not understand");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(AGENT_PROTOCOL), text).unwrap();
        apart_from_agent(dir.path())
    }

    #[test]
    fn f097_what_this_agent_says_its_own_init_container_understands() {
        let Protocol { current, oldest } = Protocol::OURS;
        let said: Said = serde_json::from_str(&said()).unwrap();
        assert_eq!((said.protocol, said.oldest), (current, oldest));
        assert_eq!(after(&super::said()), None);
    }

    #[test]
    fn f097_without_an_agent_or_with_one_that_says_nothing_it_goes_on() {
        assert_eq!(apart_from_agent(Path::new("/nowhere")), None);
        for text in ["", "{}", "garbage", r#"{"protocol": "9", "oldest": 9, "version": ""}"#] {
            assert_eq!(after(text), None, "{text}");
        }
    }

    #[test]
    fn f097_an_agent_of_a_later_format_is_understood_by_the_fields_that_stay() {
        let text = |current, oldest| {
            format!(r#"{{"more": [1], "version": "9", "oldest": {oldest}, "protocol": {current}}}"#)
        };
        let next = Protocol::OURS.current + 1;
        assert_eq!(after(&text(next, next - 1)), None);
        let why = after(&text(next + 1, next)).unwrap();
        assert!(why.contains(AGENT_PROTOCOL), "{why}");
    }
}
