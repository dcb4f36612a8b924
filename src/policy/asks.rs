//! What of a repository's policy needs trust: everything in it that may give a job more than it has without the file,
//! in words.

use super::effective::is_less;
use super::file::{BuildScripts, PolicyFile, Rules, Table};
use super::invalid::Mistake;
use super::kind::Kind;
use super::layers::{Base, Policy, spans};
use super::limits::LimitName;
use super::network::Network;
use super::question::Item;

/// What of `file` needs trust, where `users` is the policy without it.
pub fn items(text: &str, file: &PolicyFile, users: &Policy, base: &Base) -> Vec<Item> {
    let away: Vec<_> = users.layers.iter().map(super::layers::Layer::takes_away).collect();
    let network = away.iter().any(|away| away.network);
    let denies = away.iter().any(|away| away.denies);
    let scripts = away.iter().map(|away| away.build_scripts).min().unwrap_or(BuildScripts::Allow);
    let line = |start: usize| Some(Mistake::at(text, start, String::new()).line);
    let mut items = Vec::new();
    if let Some(mode) = file.build_scripts.as_ref().filter(|mode| *mode.get_ref() > scripts) {
        items.push(Item {
            line: line(mode.span().start),
            key: "build-scripts".into(),
            value: Some(format!("\"{}\"", mode.get_ref().name())),
            effect: format!(
                "build scripts run that your own configuration keeps from running (`{}`)",
                scripts.name()
            ),
        });
    }
    for table in file.tables() {
        let who = who(&table);
        let before = items.len();
        let raises = |name: LimitName, value: Option<u64>| {
            let kinds = Kind::ALL.into_iter().filter(|kind| table.kind.is_none_or(|own| own == *kind));
            let base = kinds.map(|kind| base.of(kind).get(&name).copied().flatten());
            matches!(name, LimitName::WallTime | LimitName::DiskWrites)
                && (away.iter().any(|away| away.limits.contains(&name))
                    || base.into_iter().any(|base| is_less(base, value)))
        };
        for (key, start) in spans(&table.rules) {
            for (value, effect) in effects(&table.rules, key, &who, (network, denies, scripts), &raises) {
                items.push(Item {
                    line: line(start),
                    key: format!("{table}.{key}"),
                    value: Some(value),
                    effect,
                });
            }
        }
        let listed = table.kind == Some(Kind::BuildScript) && scripts == BuildScripts::AllowListed;
        if listed && table.selector.is_some() && items.len() == before {
            items.push(Item {
                line: line(table.start),
                key: table.to_string(),
                value: None,
                effect: "its build script runs, as one that is named".into(),
            });
        }
    }
    items
}

/// Whom a table is about, in words.
fn who(table: &Table<'_>) -> String {
    let jobs = table.kind.map_or("all jobs", Kind::words);
    match table.selector {
        Some(selector) => format!("{jobs} of `{selector}`"),
        None => format!("{jobs} of every package"),
    }
}

/// The values of a key that need trust, each with what it lets happen.
fn effects(
    rules: &Rules,
    key: &str,
    who: &str,
    (network, denies, scripts): (bool, bool, BuildScripts),
    raises: &impl Fn(LimitName, Option<u64>) -> bool,
) -> Vec<(String, String)> {
    let quoted = |text: &str| format!("\"{text}\"");
    let paths = |list: &Option<toml::Spanned<Vec<super::file::GrantedPath>>>, what: &str| {
        let list = list.iter().flat_map(|list| list.get_ref());
        list.map(|path| (quoted(path.as_str()), format!("{who} {what} `{}`", path.as_str()))).collect()
    };
    match key {
        "read" => paths(&rules.read, "read"),
        "execute" => paths(&rules.execute, "read and execute"),
        "write" => paths(&rules.write, "read and write"),
        "env" => {
            let list = rules.env.iter().flat_map(|list| list.get_ref());
            list.map(|name| {
                let name = name.name();
                (
                    quoted(name),
                    format!("{who} get the value that the variable `{name}` has in your environment"),
                )
            })
            .collect()
        }
        "network" => match rules.network.as_ref().map(|value| value.get_ref()) {
            Some(Network::Host) => {
                let effect = "reach all that you reach from this machine: the internet, your local network, and \
                              services of this machine that only it can reach";
                vec![(quoted("host"), format!("{who} {effect}"))]
            }
            Some(Network::Only(list)) => {
                let shown = |endpoint: &super::network::Endpoint| {
                    (
                        quoted(&endpoint.to_string()),
                        format!("{who} reach `{endpoint}`, and can send there what they read"),
                    )
                };
                list.iter().map(shown).collect()
            }
            Some(Network::Loopback) if network => {
                vec![(quoted("loopback"), format!("{who} reach the loopback of the container"))]
            }
            _ => Vec::new(),
        },
        "seccomp" => {
            let list = rules.seccomp.iter().flat_map(|list| list.get_ref());
            list.map(|call| (quoted(call.name()), format!("{who} make the system call `{call}`"))).collect()
        }
        "ports" => {
            let list = rules.ports.iter().flat_map(|list| list.get_ref());
            list.map(|port| {
                let effect = format!(
                    "{who} are reached at port {} of this machine's loopback, by whatever runs here",
                    port.host
                );
                (quoted(&port.to_string()), effect)
            })
            .collect()
        }
        "limits" => {
            let list = rules.limits.iter().flat_map(|limits| limits.get_ref().0.iter());
            list.filter(|(name, value)| raises(*name, *value))
                .map(|(name, value)| {
                    let value = value.map_or_else(|| "none".to_owned(), |value| name.show(value));
                    (
                        format!("{{ {name} = \"{value}\" }}"),
                        format!("{who} may use up more: `{name}` is {value}"),
                    )
                })
                .collect()
        }
        "deny" | "allow" => {
            let value = if key == "deny" { &rules.deny } else { &rules.allow };
            let value = value.as_ref().is_some_and(|value| *value.get_ref());
            let keeps = denies || scripts != BuildScripts::Allow;
            match (key == "allow") == value && keeps {
                true => vec![(
                    value.to_string(),
                    format!("{who} run, though your own configuration may keep them from it"),
                )],
                false => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}
