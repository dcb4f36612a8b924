//! `/proc/<pid>/stat` (proc_pid_stat(5)).

use std::str::SplitAsciiWhitespace;

/// The fields behind the process's name, which is free text in parentheses: state, parent, group, session, terminal,
/// its foreground group, and so on. `None` for what is no such line.
pub fn behind_name(stat: &str) -> Option<SplitAsciiWhitespace<'_>> {
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace())
}
