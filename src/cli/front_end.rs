//! Everything that comes from the process itself: the one place that reads the environment.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::Context;
use etcetera::home_dir;

use crate::cargo::process::CargoProcess;
use crate::cargo::toolchain::Selection as ToolchainSelection;
use crate::container::docker::DockerEndpoints;
use crate::container::host::UserIdentity;
use crate::policy::trust::TrustStore;
use crate::policy::user;
use crate::project::StateDirectory;

/// What the user's shell gave this process.
#[derive(Debug)]
pub struct FrontEnd {
    /// The command line, the program's name included.
    pub arguments: Vec<OsString>,
    /// The working directory.
    pub cwd: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl FrontEnd {
    /// Takes it from the process.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn from_process() -> anyhow::Result<Self> {
        #[cfg(feature = "switch-off")]
        if let Some(name) = std::env::var_os(crate::switch_off::VARIABLE) {
            let name = name.to_string_lossy();
            eprintln!("warning: a test has switched a defence off: {name}");
            crate::switch_off::switch_off(&name);
        }
        Ok(Self {
            arguments: std::env::args_os().collect(),
            cwd: std::env::current_dir().context("failed to find the working directory")?,
            environment: std::env::vars_os().collect(),
        })
    }

    /// Takes it from a cargo that runs already: what the user's shell gave that.
    pub fn from_cargo(process: &CargoProcess) -> Self {
        Self {
            arguments: process.arguments.clone(),
            cwd: process.cwd.clone(),
            environment: process.environment.clone(),
        }
    }

    /// The user's environment.
    pub fn environment(&self) -> impl Iterator<Item = (OsString, OsString)> {
        self.environment.iter().cloned()
    }

    /// One variable.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.environment.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_os_str())
    }

    fn directory(&self, name: &str, below_home: &str) -> anyhow::Result<PathBuf> {
        match self.variable(name).filter(|value| !value.is_empty()) {
            Some(value) => Ok(self.cwd.join(value)),
            None => Ok(self.home()?.join(below_home)),
        }
    }

    /// The user's home directory: `HOME`, else what the system's list of users says.
    fn home(&self) -> anyhow::Result<PathBuf> {
        match self.variable("HOME").filter(|value| !value.is_empty()) {
            Some(home) => Ok(home.into()),
            None => home_dir().context("failed to find your home directory"),
        }
    }

    /// `CARGO_HOME`.
    ///
    /// # Errors
    /// When there is no home directory.
    pub fn cargo_home(&self) -> anyhow::Result<PathBuf> {
        let path = self.directory("CARGO_HOME", ".cargo")?;
        Ok(path.canonicalize().unwrap_or(path))
    }

    /// Where this tool keeps its own.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn state(&self) -> anyhow::Result<StateDirectory> {
        let named = self.variable("CARGO_SANDBOX_HOME").filter(|value| !value.is_empty());
        let path = match (named, self.variable("XDG_CACHE_HOME").map(Path::new)) {
            (Some(named), _) => self.cwd.join(named),
            (None, Some(cache)) if cache.is_absolute() => cache.join("cargo-sandbox"),
            _ => self.home()?.join(".cache/cargo-sandbox"),
        };
        StateDirectory::open(Some(path.into())).context("failed to open the directory of cargo-sandbox")
    }

    /// Where what the user decided is kept.
    ///
    /// # Errors
    /// When there is no home directory.
    pub fn data(&self) -> anyhow::Result<PathBuf> {
        Ok(self.directory("XDG_DATA_HOME", ".local/share")?.join("cargo-sandbox"))
    }

    /// What the user trusts. Not in the state directory: that is a cache.
    ///
    /// # Errors
    /// When there is no home directory.
    pub fn trust_store(&self) -> anyhow::Result<TrustStore> {
        Ok(TrustStore::new(self.data()?.join("trust")))
    }

    /// The user's own configuration file, which need not be there. A relative `XDG_CONFIG_HOME` counts as none (XDG
    /// Base Directory Specification): it would be the repository's.
    ///
    /// # Errors
    /// When there is no home directory.
    pub fn user_config(&self) -> anyhow::Result<PathBuf> {
        let named = self.variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let directory = match named {
            Some(directory) => directory,
            None => home_dir().context("failed to find your home directory")?.join(".config"),
        };
        Ok(directory.join(user::FILE))
    }

    /// What the user says about toolchains; `argument` is `+name`.
    ///
    /// # Errors
    /// When there is no home directory.
    pub fn toolchain(&self, argument: Option<String>) -> anyhow::Result<ToolchainSelection> {
        Ok(ToolchainSelection {
            argument,
            variable: self.variable("RUSTUP_TOOLCHAIN").map(|name| name.to_string_lossy().into_owned()),
            rustup_home: self.directory("RUSTUP_HOME", ".rustup")?,
            path: self.variable("PATH").unwrap_or_default().to_owned(),
        })
    }

    /// The process's `umask(2)`, which can be read there without being set (proc_pid_status(5)).
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn umask(&self) -> anyhow::Result<u32> {
        let status = std::fs::read_to_string("/proc/self/status").context("failed to read the umask")?;
        let field = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        field.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).context("the kernel tells no umask")
    }

    /// Where the user's daemon may be.
    pub fn docker_endpoints(&self) -> DockerEndpoints {
        let own = |name| self.variable(name).map(OsStr::to_owned);
        DockerEndpoints::from_env_of_front_end(
            own("DOCKER_HOST"),
            own("CONTAINER_HOST"),
            own("XDG_RUNTIME_DIR"),
        )
    }

    /// Who the caller is, by the system's own list of users where it has one.
    ///
    /// # Errors
    /// When there is no home directory.
    pub fn user(&self) -> anyhow::Result<UserIdentity> {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
        let name = name_of(&users, uid).unwrap_or("user");
        Ok(UserIdentity {
            uid,
            gid,
            name: name.to_owned(),
            group: name_of(&groups, gid).unwrap_or(name).to_owned(),
            home: self.home()?,
            shell: "/bin/sh".into(),
        })
    }
}

/// The first field of the line whose third is `id`: both in passwd(5) and in group(5).
fn name_of(text: &str, id: u32) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_number() {
        let text = "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\nbroken\n";
        assert_eq!(name_of(text, 1000), Some("me"));
        assert_eq!(name_of(text, 7), None);
    }
}
