//! What of a repository's policy needs trust: everything in it that may give a job more than it has without the file,
//! in words.

use super::containers::Own;
use super::effective::is_less;
use super::file::{BuildScripts, List, PolicyFile, Rules, Table};
use super::invalid;
use super::kind::Kind;
use super::layers::{Policy, spans};
use super::limits::LimitName;
use super::network::Network;
use super::question::Item;
use super::words::GrantedPath;

/// What of `file` needs trust, where `users` is the policy without it and `own` what the user says of containers.
pub fn items(text: &str, file: &PolicyFile, users: &Policy, own: &Own) -> Vec<Item> {
    let away: Vec<_> = users.layers.iter().map(super::layers::Layer::takes_away).collect();
    let network = away.iter().any(|away| away.network);
    let denies = away.iter().any(|away| away.denies);
    let scripts = away.iter().map(|away| away.build_scripts).min().unwrap_or(BuildScripts::Allow);
    let line = |start: usize| Some(invalid::line(text, start));
    let base = own.unasked();
    let mut items = own.items(text, file);
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
            let base = kinds.map(|kind| base.limits(kind).get(&name).copied().flatten());
            matches!(name, LimitName::WallTime | LimitName::DiskWrites)
                && (away.iter().any(|away| away.limits.contains(&name))
                    || base.into_iter().any(|base| is_less(base, value)))
        };
        for (key, start) in spans(&table.rules) {
            for Effect { at, value, effect } in
                effects(&table.rules, key, &who, (network, denies, scripts), &raises)
            {
                items.push(Item {
                    line: line(at.unwrap_or(start)),
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

/// A value that needs trust, and what it lets happen.
struct Effect {
    /// Where it is, in bytes; none: where the key's value is.
    at: Option<usize>,
    value: String,
    effect: String,
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// Every entry of a list, by its text and what it lets happen.
fn each<T>(list: &Option<List<T>>, shown: impl Fn(&T) -> (String, String)) -> Vec<Effect> {
    let entries = list.iter().flat_map(|list| list.get_ref());
    entries
        .map(|spanned| {
            let (text, effect) = shown(spanned.get_ref());
            Effect { at: Some(spanned.span().start), value: quoted(&text), effect }
        })
        .collect()
}

/// The values of a key that need trust.
fn effects(
    rules: &Rules,
    key: &str,
    who: &str,
    (network, denies, scripts): (bool, bool, BuildScripts),
    raises: &impl Fn(LimitName, Option<u64>) -> bool,
) -> Vec<Effect> {
    let one = |value: String, effect: String| Effect { at: None, value, effect };
    let paths = |list: &Option<List<GrantedPath>>, what: &str| {
        each(list, |path| (path.as_str().to_owned(), format!("{who} {what} `{}`", path.as_str())))
    };
    match key {
        "read" => paths(&rules.read, "read"),
        "execute" => paths(&rules.execute, "read and execute"),
        "write" => paths(&rules.write, "read and write"),
        "env" => each(&rules.env, |variable| {
            let name = variable.name();
            (
                name.to_owned(),
                format!("{who} get the value that the variable `{name}` has in your environment"),
            )
        }),
        "network" => match rules.network.as_ref().map(|value| value.get_ref()) {
            Some(Network::Host) => {
                let effect = "reach all that you reach from this machine: the internet, your local network, and \
                              services of this machine that only it can reach";
                vec![one(quoted("host"), format!("{who} {effect}"))]
            }
            Some(Network::Only(list)) => {
                let shown = |endpoint: &super::network::Endpoint| {
                    one(
                        quoted(&endpoint.to_string()),
                        format!("{who} reach `{endpoint}`, and can send there what they read"),
                    )
                };
                list.iter().map(shown).collect()
            }
            Some(Network::Loopback) if network => {
                vec![one(quoted("loopback"), format!("{who} reach the loopback of the container"))]
            }
            _ => Vec::new(),
        },
        "sockets" => each(&rules.sockets, |socket| {
            let effect = format!(
                "{who} connect to the Unix socket `{socket}`, in your name, and can send there what they read"
            );
            (socket.to_string(), effect)
        }),
        "seccomp" => {
            let list = rules.seccomp.iter().flat_map(|list| list.get_ref());
            list.map(|call| one(quoted(call.name()), format!("{who} make the system call `{call}`")))
                .collect()
        }
        "ports" => each(&rules.ports, |port| {
            let effect = format!(
                "{who} are reached at port {} of this machine's loopback, by whatever runs here",
                port.host
            );
            (port.to_string(), effect)
        }),
        "generates-source" if rules.generates_source.as_ref().is_some_and(|value| *value.get_ref()) => {
            vec![one(
                "true".into(),
                format!("{who} write source code that their own package is compiled with"),
            )]
        }
        "sets-env" => each(&rules.sets_env, |variable| {
            let name = variable.name();
            let effect = format!(
                "{who} set `{name}`, by which compilers and programs of their own package load libraries"
            );
            (name.to_owned(), effect)
        }),
        "limits" => {
            let Some(limits) = rules.limits.as_ref().map(|limits| &limits.get_ref().0) else {
                return Vec::new();
            };
            let raised = limits.iter().filter(|(name, value)| raises(*name, *value));
            raised
                .map(|(name, value)| {
                    let value = value.map_or_else(|| "none".to_owned(), |value| name.show(value));
                    Effect {
                        at: limits.place(name),
                        effect: format!("{who} may use up more: `{name}` is {value}"),
                        value: format!("{{ {name} = \"{value}\" }}"),
                    }
                })
                .collect()
        }
        "deny" | "allow" => {
            let value = if key == "deny" { &rules.deny } else { &rules.allow };
            let value = value.as_ref().is_some_and(|value| *value.get_ref());
            let keeps = denies || scripts != BuildScripts::Allow;
            match (key == "allow") == value && keeps {
                true => vec![one(
                    value.to_string(),
                    format!("{who} run, though your own configuration may keep them from it"),
                )],
                false => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}
