//! Which registry a command means, and where it is.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::cargo::CargoCommand;
use crate::cargo::configuration::Configuration;
use crate::forward::{Allowed, Host, Reach, reach};

/// The registry that has this name without any configuration.
pub const CRATES_IO: &str = "crates-io";

/// Its index, and the name that cargo has for it.
const CRATES_IO_INDEX: &str = "sparse+https://index.crates.io/";
const CRATES_IO_NAME: &str = "https://github.com/rust-lang/crates.io-index";

/// A registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Its name in the configuration, if it is not given by its index (`--index`).
    pub name: Option<String>,
    /// Its index, as the configuration has it.
    pub index: String,
}

/// A registry's `config.json`, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IndexConfig {
    /// Where downloads come from.
    #[serde(default)]
    pub dl: Option<String>,
    /// Where uploads go.
    #[serde(default)]
    pub api: Option<String>,
    /// Whether nobody may read without a token.
    #[serde(default)]
    pub auth_required: bool,
}

impl Registry {
    /// A registry by its name.
    pub fn named(name: &str, index: &str) -> Self {
        Self { name: Some(name.to_owned()), index: index.to_owned() }
    }

    /// The registry of a command: what it says, else `by_manifest` (`package.publish`), else the configuration's default,
    /// else crates.io.
    ///
    /// # Errors
    /// When no such registry is configured.
    pub fn of(
        command: &CargoCommand,
        configuration: &Configuration,
        variable: &dyn Fn(&str) -> Option<String>,
        by_manifest: Option<&str>,
    ) -> anyhow::Result<Self> {
        let text = |name: &str| command.option(name).pop().map(|text| text.to_string_lossy().into_owned());
        if let Some(index) = text("--index") {
            return Ok(Self { name: None, index });
        }
        let default = configuration.get("registry.default").and_then(toml::Value::as_str);
        let default = variable("CARGO_REGISTRY_DEFAULT").or_else(|| default.map(str::to_owned));
        let name = text("--registry").or_else(|| by_manifest.map(str::to_owned)).or(default);
        let name = name.unwrap_or_else(|| CRATES_IO.to_owned());
        if name == CRATES_IO {
            return Ok(Self::named(CRATES_IO, CRATES_IO_INDEX));
        }
        let configured = configuration.get(&format!("registries.{name}.index")).and_then(toml::Value::as_str);
        let index = variable(&format!("CARGO_REGISTRIES_{}_INDEX", variable_part(&name)))
            .or_else(|| configured.map(str::to_owned))
            .with_context(|| {
                format!(
                    "no registry `{name}` is configured\n\nhint: name it in `~/.cargo/config.toml`: \
                     `registries.{name}.index = \"sparse+https://…\"`"
                )
            })?;
        Ok(Self::named(&name, &index))
    }

    /// Whether cargo means this registry by an index.
    pub fn is_index(&self, index: &str) -> bool {
        let crates_io = self.is_crates_io() && [CRATES_IO_INDEX, CRATES_IO_NAME].contains(&index);
        crates_io || trimmed(index) == trimmed(&self.index)
    }

    /// Whether it is the public one.
    pub fn is_crates_io(&self) -> bool {
        self.name.as_deref() == Some(CRATES_IO)
    }

    /// For people.
    pub fn display(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.index)
    }

    /// The index's host and port.
    ///
    /// # Errors
    /// When it is none that is downloaded over HTTP.
    pub fn index_host(&self) -> anyhow::Result<Allowed> {
        let Some(url) = self.index.strip_prefix("sparse+") else {
            bail!(
                "the registry `{}` has no sparse index (`{}`), and only such a one is reached from the Publish \
                 container\n\nhint: ask the registry for its `sparse+https://…` index",
                self.display(),
                self.index
            );
        };
        let allowed = host_of(url).with_context(|| format!("`{}` is no index", self.index))?;
        // The user's own registry may be in the user's own network.
        Ok(Allowed { local: !self.is_crates_io(), ..allowed })
    }

    /// What the Publish container reaches of this registry: the index, and what its `config.json` names for uploads.
    ///
    /// # Errors
    /// When it names nothing, or what no registry is at.
    pub fn hosts(&self, config: &IndexConfig) -> anyhow::Result<Vec<Allowed>> {
        let index = self.index_host()?;
        let Some(api) = &config.api else {
            bail!("the registry `{}` takes no uploads: its index names no `api`", self.display());
        };
        let mut api = host_of(api).with_context(|| format!("`{api}` is no place for uploads"))?;
        // What the user has chosen is the index. It must not send this machine's requests around in the user's own network.
        if api.host == index.host {
            api.local = index.local;
        } else if let Host::Address(address) = api.host
            && reach(address) != Reach::Public
        {
            bail!(
                "the registry `{}` names `{api}` for uploads, which is no address of the network at large",
                self.display()
            );
        }
        Ok(vec![index, api])
    }

    /// What cargo has kept of the index's `config.json`, below `CARGO_HOME`.
    pub fn kept_config(&self, cargo_home: &Path) -> Option<IndexConfig> {
        let index = self.index_host().ok()?;
        let host = match &index.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        };
        let prefix = format!("{host}-");
        let mut found: Vec<_> = std::fs::read_dir(cargo_home.join("registry/index"))
            .ok()?
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .filter_map(|entry| {
                let path = entry.path().join("config.json");
                let changed = path.metadata().ok()?.modified().ok()?;
                let config: IndexConfig = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
                Some((changed, config))
            })
            .collect();
        found.sort_by_key(|(changed, _)| *changed);
        // Several registries may be on one host. Where uploads go is checked against that host; the newest is the one that
        // was just asked.
        found.pop().map(|(_, config)| config)
    }
}

/// The part of a variable's name that stands for a registry.
pub fn variable_part(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

fn trimmed(index: &str) -> &str {
    index.trim_end_matches('/')
}

/// Host and port of a URL.
fn host_of(url: &str) -> Option<Allowed> {
    let (scheme, rest) = url.split_once("://")?;
    let port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    if has_port { host.parse().ok() } else { Allowed::new(host, port).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        let of = |url: &str| host_of(url).map(|allowed| allowed.to_string());
        assert_eq!(of("https://index.crates.io/").as_deref(), Some("index.crates.io:443"));
        assert_eq!(of("http://user@r.example:8080/x:1").as_deref(), Some("r.example:8080"));
        assert_eq!(of("http://[::1]:80/").as_deref(), Some("[::1]:80"));
        assert_eq!(of("http://[::1]/").as_deref(), Some("[::1]:80"));
        assert_eq!(of("ssh://git@github.com/x"), None);
    }

    #[test]
    fn uploads_go_to_the_registry_or_to_the_network_at_large() {
        let registry = Registry::named("mine", "sparse+http://127.0.0.1:9000/index/");
        let hosts =
            |api: &str| registry.hosts(&IndexConfig { api: Some(api.into()), ..IndexConfig::default() });
        assert!(hosts("http://127.0.0.1:9000").is_ok());
        assert!(hosts("https://api.example").is_ok());
        for api in ["http://169.254.169.254", "http://10.0.0.1:80", "http://[::1]", "file:///etc/passwd"] {
            assert!(hosts(api).is_err(), "{api}");
        }
        assert!(registry.hosts(&IndexConfig::default()).is_err());
        assert!(!hosts("https://api.example").unwrap()[1].local);
    }

    #[test]
    fn an_index_is_known_by_its_name_in_cargo() {
        let mine = Registry::named("mine", "sparse+https://r.example/index/");
        assert!(
            mine.is_index("sparse+https://r.example/index") && !mine.is_index("sparse+https://r.example/")
        );
        let public = Registry::named(CRATES_IO, CRATES_IO_INDEX);
        assert!(public.is_index(CRATES_IO_NAME) && !mine.is_index(CRATES_IO_NAME));
    }
}
