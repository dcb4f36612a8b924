//! What is in an archive: what would be sent, what should not be, and what differs from what was sent before.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest as _, Sha256};

/// Largest archive that is looked at, unpacked; registries take far less.
const MOST: u64 = 1 << 30;

/// What cargo writes into each archive by itself.
const MADE: &[&str] = &["Cargo.toml", "Cargo.lock", ".cargo_vcs_info.json"];

/// A `.crate` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The crate.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of the whole file, in hexadecimal digits.
    pub checksum: String,
    /// Its size.
    pub size: u64,
    /// Its files, by their path in the package.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Archive {
    /// Reads one.
    ///
    /// # Errors
    /// When it is no archive that cargo makes.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("failed to read the archive `{}`", path.display());
        let bytes = std::fs::read(path).with_context(failed)?;
        Self::parse(&bytes).with_context(failed)
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes).take(MOST));
        for entry in archive.entries()? {
            let mut entry = entry?;
            if !entry.header().entry_type().is_file() {
                bail!("it holds something that is no file");
            }
            // name-version/path
            let path: PathBuf = entry.path()?.iter().skip(1).collect();
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.insert(path, content);
        }
        let manifest = files.get(Path::new("Cargo.toml")).context("it has no Cargo.toml")?;
        let manifest: toml::Table = toml::from_str(std::str::from_utf8(manifest)?)?;
        let text = |key: &str| {
            let value = manifest.get("package").and_then(|package| package.get(key)?.as_str());
            value.map(str::to_owned).with_context(|| format!("its Cargo.toml has no package.{key}"))
        };
        let checksum = Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        });
        let size = bytes.len() as u64;
        Ok(Self { name: text("name")?, version: text("version")?, checksum, size, files })
    }

    /// Every archive in a directory, by name.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn all_in(directory: &Path) -> anyhow::Result<Vec<Self>> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
            .with_context(|| format!("failed to read `{}`", directory.display()))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "crate"))
            .collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// For people: every file with its size, then the archive's own size and checksum.
    pub fn list(&self) -> String {
        let mut text = format!("{} {} would be sent with these files:\n", self.name, self.version);
        for (path, content) in &self.files {
            let _infallible = writeln!(text, "{:>10}  {}", content.len(), visible(path));
        }
        let _infallible = writeln!(text, "{:>10}  in all, packed; SHA-256 {}", self.size, self.checksum);
        text
    }

    /// For people: what differs from an earlier archive, a line each.
    pub fn difference(&self, earlier: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, content) in &self.files {
            match earlier.files.get(path) {
                None => lines.push(format!("added    {}", visible(path))),
                Some(old) if old != content => {
                    lines.push(format!(
                        "changed  {} ({} to {} bytes)",
                        visible(path),
                        old.len(),
                        content.len()
                    ));
                }
                Some(_) => {}
            }
        }
        let gone = earlier.files.keys().filter(|path| !self.files.contains_key(*path));
        lines.extend(gone.map(|path| format!("removed  {}", visible(path))));
        lines
    }

    /// Files that look as if nobody meant to publish them, and why.
    pub fn secrets(&self) -> Vec<(PathBuf, &'static str)> {
        let named = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            SECRET_NAMES.iter().find(|(fits, _)| fits(&name)).map(|(_, why)| *why)
        };
        let holds =
            |content: &[u8]| SECRET_CONTENT.iter().find(|(fits, _)| fits(content)).map(|(_, why)| *why);
        let found = self
            .files
            .iter()
            .filter_map(|(path, content)| Some((path.clone(), named(path).or_else(|| holds(content))?)));
        found.collect()
    }
}

/// A package as its manifest describes it, as far as it names files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The directory of its manifest, canonical.
    pub directory: PathBuf,
    /// `package.readme` and `package.license-file`, as they are named.
    pub named: Vec<String>,
}

/// Files of an archive that do not come from the package's own directory, and where they come from. A text about the
/// project that lies in the workspace is no such file: several packages share one README or licence.
///
/// # Errors
/// When a directory cannot be read.
pub fn leaving(archive: &Archive, package: &Package, root: &Path) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    let mut outside = Vec::new();
    for name in &package.named {
        let path = package.directory.join(name);
        let Ok(real) = path.canonicalize() else { continue };
        if !path.starts_with(&package.directory)
            || !real.starts_with(&package.directory)
            || name.contains("..")
        {
            outside.push(path.file_name().unwrap_or_default().to_owned());
            if !real.starts_with(&package.directory) && !is_shared_text(&real, root) {
                found.push((PathBuf::from(name), real));
            }
        }
    }
    for path in archive.files.keys() {
        let made = path.to_str().is_some_and(|path| MADE.contains(&path));
        let own = if path == Path::new("Cargo.toml.orig") { Path::new("Cargo.toml") } else { path.as_path() };
        if made || outside.iter().any(|name| Path::new(name) == path) {
            continue;
        }
        let path_here = package.directory.join(own);
        let real = path_here
            .canonicalize()
            .with_context(|| format!("`{}` is packed and cannot be found", path_here.display()))?;
        if !real.starts_with(&package.directory) && !is_shared_text(&real, root) {
            found.push((path.clone(), real));
        }
    }
    Ok(found)
}

/// Names of texts about a project, as they begin.
const TEXTS: &[&str] =
    &["readme", "license", "licence", "copying", "notice", "copyright", "unlicense", "changelog", "authors"];

fn is_shared_text(real: &Path, root: &Path) -> bool {
    let Ok(below) = real.strip_prefix(root) else { return false };
    let name = below.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let hidden = below.iter().any(|part| part.to_string_lossy().starts_with('.'));
    real.is_file() && !hidden && TEXTS.iter().any(|text| name.starts_with(text))
}

type ByName = fn(&str) -> bool;
type ByContent = fn(&[u8]) -> bool;

/// By what a file is called.
const SECRET_NAMES: &[(ByName, &str)] = &[
    (|name| name == ".env" || name.starts_with(".env."), "variables of an environment"),
    (
        |name| name.starts_with("id_") && ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"].contains(&name),
        "an SSH key",
    ),
    (
        |name| [".npmrc", ".netrc", "_netrc", ".pypirc", ".pgpass", ".git-credentials"].contains(&name),
        "logins",
    ),
    (|name| name == "credentials" || name == "credentials.toml", "tokens"),
    (|name| name.ends_with(".pem") || name.ends_with(".key"), "a key, by its name"),
    (
        |name| [".p12", ".pfx", ".jks", ".kdbx", ".keystore"].iter().any(|end| name.ends_with(end)),
        "a store of keys",
    ),
    (|name| name.ends_with(".tfstate"), "a state that holds secrets"),
];

/// By what is in it.
const SECRET_CONTENT: &[(ByContent, &str)] = &[
    (|content| holds(content, b"PRIVATE KEY-----"), "a private key"),
    (|content| holds_token(content, b"AKIA", 16), "a key of Amazon's, by its form"),
    (
        |content| {
            ["ghp_", "gho_", "ghs_", "ghu_"].iter().any(|start| holds_token(content, start.as_bytes(), 30))
        },
        "a token of GitHub's, by its form",
    ),
    (|content| holds_token(content, b"github_pat_", 30), "a token of GitHub's, by its form"),
    (|content| holds_token(content, b"glpat-", 16), "a token of GitLab's, by its form"),
    (|content| holds_token(content, b"cio", 32), "a token of crates.io's, by its form"),
    (
        |content| holds_token(content, b"xoxb-", 20) || holds_token(content, b"xoxp-", 20),
        "a token of Slack's, by its form",
    ),
];

fn holds(content: &[u8], text: &[u8]) -> bool {
    content.windows(text.len()).any(|window| window == text)
}

/// Whether a word of the content starts so and goes on with so many letters and digits.
fn holds_token(content: &[u8], start: &[u8], length: usize) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
    content.windows(start.len()).enumerate().any(|(at, window)| {
        let rest = &content[at + start.len()..];
        window == start
            && !at.checked_sub(1).is_some_and(|before| word(&content[before]))
            && rest.iter().take_while(|byte| word(byte)).count() >= length
    })
}

/// A path of somebody else's on a terminal.
fn visible(path: &Path) -> String {
    path.to_string_lossy().chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> Archive {
        let mut builder =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        let manifest = ("Cargo.toml", "[package]\nname = \"a\"\nversion = \"1.0.0\"\n");
        for (path, content) in files.iter().chain([&manifest]) {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, format!("a-1.0.0/{path}"), content.as_bytes()).unwrap();
        }
        Archive::parse(&builder.into_inner().unwrap().finish().unwrap()).unwrap()
    }

    #[test]
    fn an_archive_says_what_it_is() {
        let archive = archive(&[("src/lib.rs", "fn f() {}")]);
        assert_eq!((archive.name.as_str(), archive.version.as_str()), ("a", "1.0.0"));
        assert_eq!(archive.checksum.len(), 64);
        assert!(archive.list().contains("         9  src/lib.rs\n"));
        assert!(Archive::parse(b"no archive").is_err());
    }

    #[test]
    fn what_differs_from_an_earlier_one() {
        let old = archive(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let new = archive(&[("a", "1"), ("b", "22"), ("d", "4")]);
        assert_eq!(new.difference(&old), ["changed  b (1 to 2 bytes)", "added    d", "removed  c"]);
    }

    #[test]
    fn what_looks_like_a_secret_is_named() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n";
        let found = archive(&[
            (".env", "A=1"),
            ("deploy/server.key", "x"),
            ("notes", key),
            ("ci.yml", "token: ghp_0123456789abcdefghijklmnopqrstuvwxyz"),
            ("src/lib.rs", "// scio0123456789abcdefghijklmnopqrstuvwxyz, environment, id_rsa_like"),
        ])
        .secrets();
        let paths: Vec<_> = found.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(paths, [".env", "ci.yml", "deploy/server.key", "notes"]);
    }

    #[test]
    fn what_comes_from_elsewhere_is_found() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        let (root, member) = (place.join("w"), place.join("w/member"));
        std::fs::create_dir_all(member.join("src")).unwrap();
        for path in
            ["secret", "w/.env", "w/README.md", "w/LICENSE-MIT", "w/member/src/lib.rs", "w/member/Cargo.toml"]
        {
            std::fs::write(place.join(path), "x").unwrap();
        }
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, member.join(at)).unwrap();
        link("../../secret", "data");
        link("../.env", "settings");
        link("../LICENSE-MIT", "LICENSE-MIT");
        link("src/lib.rs", "inside.rs");
        link("../..", "up");
        let archive = archive(&[
            ("data", ""),
            ("settings", ""),
            ("LICENSE-MIT", ""),
            ("inside.rs", ""),
            ("up/secret", ""),
            ("src/lib.rs", ""),
            ("README.md", ""),
            ("Cargo.toml.orig", ""),
            ("Cargo.lock", ""),
            ("secret", ""),
        ]);
        let package = |named: &[&str]| Package {
            directory: member.clone(),
            named: named.iter().map(|name| (*name).to_owned()).collect(),
        };
        let found = leaving(&archive, &package(&["../README.md", "../../secret"]), &root).unwrap();
        let paths: Vec<_> = found.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(paths, ["../../secret", "data", "settings", "up/secret"]);
        let absolute = place.join("secret").to_str().unwrap().to_owned();
        let found = leaving(&archive, &package(&["../README.md", &absolute]), &root).unwrap();
        assert_eq!(found[0], (PathBuf::from(&absolute), place.join("secret")));
    }
}
