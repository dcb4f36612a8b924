//! Who has a terminal, as `/proc/<pid>/stat` tells.

use rustix::process::Pid;

use crate::procstat::behind_name;

/// A process and its terminal.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    /// Whether it is stopped.
    pub stopped: bool,
    /// Its process group.
    pub group: Pid,
    /// Whether that is the one that its terminal's signals go to.
    pub foreground: bool,
}

/// The state of a process; `None` when it is gone.
pub fn state(process: Pid) -> Option<State> {
    parse(&std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid())).ok()?)
}

fn parse(stat: &str) -> Option<State> {
    let fields: Vec<&str> = behind_name(stat)?.take(6).collect();
    let [state, _, group, _, _, foreground] = fields.as_slice() else { return None };
    Some(State {
        stopped: *state == "T",
        group: Pid::from_raw(group.parse().ok()?)?,
        foreground: group == foreground,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_forge_its_group() {
        let group = Pid::from_raw(7);
        let found = |stat| parse(stat).map(|state| (state.stopped, Some(state.group), state.foreground));
        assert_eq!(found("5 (a) T 1 9 9) S 1 7 6 34816 7 0"), Some((false, group, true)));
        assert_eq!(found("5 (a) T 1 7 6 34816 8 0"), Some((true, group, false)));
        assert_eq!(found("5 (a) T 1 7"), None);
    }
}
