//! What of a repository's configuration needs trust.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use crate::broker::directives::obeyed_variable;
use crate::policy::question::{Item, Question, is_secret};

use super::keys::{Class, Condition, Key, Known, look_up};
use super::{Configuration, Source, alias};

/// Aliases do nothing until they are used.
#[derive(Debug, Clone, Copy)]
pub enum Aliases<'a> {
    /// Look at all of them.
    All,
    /// Look at these.
    Used(&'a [String]),
}

/// Said of a key that [`keys`](super::keys) does not know.
const UNKNOWN: &str = "not a key that cargo 1.95 documents: what another cargo takes it for is not known";

impl Configuration {
    /// What needs trust, file by file. The user's own files are not asked about.
    pub fn questions(&self, aliases: Aliases<'_>) -> Vec<Question> {
        let others = self.sources().filter(|source| !source.users);
        others.filter_map(|source| self.question(source, aliases)).collect()
    }

    fn question(&self, source: &Source, aliases: Aliases<'_>) -> Option<Question> {
        let file = source.file.clone()?;
        let mut items = Vec::new();
        let mut whole = |effect: String| {
            items.push(Item { line: None, key: "this file".into(), value: None, effect });
        };
        if let Some(owner) = source.stranger {
            whole(format!(
                "it belongs to the user {owner}, who can change at any time what cargo does for you"
            ));
        }
        if source.elsewhere {
            whole("a file of the repository includes it, and it is outside of the repository".into());
        }
        let lines = DeTable::parse(&source.text).ok();
        for (path, effect) in self.found(source, aliases) {
            let shown = !source.elsewhere && !path.last().is_some_and(|part| is_secret(part));
            let value = lookup(&source.table, &path).filter(|_| shown);
            items.push(Item {
                line: lines.as_ref().and_then(|table| line_of(&source.text, table.get_ref(), &path)),
                key: key_of(&path),
                value: value.map(Value::to_string),
                effect,
            });
        }
        items.sort_by_key(|item| item.line);
        (!items.is_empty()).then(|| Question { file, text: source.text.clone(), items })
    }

    /// Every key that needs trust, and why.
    fn found<'a>(&self, source: &'a Source, aliases: Aliases<'_>) -> Vec<(Vec<&'a str>, String)> {
        let mut found = Vec::new();
        let mut open: Vec<(Vec<&str>, &Value)> =
            source.table.iter().map(|(key, value)| (vec![key.as_str()], value)).collect();
        while let Some((path, value)) = open.pop() {
            let below = value.as_table();
            match look_up(&path, below.is_some()) {
                Known::Key(key) => {
                    if let Some(effect) = self.effect(source, key, &path, value, aliases) {
                        found.push((path, effect));
                    }
                }
                Known::LeadsOn => open.extend(below.into_iter().flatten().map(|(key, value)| {
                    let mut path = path.clone();
                    path.push(key);
                    (path, value)
                })),
                Known::Nothing => found.push((path, UNKNOWN.to_owned())),
            }
        }
        found
    }

    /// What a key does if it needs trust.
    fn effect(
        &self,
        source: &Source,
        key: &Key,
        path: &[&str],
        value: &Value,
        aliases: Aliases<'_>,
    ) -> Option<String> {
        let last = path.last().copied().unwrap_or_default();
        match key.class {
            Class::Harmless => None,
            // What this tool decides wins over files, and loses against the command line.
            Class::Decided => source.file.is_none().then(|| key.why.to_owned()),
            Class::Trust => Some(key.why.to_owned()),
            Class::When(Condition::PlainVariable) => {
                obeyed_variable(last).map(|why| format!("{}: {last} {why}", key.why))
            }
            Class::When(Condition::PlainAlias) => {
                if matches!(aliases, Aliases::Used(used) if !used.iter().any(|name| name == last)) {
                    return None;
                }
                let word = alias::objection(value, &AliasJudge { configuration: self, source })?;
                Some(format!("{}: `{word}`", key.why))
            }
            Class::When(condition) => {
                let name = path.get(1).copied().unwrap_or_default();
                let holds = self.holds(condition, source, name, value)
                    || (condition == Condition::Off && self.users_say(key.pattern, value));
                (!holds).then(|| key.why.to_owned())
            }
        }
    }

    /// Whether the user's own files have the same value.
    fn users_say(&self, key: &str, value: &Value) -> bool {
        self.sources().any(|source| source.users && source.get(key) == Some(value))
    }

    /// Whether a value is harmless; `name` is the second part of its key.
    fn holds(&self, condition: Condition, source: &Source, name: &str, value: &Value) -> bool {
        // On a command line a path is relative to wherever it is used.
        let known = source.file.is_some();
        let inside =
            |path: &Value| known && path.as_str().is_some_and(|path| self.is_inside(&source.base.join(path)));
        match condition {
            Condition::Inside => match value {
                Value::Array(paths) => paths.iter().all(inside),
                // A dependency as in a manifest: from a registry or from git, unless it has a path.
                Value::Table(dependency) => dependency.get("path").is_none_or(inside),
                // A version, in `[patch]`, is read as a path: one that is inside.
                value => inside(value),
            },
            Condition::NewRegistry => self.is_new_registry(name, value),
            Condition::KnownSource => value.as_str().is_some_and(|target| {
                target == "crates-io" || self.sources().any(|source| source.defines_source(target))
            }),
            Condition::Replaced => {
                let table = source.table.get("source").and_then(|all| all.get(name));
                table.is_some_and(|table| table.get("replace-with").is_some())
            }
            Condition::BuiltInVcs => matches!(value.as_str(), Some("git" | "none")),
            Condition::Off => value.as_bool() == Some(false),
            Condition::PlainVariable | Condition::PlainAlias => false,
        }
    }

    /// Whether the user's own files say nothing of a registry, or the same. cargo finds a token by the name that
    /// the index has in the merged configuration: a repository that gives the name of yours another address has
    /// your token sent there.
    fn is_new_registry(&self, name: &str, index: &Value) -> bool {
        let users = self.sources().filter(|source| source.users);
        let mut same = false;
        for table in users.filter_map(|source| source.table.get("registries")?.get(name)) {
            match table.get("index") {
                Some(own) if own == index => same = true,
                _ => return false,
            }
        }
        same || !self.has_credentials(name)
    }

    fn has_credentials(&self, name: &str) -> bool {
        ["credentials", "credentials.toml"].iter().any(|file| {
            let path = self.cargo_home.join(file);
            match std::fs::read_to_string(&path) {
                // What cannot be understood here may hold a token all the same.
                Ok(text) => toml::from_str::<Table>(&text).map_or(true, |table| {
                    table.get("registries").is_some_and(|registries| registries.get(name).is_some())
                }),
                Err(_) => path.exists(),
            }
        })
    }
}

/// Judges the options of an alias in one file.
struct AliasJudge<'a> {
    configuration: &'a Configuration,
    source: &'a Source,
}

impl alias::Judge for AliasJudge<'_> {
    fn is_inside(&self, path: &str) -> bool {
        self.configuration.is_inside(&self.source.base.join(path))
    }

    fn is_harmless(&self, setting: &str) -> bool {
        let Ok(table) = toml::from_str::<Table>(setting) else { return false };
        let source = Source {
            file: None,
            base: self.source.base.clone(),
            text: String::new(),
            table,
            users: false,
            stranger: None,
            elsewhere: false,
        };
        source.table.get("include").is_none() && self.configuration.found(&source, Aliases::All).is_empty()
    }
}

impl Source {
    fn defines_source(&self, name: &str) -> bool {
        self.table.get("source").is_some_and(|sources| sources.get(name).is_some())
    }
}

fn lookup<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, part| value.get(*part))
}

/// The line of a key, from 1.
pub(in crate::cargo) fn line_of(text: &str, table: &DeTable<'_>, path: &[&str]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let (key, mut value) = entry(table, first)?;
    let mut start = key.span().start;
    for part in rest {
        let (key, below) = entry(value.get_ref().as_table()?, part)?;
        (start, value) = (key.span().start, below);
    }
    Some(text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1)
}

type Entry<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

fn entry<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<Entry<'a, 'i>> {
    table.iter().find(|(key, _)| key.get_ref() == name)
}

/// A key as one would write it.
pub(in crate::cargo) fn key_of(path: &[&str]) -> String {
    let bare = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let parts: Vec<String> = path
        .iter()
        .map(|part| if bare(part) { (*part).to_owned() } else { Value::from(*part).to_string() })
        .collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{project, read};
    use super::super::{Place, keys::KEYS};
    use super::*;

    fn asked(text: &str) -> Vec<String> {
        let (_directory, configuration) = project(text);
        let questions = configuration.questions(Aliases::All);
        questions.into_iter().flat_map(|question| question.items).map(|item| item.key).collect()
    }

    #[test]
    fn what_cargo_vendor_writes_needs_no_trust() {
        let text = r#"
            [source.crates-io]
            replace-with = "vendored-sources"
            [source."git+https://example.invalid/x?rev=1"]
            git = "https://example.invalid/x"
            rev = "1"
            replace-with = "vendored-sources"
            [source.vendored-sources]
            directory = "vendor"
        "#;
        assert_eq!(asked(text), [""; 0]);
    }

    #[test]
    fn what_real_projects_set_needs_no_trust() {
        let text = r#"
            [build]
            target = "thumbv7em-none-eabihf"
            rustc-wrapper = "sccache"
            rustflags = ["-C", "target-cpu=native"]
            [target.'cfg(all(target_arch = "arm", target_os = "none"))']
            runner = "probe-rs run --chip nRF52840_xxAA"
            [target.x86_64-pc-windows-msvc]
            rustflags = ["-C", "target-feature=+crt-static"]
            linker = "rust-lld"
            [target.x.ssl]
            rustc-link-lib = ["ssl"]
            [alias]
            xtask = "run --package xtask --"
            [env]
            DEFMT_LOG = "trace"
            WORKSPACE = { value = "", relative = true }
            [unstable]
            build-std = ["core"]
            [profile.release.package."*"]
            opt-level = 3
            [profile.dev.build-override]
            opt-level = 3
            [registries.corp]
            index = "sparse+https://example.invalid/index/"
            [net]
            git-fetch-with-cli = false
            retry = 5
            [http]
            multiplexing = false
            [term]
            progress = { when = "always", width = 80 }
        "#;
        assert_eq!(asked(text), [""; 0]);
    }

    #[test]
    fn what_acts_on_this_machine_needs_trust() {
        for (text, key) in [
            ("registry.credential-provider = 'x'", "registry.credential-provider"),
            ("[registries.mine]\ncredential-provider = ['x']", "registries.mine.credential-provider"),
            ("[credential-alias]\na = ['x']", "credential-alias.a"),
            ("[registry]\nglobal-credential-providers = ['x']", "registry.global-credential-providers"),
            ("[host]\nrunner = 'x'", "host"),
            ("[doc]\nbrowser = 'x'", "doc.browser"),
            ("http.proxy = 'x'", "http.proxy"),
            ("http.ssl-version.min = 'tlsv1.0'", "http.ssl-version"),
            ("net.git-fetch-with-cli = true", "net.git-fetch-with-cli"),
            ("net.ssh.known-hosts = ['x']", "net.ssh.known-hosts"),
            ("[env]\nLD_PRELOAD = { value = 'x', force = true }", "env.LD_PRELOAD"),
            ("target.x.ssl.rustc-env.PATH = 'x'", "target.x.ssl.rustc-env.PATH"),
            ("paths = ['a', '../b']", "paths"),
            ("patch.crates-io.serde.path = '/elsewhere'", "patch.crates-io.serde"),
            ("source.x.directory = '/elsewhere'", "source.x.directory"),
            ("source.x.directory = 'no/../../x'", "source.x.directory"),
            ("source.crates-io.registry = 'https://example.invalid'", "source.crates-io.registry"),
            ("source.crates-io.replace-with = 'mine'", "source.crates-io.replace-with"),
            ("registries.crates-io.index = 'x'", "registries.crates-io.index"),
            ("registry.token = 'x'", "registry.token"),
            ("alias.b = 'build --config x'", "alias.b"),
            ("cargo-new.vcs = 'hg'", "cargo-new.vcs"),
            ("unstable.host-config = true", "unstable.host-config"),
            ("unstable.next-year = true", "unstable.next-year"),
            ("build.next-year = true", "build.next-year"),
            ("next-year = true", "next-year"),
            ("'next year'.x = true", "\"next year\""),
            ("target.x.next-year = 'x'", "target.x.next-year"),
        ] {
            assert_eq!(asked(text), [key], "{text}");
        }
    }

    #[test]
    fn every_key_that_needs_trust_is_asked_about_wherever_it_stands() {
        for key in KEYS.iter().filter(|key| key.class == Class::Trust) {
            let key = key.pattern.replace('*', "any");
            assert_eq!(asked(&format!("{key} = 'x'")), [key.as_str()]);
        }
    }

    #[test]
    fn an_alias_may_set_what_its_file_may() {
        for setting in ["env.BLESS='1'", "profile.dev.opt-level=3", "build.rustflags=['-Cdebuginfo=0']"] {
            assert_eq!(
                asked(&format!("alias.t = [\"test\", \"--config\", \"{setting}\"]")),
                [""; 0],
                "{setting}"
            );
        }
        for setting in [
            "env.PATH='x'",
            "http.proxy='x'",
            "target.x.runner='x'",
            "build.target-dir='x'",
            "build.rustc='x'",
            "paths=['x']",
            "include=['x.toml']",
            "file.toml",
            "",
        ] {
            let text = format!("alias.t = [\"test\", \"--config\", \"{setting}\"]");
            let harmless = setting.is_empty();
            assert_eq!(asked(&text).is_empty(), harmless, "{setting}");
        }
    }

    #[test]
    fn an_alias_is_asked_about_when_it_is_used() {
        let (_directory, configuration) = project("[alias]\na = 'build --config x'\nb = 'build'");
        let asked = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            configuration.questions(Aliases::Used(&names)).len()
        };
        assert_eq!((asked(&[]), asked(&["b"]), asked(&["b", "a"])), (0, 0, 1));
    }

    #[test]
    fn an_item_names_its_line_and_value() {
        let (_directory, configuration) = project("# first\n[http]\ndebug = false\nproxy = 'a:1'\n");
        let questions = configuration.questions(Aliases::All);
        let item = &questions[0].items[0];
        assert_eq!((item.line, item.value.as_deref()), (Some(4), Some("\"a:1\"")));
    }

    #[test]
    fn a_token_is_not_shown() {
        let (_directory, configuration) = project("registry.token = 'x'\nregistries.a.secret-key = 'x'");
        let questions = configuration.questions(Aliases::All);
        assert_eq!(questions[0].items.iter().filter(|item| item.value.is_none()).count(), 2);
    }

    #[test]
    fn included_files_count_and_those_from_elsewhere_show_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("project");
        std::fs::create_dir_all(root.join(".cargo")).unwrap();
        std::fs::write(root.join(".cargo/config.toml"), "include = ['more.toml', '../../else.toml']")
            .unwrap();
        std::fs::write(root.join(".cargo/more.toml"), "http.proxy = 'x'").unwrap();
        std::fs::write(directory.path().join("else.toml"), "secret = 'x'").unwrap();
        let questions = read(&root, &[]).unwrap().questions(Aliases::All);
        let items: Vec<_> = questions.iter().flat_map(|question| &question.items).collect();
        let keys: Vec<_> = items.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(keys, ["this file", "secret", "http.proxy"]);
        assert_eq!(items[1].value, None);
        std::fs::write(directory.path().join("else.toml"), "secret without value").unwrap();
        let error = format!("{:#}", read(&root, &[]).unwrap_err());
        assert!(error.contains("else.toml") && !error.contains("without value"), "{error}");
    }

    #[test]
    fn a_registry_that_the_user_has_keeps_its_address() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().join("project");
        let cargo_home = directory.path().canonicalize().unwrap().join("home");
        std::fs::create_dir_all(root.join(".cargo")).unwrap();
        std::fs::create_dir_all(&cargo_home).unwrap();
        std::fs::write(root.join(".cargo/config.toml"), "registries.corp.index = 'there'").unwrap();
        let asked = || {
            let place = Place { directory: &root, cargo_home: &cargo_home, root: Some(&root) };
            Configuration::read(place, &[]).unwrap().questions(Aliases::All).len()
        };
        assert_eq!(asked(), 0);
        std::fs::write(cargo_home.join("credentials.toml"), "registries.corp.token = 'x'").unwrap();
        assert_eq!(asked(), 1, "its token would go there");
        std::fs::write(cargo_home.join("config.toml"), "registries.corp.index = 'there'").unwrap();
        assert_eq!(asked(), 0, "where the user sends it too");
        std::fs::write(cargo_home.join("config.toml"), "registries.corp.index = 'here'").unwrap();
        assert_eq!(asked(), 1);
    }

    #[test]
    fn the_users_own_files_are_not_asked_about_unless_they_are_in_the_project() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let home = root.join("project/.cargo");
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("config.toml"), "http.proxy = 'x'").unwrap();
        let asked = |root: &std::path::Path| {
            let place = Place { directory: root, cargo_home: &home, root: Some(root) };
            Configuration::read(place, &[]).unwrap().questions(Aliases::All).len()
        };
        let other = root.join("other");
        assert_eq!((asked(&other), asked(&root.join("project"))), (0, 1));
        std::fs::create_dir_all(other.join(".cargo")).unwrap();
        std::fs::write(other.join(".cargo/config.toml"), "net.git-fetch-with-cli = true").unwrap();
        assert_eq!(asked(&other), 1);
        std::fs::write(home.join("config.toml"), "net.git-fetch-with-cli = true").unwrap();
        assert_eq!(asked(&other), 0, "what the user wants anyway");
        let arguments = ["http.proxy = 'x'".to_owned()];
        assert!(read(&root, &arguments).unwrap().questions(Aliases::All).is_empty());
    }
}
