//! A synthetic `/etc`: what builds read there, and nothing that tells about the host or opens anything.
//!
//! Each content has a directory of its own, named by its hash and never changed after it appeared, so that a
//! running container keeps what it was started with and several front ends may write at the same time. A
//! stamp beside it lists every source with its times: while all are as they were, nothing is read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::UserIdentity;
use crate::container::spec::StableHasher;

/// Raised whenever this module writes something else for the same host.
const FORMAT: u32 = 4;

/// Single files that are copied where the host has them, and why a build may read them.
const FILES: &[(&str, &str)] = &[
    ("os-release", "build scripts choose packages by distribution"),
    ("lsb-release", "the same, older form"),
    ("debian_version", "the same, for Debian"),
    ("redhat-release", "the same, for Red Hat"),
    ("alpine-release", "the same, for Alpine"),
    ("ld.so.cache", "the loader finds libraries outside /usr/lib by it"),
    ("ld.so.conf", "linkers read it for their search path"),
    ("localtime", "local time in what programs print"),
    ("timezone", "the same, by name"),
    ("protocols", "getprotobyname"),
    ("services", "getservbyname"),
    ("shells", "getusershell"),
    ("ssl/openssl.cnf", "OpenSSL refuses to start without it on some distributions"),
    ("ssl/cert.pem", "public certificates, as some libraries look for them"),
    ("pki/tls/cert.pem", "the same, for Red Hat"),
    ("pki/tls/openssl.cnf", "as ssl/openssl.cnf"),
    ("R/Renviron", "R does not start without it, where /usr/lib/R/etc has links here"),
    ("R/ldpaths", "as R/Renviron"),
    ("R/Makeconf", "how R compiles packages"),
    ("R/repositories", "as R/Makeconf"),
];

/// Directories that are copied with their links, and why.
const TREES: &[(&str, &str)] = &[
    ("alternatives", "/usr/bin/cc and others are links through here on Debian and Red Hat"),
    ("ld.so.conf.d", "included by ld.so.conf"),
    ("ssl/certs", "public certificates"),
    ("pki/tls/certs", "public certificates, for Red Hat"),
    ("pki/ca-trust/extracted", "public certificates, what the above link to"),
    ("ca-certificates/extracted", "public certificates, for Arch"),
    ("fonts", "fontconfig finds no font without it"),
    ("java", "configuration of Java development kits, for Red Hat (for Debian, see `is_java`)"),
];

/// Longest file that is copied: the largest bundle of certificates in use is a tenth of it.
const MAX_FILE: u64 = 8 << 20;

/// A content that is superseded may still be what a running job sees; it is removed after this long.
const KEEP_SUPERSEDED: Duration = Duration::from_secs(24 * 60 * 60);

/// What is written at one path.
#[derive(Debug, Hash, PartialEq, Eq)]
enum Entry {
    File(Vec<u8>),
    Link(PathBuf),
}

/// Everything that is written, and everything that it was made from.
#[derive(Debug, Default)]
struct Content {
    entries: BTreeMap<PathBuf, Entry>,
    sources: Vec<PathBuf>,
}

/// Makes sure that `directory` holds a synthetic `/etc` for `user`, made from `host_etc`, and returns its path
/// below `directory`.
///
/// # Errors
/// When `directory` cannot be written, or a field of `user` cannot stand in a passwd file.
pub fn synthesize(host_etc: &Path, directory: &Path, user: &UserIdentity) -> io::Result<PathBuf> {
    let stamp_path = directory.join("stamp");
    let head = format!("{FORMAT} {user:?} {}", host_etc.display());
    if let Some(name) = fresh(&stamp_path, &head)
        && directory.join(&name).is_dir()
    {
        return Ok(directory.join(name));
    }

    let content = collect(host_etc, user)?;
    let mut hasher = StableHasher::default();
    (FORMAT, &content.entries).hash(&mut hasher);
    let name = format!("{:016x}", hasher.finish());
    // Described before the copy could be overtaken by a change: a later change then shows as a difference.
    let stamp = stamp_text(&name, &head, &content.sources);

    fs::create_dir_all(directory)?;
    let generation = directory.join(&name);
    if !generation.is_dir() {
        write_generation(directory, &generation, &content)?;
    }
    retire_others(directory, &name);
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    io::Write::write_all(&mut file, stamp.as_bytes())?;
    file.persist(stamp_path)?;
    Ok(generation)
}

/// The name of the content that the stamp speaks of, if nothing has changed since.
fn fresh(stamp: &Path, head: &str) -> Option<String> {
    let text = fs::read_to_string(stamp).ok()?;
    let mut lines = text.lines();
    let name = lines.next()?;
    if lines.next()? != head {
        return None;
    }
    for line in lines {
        let (described, path) = line.split_once(' ')?;
        if describe(Path::new(path)) != described {
            return None;
        }
    }
    Some(name.to_owned())
}

fn stamp_text(name: &str, head: &str, sources: &[PathBuf]) -> String {
    let mut text = format!("{name}\n{head}\n");
    for path in sources {
        // Names that are no text are not copied either (see `copy_tree`).
        if let Some(name) = path.to_str() {
            text.push_str(&format!("{} {name}\n", describe(path)));
        }
    }
    text
}

/// What changes whenever a file or a directory's list of names changes, of a link and of what it leads to.
fn describe(path: &Path) -> String {
    let one = |metadata: io::Result<Metadata>| match metadata {
        Ok(m) => {
            format!(
                "{}.{}/{}.{}/{}/{}",
                m.mtime(),
                m.mtime_nsec(),
                m.ctime(),
                m.ctime_nsec(),
                m.size(),
                m.ino()
            )
        }
        Err(_) => "-".into(),
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => {
            format!("{}>{}", one(Ok(metadata)), one(fs::metadata(path)))
        }
        metadata => one(metadata),
    }
}

/// Reads what the host has and adds what is made for the container.
fn collect(host_etc: &Path, user: &UserIdentity) -> io::Result<Content> {
    let mut content = Content::default();
    for (name, _) in FILES {
        let path = host_etc.join(name);
        if let Some(entry) = copy_of(host_etc, &path) {
            content.entries.insert(name.into(), entry);
        }
        content.sources.push(path);
    }
    for (name, _) in TREES {
        copy_tree(host_etc, &host_etc.join(name), &mut content);
    }
    // One more or fewer of them is a change of the list of names.
    content.sources.push(host_etc.to_path_buf());
    for entry in fs::read_dir(host_etc).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_java) {
            copy_tree(host_etc, &entry.path(), &mut content);
        }
    }
    for (name, text) in made(user)? {
        content.entries.insert(name.into(), Entry::File(text.into_bytes()));
    }
    content.entries.insert("mtab".into(), Entry::Link("../proc/self/mounts".into()));
    Ok(content)
}

/// Copies a directory. What cannot be read is left out: it is not for everyone's eyes.
fn copy_tree(host_etc: &Path, directory: &Path, content: &mut Content) {
    content.sources.push(directory.to_path_buf());
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // One name per line in the stamp.
        if path.to_str().is_none_or(|text| text.contains('\n')) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => copy_tree(host_etc, &path, content),
            Ok(kind) => {
                // A changed link changes its directory's times; a file can be written in place.
                if kind.is_file() {
                    content.sources.push(path.clone());
                }
                if let (Some(copy), Ok(name)) = (copy_of(host_etc, &path), path.strip_prefix(host_etc)) {
                    content.entries.insert(name.into(), copy);
                }
            }
            Err(_) => {}
        }
    }
}

/// How one file or link of the host's appears, if at all.
fn copy_of(host_etc: &Path, path: &Path) -> Option<Entry> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_symlink() {
        return read_public(path).map(Entry::File);
    }
    // A link that leads to what a container shows stays a link: its name says something (`localtime`), and
    // several names stay one file. Any other is replaced by what it leads to.
    let target = fs::read_link(path).ok()?;
    let next = normalized(&path.parent()?.join(&target));
    if visible(host_etc, &next) {
        return Some(Entry::Link(target));
    }
    let end = fs::canonicalize(path).ok()?;
    if visible(host_etc, &end) {
        return Some(Entry::Link(end));
    }
    read_public(path).map(Entry::File)
}

/// Whether a container shows this path: a system directory, or a directory that is copied.
fn visible(host_etc: &Path, path: &Path) -> bool {
    let system = super::SYSTEM.iter().chain(super::MERGED).any(|directory| path.starts_with(directory));
    system || TREES.iter().any(|(name, _)| path.starts_with(host_etc.join(name)))
}

/// Whether a directory of `/etc` is the configuration of a Java development kit of Debian's (`java-17-openjdk`): the kit in
/// `/usr/lib/jvm` has links to it, and compiles nothing without it.
fn is_java(name: &str) -> bool {
    name.starts_with("java-") && name.ends_with("-openjdk")
}

/// Resolves `.` and `..` by name alone.
fn normalized(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(result.pop()),
            Component::CurDir => {}
            other => result.push(other),
        }
    }
    result
}

/// The content of a regular file that every user of the host may read and that holds no private key.
///
/// Permissions are looked at because the front end may be root: what only root may read stays out.
fn read_public(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.mode() & 0o004 == 0 || metadata.len() > MAX_FILE {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    let secret = bytes.windows(12).any(|window| window == b"PRIVATE KEY-");
    (!secret).then_some(bytes)
}

/// The files that are written rather than copied.
fn made(user: &UserIdentity) -> io::Result<Vec<(&'static str, String)>> {
    let (home, shell) = (field(user.home.as_os_str())?, field(user.shell.as_os_str())?);
    let (name, group) = (field(OsStr::new(&user.name))?, field(OsStr::new(&user.group))?);
    let mut passwd = String::new();
    let mut groups = String::new();
    if user.uid != 0 {
        passwd.push_str("root:x:0:0:root:/root:/usr/sbin/nologin\n");
    }
    if user.gid != 0 {
        groups.push_str("root:x:0:\n");
    }
    passwd.push_str(&format!("{name}:x:{}:{}::{home}:{shell}\n", user.uid, user.gid));
    groups.push_str(&format!("{group}:x:{}:\n", user.gid));
    if user.uid != 65534 {
        passwd.push_str("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
    }
    if user.gid != 65534 {
        groups.push_str("nogroup:x:65534:\n");
    }
    let hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    let nsswitch = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
                    protocols: files\nservices: files\n";
    // Whose a repository is git asks to protect from its configuration, which jobs see without what names a program; your
    // own word on it is in your home directory.
    let git = "[safe]\n\tdirectory = *\n";
    Ok(vec![
        ("gitconfig", git.into()),
        ("passwd", passwd),
        ("group", groups),
        ("hosts", hosts.into()),
        ("hostname", "cargo-sandbox\n".into()),
        ("resolv.conf", String::new()),
        ("nsswitch.conf", nsswitch.into()),
    ])
}

/// One field of a passwd file; a separator in it would make a second entry.
fn field(text: &OsStr) -> io::Result<&str> {
    match text.to_str() {
        Some(text) if !text.contains([':', '\n']) => Ok(text),
        _ => {
            let message = format!("{} cannot stand in a passwd file", text.display());
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

/// Writes everything beside and moves it into place, so that nobody sees half of it.
fn write_generation(directory: &Path, generation: &Path, content: &Content) -> io::Result<()> {
    let staging = tempfile::Builder::new().prefix(".new-").tempdir_in(directory)?;
    for (name, entry) in &content.entries {
        let path = staging.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match entry {
            Entry::Link(target) => symlink(target, &path)?,
            Entry::File(bytes) => {
                fs::write(&path, bytes)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
            }
        }
    }
    // Jobs may run as another user than the one whose umask holds here.
    open_directories(staging.path())?;
    match fs::rename(staging.path(), generation) {
        Ok(()) => {
            // Moved away: there is nothing left to remove.
            let _ = staging.keep();
            Ok(())
        }
        // Another front end was faster, with the same content.
        Err(_) if generation.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

fn open_directories(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_directories(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes what was superseded long ago. Failing to is no failure: it costs a megabyte.
fn retire_others(directory: &Path, current: &str) {
    let previous = fs::read_to_string(directory.join("stamp")).ok();
    let previous = previous.as_deref().and_then(|text| text.lines().next());
    let now = SystemTime::now();
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let generation = name.len() == 16 && name.as_bytes().iter().all(u8::is_ascii_hexdigit);
        if !generation || name == current {
            continue;
        }
        let path = entry.path();
        if previous.is_some_and(|previous| name == previous) {
            // Its age counts from now on.
            let _ = File::open(&path).and_then(|file| file.set_modified(now));
            continue;
        }
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|t| now.duration_since(t).ok());
        if age.is_some_and(|age| age > KEEP_SUPERSEDED) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests;
