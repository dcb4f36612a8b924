//! What the containers of a project are made by, from and to: what the user says of that, and what a repository may
//! change of it.
//!
//! Options of a command line come first, then the user's own file, then the repository's. A repository takes away at
//! once: a limit that is stricter than what is in force, and the other engine where the choice is left open. Everything
//! else of it needs trust, and changes nothing that the user has chosen himself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::container::Image;
use crate::container::engines::Selection;
use crate::container::image::recipe;

use super::base::{Base, Bounds};
use super::effective::Said;
use super::file::PolicyFile;
use super::invalid::line;
use super::layers::{Place, Source, Written};
use super::limits::{LimitName, LimitSettings, Resolved};
use super::native::{AUTO, PackageName, SystemPackages};
use super::provider::Provider;
use super::question::Item;

/// What the user says of containers.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// The engine, if one is chosen.
    pub engine: Option<Said<Selection>>,
    /// The image, if one is chosen.
    pub image: Option<Said<String>>,
    /// Packages of the system that jobs see, if any are chosen.
    pub packages: Option<Said<SystemPackages>>,
    /// Who gives jobs what is not Rust, if that is chosen.
    pub provider: Option<Said<Provider>>,
    /// Limits of the configuration file.
    pub limits: LimitSettings,
    /// Limits of the command line.
    pub options: LimitSettings,
    /// How much memory the machine has, in bytes.
    pub memory: u64,
    /// The configuration file.
    pub file: PathBuf,
    /// All of it.
    pub text: String,
}

/// What holds for the containers of a project.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What makes them.
    pub engine: Said<Selection>,
    /// What they are made from.
    pub image: Said<Image>,
    /// Packages of the system that they show beside: the user's and those of a trusted repository.
    pub packages: Vec<Said<SystemPackages>>,
    /// Who gives jobs what is not Rust.
    pub provider: Said<Provider>,
    /// What they are made to.
    pub limits: Resolved,
    /// Who says so of each limit; what is not there is built in.
    pub origins: BTreeMap<LimitName, Place>,
}

impl Own {
    /// What holds with a repository's file, or where there is none.
    pub fn settings(&self, repository: Option<&Written>) -> Settings {
        let mut limits = self.users();
        let mut origins: BTreeMap<LimitName, Place> =
            limits.names().map(|name| (name, self.at(name))).collect();
        let mut engine = self.engine.clone().unwrap_or_else(|| built_in(Selection::default()));
        let mut image = match &self.image {
            Some(Said { value, by }) => {
                let base = self.file.parent().unwrap_or(Path::new("/"));
                Said { value: Image::of(value, base), by: by.clone() }
            }
            None => built_in(Image::Host),
        };
        let mut packages: Vec<_> = self.packages.iter().cloned().collect();
        let mut provider = self.provider.clone().unwrap_or_else(|| built_in(Provider::default()));
        let Some(Written { file, text, path, trusted, .. }) = repository else {
            return Settings {
                engine,
                image,
                packages,
                provider,
                limits: limits.resolve(self.memory),
                origins,
            };
        };
        let place = |start: usize, table: &str| Place {
            source: Some(Source::Repository),
            file: path.clone(),
            line: Some(line(text, start)),
            table: table.to_owned(),
        };
        if let Some(asked) = file.engine.as_ref().filter(|_| self.engine.is_none()) {
            let value = *asked.get_ref();
            if *trusted || !is_other_engine(value) {
                engine = Said { value, by: place(asked.span().start, "") };
            }
        }
        if let Some(asked) = file.image.as_ref().filter(|_| self.image.is_none() && *trusted) {
            let value = Image::of(asked.get_ref().as_str(), path.parent().unwrap_or(Path::new("/")));
            image = Said { value, by: place(asked.span().start, "") };
        }
        if let Some(asked) = file.native.packages.as_ref().filter(|_| *trusted) {
            packages.push(Said { value: asked.get_ref().clone(), by: place(asked.span().start, "native") });
        }
        if let Some(asked) = file.native.provider.as_ref().filter(|_| self.provider.is_none()) {
            let value = *asked.get_ref();
            if *trusted || !value.evaluates() {
                provider = Said { value, by: place(asked.span().start, "native") };
            }
        }
        let [file_alone, without] = self.without_repository();
        for (name, value) in file.limits.iter() {
            let current = without.value(name);
            let wider = name.is_wider(value, current);
            // What one option says another limit may follow from: `tmp` is half of the memory.
            let option = self.options.names().any(|option| option == name)
                || name.is_wider(file_alone.value(name), current);
            let given = *trusted && !option;
            if value != current && (!wider || given) {
                limits.set(name, value);
                origins.insert(name, place(file.limits.place(name).unwrap_or_default(), "limits"));
            }
        }
        Settings { engine, image, packages, provider, limits: limits.resolve(self.memory), origins }
    }

    /// Limits of jobs where no table of a policy says anything.
    pub fn base(&self, settings: &Settings) -> Base {
        let most = Bounds::new(|name| self.options.get(name));
        Base::new(&settings.limits).said_by(settings.origins.clone()).with_most(most)
    }

    /// Limits of jobs that a repository asks for no trust to reach: what is in force without it. What the command line
    /// takes away does not count, so that nothing is asked for that `self trust` does not show; it holds in any case.
    pub fn unasked(&self) -> Base {
        let [file, both] = self.without_repository();
        Base::of(Bounds::new(|name| {
            let (one, other) = (file.value(name), both.value(name));
            Some(if name.is_wider(one, other) { one } else { other })
        }))
    }

    /// What of a repository's file needs trust.
    pub fn items(&self, text: &str, file: &PolicyFile) -> Vec<Item> {
        let item = |start: usize, key: String, value: String, effect: String| Item {
            line: Some(line(text, start)),
            key,
            value: Some(format!("\"{value}\"")),
            effect,
        };
        let mut items = Vec::new();
        if let Some(engine) = &file.engine
            && self.engine.is_none()
            && is_other_engine(*engine.get_ref())
        {
            let effect = "containers are made by the native engine, also where a Docker daemon answers";
            items.push(item(engine.span().start, "engine".into(), "native".into(), effect.into()));
        }
        if let Some(image) = file.image.as_ref().filter(|_| self.image.is_none()) {
            let name = image.get_ref().as_str();
            let effect = format!(
                "all jobs use the programs and libraries of the image `{name}`, whoever made it, and not those of this \
                 machine: its linker and C compiler make what is built"
            );
            let built = recipe::is_one(Path::new(name.split('@').next().unwrap_or(name)));
            let effect = if built {
                format!(
                    "{effect}. The docker engine builds it: what it runs for that has the network, and root's rights in a container"
                )
            } else {
                effect
            };
            items.push(item(image.span().start, "image".into(), name.into(), effect));
        }
        items.extend(file.native.packages.as_ref().and_then(|asked| self.packages_item(text, asked)));
        let provider = file.native.provider.as_ref();
        items.extend(provider.and_then(|asked| Provider::item(text, asked, self.provider.as_ref())));
        let without = self.without_repository();
        for (name, value) in file.limits.iter() {
            if without.iter().all(|without| name.is_wider(value, without.value(name))) {
                let value = value.map_or_else(|| "none".to_owned(), |value| name.show(value));
                let current = name.show_optional(without[0].value(name));
                let effect =
                    format!("all jobs may use up more: `{name}` is {value}, and {current} without this");
                let start = file.limits.place(name).unwrap_or_default();
                items.push(item(start, format!("limits.{name}"), value, effect));
            }
        }
        items
    }

    /// The packages that a repository asks for beside the user's own.
    fn packages_item(&self, text: &str, asked: &Spanned<SystemPackages>) -> Option<Item> {
        let own = self.packages.as_ref().map(|said| &said.value);
        let (value, effect) = match (asked.get_ref(), own) {
            (SystemPackages::Auto, Some(SystemPackages::Auto)) => return None,
            (SystemPackages::Auto, _) => (
                format!("\"{AUTO}\""),
                "packages of the system are fetched that crates of its dependency graph are known to need, from a list that \
                 comes with this tool"
                    .to_owned(),
            ),
            (SystemPackages::Named(names), own) => {
                let has = |name: &&PackageName| matches!(own, Some(SystemPackages::Named(own)) if own.contains(*name));
                let more: Vec<String> =
                    names.iter().filter(|name| !has(name)).map(|name| format!("\"{name}\"")).collect();
                if more.is_empty() {
                    return None;
                }
                (
                    format!("[{}]", more.join(", ")),
                    "these packages of the system, and what they depend on, are fetched where they are not installed; all \
                     jobs use their programs and libraries"
                        .to_owned(),
                )
            }
        };
        Some(Item {
            line: Some(line(text, asked.span().start)),
            key: "native.packages".into(),
            value: Some(value),
            effect: format!("{effect}. Nothing of them is run or changed on this machine"),
        })
    }

    /// The limits without a repository: by the file alone, and by the command line as well.
    fn without_repository(&self) -> [Resolved; 2] {
        [&self.limits, &self.users()].map(|limits| limits.resolve(self.memory))
    }

    /// The user's limits. Options of the command line win.
    fn users(&self) -> LimitSettings {
        let mut all = self.limits.clone();
        for (name, value) in self.options.iter() {
            all.set(name, value);
        }
        all
    }

    /// Where the user says a limit.
    fn at(&self, name: LimitName) -> Place {
        if self.options.names().any(|option| option == name) {
            return Place::option("--sandbox-limit");
        }
        let line = self.limits.place(name).map(|start| line(&self.text, start));
        Place { source: Some(Source::User), file: self.file.clone(), line, table: "limits".into() }
    }
}

/// Whether a repository that asks for this engine may get another one than there is without it. Where the choice is left
/// open it is docker if its daemon answers: to insist on that only takes the other one away.
fn is_other_engine(engine: Selection) -> bool {
    engine == Selection::Native
}

fn built_in<T>(value: T) -> Said<T> {
    Said { value, by: Place::built_in() }
}

impl Settings {
    /// The file of the repository's that selects the engine, if one does.
    pub fn engine_by_repository(&self) -> Option<String> {
        let by = Some(&self.engine.by).filter(|by| by.source == Some(Source::Repository));
        by.map(ToString::to_string)
    }

    /// Whether these packages are shown.
    fn shows(&self, packages: &SystemPackages) -> bool {
        match packages {
            SystemPackages::Auto => self.packages.iter().any(|own| own.value == SystemPackages::Auto),
            SystemPackages::Named(names) => names.iter().all(|name| {
                let has = |own: &Said<SystemPackages>| matches!(&own.value, SystemPackages::Named(own) if own.contains(name));
                self.packages.iter().any(has)
            }),
        }
    }

    /// Whether the other ones allow all that these do.
    pub fn is_within(&self, other: &Self) -> bool {
        let engine = self.engine.value == other.engine.value
            || (other.engine.value == Selection::Auto && self.engine.value == Selection::Docker);
        let wider = |name: LimitName| name.is_wider(self.limits.value(name), other.limits.value(name));
        let shown = |said: &Said<SystemPackages>| other.shows(&said.value);
        let provider = !self.provider.value.evaluates() || self.provider.value == other.provider.value;
        engine
            && provider
            && self.image.value == other.image.value
            && self.packages.iter().all(shown)
            && !LimitName::all().any(wider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(configuration: &str, options: &[&str]) -> Own {
        let limits = toml::from_str(configuration).unwrap();
        let options = options.iter().map(|option| option.parse().unwrap());
        let options = LimitSettings::default().overridden_by(options);
        Own { limits, options, memory: 10 << 30, ..Own::default() }
    }

    fn written(text: &str, trusted: bool) -> Written {
        let file = PolicyFile::parse(text).unwrap_or_else(|mistake| panic!("{mistake}"));
        Written { source: Source::Repository, path: "own.toml".into(), text: text.into(), file, trusted }
    }

    fn keys(own: &Own, text: &str) -> Vec<String> {
        own.items(text, &written(text, false).file).into_iter().map(|item| item.key).collect()
    }

    #[test]
    fn a_limit_that_is_stricter_holds_at_once_and_a_wider_one_with_trust() {
        for (name, strict, wide) in [
            ("memory", "'1G'", "'90G'"),
            ("processes", "100", "9000"),
            ("file-size", "'1G'", "'none'"),
            ("disk-writes", "'1G'", "'65G'"),
            ("tmp", "'1G'", "'8G'"),
            ("wall-time", "'3h'", "'5h'"),
            // What must stay free: more of it is less for jobs.
            ("free-space", "'2G'", "'none'"),
        ] {
            let (own, name) = (own("", &[]), name.parse::<LimitName>().unwrap());
            let without = own.settings(None).limits.value(name);
            let with = |value: &str, trusted| {
                let text = format!("[limits]\n{name} = {value}\n");
                let settings = own.settings(Some(&written(&text, trusted)));
                (settings.limits.value(name), settings.origins.get(&name).map(ToString::to_string))
            };
            assert!(keys(&own, &format!("[limits]\n{name} = {strict}")).is_empty());
            let (value, by) = with(strict, false);
            assert!(value != without && name.is_wider(without, value), "{name}: {value:?}");
            assert_eq!(by.as_deref(), Some("own.toml:2, [limits]"));
            assert_eq!(keys(&own, &format!("[limits]\n{name} = {wide}")), [format!("limits.{name}")]);
            assert_eq!(with(wide, false), (without, None));
            assert!(name.is_wider(with(wide, true).0, without), "{name}");
        }
        // Nothing is wider than to have none.
        let none = own("", &[]);
        assert!(keys(&none, "[limits]\nopen-files = 'none'\nprogram-time = 'none'").is_empty());
        let some = own("open-files = 100", &[]);
        assert_eq!(keys(&some, "[limits]\nopen-files = 'none'"), ["limits.open-files"]);
    }

    #[test]
    fn no_repository_gives_more_than_the_command_line_says() {
        let (text, name) = ("[limits]\nwall-time = '9h'\n", LimitName::WallTime);
        let less = own("", &["wall-time=5min"]);
        assert_eq!(keys(&less, text), ["limits.wall-time"], "`self trust` shows it as well");
        assert_eq!(less.settings(Some(&written(text, true))).limits.value(name), Some(300));
        let between = "[limits]\nwall-time = '1h'\n";
        assert!(keys(&less, between).is_empty(), "`self trust` does not show it");
        assert_eq!(less.settings(Some(&written(between, true))).limits.value(name), Some(300));
        let (half, tmp) = (own("", &["memory=64M"]), "[limits]\ntmp = '1G'\n");
        assert!(keys(&half, tmp).is_empty(), "`self trust` does not show it");
        let given = half.settings(Some(&written(tmp, true))).limits.value(LimitName::Tmp);
        assert_eq!(given, Some(32 << 20), "what follows from an option is one");
        let more = own("", &["wall-time=10h"]);
        assert!(keys(&more, text).is_empty(), "less than what is in force");
        assert_eq!(more.settings(Some(&written(text, false))).limits.value(name), Some(9 * 3600));
    }

    #[test]
    fn a_provider_that_evaluates_needs_trust_and_no_other_does() {
        let nothing = own("", &[]);
        for (name, provider) in Provider::ALL.map(|provider| (provider.name(), provider)) {
            let text = format!("[native]\nprovider = '{name}'");
            let asks = provider.evaluates();
            assert_eq!(keys(&nothing, &text) == ["native.provider"], asks, "{name}");
            let of = |own: &Own, trusted| own.settings(Some(&written(&text, trusted))).provider.value;
            assert_eq!(of(&nothing, true), provider);
            assert_eq!(of(&nothing, false), if asks { Provider::Host } else { provider });
            let mine = Some(Said { value: Provider::Image, by: Place::built_in() });
            let chosen = Own { provider: mine, ..Own::default() };
            assert!(keys(&chosen, &text).is_empty());
            assert_eq!(of(&chosen, true), Provider::Image);
        }
    }

    #[test]
    fn an_engine_and_an_image_are_chosen_by_the_user_first() {
        let nothing = own("", &[]);
        let settings = |own: &Own, text: &str, trusted| {
            let settings = own.settings(Some(&written(text, trusted)));
            (settings.engine.value, settings.image.value)
        };
        let host = Image::Host;
        for (text, asked, trusted, untrusted) in [
            ("engine = 'auto'", vec![], Selection::Auto, Selection::Auto),
            ("engine = 'docker'", vec![], Selection::Docker, Selection::Docker),
            ("engine = 'native'", vec!["engine"], Selection::Native, Selection::Auto),
        ] {
            assert_eq!(keys(&nothing, text), asked, "{text}");
            assert_eq!(settings(&nothing, text, true), (trusted, host.clone()), "{text}");
            assert_eq!(settings(&nothing, text, false), (untrusted, host.clone()), "{text}");
            let by = Place::option("--engine");
            let chosen = Own { engine: Some(Said { value: Selection::Auto, by }), ..Own::default() };
            assert!(keys(&chosen, text).is_empty());
            assert_eq!(settings(&chosen, text, true).0, Selection::Auto, "{text}");
        }
        let text = "image = 'debian:13'";
        assert_eq!(keys(&nothing, text), ["image"]);
        assert_eq!(settings(&nothing, text, true).1, Image::Named("debian:13".into()));
        assert_eq!(settings(&nothing, text, false).1, host);
        let by = Place::option("--sandbox-image");
        let chosen = Own { image: Some(Said { value: "mine".into(), by }), ..Own::default() };
        assert!(keys(&chosen, text).is_empty());
        assert_eq!(settings(&chosen, text, true).1, Image::Named("mine".into()));
    }

    #[test]
    fn packages_of_a_trusted_repository_are_taken_beside_the_users() {
        let said = |text: &str| {
            let value =
                toml::from_str::<super::super::native::Native>(text).unwrap().packages.unwrap().into_inner();
            Said { value, by: Place::built_in() }
        };
        let mine = Own { packages: Some(said("packages = ['liba-dev']")), ..own("", &[]) };
        let automatic = Own { packages: Some(said("packages = 'auto'")), ..own("", &[]) };
        let list = "[native]\npackages = ['liba-dev', 'libb-dev']\n";
        for (own, text, asked) in [
            (&mine, list, Some("[\"libb-dev\"]")),
            (&automatic, list, Some("[\"liba-dev\", \"libb-dev\"]")),
            (&mine, "native.packages = ['liba-dev']", None),
            (&mine, "native.packages = []", None),
            (&mine, "native.packages = 'auto'", Some("\"auto\"")),
            (&automatic, "native.packages = 'auto'", None),
        ] {
            let items = own.items(text, &written(text, false).file);
            let values: Vec<_> = items.iter().map(|item| item.value.as_deref()).collect();
            assert_eq!(values, asked.map(Some).into_iter().collect::<Vec<_>>(), "{text}");
            assert!(items.iter().all(|item| item.key == "native.packages"));
            assert_eq!(own.settings(Some(&written(text, false))).packages.len(), 1, "{text}");
            let trusted = own.settings(Some(&written(text, true)));
            assert_eq!(trusted.packages.len(), 2, "{text}");
            assert!(asked.is_none() || !trusted.is_within(&own.settings(None)), "{text}");
        }
        let settings = mine.settings(Some(&written(list, true)));
        assert_eq!(settings.packages[1].by.to_string(), "own.toml:2, [native]");
    }
}
