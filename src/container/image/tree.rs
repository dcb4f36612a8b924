//! Layers put over one another in a directory, none of which leads out of it.
//!
//! Every path is resolved by the kernel with the directory as its root (`RESOLVE_IN_ROOT` of openat2(2)): a link in the image
//! leads where it would lead inside. Files belong to who unpacks; what an image says of owners, set-user-ID bits and extended
//! attributes is left out, and so are devices, fifos and sockets, which containers have of their own.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, fchmod, linkat, mkdirat, open, openat, openat2, symlinkat, unlinkat,
};
use tar::{Archive, Entry, EntryType};

/// A name that takes one away of a lower layer, without this (layer.md, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";

/// Takes everything of lower layers away in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Bits of a mode that are kept.
const MODES: u32 = 0o777;

/// A directory that layers are put into.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    /// Whether a link to a directory stays where a layer has a directory of that name.
    keeps_links: bool,
}

impl Tree {
    /// Opens an empty directory.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root, keeps_links: false })
    }

    /// Opens a directory in which links to directories stay, as a package manager has it: what a package has in `/lib`
    /// goes where `/lib` leads.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn keeping_links(path: &Path) -> io::Result<Self> {
        Ok(Self { keeps_links: true, ..Self::open(path)? })
    }

    /// Puts one layer, a tar, over what is there.
    ///
    /// # Errors
    /// When the tar or the directory cannot be read or written, or a path has no name or a `..` in it.
    pub fn lay(&self, layer: impl Read) -> io::Result<()> {
        let mut own = HashSet::new();
        for entry in Archive::new(layer).entries()? {
            let mut entry = entry?;
            let path = plain(&entry.path()?)?;
            let Some(name) = path.file_name().map(OsStr::to_owned) else { continue };
            let above = path.parent().unwrap_or(Path::new(""));
            let put = self.put(&mut entry, above, &name, &mut own);
            put.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            own.insert(path);
        }
        Ok(())
    }

    /// Makes sure that there is a plain file, an empty one if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn provide(&self, directory: &Path, name: &OsStr) -> io::Result<()> {
        let directory = self.directory(directory)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if openat(&directory, name, flags, Mode::empty())
            .is_ok_and(|file| File::from(file).metadata().is_ok_and(|file| file.is_file()))
        {
            return Ok(());
        }
        remove(&directory, name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(&directory, name, flags, Mode::from_raw_mode(0o644))?;
        Ok(())
    }

    fn put(
        &self,
        entry: &mut Entry<'_, impl Read>,
        above: &Path,
        name: &OsStr,
        own: &mut HashSet<PathBuf>,
    ) -> io::Result<()> {
        let directory = self.directory(above)?;
        if name.as_bytes() == OPAQUE {
            return clear(&directory, above, own);
        }
        if let Some(gone) = name.as_bytes().strip_prefix(WHITEOUT) {
            return remove(&directory, OsStr::from_bytes(gone));
        }
        let mode = Mode::from_raw_mode(entry.header().mode()? & MODES);
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            if self.keeps_links
                && openat2(&self.root, above.join(name), flags, Mode::empty(), resolve).is_ok()
            {
                return Ok(());
            }
            return make_directory(&directory, name, mode);
        }
        remove(&directory, name)?;
        match kind {
            EntryType::Regular | EntryType::Continuous => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(&directory, name, flags, Mode::from_raw_mode(0o600))?;
                let mut file = File::from(file);
                io::copy(entry, &mut file)?;
                // Whoever unpacked it can remove it again, and jobs of root, who are nobody there, can read it.
                fchmod(&file, mode | Mode::from_raw_mode(0o644))?;
            }
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or_else(|| io::Error::other("a link without a target"))?;
                symlinkat(&*target, &directory, name)?;
            }
            EntryType::Link => {
                let target = entry.link_name()?.ok_or_else(|| io::Error::other("a link without a target"))?;
                let target = plain(&target)?;
                let file = target.file_name().ok_or_else(|| io::Error::other("a link to a directory"))?;
                let from = self.directory(target.parent().unwrap_or(Path::new("")))?;
                linkat(&from, file, &directory, name, AtFlags::empty())?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A directory of the tree; made where a layer does not say that it is there.
    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match openat2(&self.root, path, flags, Mode::empty(), resolve) {
            Err(rustix::io::Errno::NOENT) => {
                let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
                let above = self.directory(path.parent().unwrap_or(Path::new("")))?;
                make_directory(&above, name, Mode::from_raw_mode(0o755))?;
                Ok(openat2(&self.root, path, flags, Mode::empty(), resolve)?)
            }
            other => Ok(other?),
        }
    }
}

/// Without `/` and `.`; no `..`.
fn plain(path: &Path) -> io::Result<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::Error::other(format!("`{}` leads out of the image", path.display())));
            }
        }
    }
    Ok(plain)
}

/// Makes a directory, or changes the mode of the one that is there; anything else of that name goes.
fn make_directory(above: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let there = match openat(above, name, flags, Mode::empty()) {
        Ok(there) => there,
        Err(_) => {
            remove(above, name)?;
            mkdirat(above, name, Mode::from_raw_mode(0o755))?;
            openat(above, name, flags, Mode::empty())?
        }
    };
    Ok(fchmod(&there, mode | Mode::from_raw_mode(0o755))?)
}

/// Removes a file, a link or a whole directory; what is not there need not be removed.
fn remove(above: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(above, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(rustix::io::Errno::ISDIR | rustix::io::Errno::PERM) => {
            // The standard library's follows no link in it.
            std::fs::remove_dir_all(Path::new("/proc/self/fd").join(above.as_raw_fd().to_string()).join(name))
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes everything in a directory that this layer has not put there.
fn clear(directory: &OwnedFd, path: &Path, own: &HashSet<PathBuf>) -> io::Result<()> {
    let listing = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
    for entry in std::fs::read_dir(listing)? {
        let name = entry?.file_name();
        if !own.contains(&path.join(&name)) {
            remove(directory, &name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(in crate::container) mod tests {
    use std::fs;

    use tar::{Builder, Header};

    use super::*;

    /// A path, the type, the mode, and the content or the target.
    pub(in crate::container) type Entry<'a> = (&'a str, EntryType, u32, &'a str);

    /// An archive, as an attacker may write it.
    pub(in crate::container) fn layer(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (path, kind, mode, text) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            // By hand: the builder refuses what an attacker would write.
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            match kind {
                EntryType::Symlink | EntryType::Link => {
                    header.set_size(0);
                    header.as_mut_bytes()[157..157 + text.len()].copy_from_slice(text.as_bytes());
                    header.set_cksum();
                    builder.append(&header, io::empty()).unwrap();
                }
                _ => {
                    header.set_size(text.len() as u64);
                    header.set_cksum();
                    builder.append(&header, text.as_bytes()).unwrap();
                }
            }
        }
        builder.into_inner().unwrap()
    }

    const FILE: EntryType = EntryType::Regular;
    const DIRECTORY: EntryType = EntryType::Directory;
    const LINK: EntryType = EntryType::Symlink;

    struct Place {
        own: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let own = tempfile::tempdir().unwrap();
            fs::create_dir(own.path().join("root")).unwrap();
            Self { own }
        }

        fn root(&self) -> PathBuf {
            self.own.path().join("root")
        }

        fn lay(&self, entries: &[(&str, EntryType, u32, &str)]) -> io::Result<()> {
            Tree::open(&self.root()).unwrap().lay(layer(entries).as_slice())
        }

        fn read(&self, path: &str) -> Option<String> {
            fs::read_to_string(self.root().join(path)).ok()
        }
    }

    #[test]
    fn layers_add_replace_and_take_away() {
        let place = Place::new();
        let first = [
            ("usr/", DIRECTORY, 0o755, ""),
            ("usr/a", FILE, 0o4755, "a"),
            ("usr/b", FILE, 0o600, "b"),
            ("usr/d/e", FILE, 0o644, "e"),
            ("o/old", FILE, 0o644, "old"),
            ("same", EntryType::Link, 0, "usr/a"),
            ("fifo", EntryType::Fifo, 0o644, ""),
        ];
        place.lay(&first).unwrap();
        assert_eq!(place.read("same").as_deref(), Some("a"));
        assert!(!place.root().join("fifo").exists());
        let second = [
            ("usr/.wh.b", FILE, 0, ""),
            ("usr/.wh.d", FILE, 0, ""),
            ("o/new", FILE, 0o644, "new"),
            ("o/.wh..wh..opq", FILE, 0, ""),
            ("usr/a", DIRECTORY, 0o700, ""),
            ("usr/a/in", FILE, 0o755, "in"),
        ];
        place.lay(&second).unwrap();
        assert_eq!((place.read("usr/b"), place.read("usr/d/e"), place.read("o/old")), (None, None, None));
        assert_eq!(place.read("o/new").as_deref(), Some("new"));
        assert_eq!(place.read("usr/a/in").as_deref(), Some("in"));
    }

    #[test]
    fn bits_that_give_rights_are_left_out() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = Place::new();
        place.lay(&[("s", FILE, 0o6755, ""), ("w", FILE, 0o777, ""), ("d", DIRECTORY, 0o1777, "")]).unwrap();
        let mode = |name: &str| fs::metadata(place.root().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("s"), mode("w"), mode("d")), (0o755, 0o777, 0o777));
    }

    #[test]
    fn a_file_that_is_needed_is_a_file() {
        let place = Place::new();
        place
            .lay(&[("etc/hosts", FILE, 0o644, "own"), ("etc/resolv.conf", LINK, 0, "../run/resolv.conf")])
            .unwrap();
        let tree = Tree::open(&place.root()).unwrap();
        for name in ["hosts", "hostname", "resolv.conf"] {
            tree.provide(Path::new("etc"), OsStr::new(name)).unwrap();
        }
        assert_eq!(place.read("etc/hosts").as_deref(), Some("own"));
        assert_eq!(place.read("etc/hostname").as_deref(), Some(""));
        assert!(!place.root().join("etc/resolv.conf").is_symlink());
    }

    #[test]
    fn nothing_leads_out() {
        let place = Place::new();
        let outside = place.own.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("mine"), "mine").unwrap();
        let to = outside.to_str().unwrap();
        // Through a link a later entry lands inside, where the link leads in the image.
        place.lay(&[("up", LINK, 0, "../outside"), ("up/in", FILE, 0o644, "x")]).unwrap();
        place
            .lay(&[("abs", LINK, 0, to), ("abs/in", FILE, 0o644, "x"), ("abs/.wh.mine", FILE, 0, "")])
            .unwrap();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(outside.join("mine")).unwrap(), "mine");
        // Over a link, not through it.
        place.lay(&[("file", LINK, 0, &format!("{to}/mine")), ("file", FILE, 0o644, "x")]).unwrap();
        assert_eq!(fs::read_to_string(outside.join("mine")).unwrap(), "mine");
        for path in ["../outside/new", "usr/../../outside/new"] {
            assert!(place.lay(&[(path, FILE, 0o644, "x")]).is_err(), "{path}");
        }
        assert!(place.lay(&[("hard", EntryType::Link, 0, "../outside/mine")]).is_err());
        assert!(place.lay(&[("hard", EntryType::Link, 0, "abs/mine")]).is_err(), "not there in the image");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }
}
