//! `[native]`: what of the system the crates of a project need that is not Rust.

use serde::Deserialize;
use toml::Spanned;

use super::provider::Provider;

/// The table, as it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Native {
    /// Who gives jobs their compilers and libraries.
    pub provider: Option<Spanned<Provider>>,
}
