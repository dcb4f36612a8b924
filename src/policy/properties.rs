//! What holds of every repository's policy, whatever is in it: without trust it gives no job of any package more than
//! the job has without the file.

use std::path::{Path, PathBuf};

use crate::container::engines::Selection;

use super::containers::Own;
use super::effective::{Effective, Said};
use super::file::PolicyFile;
use super::kind::Kind;
use super::known::KnownPackages;
use super::layers::{Place, Policy, Source, Written};
use super::limits::LimitSettings;
use super::native::Native;
use super::package::{Package, Provenance};
use super::paths::Places;
use super::provider::Provider;
use super::question::Item;
use super::repository::RepositoryPolicy;

/// Numbers that look random and are the same in every run (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

const SELECTORS: &[&str] = &["a", "a@1", "a@>=2", "b", "b*", "*", "a*@1"];
const NETWORKS: &[&str] =
    &["'none'", "'loopback'", "'host'", "['x.example:1']", "['x.example:1', 'y.example:2']", "[]"];
const KEYS: &[&str] = &[
    "network",
    "sockets",
    "read",
    "write",
    "execute",
    "env",
    "limits",
    "seccomp",
    "ports",
    "generates-source",
    "sets-env",
    "deny",
    "allow",
];
const LIMITS: &[&str] = &["memory", "processes", "open-files", "file-size", "disk-writes", "wall-time"];

/// A table's keys, each at most once; a policy that contradicts itself is refused, which is another test's business.
fn rules(numbers: &mut Numbers, kind: &str) -> String {
    let mut text = String::new();
    for key in KEYS {
        if numbers.below(4) != 0 {
            continue;
        }
        let value = match *key {
            "network" => numbers.pick(NETWORKS).to_owned(),
            "read" | "write" | "execute" => numbers
                .pick(&["['/var/tmp']", "['data', '/srv']", "[]", "['/srv/x']"])
                .replace("/var/tmp", "/srv"),
            "env" => numbers.pick(&["['X_ONE']", "['X_ONE', 'X_TWO']"]).to_owned(),
            "limits" => {
                let name = numbers.pick(LIMITS);
                let value = match (name, numbers.below(3)) {
                    ("processes" | "open-files", number) => ["40", "90000", "500"][number],
                    ("wall-time", number) => ["'2s'", "'900h'", "'none'"][number],
                    ("memory", number) => ["'65M'", "'900G'", "'1G'"][number],
                    (_, number) => ["'2M'", "'900T'", "'none'"][number],
                };
                format!("{{ {name} = {value} }}")
            }
            "sockets" => {
                numbers.pick(&["['/run/mysqld/s']", "['/run/redis/r', '/run/mysqld/s']", "[]"]).to_owned()
            }
            "seccomp" => numbers.pick(&["['ptrace']", "['kcmp', 'ptrace']", "[]"]).to_owned(),
            "ports" if kind == "run" => "['8080', '81:80']".to_owned(),
            "ports" => continue,
            "generates-source" | "sets-env" if kind != "build-script" => continue,
            "sets-env" => numbers.pick(&["['LD_LIBRARY_PATH']", "[]"]).to_owned(),
            "allow" if text.contains("deny") => continue,
            _ => numbers.pick(&["true", "false"]).to_owned(),
        };
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}

const CONTAINER_LIMITS: &[(&str, [&str; 3])] = &[
    ("memory", ["'65M'", "'900G'", "'1G'"]),
    ("processes", ["40", "90000", "500"]),
    ("open-files", ["40", "90000", "'none'"]),
    ("file-size", ["'2M'", "'900T'", "'none'"]),
    ("disk-writes", ["'2M'", "'900T'", "'none'"]),
    ("free-space", ["'2M'", "'900T'", "'none'"]),
    ("tmp", ["'2M'", "'900G'", "'1G'"]),
    ("wall-time", ["'2s'", "'900h'", "'none'"]),
    ("program-time", ["'2s'", "'900h'", "'none'"]),
];

/// Some limits of containers, each as a line of a file.
fn container_limits(numbers: &mut Numbers) -> Vec<String> {
    let mut all = Vec::new();
    for (name, values) in CONTAINER_LIMITS {
        if numbers.below(4) == 0 {
            all.push(format!("{name} = {}", numbers.pick(values)));
        }
    }
    all
}

/// What `[native]` may say.
fn native(numbers: &mut Numbers) -> String {
    let value = numbers.pick(&["'auto'", "['libx-dev']", "['libx-dev', 'liby-dev']", "[]"]);
    format!("packages = {value}\n")
}

/// What a user may say of containers.
fn own(numbers: &mut Numbers) -> Own {
    let limits = toml::from_str(&container_limits(numbers).join("\n")).unwrap();
    let options = container_limits(numbers);
    let options = options.iter().map(|line| line.replace(" = ", "=").replace('\'', "").parse().unwrap());
    let engines = [Selection::Auto, Selection::Docker, Selection::Native];
    let said = |value| Said { value, by: Place::option("--engine") };
    let engine = engines.get(numbers.below(6)).copied().map(said);
    let image = (numbers.below(4) == 0).then(|| Said { value: "mine".into(), by: Place::built_in() });
    let packages = (numbers.below(4) == 0).then(|| Said {
        value: toml::from_str::<Native>(&native(numbers)).unwrap().packages.unwrap().into_inner(),
        by: Place::built_in(),
    });
    let provider = (numbers.below(4) == 0).then(|| Said {
        value: numbers.pick(&Provider::ALL.map(Provider::name)).parse().unwrap(),
        by: Place::built_in(),
    });
    Own {
        engine,
        image,
        packages,
        provider,
        limits,
        options: LimitSettings::default().overridden_by(options),
        memory: 8 << 30,
        ..Own::default()
    }
}

/// The keys of a repository's file that are not the user's own tables.
fn containers(numbers: &mut Numbers) -> String {
    let mut text = String::new();
    if numbers.below(4) == 0 {
        text.push_str(&format!("engine = {}\n", numbers.pick(&["'auto'", "'docker'", "'native'"])));
    }
    if numbers.below(4) == 0 {
        text.push_str(&format!("image = {}\n", numbers.pick(&["'mine'", "'theirs:1'"])));
    }
    if numbers.below(4) == 0 {
        text.push_str(&format!("native.{}", native(numbers)));
    }
    if numbers.below(4) == 0 {
        let name = numbers.pick(&Provider::ALL.map(Provider::name));
        text.push_str(&format!("native.provider = '{name}'\n"));
    }
    // As they may stand before any table.
    if numbers.below(2) == 0 {
        for line in container_limits(numbers) {
            text.push_str(&format!("limits.{line}\n"));
        }
    }
    text
}

fn policy(numbers: &mut Numbers) -> String {
    let mut text = String::new();
    if numbers.below(3) == 0 {
        text.push_str(&format!(
            "build-scripts = {}\n",
            numbers.pick(&["'allow'", "'allow-listed'", "'deny'"])
        ));
    }
    for kind in Kind::ALL {
        if numbers.below(6) == 0 {
            text.push_str(&format!("[defaults.{kind}]\n{}", rules(numbers, kind.name())));
        }
    }
    for selector in SELECTORS {
        if numbers.below(4) == 0 {
            text.push_str(&format!("[packages.'{selector}']\n{}", rules(numbers, "")));
        }
        for kind in Kind::ALL {
            if numbers.below(12) == 0 {
                text.push_str(&format!("[packages.'{selector}'.{kind}]\n{}", rules(numbers, kind.name())));
            }
        }
    }
    text
}

fn users(text: &str) -> Written {
    let file = PolicyFile::parse(text).unwrap_or_else(|mistake| panic!("{mistake}\n{text}"));
    Written { source: Source::User, path: "config.toml".into(), text: text.to_owned(), file, trusted: true }
}

fn packages() -> Vec<Package> {
    let mut all = vec![Package::unknown()];
    for directory in ["a-1.0.0", "a-2.3.4", "b-1.0.0", "bb-0.1.0-alpha.1", "c-1.0.0"] {
        for provenance in [Provenance::Registry, Provenance::Repository] {
            all.push(Package::of_directory(directory, provenance).unwrap());
        }
    }
    all
}

fn jobs(policy: &Policy) -> impl Iterator<Item = (String, Effective)> {
    let packages = packages();
    packages.clone().into_iter().flat_map(move |package| {
        let macros: Vec<Package> = packages.iter().step_by(3).cloned().collect();
        let with_macros =
            (format!("macros {package}"), policy.effective_with_macros(&package, Kind::Compile, &macros));
        let mut all: Vec<(String, Effective)> = Kind::ALL
            .into_iter()
            .map(|kind| (format!("{kind} {package}"), policy.effective(&package, kind)))
            .collect();
        all.push(with_macros);
        all
    })
}

fn places(root: &Path) -> Places {
    let (root, home) = (root.to_owned(), PathBuf::from("/home/nobody"));
    Places {
        target_dir: root.join("target"),
        cargo_home: home.join(".cargo"),
        sysroot: "/t".into(),
        root,
        home,
        own: vec![],
    }
}

#[test]
fn no_repositorys_file_widens_anything_without_trust() {
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let root = directory.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("data")).unwrap();
    let places = places(&root);
    let mut numbers = Numbers(6);
    let (mut asked, mut widened, mut narrowed) = (0, 0, 0);
    let (mut unlike, mut shrunk) = (0, 0);
    for round in 0..600 {
        // Half of the users say nothing.
        let user = if round % 2 == 0 { String::new() } else { policy(&mut numbers) };
        let own = if round % 4 < 2 { Own { memory: 8 << 30, ..Own::default() } } else { own(&mut numbers) };
        let before = vec![KnownPackages::shipped().unwrap().layer(), users(&user)];
        let alone = own.settings(None);
        let without = Policy::new(&before, &places, own.base(&alone)).unwrap();
        // One of three says nothing but this of containers, and one nothing of them.
        let text = match round % 3 {
            0 => containers(&mut numbers),
            1 => policy(&mut numbers),
            _ => containers(&mut numbers) + &policy(&mut numbers),
        };
        let file = PathBuf::from("cargo-sandbox.toml");
        let repository = RepositoryPolicy::parse(file, text.clone(), &without, &own).unwrap();
        let asks = repository.question.is_some();
        assert_eq!(repository.written.trusted, !asks);
        // `self trust`, which knows nothing of another command's options, shows all that is asked for.
        let plain = Own { options: LimitSettings::default(), ..own.clone() };
        let unconfined = Policy::new(&before, &places, plain.base(&plain.settings(None))).unwrap();
        let shown = RepositoryPolicy::parse("x".into(), text.clone(), &unconfined, &plain).unwrap().question;
        let shown = shown.map(|question| question.items).unwrap_or_default();
        for item in repository.question.iter().flat_map(|question| &question.items) {
            let same = |shown: &Item| (&shown.key, shown.line) == (&item.key, item.line);
            assert!(shown.iter().any(same), "{item:?}\n--- repository\n{text}\n{shown:#?}");
        }
        let resolved = |trusted| {
            let written = Written { trusted, ..repository.written.clone() };
            let settings = own.settings(Some(&written));
            let base = own.base(&settings);
            (Policy::new(&[before.clone(), vec![written]].concat(), &places, base).unwrap(), settings)
        };
        let (untrusted, settings) = resolved(false);
        let context = format!("--- user\n{own:?}\n{user}\n--- repository\n{text}");
        assert!(settings.is_within(&alone), "{context}\n{settings:#?}\n{alone:#?}");
        shrunk += usize::from(!alone.is_within(&settings));
        for ((name, with), (_, without)) in jobs(&untrusted).zip(jobs(&without)) {
            assert!(with.is_within(&without), "{name}\n{context}\n{with:#?}\n{without:#?}");
            narrowed += usize::from(!without.is_within(&with));
        }
        asked += usize::from(asks);
        let mut more = false;
        let (trusted, settings) = resolved(true);
        unlike += usize::from(!settings.is_within(&alone));
        assert!(
            asks || settings.is_within(&alone),
            "nothing was asked\n{context}\n{settings:#?}\n{alone:#?}"
        );
        for ((name, with), (_, without)) in jobs(&trusted).zip(jobs(&without)) {
            more |= !with.is_within(&without);
            assert!(
                asks || with.is_within(&without),
                "nothing was asked: {name}\n{context}\n{with:#?}\n{without:#?}"
            );
        }
        widened += usize::from(more);
    }
    // What is tried is worth trying.
    assert!(
        asked > 100 && widened > 100 && narrowed > 100 && unlike > 100 && shrunk > 100,
        "{asked} asked, {widened} widened, {narrowed} narrowed, containers: {unlike} other, {shrunk} less"
    );
}

#[test]
fn no_text_of_a_repositorys_is_too_much_for_the_parser() {
    let own = Own { memory: 8 << 30, ..Own::default() };
    let mut numbers = Numbers(7);
    let mut read = 0;
    for _ in 0..400 {
        let mut text = (containers(&mut numbers) + &policy(&mut numbers)).into_bytes();
        for _ in 0..numbers.below(4) {
            if !text.is_empty() {
                let at = numbers.below(text.len());
                text[at] = b"[]{}'\"=.,\n a1-\xc3\x00*@:"[numbers.below(19)];
            }
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let file = PathBuf::from("cargo-sandbox.toml");
        if let Ok(policy) = RepositoryPolicy::parse(file, text, &Policy::default(), &own) {
            read += 1;
            let base = own.base(&own.settings(Some(&policy.written)));
            if let Ok(policy) = Policy::new(&[policy.written], &places(Path::new("/srv/project")), base) {
                assert!(jobs(&policy).count() > 0);
            }
        }
    }
    assert!(read > 20, "{read}");
}
