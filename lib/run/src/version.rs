//! Overrides the version of this process, so that tests can use versions that do not exist yet.
//! `FIRECAMP_PASSES_FOR=4:3:0.2.0` means protocol 4, understands 3 and later, FireCamp 0.2.0. Only
//! in debug builds: release builds ignore the variable.

use firecamp_core::contract::env::PASSES_FOR;
use firecamp_core::contract::protocol::{Program, Protocol};

use crate::config_errors::{Faults, escaped};

pub(crate) fn from_environment(faults: &mut Faults) {
    let Some(value) = std::env::var_os(PASSES_FOR) else { return };
    let value = value.to_string_lossy();
    match program(&value) {
        Some(other) => {
            tracing::warn!(version = other.version, "version overridden for tests");
            Program::override_this(other);
        }
        None => {
            faults.add(format!("{PASSES_FOR}: {} is not of the form 3:2:VERSION", escaped(&value)));
        }
    }
}

fn program(text: &str) -> Option<Program> {
    let (current, rest) = text.split_once(':')?;
    let (oldest, version) = rest.split_once(':')?;
    let protocol = Protocol { current: current.parse().ok()?, oldest: oldest.parse().ok()? };
    let word = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_graphic());
    let program = Program { protocol, version: version.to_owned() };
    (word && protocol.oldest <= protocol.current).then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_override_is_two_numbers_and_a_word() {
        let of = |current, oldest, version: &str| {
            Some(Program { protocol: Protocol { current, oldest }, version: version.to_owned() })
        };
        assert_eq!(program("3:2:0.2.0-next"), of(3, 2, "0.2.0-next"));
        assert_eq!(program("3:3:a:b"), of(3, 3, "a:b"));
        for wrong in ["", "3", "3:2", "3:2:", "2:3:1", "3:x:1", "-3:2:1", "3:2:a b", "3:2:a\n"] {
            assert_eq!(program(wrong), None, "{wrong:?}");
        }
    }
}
