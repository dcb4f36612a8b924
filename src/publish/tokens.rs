//! Where the user's tokens are: variables, `credentials.toml`, and credential providers of the user's own.
//!
//! This is cargo's order (its reference, "Registry Authentication"), looked up here so that no cargo needs to have a token
//! before it is decided what for. A provider that a repository names has needed trust before this is asked.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use toml::Value;

use super::credentials_file::CredentialsFile;
use super::external::{ask, from_stdout, secret_tool};
use super::protocol::{Action, Answer, Done, Login, Operation, Refusal, RegistryInfo, Request};
use super::registry::{Registry, variable_part};
use crate::cargo::configuration::Configuration;

/// Everything that tokens come from.
pub struct Tokens {
    /// What the configuration, which the user trusts, says of registries: key and value.
    settings: BTreeMap<String, Value>,
    /// The user's own environment.
    environment: Vec<(OsString, OsString)>,
    /// cargo's own directory.
    cargo_home: PathBuf,
}

impl std::fmt::Debug for Tokens {
    /// Without the environment, in which tokens are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("cargo_home", &self.cargo_home).finish_non_exhaustive()
    }
}

/// What matters of one registry's table.
const OF_A_REGISTRY: &[&str] = &["index", "credential-provider", "token"];

/// What matters of the table `registry`.
const OF_REGISTRY: &[&str] = &["credential-provider", "global-credential-providers", "token"];

/// One provider: `cargo:…` or a program, and its arguments.
type Provider = Vec<String>;

impl Tokens {
    /// Takes what the configuration and the environment say.
    pub fn new(
        configuration: &Configuration,
        environment: Vec<(OsString, OsString)>,
        cargo_home: PathBuf,
    ) -> Self {
        let of_registry = OF_REGISTRY.iter().map(|key| format!("registry.{key}"));
        let mut keys: Vec<String> = of_registry.collect();
        for name in configuration.names_in("registries") {
            keys.extend(OF_A_REGISTRY.iter().map(|key| format!("registries.{name}.{key}")));
        }
        keys.extend(
            configuration.names_in("credential-alias").iter().map(|name| format!("credential-alias.{name}")),
        );
        let settings =
            keys.into_iter().filter_map(|key| Some((key.clone(), configuration.get(&key)?.clone())));
        let settings = settings.collect();
        Self { settings, environment, cargo_home }
    }

    /// Whether the user keeps tokens elsewhere than cargo finds them by itself, in `credentials.toml`.
    pub fn are_elsewhere(&self) -> bool {
        let variable = |name: &OsString| {
            let name = name.to_string_lossy();
            name == "CARGO_REGISTRY_TOKEN"
                || (name.starts_with("CARGO_REGISTRIES_") && name.ends_with("_TOKEN"))
        };
        self.environment.iter().any(|(name, _)| variable(name))
            || self.settings.keys().any(|key| key.contains("credential-provider"))
            || self.variable("CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS").is_some()
    }

    /// Variables that have the host's cargo ask this tool instead, where [`Self::are_elsewhere`].
    pub fn provider_variables(&self) -> Vec<String> {
        if !self.are_elsewhere() {
            return Vec::new();
        }
        let own = self.settings.keys().filter_map(|key| {
            if key == "registry.credential-provider" {
                return Some("CARGO_REGISTRY_CREDENTIAL_PROVIDER".to_owned());
            }
            let name = key.strip_prefix("registries.")?.strip_suffix(".credential-provider")?;
            Some(format!("CARGO_REGISTRIES_{}_CREDENTIAL_PROVIDER", variable_part(name)))
        });
        own.chain(["CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS".to_owned()]).collect()
    }

    /// Answers the host's cargo, which reads a private registry.
    pub fn answer_reading(&self, request: &Request) -> Answer {
        if !matches!(request.action, Action::Get(Operation::Read)) {
            return Answer::Err(Refusal::OperationNotSupported);
        }
        let registry =
            Registry { name: request.registry.name.clone(), index: request.registry.index_url.clone() };
        match self.find(&registry, &Operation::Read) {
            Ok(Some(token)) => Answer::token(token),
            Ok(None) => Answer::Err(Refusal::NotFound),
            Err(error) => Answer::refuse(format!("{error:#}")),
        }
    }

    /// A registry's token for one operation, if there is one.
    ///
    /// # Errors
    /// When a provider fails, or cannot be used here.
    pub fn find(&self, registry: &Registry, operation: &Operation) -> anyhow::Result<Option<String>> {
        for provider in self.providers(registry)? {
            if let Some(token) = self.from(&provider, registry, operation)? {
                return Ok(Some(token));
            }
        }
        Ok(None)
    }

    /// Whether it is clear without asking anybody that there is none.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn certainly_none(&self, registry: &Registry) -> anyhow::Result<bool> {
        let providers = self.providers(registry)?;
        let asks_nobody = |provider: &Provider| provider.iter().eq(["cargo:token"]);
        Ok(providers.iter().all(asks_nobody) && self.plain(registry)?.is_none())
    }

    fn from(
        &self,
        provider: &Provider,
        registry: &Registry,
        operation: &Operation,
    ) -> anyhow::Result<Option<String>> {
        let (name, arguments) = split(provider)?;
        match name {
            "cargo:token" => self.plain(registry),
            "cargo:token-from-stdout" => {
                from_stdout(arguments, registry, &self.environment).and_then(valid).map(Some)
            }
            "cargo:libsecret" => secret_tool(registry, &self.environment),
            built_in if built_in.starts_with("cargo:") => bail!(unsupported(built_in)),
            program => {
                let action = Action::Get(operation.clone());
                match ask(program, arguments, &request(registry, action), &self.environment)? {
                    Answer::Ok(Done::Get { token, .. }) => Ok(Some(token)),
                    Answer::Err(Refusal::NotFound | Refusal::UrlNotSupported) => Ok(None),
                    Answer::Err(other) => {
                        bail!("the credential provider `{program}` refuses: {}", words(&other))
                    }
                    Answer::Ok(_) => bail!("the credential provider `{program}` answers something else"),
                }
            }
        }
    }

    /// Keeps a token where cargo would. `login_url` is what cargo says of where the user gets one. Returns where that is, for people.
    ///
    /// # Errors
    /// When no provider keeps it.
    pub fn login(&self, registry: &Registry, token: &str, login_url: Option<&str>) -> anyhow::Result<String> {
        for provider in self.providers(registry)? {
            let (name, arguments) = split(&provider)?;
            match name {
                "cargo:token" => {
                    let table = self.table(registry)?;
                    return CredentialsFile::in_directory(&self.cargo_home).set(&table, Some(token));
                }
                "cargo:token-from-stdout" => {}
                built_in if built_in.starts_with("cargo:") => bail!(unsupported(built_in)),
                program => {
                    let login =
                        Login { token: Some(token.to_owned()), login_url: login_url.map(str::to_owned) };
                    match ask(
                        program,
                        arguments,
                        &request(registry, Action::Login(login)),
                        &self.environment,
                    )? {
                        Answer::Ok(_) => return Ok(format!("`{program}`")),
                        Answer::Err(Refusal::OperationNotSupported | Refusal::UrlNotSupported) => {}
                        Answer::Err(other) => {
                            bail!("the credential provider `{program}` refuses: {}", words(&other))
                        }
                    }
                }
            }
        }
        bail!("none of the credential providers for `{}` keeps a token", registry.display())
    }

    /// Forgets the token where cargo would. Returns where it was, if there was one.
    ///
    /// # Errors
    /// When a provider fails.
    pub fn logout(&self, registry: &Registry) -> anyhow::Result<Option<String>> {
        for provider in self.providers(registry)? {
            let (name, arguments) = split(&provider)?;
            match name {
                "cargo:token" => {
                    let (table, file) =
                        (self.table(registry)?, CredentialsFile::in_directory(&self.cargo_home));
                    if file.token(&table)?.is_some() {
                        return file.set(&table, None).map(Some);
                    }
                }
                "cargo:token-from-stdout" => {}
                built_in if built_in.starts_with("cargo:") => bail!(unsupported(built_in)),
                program => {
                    match ask(program, arguments, &request(registry, Action::Logout), &self.environment)? {
                        Answer::Ok(_) => return Ok(Some(format!("`{program}`"))),
                        Answer::Err(
                            Refusal::OperationNotSupported | Refusal::UrlNotSupported | Refusal::NotFound,
                        ) => {}
                        Answer::Err(other) => {
                            bail!("the credential provider `{program}` refuses: {}", words(&other))
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// The variable, then the file.
    fn plain(&self, registry: &Registry) -> anyhow::Result<Option<String>> {
        let name = self.name(registry);
        if let Some(token) = name.as_deref().and_then(|name| self.variable(&variable(name))) {
            return valid(token).map(Some);
        }
        let Some(_) = name else { return Ok(None) };
        let table = self.table(registry)?;
        if let Some(token) = CredentialsFile::in_directory(&self.cargo_home).token(&table)? {
            return valid(token).map(Some);
        }
        let key = format!("{table}.token");
        self.settings.get(&key).and_then(Value::as_str).map(|token| valid(token.to_owned())).transpose()
    }

    /// The table of the registry in `credentials.toml`.
    fn table(&self, registry: &Registry) -> anyhow::Result<String> {
        match self.name(registry) {
            Some(name) if name == super::registry::CRATES_IO => Ok("registry".to_owned()),
            Some(name) => Ok(format!("registries.{name}")),
            None => bail!(
                "tokens are kept by a registry's name, and none is configured for `{}`\n\nhint: use `--registry` with a \
                 name from your `~/.cargo/config.toml`",
                registry.index
            ),
        }
    }

    /// The registry's name, also where it is given by its index.
    fn name(&self, registry: &Registry) -> Option<String> {
        if let Some(name) = &registry.name {
            return Some(name.clone());
        }
        self.settings.iter().find_map(|(key, value)| {
            let name = key.strip_prefix("registries.")?.strip_suffix(".index")?;
            registry.is_index(value.as_str()?).then(|| name.to_owned())
        })
    }

    /// The providers for a registry, the first to be asked first.
    fn providers(&self, registry: &Registry) -> anyhow::Result<Vec<Provider>> {
        let name = self.name(registry);
        let (own, variable) = match name.as_deref() {
            Some(super::registry::CRATES_IO) => {
                ("registry.credential-provider".to_owned(), "CARGO_REGISTRY_CREDENTIAL_PROVIDER".to_owned())
            }
            Some(name) => (
                format!("registries.{name}.credential-provider"),
                format!("CARGO_REGISTRIES_{}_CREDENTIAL_PROVIDER", variable_part(name)),
            ),
            None => (String::new(), String::new()),
        };
        let named = self.variable(&variable).map(Value::String);
        let named = named.or_else(|| self.settings.get(&own).cloned());
        if let Some(named) = named {
            return Ok(vec![self.written_out(&named)?]);
        }
        let mut all: Vec<Value> = Vec::new();
        if let Some(list) = self.settings.get("registry.global-credential-providers") {
            all.extend(list.as_array().cloned().unwrap_or_else(|| vec![list.clone()]));
        }
        let variable = self.variable("CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS").unwrap_or_default();
        all.extend(variable.split_whitespace().map(|one| Value::String(one.to_owned())));
        if all.is_empty() {
            all.push(Value::String("cargo:token".to_owned()));
        }
        // The last one counts most.
        all.iter().rev().map(|value| self.written_out(value)).collect()
    }

    /// A provider's words, with an alias for the first one written out.
    fn written_out(&self, value: &Value) -> anyhow::Result<Provider> {
        let provider = words_of(value).context("a credential provider is a string or a list of strings")?;
        let alias =
            provider.first().and_then(|first| self.settings.get(&format!("credential-alias.{first}")));
        match alias {
            None => Ok(provider),
            Some(alias) => {
                let mut all =
                    words_of(alias).context("a credential alias is a string or a list of strings")?;
                all.extend(provider.into_iter().skip(1));
                Ok(all)
            }
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let found = self.environment.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
    }
}

/// The variable that holds a registry's token.
pub fn variable(name: &str) -> String {
    match name {
        super::registry::CRATES_IO => "CARGO_REGISTRY_TOKEN".to_owned(),
        name => format!("CARGO_REGISTRIES_{}_TOKEN", variable_part(name)),
    }
}

fn words_of(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
        Value::Array(list) => list.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn split(provider: &Provider) -> anyhow::Result<(&str, &[String])> {
    let (first, rest) = provider.split_first().context("a credential provider is empty")?;
    if first.contains('/') && !Path::new(first).is_absolute() {
        bail!("the credential provider `{first}` is a relative path\n\nhint: write the whole path");
    }
    Ok((first, rest))
}

fn unsupported(name: &str) -> String {
    format!(
        "the credential provider `{name}` is in cargo itself, which gets no token here\n\nhint: `cargo:token`, \
         `cargo:token-from-stdout`, `cargo:libsecret` (to read) and providers that are programs of their own work"
    )
}

/// A token that can be in a header: cargo refuses others, and with them what was pasted with a line's end.
fn valid(token: String) -> anyhow::Result<String> {
    let token = token.trim_end_matches(['\n', '\r']).to_owned();
    if token.is_empty() || token.bytes().any(|byte| byte != b'\t' && !(b' '..=b'~').contains(&byte)) {
        bail!("the token holds what no token holds: an empty line, a control character, or beyond ASCII");
    }
    Ok(token)
}

fn request(registry: &Registry, action: Action) -> Request {
    let info =
        RegistryInfo { index_url: registry.index.clone(), name: registry.name.clone(), headers: Vec::new() };
    Request { v: 1, registry: info, action, args: Vec::new() }
}

fn words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Other { message, caused_by } => {
            std::iter::once(message).chain(caused_by).cloned().collect::<Vec<_>>().join(": ")
        }
        Refusal::NotFound => "it has no token".to_owned(),
        Refusal::UrlNotSupported => "it does not know this registry".to_owned(),
        Refusal::OperationNotSupported => "it does not do that".to_owned(),
    }
}
