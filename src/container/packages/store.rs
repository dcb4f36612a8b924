//! Where package roots are kept: one for each list of packages with versions and hashes, never changed after it appeared.
//!
//! ```text
//! packages/roots/<digest>/root/        the files
//! packages/roots/<digest>/packages     `name version architecture sha256`, one a line, of which the digest is made
//! packages/requests/<key>              what came of a request, while the same is installed here
//! packages/lists/                      what apt knows, where this machine's own lists did not do
//! packages/scratch/                    what is in the making
//! packages/lock                        held by who makes something
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Child;

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::apt::{Planned, STATUS};
use crate::container::image::{Hashing, Tree};
use crate::policy::native::PackageName;
use crate::project::private_directory;

/// What a request for which nothing is missing here has in the place of a digest.
const NOTHING: &str = "-";

/// The directory of packages.
#[derive(Debug)]
pub struct Store(PathBuf);

/// What names a request: the packages, and what is installed here.
///
/// # Errors
/// When that cannot be looked at.
pub fn request_key(names: &BTreeSet<PackageName>) -> io::Result<String> {
    let status = fs::metadata(STATUS)?;
    let mut hashing = Hashing::default();
    write!(
        hashing,
        "1 {} {} {} {}",
        status.mtime(),
        status.mtime_nsec(),
        status.len(),
        std::env::consts::ARCH
    )?;
    hashing.write_all(line(names).as_bytes())?;
    Ok(hashing.finish())
}

fn line(names: &BTreeSet<PackageName>) -> String {
    names.iter().map(PackageName::as_str).collect::<Vec<_>>().join(" ")
}

impl Store {
    /// The directory, made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        private_directory(&directory)?;
        for name in ["roots", "requests", "scratch"] {
            private_directory(&directory.join(name))?;
        }
        Ok(Self(directory))
    }

    fn roots(&self) -> PathBuf {
        self.0.join("roots")
    }

    fn requests(&self) -> PathBuf {
        self.0.join("requests")
    }

    /// apt's lists that are this tool's own.
    pub fn lists(&self) -> PathBuf {
        self.0.join("lists")
    }

    /// Waits until nobody else makes anything here. What a command that was killed has left is removed.
    ///
    /// # Errors
    /// When the lock cannot be had.
    pub fn lock(&self, quiet: bool) -> anyhow::Result<File> {
        let path = self.0.join("lock");
        let failed = || format!("failed to lock `{}`", path.display());
        let lock = File::create(&path).with_context(failed)?;
        if lock.try_lock().is_err() {
            if !quiet {
                eprintln!("{:>12} waiting for the lock of system packages", "Blocking");
            }
            lock.lock().with_context(failed)?;
        }
        for entry in fs::read_dir(self.0.join("scratch")).into_iter().flatten().flatten() {
            let _left_for_the_next = fs::remove_dir_all(entry.path());
        }
        Ok(lock)
    }

    /// A directory for what is in the making; for who holds the lock.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> io::Result<TempDir> {
        tempfile::tempdir_in(self.0.join("scratch"))
    }

    /// What came of a request: a root, or nothing where all is installed; none where it is not known.
    pub fn resolved(&self, key: &str) -> Option<Option<PathBuf>> {
        let text = fs::read_to_string(self.requests().join(key)).ok()?;
        match text.lines().next()? {
            NOTHING => Some(None),
            digest => self.root(digest).map(Some),
        }
    }

    fn root(&self, digest: &str) -> Option<PathBuf> {
        let plain = !digest.is_empty() && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let root = self.roots().join(digest).join("root");
        (plain && root.is_dir()).then_some(root)
    }

    /// Writes down what came of a request.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, key: &str, names: &BTreeSet<PackageName>, root: Option<&Path>) -> io::Result<()> {
        let digest = root.and_then(|root| root.parent()?.file_name()?.to_str()).unwrap_or(NOTHING);
        let mut file = tempfile::NamedTempFile::new_in(self.0.join("scratch"))?;
        write!(file, "{digest}\n{}\n", line(names))?;
        file.persist(self.requests().join(key))?;
        Ok(())
    }

    /// The newest root that was made for these names, whatever was installed here then.
    pub fn latest(&self, names: &BTreeSet<PackageName>) -> Option<PathBuf> {
        let all = fs::read_dir(self.requests()).into_iter().flatten().flatten();
        let mut found: Vec<_> = all
            .filter_map(|entry| {
                let text = fs::read_to_string(entry.path()).ok()?;
                let (digest, asked) = text.trim_end().split_once('\n')?;
                let root = self.root(digest).filter(|_| asked == line(names))?;
                Some((entry.metadata().ok()?.modified().ok()?, root))
            })
            .collect();
        found.sort();
        found.pop().map(|(_, root)| root)
    }

    /// A root of exactly these packages.
    pub fn with_packages(&self, planned: &[Planned]) -> Option<PathBuf> {
        let wanted: BTreeSet<String> = planned.iter().map(described).collect();
        let all = fs::read_dir(self.roots()).into_iter().flatten().flatten();
        let mut found = all.filter(|entry| {
            let text = fs::read_to_string(entry.path().join("packages")).unwrap_or_default();
            let own = text.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()));
            own.collect::<BTreeSet<_>>() == wanted
        });
        self.root(found.next()?.file_name().to_str()?)
    }

    /// Makes a root of archives, which are those of `planned`; `content` gives the files of one as a tar. `links` are those
    /// of the root directory: packages of a merged `/usr` may have files in `/lib`.
    ///
    /// # Errors
    /// When an archive cannot be unpacked, or leads out of the root.
    pub fn unpack(
        &self,
        planned: &[Planned],
        archives: &[PathBuf],
        links: &[(PathBuf, PathBuf)],
        content: impl Fn(&Path) -> anyhow::Result<Child>,
    ) -> anyhow::Result<PathBuf> {
        let mut list = BTreeSet::new();
        for (package, archive) in planned.iter().zip(archives) {
            let mut hashing = Hashing::default();
            let hashed = File::open(archive).and_then(|mut file| io::copy(&mut file, &mut hashing));
            hashed.with_context(|| format!("failed to read `{}`", archive.display()))?;
            list.insert(format!("{} {}\n", described(package), hashing.finish()));
        }
        let list: String = list.into_iter().collect();
        let mut hashing = Hashing::default();
        hashing.write_all(list.as_bytes())?;
        let place = self.roots().join(hashing.finish());

        let unfinished = self.scratch().context("failed to make a directory for packages")?;
        let root = unfinished.path().join("root");
        prepare(&root, links).context("failed to make a package root")?;
        let tree = Tree::keeping_links(&root).context("failed to open a package root")?;
        for (package, archive) in planned.iter().zip(archives) {
            let failed = || format!("failed to unpack the package `{}`", package.name);
            let mut child = content(archive)?;
            let laid = child.stdout.take().map(|stdout| tree.lay(stdout));
            let status = child.wait().with_context(failed)?;
            laid.transpose().with_context(failed)?;
            if !status.success() {
                bail!("{}: its archive cannot be read", failed());
            }
        }
        fs::write(unfinished.path().join("packages"), list).context("failed to write a package root")?;
        // Whoever was first wins: the content is the same.
        match fs::rename(unfinished.path(), &place) {
            Err(_) if place.join("root").is_dir() => {}
            other => other.with_context(|| format!("failed to create `{}`", place.display()))?,
        }
        Ok(place.join("root"))
    }
}

fn described(package: &Planned) -> String {
    format!("{} {} {}", package.name, package.version, package.architecture)
}

/// An empty root with the links of the system's, and what they lead to.
fn prepare(root: &Path, links: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    fs::create_dir(root)?;
    for (path, target) in links {
        let Ok(name) = path.strip_prefix("/") else { continue };
        // `usr/lib`, and nothing that leads elsewhere.
        if target.is_relative()
            && target.components().all(|part| matches!(part, std::path::Component::Normal(_)))
        {
            fs::create_dir_all(root.join(target))?;
            symlink(target, root.join(name))?;
        }
    }
    Ok(())
}

/// Removes every root that is not in `used`, and what is known of requests for them.
///
/// # Errors
/// When something cannot be removed.
pub fn remove_unused(directory: &Path, used: &BTreeSet<String>) -> io::Result<()> {
    let entries = |path: &str| fs::read_dir(directory.join(path)).into_iter().flatten().flatten();
    for entry in entries("requests") {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        if !text.lines().next().is_some_and(|digest| used.contains(digest)) {
            fs::remove_file(entry.path())?;
        }
    }
    for entry in entries("roots") {
        if !entry.file_name().to_str().is_some_and(|digest| used.contains(digest)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    match fs::remove_dir_all(directory.join("lists")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tar::EntryType;

    use super::super::apt::{Apt, is_here};
    use super::*;
    use crate::container::image::tree::tests::{Entry, layer};
    use crate::policy::bar::Bar;

    /// An archive of a package (deb(5)).
    fn deb(entries: &[Entry<'_>]) -> Vec<u8> {
        let control = "Package: evil\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n";
        let script = "#!/bin/sh\ntouch /tmp/csb-a-maintainer-script-ran\n";
        let control = [
            ("./control", EntryType::Regular, 0o644, control),
            ("./preinst", EntryType::Regular, 0o755, script),
            ("./postinst", EntryType::Regular, 0o755, script),
        ];
        let parts = [
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar", layer(&control)),
            ("data.tar", layer(entries)),
        ];
        let mut all = b"!<arch>\n".to_vec();
        for (name, content) in parts {
            all.extend(
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).bytes(),
            );
            all.extend(&content);
            all.resize(all.len().next_multiple_of(2), b'\n');
        }
        all
    }

    /// Unpacks one with this machine's `dpkg-deb`, confined as ever.
    fn unpacked(place: &Path, entries: &[Entry<'_>]) -> anyhow::Result<PathBuf> {
        let store = Store::open(place.join("packages")).unwrap();
        let archive = place.join("packages/evil.deb");
        fs::write(&archive, deb(entries)).unwrap();
        let scratch = store.scratch().unwrap();
        let confined = scratch.path().join("evil.deb");
        fs::rename(&archive, &confined).unwrap();
        let bar = Bar::default();
        let apt = Apt::new(scratch.path(), &bar, &[]).unwrap();
        let planned = [Planned { name: "evil".into(), version: "1".into(), architecture: "all".into() }];
        let links = [("/lib".into(), "usr/lib".into())];
        store.unpack(&planned, &[confined], &links, |archive| apt.content(archive))
    }

    #[test]
    fn a_hostile_archive_leads_nowhere_and_gives_no_rights() {
        if !is_here() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("mine"), "mine").unwrap();
        let to = outside.to_str().unwrap();
        let (file, link, directory) = (EntryType::Regular, EntryType::Symlink, EntryType::Directory);
        let through = format!("./{}/new", to.trim_start_matches('/'));
        let root = unpacked(
            place.path(),
            &[
                ("./", directory, 0o755, ""),
                ("./lib/", directory, 0o755, ""),
                ("./lib/libx.so.1", file, 0o644, "merged"),
                ("./usr/bin/su", file, 0o6755, "su"),
                ("./usr/share/out", link, 0o777, to),
                ("./usr/share/out/new", file, 0o644, "x"),
                ("./etc/", directory, 0o755, ""),
                ("./usr/share/up", link, 0o777, "../../../../../../../../../../etc"),
                ("./usr/share/up/planted", file, 0o644, "x"),
                ("./dev/null", EntryType::Char, 0o666, ""),
                ("./usr/fifo", EntryType::Fifo, 0o666, ""),
                (&through, file, 0o644, "inside"),
            ],
        )
        .unwrap();
        // What goes to `/lib` is where `/lib` leads, and the link is still one.
        assert_eq!(fs::read_to_string(root.join("usr/lib/libx.so.1")).unwrap(), "merged");
        assert!(root.join("lib").is_symlink());
        let mode = fs::metadata(root.join("usr/bin/su")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert!(!root.join("dev/null").exists() && !root.join("usr/fifo").exists());
        assert!(!Path::new("/etc/planted").exists() && root.join("etc/planted").is_file());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert!(!Path::new("/tmp/csb-a-maintainer-script-ran").exists());

        let before = fs::read_dir(place.path().join("packages/roots")).unwrap().count();
        for path in ["../../../outside/new", "./usr/../../../../outside/new"] {
            let error = unpacked(place.path(), &[(path, file, 0o644, "x")]).unwrap_err();
            assert!(format!("{error:#}").contains("leads out"), "{error:#}");
        }
        let error = unpacked(place.path(), &[("./hard", EntryType::Link, 0o644, &format!("{to}/mine"))]);
        assert!(error.is_err());
        assert_eq!(
            fs::read_dir(place.path().join("packages/roots")).unwrap().count(),
            before,
            "a half root is left"
        );
        assert_eq!(fs::read_to_string(outside.join("mine")).unwrap(), "mine");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_archive_leaves_no_root() {
        if !is_here() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(place.path().join("packages")).unwrap();
        let scratch = store.scratch().unwrap();
        let archive = scratch.path().join("x.deb");
        let whole = deb(&[("./usr/bin/x", EntryType::Regular, 0o755, "x")]);
        fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
        let bar = Bar::default();
        let apt = Apt::new(scratch.path(), &bar, &[]).unwrap();
        let planned = [Planned { name: "x".into(), version: "1".into(), architecture: "all".into() }];
        let failed = store.unpack(&planned, &[archive], &[], |archive| apt.content(archive));
        assert!(failed.is_err());
        assert_eq!(store.with_packages(&planned), None);
    }

    #[test]
    fn what_came_of_a_request_is_remembered_while_its_root_is_there() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("packages");
        let store = Store::open(directory.clone()).unwrap();
        let names: BTreeSet<PackageName> = ["libx-dev".parse().unwrap()].into();
        let root = directory.join("roots/abc/root");
        fs::create_dir_all(&root).unwrap();
        assert_eq!(store.resolved("key"), None);
        store.remember("key", &names, None).unwrap();
        assert_eq!((store.resolved("key"), store.latest(&names)), (Some(None), None));
        store.remember("key", &names, Some(&root)).unwrap();
        assert_eq!(
            (store.resolved("key"), store.latest(&names)),
            (Some(Some(root.clone())), Some(root.clone()))
        );
        assert_eq!(store.latest(&["liby-dev".parse().unwrap()].into()), None);
        remove_unused(&directory, &["abc".to_owned()].into()).unwrap();
        assert_eq!(store.resolved("key"), Some(Some(root)));
        remove_unused(&directory, &BTreeSet::new()).unwrap();
        assert_eq!((store.resolved("key"), store.latest(&names)), (None, None));
    }
}
