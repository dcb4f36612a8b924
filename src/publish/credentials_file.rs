//! `credentials.toml`: where tokens are where no provider keeps them.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use toml_edit::{DocumentMut, Item, Table, value};

/// The user's file of tokens.
#[derive(Debug)]
pub struct CredentialsFile {
    path: PathBuf,
}

impl CredentialsFile {
    /// The one of `CARGO_HOME`. cargo prefers the name without extension where it is there.
    pub fn in_directory(cargo_home: &Path) -> Self {
        let old = cargo_home.join("credentials");
        Self { path: if old.is_file() { old } else { cargo_home.join("credentials.toml") } }
    }

    /// The token of a table (`registry`, `registries.mine`).
    ///
    /// # Errors
    /// When the file cannot be read or is no TOML.
    pub fn token(&self, table: &str) -> anyhow::Result<Option<String>> {
        let document = self.read()?;
        let mut item = document.as_item();
        for part in table.split('.') {
            match item.get(part) {
                Some(below) => item = below,
                None => return Ok(None),
            }
        }
        Ok(item.get("token").and_then(Item::as_str).map(str::to_owned))
    }

    /// Writes or removes the token of a table; everything else stays. The file is the user's alone to read. Returns where
    /// it is, for people.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set(&self, table: &str, token: Option<&str>) -> anyhow::Result<String> {
        let mut document = self.read()?;
        let mut at = document.as_table_mut();
        for part in table.split('.') {
            let below = at.entry(part).or_insert_with(|| {
                let mut table = Table::new();
                table.set_implicit(true);
                Item::Table(table)
            });
            let Some(below) = below.as_table_mut() else {
                bail!("`{table}` in `{}` is no table", self.path.display());
            };
            at = below;
        }
        match token {
            Some(token) => {
                at.set_implicit(false);
                at.insert("token", value(token));
            }
            None => drop(at.remove("token")),
        }
        self.write(&document.to_string())
            .with_context(|| format!("failed to write `{}`", self.path.display()))?;
        Ok(format!("`{}`", self.path.display()))
    }

    fn read(&self) -> anyhow::Result<DocumentMut> {
        let text = match std::fs::read_to_string(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("failed to read `{}`", self.path.display()))?,
        };
        // The parser's own words show a line, which may be the token's.
        text.parse().map_err(|_| anyhow::anyhow!("`{}` is no TOML", self.path.display()))
    }

    fn write(&self, text: &str) -> std::io::Result<()> {
        // A file that is a link stays one.
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let directory = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.persist(&path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_beside_others_and_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("credentials.toml");
        std::fs::write(&path, "# mine\n[registry]\ntoken = \"public\"\n").unwrap();
        let file = CredentialsFile::in_directory(home.path());
        file.set("registries.mine", Some("private")).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(file.token("registries.mine").unwrap().as_deref(), Some("private"));
        assert_eq!(file.token("registry").unwrap().as_deref(), Some("public"));
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("# mine\n"));
        file.set("registries.mine", None).unwrap();
        assert_eq!(file.token("registries.mine").unwrap(), None);
        assert_eq!(file.token("registry").unwrap().as_deref(), Some("public"));
    }

    #[test]
    fn what_is_no_toml_is_not_shown() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("credentials.toml"), "token = secret-word\n").unwrap();
        let error = CredentialsFile::in_directory(home.path()).token("registry").unwrap_err();
        assert!(!format!("{error:?}").contains("secret-word"));
    }
}
