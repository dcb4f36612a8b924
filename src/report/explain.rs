//! Denials in words, and as the lines of a policy that would allow them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::denial::{Denial, Sort};
use super::package::PackageId;
use super::remedy::Remedy;
use crate::policy::kind::Kind;
use crate::policy::paths::Places;

/// Whose job it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The package.
    pub package: PackageId,
    /// The kind of job.
    pub kind: Kind,
    /// Macros that ran in it, where it was a compiler.
    pub macros: BTreeSet<String>,
}

/// How many lines are said of a job unless the user asks for all.
pub const MOST: usize = 4;

/// A message about a job in a project of such places, of which at most `most` denials are named; `file` is where what
/// would allow them belongs.
pub fn explain(
    subject: &Subject,
    denials: &BTreeSet<Denial>,
    most: usize,
    places: &Places,
    file: &Path,
) -> String {
    let mut text = format!("note: {} of `{}` was refused:", subject.kind.one(), subject.package);
    if !subject.macros.is_empty() {
        let macros: Vec<&str> = subject.macros.iter().map(String::as_str).collect();
        text = format!(
            "note: {} of `{}`, or a macro that it ran ({}), was refused:",
            subject.kind.one(),
            subject.package,
            macros.join(", ")
        );
    }
    let named: Vec<(&Denial, Remedy)> =
        denials.iter().take(most).map(|denial| (denial, Remedy::of(denial, places))).collect();
    for (denial, remedy) in &named {
        let _infallible = write!(text, "\n  {}: {}", denial.words(), shown(&denial.what));
        let why = remedy.why_not().map(|reason| format!("no policy allows it: {}", shown(reason)));
        let notes: Vec<&str> = [&*denial.note, why.as_deref().unwrap_or("")]
            .into_iter()
            .filter(|note| !note.is_empty())
            .collect();
        if !notes.is_empty() {
            let _infallible = write!(text, " ({})", notes.join("; "));
        }
    }
    if denials.len() > most {
        let _infallible = write!(text, "\n  and {} more: `-v` names all", denials.len() - most);
    }
    if let Some(lines) = suggestion(&subject.entry(), named.iter().map(|(_, remedy)| remedy)) {
        let file = file.display();
        let _infallible = write!(text, "\n\nhint: if it should have that, add this to {file}:\n{lines}");
    } else if denials.iter().any(|denial| denial.sort == Sort::Socket) {
        text.push_str("\n\nhint: a socket of this machine is shown to no job that `sockets` of a policy does not name (docs/policy.md)");
    } else {
        text.push_str("\n\nhint: no policy allows that; the package has to do without");
    }
    text
}

impl Subject {
    /// Under which package and kind of job a policy allows something to it.
    pub fn entry(&self) -> (String, Kind) {
        // The macro's own, where only one can have been it.
        match self.macros.iter().next().filter(|_| self.macros.len() == 1) {
            Some(named) => (named.split(' ').next().unwrap_or(named).to_owned(), Kind::Macro),
            None => (self.package.name.clone(), self.kind),
        }
    }
}

/// The lines of a policy that say these, if there are any.
pub fn suggestion<'a>(
    (name, kind): &(String, Kind),
    remedies: impl Iterator<Item = &'a Remedy>,
) -> Option<String> {
    let lines: BTreeSet<(&str, &str)> = remedies.filter_map(Remedy::line).collect();
    if lines.is_empty() {
        return None;
    }
    let mut values = toml_edit::Table::new();
    for key in ["read", "write", "network", "env", "execute"] {
        let own: toml_edit::Array =
            lines.iter().filter(|(own, _)| *own == key).map(|(_, entry)| *entry).collect();
        if !own.is_empty() {
            values.insert(key, toml_edit::value(own));
        }
    }
    let name = toml_edit::Value::from(name.as_str());
    Some(format!("[packages.{}.{}]\n{}", name.to_string().trim(), kind.name(), values.to_string().trim_end()))
}

/// A word of a job's, with everything that a terminal would obey made visible.
pub fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            if letter.is_control() { letter.escape_default().collect::<Vec<_>>() } else { vec![letter] }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_short_and_names_the_lines() {
        let package = PackageId { name: "x".into(), version: "1.0.0".into() };
        let mut subject = Subject { package, kind: Kind::BuildScript, macros: BTreeSet::new() };
        let denial = |sort, what: &str| Denial { sort, what: what.into(), note: String::new() };
        let mut denials: BTreeSet<Denial> = (0..9).map(|n| denial(Sort::Read, &format!("/h/{n}"))).collect();
        denials.insert(denial(Sort::Network, "a.example:443"));
        let explain = |subject: &Subject, denials: &BTreeSet<Denial>, most| {
            explain(subject, denials, most, &Places::default(), Path::new("cargo-sandbox.toml"))
        };
        let text = explain(&subject, &denials, MOST);
        let expected = "note: the build script of `x 1.0.0` was refused:\n  network: a.example:443\n  read: /h/0\n  read: \
                        /h/1\n  read: /h/2\n  and 6 more: `-v` names all\n\nhint: if it should have that, \
                        add this to cargo-sandbox.toml:\n[packages.\"x\".build-script]\nread = [\"/h/0\", \"/h/1\", \
                        \"/h/2\"]\nnetwork = [\"a.example:443\"]";
        assert_eq!(text, expected);
        subject.kind = Kind::Compile;
        subject.macros.insert("m 2.0.0".into());
        assert!(
            explain(&subject, &denials, 1).contains("[packages.\"m\".macro]\nnetwork = [\"a.example:443\"]")
        );
        subject.macros.insert("n 2.0.0".into());
        assert!(explain(&subject, &denials, 1).contains("(m 2.0.0, n 2.0.0)"));
        assert!(explain(&subject, &denials, 1).contains("[packages.\"x\".compile]"));
        let key = BTreeSet::from([denial(Sort::Read, "/proc/1/mem"), denial(Sort::Read, "/h/1")]);
        let text = explain(&subject, &key, MOST);
        assert!(text.contains("read: /proc/1/mem (no policy allows it: it is the system's own"), "{text}");
        assert!(text.ends_with("read = [\"/h/1\"]"), "{text}");
        let call = BTreeSet::from([denial(Sort::Call, "ptrace")]);
        assert!(explain(&subject, &call, MOST).contains("no policy allows that"));
        assert_eq!(shown("a\u{1b}[2J"), "a\\u{1b}[2J");
    }
}
