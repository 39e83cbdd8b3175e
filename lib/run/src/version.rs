//! Which version this process passes for, so that tests have some that do not exist yet.
//! `FIRECAMP_PASSES_FOR=3:2:0.2.0` speaks protocol 3, understands 2 and later, and is FireCamp
//! 0.2.0. In debug builds only: release builds do not read it.

use firecamp_core::contract::env::PASSES_FOR;
use firecamp_core::contract::protocol::{Program, Protocol};

use crate::fault::{Faults, escaped};

pub(crate) fn from_environment(faults: &mut Faults) {
    let Some(told) = std::env::var_os(PASSES_FOR) else { return };
    let told = told.to_string_lossy();
    match program(&told) {
        Some(other) => {
            tracing::warn!(version = other.version, "It passes for another version");
            Program::pass_for(other);
        }
        None => faults.add(format!("{PASSES_FOR}: {} is no 3:2:VERSION", escaped(&told))),
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
    fn a_version_is_two_numbers_and_a_word() {
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
