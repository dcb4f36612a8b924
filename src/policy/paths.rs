//! Which paths a policy can grant, and which none can.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::file::PolicyFile;
use super::words::GrantedPath;

/// What a job may do with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathRight {
    /// Read it.
    Read,
    /// Read and execute it.
    Execute,
    /// Read and write it: plain files.
    Write,
}

impl PathRight {
    /// As files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Execute => "execute",
            Self::Write => "write",
        }
    }
}

/// Places of the host that the rules for paths depend on; all canonical where they exist.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The project's root, which relative paths are relative to.
    pub root: PathBuf,
    /// The target directory.
    pub target_dir: PathBuf,
    /// The user's home directory.
    pub home: PathBuf,
    /// `CARGO_HOME`.
    pub cargo_home: PathBuf,
    /// The toolchain.
    pub sysroot: PathBuf,
    /// This tool's own: its state, its configuration, remembered trust.
    pub own: Vec<PathBuf>,
}

/// Where programs keep what lets somebody act in the user's name, below the home directory.
const CREDENTIALS: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".vault-token",
    ".password-store",
    ".config/gh",
    ".config/gcloud",
    ".config/git",
    ".config/google-chrome",
    ".config/chromium",
    ".config/op",
    ".local/share/keyrings",
    ".mozilla",
    ".bash_history",
    ".zsh_history",
];

/// Directories with sockets and with windows into the kernel, and files that only root reads.
const SYSTEM: &[&str] =
    &["/proc", "/sys", "/dev", "/run", "/var/run", "/etc/shadow", "/etc/gshadow", "/etc/ssl/private"];

/// What no job writes outside of the project: the system's.
const SYSTEM_PROGRAMS: &[&str] = &[
    "/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32", "/etc", "/boot", "/opt", "/root", "/var",
    "/nix",
];

/// What of a repository the host obeys.
const OBEYED: &[&str] = &[
    ".git",
    ".cargo",
    ".config",
    ".github",
    ".vscode",
    ".idea",
    ".envrc",
    "Cargo.toml",
    "Cargo.lock",
    "cargo-sandbox.toml",
    "cargo-sandbox.lock",
    "rust-toolchain",
    "rust-toolchain.toml",
    "build.rs",
    "src",
];

impl Places {
    /// The path that a policy means, if it can be granted; none where nothing is there.
    ///
    /// # Errors
    /// Why it cannot be granted.
    pub fn judge(&self, granted: &GrantedPath, right: PathRight) -> Result<Option<PathBuf>, String> {
        let text = granted.as_str();
        let relative = Path::new(text).is_relative();
        let path: PathBuf = self.root.join(text).components().collect();
        if right != PathRight::Write || !relative {
            // Before anything there is looked at.
            self.allow(&path, right)?;
        }
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A link that leads nowhere leads somewhere tomorrow.
                self.allow(&path, right)?;
                return match fs::symlink_metadata(&path) {
                    Ok(_) => Err("is a symbolic link that leads nowhere".into()),
                    Err(_) => Ok(None),
                };
            }
            Err(error) => return Err(format!("cannot be looked at: {error}")),
        };
        if relative && !real.starts_with(&self.root) {
            return Err(format!("leads out of the project, to `{}`", real.display()));
        }
        if real != path {
            return Err(format!("leads to `{}` by a symbolic link: name that", real.display()));
        }
        self.allow(&path, right)?;
        let kind = fs::metadata(&path).map_err(|error| error.to_string())?.file_type();
        if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
            return Err("is no directory and no plain file".into());
        }
        let inside = right == PathRight::Write && path.starts_with(&self.root);
        if let Some(found) = OBEYED.iter().find(|name| inside && **name != "src" && path.join(name).exists())
        {
            return Err(format!("has `{found}` in it, which is obeyed on this machine"));
        }
        Ok(Some(path))
    }

    /// Creates the directories in the project that jobs may write and that are not there yet: a job may not create
    /// them beside what it may write.
    ///
    /// # Errors
    /// When one cannot be created.
    pub fn create_written(&self, file: &PolicyFile) -> io::Result<()> {
        for table in file.tables() {
            for granted in table.rules.write.iter().flat_map(|list| list.get_ref()) {
                let path: PathBuf = self.root.join(granted.get_ref().as_str()).components().collect();
                let there = path.ancestors().skip(1).find(|path| path.exists());
                // Through no link that leads elsewhere.
                let real = there.is_some_and(|there| {
                    there.starts_with(&self.root) && there.canonicalize().is_ok_and(|real| real == there)
                });
                if real && self.judge(granted.get_ref(), PathRight::Write) == Ok(None) {
                    fs::create_dir_all(&path)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn allow(&self, path: &Path, right: PathRight) -> Result<(), String> {
        let overlaps = |other: &Path| {
            !other.as_os_str().is_empty() && (path.starts_with(other) || other.starts_with(path))
        };
        if path == Path::new("/") {
            return Err("is everything".into());
        }
        if self.home.starts_with(path) {
            return Err("is your home directory, or above it".into());
        }
        if overlaps(&self.cargo_home) {
            return Err("is in CARGO_HOME, or above it".into());
        }
        if self.own.iter().any(|own| overlaps(own)) {
            return Err("is where cargo-sandbox keeps its own, or above that".into());
        }
        if let Some(found) = CREDENTIALS.iter().find(|name| overlaps(&self.home.join(name))) {
            return Err(format!("is where credentials are (`~/{found}`), or above that"));
        }
        if let Some(found) = SYSTEM.iter().find(|system| overlaps(Path::new(system))) {
            return Err(format!("is the system's own (`{found}`), or above that"));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == ".env"
            || name.starts_with(".env.")
            || name.starts_with("credentials")
            || name.starts_with("id_")
        {
            return Err("has the name of a file with secrets".into());
        }
        if right == PathRight::Write { self.allow_writing(path) } else { Ok(()) }
    }

    fn allow_writing(&self, path: &Path) -> Result<(), String> {
        let Ok(below) = path.strip_prefix(&self.root) else {
            let toolchain = !self.sysroot.as_os_str().is_empty() && path.starts_with(&self.sysroot);
            if toolchain || self.root.starts_with(path) {
                return Err("is the toolchain, or has the project in it".into());
            }
            // A home directory may be there: root's is.
            let own = path.starts_with(&self.home);
            return match SYSTEM_PROGRAMS.iter().find(|system| !own && path.starts_with(system)) {
                Some(system) => Err(format!("is the system's (`{system}`), which no job writes")),
                None => Ok(()),
            };
        };
        if below.as_os_str().is_empty() {
            return Err("is the whole project: name the directory that is written".into());
        }
        if path.starts_with(&self.target_dir) || self.target_dir.starts_with(path) {
            return Err("is the target directory, in which cargo works".into());
        }
        match below.iter().find(|part| OBEYED.iter().any(|name| part == name)) {
            Some(part) => Err(format!("is obeyed on this machine, or compiled (`{}`)", part.display())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn places(base: &Path) -> Places {
        for directory in
            ["home/project/tests/snapshots", "home/project/.git", "home/.ssh", "home/data", "home/.cargo"]
        {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        fs::create_dir_all(base.join("home/project/member")).unwrap();
        fs::write(base.join("home/project/member/Cargo.toml"), "").unwrap();
        Places {
            root: base.join("home/project"),
            target_dir: base.join("home/project/target"),
            home: base.join("home"),
            cargo_home: base.join("home/.cargo"),
            sysroot: base.join("toolchain"),
            own: vec![base.join("home/.cache/cargo-sandbox")],
        }
    }

    fn judge(places: &Places, text: &str, right: PathRight) -> Result<Option<PathBuf>, String> {
        let value = toml::Value::String(text.to_owned());
        places.judge(&value.try_into().map_err(|error: toml::de::Error| error.to_string())?, right)
    }

    #[test]
    fn what_no_policy_grants() {
        let base = tempfile::tempdir_in("/var/tmp").unwrap();
        let base = base.path().canonicalize().unwrap();
        let places = places(&base);
        let home = places.home.display();
        for text in [
            "/".to_owned(),
            home.to_string(),
            base.display().to_string(),
            format!("{home}/.cargo"),
            format!("{home}/.cargo/credentials.toml"),
            format!("{home}/.ssh/id_ed25519"),
            format!("{home}/.config"),
            format!("{home}/.cache"),
            format!("{home}/.cache/cargo-sandbox/projects"),
            format!("{home}/data/.env"),
            "/run/docker.sock".into(),
            "/proc/1".into(),
            "/etc".into(),
        ] {
            assert!(judge(&places, &text, PathRight::Read).is_err(), "{text}");
        }
        for text in [
            ".",
            "target",
            "target/x",
            ".git",
            ".git/hooks",
            ".cargo/config.toml",
            "src",
            "build.rs",
            "member",
            "member/src",
            "Cargo.toml",
            "/usr/share",
            "/usr/local/bin/x",
            "/etc/x",
            "cargo-sandbox.toml",
        ] {
            assert!(judge(&places, text, PathRight::Write).is_err(), "{text}");
        }
    }

    #[test]
    fn what_can_be_granted() {
        let base = tempfile::tempdir_in("/var/tmp").unwrap();
        let base = base.path().canonicalize().unwrap();
        let places = places(&base);
        let snapshots = places.root.join("tests/snapshots");
        assert_eq!(judge(&places, "tests/snapshots", PathRight::Write), Ok(Some(snapshots.clone())));
        assert_eq!(judge(&places, "./tests//snapshots/", PathRight::Write), Ok(Some(snapshots)));
        let data = places.home.join("data");
        assert_eq!(judge(&places, data.to_str().unwrap(), PathRight::Read), Ok(Some(data.clone())));
        assert_eq!(judge(&places, data.to_str().unwrap(), PathRight::Write), Ok(Some(data)));
        assert_eq!(judge(&places, "/opt/not-there", PathRight::Execute), Ok(None));
        assert!(judge(&places, "/usr/share", PathRight::Read).is_ok());
    }

    #[test]
    fn links_are_not_followed() {
        let base = tempfile::tempdir_in("/var/tmp").unwrap();
        let base = base.path().canonicalize().unwrap();
        let places = places(&base);
        symlink(places.home.join("data"), places.root.join("out")).unwrap();
        symlink("tests", places.root.join("alias")).unwrap();
        symlink("/nowhere", places.root.join("dangling")).unwrap();
        for (text, word) in
            [("out", "out of the project"), ("alias/snapshots", "name that"), ("dangling", "nowhere")]
        {
            let error = judge(&places, text, PathRight::Read).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        let socket = places.root.join("tests/socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(judge(&places, "tests/socket", PathRight::Read).unwrap_err().contains("plain file"));
    }
}
