//! Where the server's executable is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cargo::Toolchain;
use crate::cargo::toolchain::is_rustup_proxy;

/// Its name.
pub const NAME: &str = "rust-analyzer";

/// Why there is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ServerError {
    /// What the user names is nothing that can be executed.
    #[error("`{}` is no executable file", .0.display())]
    Named(PathBuf),
    /// Neither the toolchain nor `PATH` has one.
    #[error(
        "the toolchain `{toolchain}` has no rust-analyzer{}\n\nhint: `rustup component add rust-analyzer --toolchain \
         {toolchain}`, or name one: `cargo-sandbox self rust-analyzer --server PATH`",
        stand_in(.proxy.as_deref())
    )]
    Missing {
        /// The toolchain's name.
        toolchain: String,
        /// rustup's stand-in for it, which would look for the same.
        proxy: Option<PathBuf>,
    },
    /// It could have come with the repository.
    #[error(
        "`{}` is in the project `{}`, and not taken for a program of yours\n\nhint: install rust-analyzer elsewhere, or \
         name it: `cargo-sandbox self rust-analyzer --server PATH`",
        found.display(), root.display()
    )]
    Inside {
        /// The executable.
        found: PathBuf,
        /// The project's root.
        root: PathBuf,
    },
}

fn stand_in(proxy: Option<&Path>) -> String {
    proxy.map_or_else(String::new, |proxy| {
        format!("; `{}` is rustup's stand-in, which only starts that of a toolchain", proxy.display())
    })
}

/// Where it is looked for.
#[derive(Debug)]
pub struct Search<'a> {
    /// What the user names, absolute.
    pub named: Option<PathBuf>,
    /// The toolchain.
    pub toolchain: &'a Toolchain,
    /// The directories of `PATH`.
    pub path: Vec<PathBuf>,
    /// The project's root, where there is one.
    pub root: Option<&'a Path>,
    /// This program, which `self setup --editor` gives the server's name.
    pub own: &'a Path,
}

impl Search<'_> {
    /// The executable, by its real place.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self) -> Result<PathBuf, ServerError> {
        if let Some(named) = &self.named {
            let real = executable(named).ok_or_else(|| ServerError::Named(named.clone()))?;
            return match self.is_proxy(named, &real) {
                true => Err(self.missing(Some(named.clone()))),
                false => Ok(real),
            };
        }
        if let Some(real) = executable(&self.toolchain.program(NAME)) {
            return Ok(real);
        }
        let mut proxy = None;
        // An empty part, or a relative one, is wherever the editor was started.
        for directory in self.path.iter().filter(|directory| directory.is_absolute()) {
            let found = directory.join(NAME);
            let Some(real) = executable(&found) else { continue };
            if self.is_proxy(&found, &real) {
                proxy = proxy.or(Some(found));
                continue;
            }
            if let Some(root) = self.root.filter(|root| found.starts_with(root) || real.starts_with(root)) {
                return Err(ServerError::Inside { found, root: root.to_owned() });
            }
            return Ok(real);
        }
        Err(self.missing(proxy))
    }

    /// Whether it is no server, but something that would start one on this machine. This program by another name is one
    /// as well.
    fn is_proxy(&self, found: &Path, real: &Path) -> bool {
        is_rustup_proxy(found) || self.own.canonicalize().is_ok_and(|own| own == real)
    }

    fn missing(&self, proxy: Option<PathBuf>) -> ServerError {
        let proxy = proxy.filter(|proxy| is_rustup_proxy(proxy));
        ServerError::Missing { toolchain: self.toolchain.name.clone(), proxy }
    }
}

fn executable(path: &Path) -> Option<PathBuf> {
    let metadata = path.metadata().ok()?;
    (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then(|| path.canonicalize().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    struct Scene {
        directory: tempfile::TempDir,
        toolchain: Toolchain,
    }

    impl Scene {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let toolchain = Toolchain {
                name: "stable".into(),
                sysroot: directory.path().join("toolchain"),
                by_rustup: true,
            };
            let scene = Self { directory, toolchain };
            scene.program("toolchain/bin/cargo");
            scene.program("rustup/rustup");
            symlink("rustup", scene.at("rustup/rust-analyzer")).unwrap();
            scene.program("own/cargo-sandbox");
            symlink("cargo-sandbox", scene.at("own/rust-analyzer")).unwrap();
            scene.program("project/bin/rust-analyzer");
            scene
        }

        fn at(&self, path: &str) -> PathBuf {
            self.directory.path().canonicalize().unwrap().join(path)
        }

        fn program(&self, path: &str) {
            let path = self.directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, path.to_str().unwrap()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn find(&self, named: Option<&str>, path: &[&str]) -> Result<PathBuf, ServerError> {
            Search {
                named: named.map(|named| self.at(named)),
                toolchain: &self.toolchain,
                path: path.iter().map(|path| self.at(path)).chain(["relative".into(), "".into()]).collect(),
                root: Some(&self.at("project")),
                own: &self.at("own/cargo-sandbox"),
            }
            .find()
        }
    }

    #[test]
    fn the_toolchains_own_goes_before_the_one_in_path() {
        let scene = Scene::new();
        scene.program("usr/rust-analyzer");
        assert_eq!(scene.find(None, &["rustup", "own", "usr"]), Ok(scene.at("usr/rust-analyzer")));
        scene.program("toolchain/bin/rust-analyzer");
        let of_toolchain = scene.at("toolchain/bin/rust-analyzer");
        assert_eq!(scene.find(None, &["usr"]), Ok(of_toolchain));
        assert_eq!(scene.find(Some("usr/rust-analyzer"), &[]), Ok(scene.at("usr/rust-analyzer")));
    }

    #[test]
    fn a_stand_in_is_none_and_the_error_says_what_to_do() {
        let scene = Scene::new();
        let error = scene.find(None, &["rustup"]).unwrap_err().to_string();
        assert!(error.contains("rustup component add rust-analyzer --toolchain stable"), "{error}");
        assert!(error.contains("rustup/rust-analyzer` is rustup's stand-in"), "{error}");
        for (named, path) in
            [(None, "own"), (Some("own/rust-analyzer"), "own"), (Some("rustup/rust-analyzer"), "own")]
        {
            let error = scene.find(named, &[path]).unwrap_err();
            assert!(matches!(error, ServerError::Missing { .. }), "{error}");
        }
        assert!(matches!(scene.find(Some("nowhere"), &[]), Err(ServerError::Named(_))));
        assert!(matches!(scene.find(None, &["project/bin"]), Err(ServerError::Inside { .. })));
        assert_eq!(
            scene.find(Some("project/bin/rust-analyzer"), &[]),
            Ok(scene.at("project/bin/rust-analyzer"))
        );
    }
}
