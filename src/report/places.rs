//! Paths under names that mean the same on every machine: `{out}/lib.a`, `{toolchain}/bin/rustc`, `~/.ssh/id_rsa`.

use std::path::{Path, PathBuf};

/// Names of directories, the deepest first.
#[derive(Debug, Clone, Default)]
pub struct Places(Vec<(PathBuf, String)>);

impl Places {
    /// Names for these directories; of two for the same directory the first counts.
    pub fn new(named: impl IntoIterator<Item = (PathBuf, &'static str)>) -> Self {
        let mut all: Vec<(PathBuf, String)> = Vec::new();
        for (path, name) in named {
            if path.is_absolute() && !all.iter().any(|(known, _)| *known == path) {
                all.push((path, name.to_owned()));
            }
        }
        // Stable: equally deep ones are different directories.
        all.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        Self(all)
    }

    /// The name of a path, without hashes that cargo and compilers put into names.
    pub fn name(&self, path: &Path) -> String {
        let known = self.0.iter().find_map(|(place, name)| {
            let below = path.strip_prefix(place).ok()?;
            Some((name.as_str(), below))
        });
        let (start, below) = known.unwrap_or(("", path));
        let below = match start {
            // <index>/<package>/… and <repository>/<revision>/…
            CRATES => below.components().skip(1).collect::<PathBuf>(),
            _ => below.to_owned(),
        };
        let parts = below.components().filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(without_hash(&name.to_string_lossy())),
            _ => None,
        });
        std::iter::once(start.to_owned()).chain(parts).collect::<Vec<_>>().join("/")
    }

    /// The same for every path in an argument of a program.
    pub fn in_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (place, name) in &self.0 {
            if let Some(place) = place.to_str().filter(|place| place.len() > 1) {
                text = replaced(&text, place, name);
            }
        }
        text.split('/').map(without_hash).collect::<Vec<_>>().join("/")
    }

    /// The names with what they stand for on this machine.
    pub fn legend(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|(path, name)| (name.clone(), path.display().to_string()))
    }
}

/// Replaces a path where a text has it, or something below it.
fn replaced(text: &str, path: &str, name: &str) -> String {
    let (mut done, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(path) {
        let behind = &rest[at + path.len()..];
        let ends = behind.chars().next().is_none_or(|next| !next.is_alphanumeric() && !"._-".contains(next));
        done.push_str(&rest[..at]);
        done.push_str(if ends { name } else { path });
        rest = behind;
    }
    done + rest
}

/// The name of where cargo unpacks what it downloads.
pub const CRATES: &str = "{crates}";

/// `name-0123456789abcdef.so` without the hash.
fn without_hash(name: &str) -> String {
    let bytes = name.as_bytes();
    for (at, _) in name.match_indices('-') {
        let hash = bytes.get(at + 1..at + 17).unwrap_or_default();
        let ends = bytes.get(at + 17).is_none_or(|next| !next.is_ascii_alphanumeric());
        if hash.len() == 16 && ends && hash.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return format!("{}{}", &name[..at], &name[at + 17..]);
        }
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places::new([
            ("/c/registry/src/i-1/x-1.0.0".into(), "{package}"),
            ("/c/registry/src".into(), CRATES),
            ("/b".into(), "{build}"),
            ("/b/debug/build/x-0123456789abcdef/out".into(), "{out}"),
            ("/h".into(), "~"),
        ])
    }

    #[test]
    fn a_path_is_named_by_the_deepest_place() {
        let places = places();
        let name = |path: &str| places.name(Path::new(path));
        assert_eq!(name("/c/registry/src/i-1/x-1.0.0/build.rs"), "{package}/build.rs");
        assert_eq!(name("/c/registry/src/i-1/y-2.0.0/a.rs"), "{crates}/y-2.0.0/a.rs");
        assert_eq!(name("/b/debug/build/x-0123456789abcdef/out/l.a"), "{out}/l.a");
        assert_eq!(name("/b/debug/deps/liby-fedcba9876543210.so"), "{build}/debug/deps/liby.so");
        assert_eq!(name("/h/.ssh/id"), "~/.ssh/id");
        assert_eq!(name("/etc/hosts"), "/etc/hosts");
        assert_eq!(name("/h"), "~");
    }

    #[test]
    fn arguments_name_places_as_well() {
        assert_eq!(
            places().in_text("-L/b/debug/build/z-0123456789abcdef/out"),
            "-L{build}/debug/build/z/out"
        );
        assert_eq!(places().in_text("https://example.org/x-1"), "https://example.org/x-1");
    }
}
