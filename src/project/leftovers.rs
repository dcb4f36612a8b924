//! A build directory that is not this tool's own: what plain cargo, a repository or an older build left in it.
//!
//! cargo executes the build scripts that it finds there, if they look fresh, and writes through links beside them
//! and in `.fingerprint`. So before its first job every script in it that is no shim of ours is removed (cargo then
//! has it compiled again, which makes a shim of it), and a link where cargo writes is refused by name.

use std::fs::{DirEntry, FileType};
use std::io;
use std::path::{Path, PathBuf};

use super::planted::{Planted, link, special};

/// How deep a profile is: `<profile>`, `<triple>/<profile>`.
const PROFILE_DEPTH: usize = 2;

/// How deep a package's files are below `build`: `<package>-<hash>`, `<package>/<hash>/run` in the layout to come.
const PACKAGE_DEPTH: usize = 3;

/// How the names of build scripts start, as rustc leaves them and as cargo links and executes them.
const SCRIPTS: &[&str] = &["build-script", "build_script", "metabuild"];

/// What makes a directory a profile's.
const OF_PROFILE: &[&str] = &["build", "deps", "examples", "incremental", ".fingerprint"];

/// Removes the build scripts that are no links into `shims`; returns them.
///
/// # Errors
/// When a link or a special file is where cargo writes, or something cannot be looked at or removed.
pub fn clear(build: &Path, shims: &Path) -> Result<Vec<PathBuf>, Planted> {
    let mut found = Leftovers { shims, removed: Vec::new() };
    found.profiles(build, PROFILE_DEPTH)?;
    Ok(found.removed)
}

struct Leftovers<'a> {
    shims: &'a Path,
    removed: Vec<PathBuf>,
}

impl Leftovers<'_> {
    fn profiles(&mut self, directory: &Path, depth: usize) -> Result<(), Planted> {
        for (path, entry, kind) in entries(directory)? {
            // A profile somewhere else could hide what is looked for here.
            if kind.is_symlink() && path.is_dir() {
                return Err(link(&path));
            }
            let name = entry.file_name();
            if name == ".fingerprint" {
                check(&path, PACKAGE_DEPTH)?;
            } else if name == "deps" || name == "examples" {
                check(&path, 0)?;
            } else if name == "build" {
                self.packages(&path, PACKAGE_DEPTH)?;
            }
            if depth > 0 && kind.is_dir() && !OF_PROFILE.iter().any(|known| name == *known) {
                self.profiles(&path, depth - 1)?;
            }
        }
        Ok(())
    }

    fn packages(&mut self, directory: &Path, depth: usize) -> Result<(), Planted> {
        for (path, entry, kind) in entries(directory)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let named = SCRIPTS.iter().any(|start| name.starts_with(start));
            if kind.is_dir() {
                // What a script writes is its own; in the layout to come the scripts are there, too.
                if name == "out" {
                    self.scripts_among(&path)?;
                } else if name == ".fingerprint" || name == "fingerprint" {
                    check(&path, 1)?;
                } else if depth > 0 {
                    self.packages(&path, depth - 1)?;
                }
            } else if kind.is_symlink() && named {
                self.remove_unless_shim(path)?;
            } else {
                refuse(&path, kind)?;
                if named && !name.ends_with(".d") {
                    self.remove(path)?;
                }
            }
        }
        Ok(())
    }

    fn scripts_among(&mut self, directory: &Path) -> Result<(), Planted> {
        for (path, entry, kind) in entries(directory)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_dir() || !SCRIPTS.iter().any(|start| name.starts_with(start)) || name.ends_with(".d") {
                continue;
            }
            if kind.is_symlink() {
                self.remove_unless_shim(path)?;
            } else {
                self.remove(path)?;
            }
        }
        Ok(())
    }

    fn remove_unless_shim(&mut self, path: PathBuf) -> Result<(), Planted> {
        let own = std::fs::read_link(&path).is_ok_and(|to| to.starts_with(self.shims) && to.is_file());
        if own { Ok(()) } else { self.remove(path) }
    }

    fn remove(&mut self, path: PathBuf) -> Result<(), Planted> {
        std::fs::remove_file(&path).map_err(|source| Planted::Io { path: path.clone(), source })?;
        self.removed.push(path);
        Ok(())
    }
}

/// Everything below a directory is a plain file or a directory, `depth` levels deep.
fn check(directory: &Path, depth: usize) -> Result<(), Planted> {
    for (path, _, kind) in entries(directory)? {
        refuse(&path, kind)?;
        if kind.is_dir() && depth > 0 {
            check(&path, depth - 1)?;
        }
    }
    Ok(())
}

fn refuse(path: &Path, kind: FileType) -> Result<(), Planted> {
    if kind.is_symlink() { Err(link(path)) } else { special(path, kind) }
}

fn entries(directory: &Path) -> Result<Vec<(PathBuf, DirEntry, FileType)>, Planted> {
    let failed = |source| Planted::Io { path: directory.to_owned(), source };
    let list = match std::fs::read_dir(directory) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    list.map(|entry| {
        let entry = entry.map_err(failed)?;
        Ok((entry.path(), entry.file_type().map_err(failed)?, entry))
    })
    .map(|found| found.map(|(path, kind, entry)| (path, entry, kind)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    struct Scene {
        _directory: tempfile::TempDir,
        target: PathBuf,
        shims: PathBuf,
    }

    impl Scene {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let base = directory.path().canonicalize().unwrap();
            let scene =
                Self { target: base.join("target"), shims: base.join("shims"), _directory: directory };
            fs::create_dir(&scene.shims).unwrap();
            fs::write(scene.shims.join("shim"), "").unwrap();
            scene.write("debug/build/x-1/output");
            scene
        }

        fn write(&self, place: &str) -> PathBuf {
            let path = self.target.join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        }

        fn clear(&self) -> Result<Vec<PathBuf>, Planted> {
            clear(&self.target, &self.shims)
        }
    }

    #[test]
    fn raw_scripts_are_removed_wherever_cargo_would_execute_them() {
        let scene = Scene::new();
        let mut raw = [
            "debug/build/x-1/build-script-build",
            "debug/build/x-1/build_script_build-1",
            "triple/release/build/y-2/build-script-my-build",
            "debug/build/z/0123/out/build-script-build",
        ]
        .map(|place| scene.write(place));
        let kept = ["debug/build/x-1/build_script_build-1.d", "debug/build/x-2/out/program", "debug/app"]
            .map(|place| scene.write(place));
        let mut removed = scene.clear().unwrap();
        raw.sort();
        removed.sort();
        assert_eq!(removed, raw);
        assert!(kept.iter().all(|path| path.exists()) && raw.iter().all(|path| !path.exists()));
        assert_eq!(scene.clear().unwrap(), [""; 0].map(PathBuf::from));
    }

    #[test]
    fn a_link_to_a_shim_of_ours_stays_and_any_other_goes() {
        let scene = Scene::new();
        let place = |name: &str| scene.target.join("debug/build/x-1").join(name);
        symlink(scene.shims.join("shim"), place("build-script-own")).unwrap();
        symlink(scene.shims.join("gone"), place("build-script-gone")).unwrap();
        symlink("/bin/true", place("build-script-foreign")).unwrap();
        let mut removed = scene.clear().unwrap();
        removed.sort();
        assert_eq!(removed, [place("build-script-foreign"), place("build-script-gone")]);
        assert!(place("build-script-own").exists());
    }

    #[test]
    fn links_where_cargo_writes_are_refused() {
        let places = [
            "debug/build/x-1/output",
            "debug/build/x/1/run/stdout",
            "debug/.fingerprint/x-1/output-lib-x",
            "triple/debug/.fingerprint/x-1",
            "debug/deps/libx.rlib",
            "debug/build",
            "debug",
        ];
        for place in places {
            let scene = Scene::new();
            let path = scene.target.join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let _absent = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            symlink("/tmp", &path).unwrap();
            let error = scene.clear().unwrap_err().to_string();
            assert!(error.contains(&format!("`{}` is a symbolic link", path.display())), "{place}: {error}");
        }
    }
}
