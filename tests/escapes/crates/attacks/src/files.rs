//! Reading what is none of a job's business. Every secret contains a word that the suite looks for.

use std::path::Path;

use super::Attack;
use super::attempt::{crate_beside, home, list, project, read, said};
use super::lab;

pub const ATTACKS: &[Attack] = &[
    ("read-ssh-key", |_| read(home(".ssh/id_ed25519"))),
    ("read-cargo-credentials", |_| read(home(".cargo/credentials.toml"))),
    ("read-netrc", |_| read(home(".netrc"))),
    ("read-aws", |_| read(home(".aws/credentials"))),
    ("read-git-credentials", |_| read(home(".git-credentials"))),
    ("read-github", |_| read(home(".config/gh/hosts.yml"))),
    ("read-docker-login", |_| read(home(".docker/config.json"))),
    ("read-kube", |_| read(home(".kube/config"))),
    ("read-npmrc", |_| read(home(".npmrc"))),
    ("read-gnupg", |_| read(home(".gnupg/private-keys-v1.d/key"))),
    ("read-wallet", |_| read(home(".config/solana/id.json"))),
    ("read-browser", |_| read(home(".mozilla/firefox/default/logins.json"))),
    ("read-history", |_| read(home(".bash_history"))),
    ("list-home", |_| list(lab::HOME)),
    ("read-other-project", |_| read(home("work/other/src/lib.rs"))),
    ("read-beside-by-dots", |_| read(project("../other/src/lib.rs"))),
    ("read-tmp", |_| read(Path::new(lab::TMP).join("secret"))),
    ("read-shared-memory", |_| read(lab::SHARED_MEMORY)),
    ("read-etc", |_| {
        let files =
            ["/etc/fstab", "/etc/machine-id", "/etc/login.defs", "/etc/ssh/sshd_config", "/etc/adduser.conf"];
        files.into_iter().find_map(|path| read(path).ok()).ok_or_else(|| "none of them".into())
    }),
    ("read-shadow", |_| read("/etc/shadow")),
    ("read-var", |_| list("/var/lib")),
    ("read-log", |_| list("/var/log")),
    ("read-run", |_| list("/run")),
    ("read-sys", |_| list("/sys/class")),
    ("read-block-device", |_| {
        let entries = std::fs::read_dir("/dev").map_err(said)?.flatten();
        let block = entries.filter(|entry| {
            use std::os::unix::fs::FileTypeExt;
            entry.file_type().is_ok_and(|kind| kind.is_block_device())
        });
        let opened = block.into_iter().find(|entry| std::fs::File::open(entry.path()).is_ok());
        opened.map(|entry| format!("opened {}", entry.path().display())).ok_or_else(|| "none".into())
    }),
    ("read-kernel-log-device", |_| std::fs::File::open("/dev/kmsg").map(|_| "opened".into()).map_err(said)),
    ("read-kernel-addresses", |_| {
        let text = read("/proc/kallsyms")?;
        let first = text.lines().find(|line| !line.starts_with("0000000000000000 "));
        first.filter(|line| line.contains(' ')).map(str::to_owned).ok_or_else(|| "none".into())
    }),
    ("read-env-file", |_| read(project(".env"))),
    ("read-git-config", |_| read(project(".git/config"))),
    ("read-workspace-source", |_| read(project("src/internal.rs"))),
    ("read-workspace-manifest", |_| read(project("Cargo.toml"))),
    ("list-workspace", |_| list(lab::PROJECT)),
    ("read-target", |_| read(project("target/report.txt"))),
    ("read-other-vendored", |_| read(project("vendor/bystander/src/lib.rs"))),
    // One that is linked into no build script.
    ("read-other-crate", |_| read(crate_beside("evil-user-1.0.0/src/lib.rs"))),
    ("list-registry", |_| list(crate_beside(""))),
    ("read-registry-index", |_| list(home(".cargo/registry/index"))),
    ("read-fingerprints", |_| list(Path::new(lab::BUILD_DIR).join("debug/.fingerprint"))),
    ("read-state", |_| read(Path::new(lab::STATE).join("project.json"))),
    ("list-sessions", |_| list(Path::new(lab::STATE).join("sessions"))),
    ("read-victims-environment", |_| read(format!("/proc/{}/environ", lab::VICTIM))),
    ("read-victims-command-line", |_| read(format!("/proc/{}/cmdline", lab::VICTIM))),
    ("read-victims-root", |_| read(format!("/proc/{}/root{}/.netrc", lab::VICTIM, lab::HOME))),
    ("read-victims-directory", |_| read(format!("/proc/{}/cwd/.netrc", lab::VICTIM))),
    ("read-victims-descriptor", |_| read(format!("/proc/{}/fd/8", lab::VICTIM))),
    ("read-victims-memory", |_| {
        let path = format!("/proc/{}/mem", lab::VICTIM);
        std::fs::File::open(path).map(|_| "opened".into()).map_err(said)
    }),
    ("read-parents-environment", |_| read(format!("/proc/{}/environ", std::os::unix::process::parent_id()))),
    ("open-namespace-of-host", |_| {
        let path = format!("/proc/{}/ns/mnt", lab::VICTIM);
        std::fs::File::open(path).map(|_| "opened".into()).map_err(said)
    }),
    ("open-machine-devices", |_| {
        let devices = ["/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/loop-control"];
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true);
        let opened = devices.into_iter().find(|path| options.open(path).is_ok());
        opened.map(|path| format!("opened {path}")).ok_or_else(|| "none".into())
    }),
    ("read-every-environment", |_| every_environment()),
    ("see-other-processes", |_| other_processes()),
    ("read-inherited-descriptor", |_| inherited()),
    ("spoof-identity", |_| match std::env::var("CARGO_PKG_NAME") {
        Ok(name) if name == "app" => read(project(".env")),
        other => Err(format!("{other:?}")),
    }),
    ("include-by-own-compiler", |attempt| own_compiler(&attempt.kind)),
];

/// The environment of every process that can be read, as far as it has a secret.
fn every_environment() -> Result<String, String> {
    for entry in std::fs::read_dir("/proc").map_err(said)?.flatten() {
        if let Ok(text) = read(entry.path().join("environ"))
            && let Some(at) = text.find(lab::SECRET)
        {
            return Ok(text[at..].chars().take(60).collect());
        }
    }
    Err("nowhere a secret".into())
}

/// A process that is neither this one, nor above it, nor started by it, nor the first one of all.
fn other_processes() -> Result<String, String> {
    let parent = |pid: u32| -> Option<u32> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let lives = |pid: u32| -> bool {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        text.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    };
    let own = std::process::id();
    let line = |pid: u32| std::iter::successors(Some(pid), |pid| parent(*pid)).collect::<Vec<_>>();
    let above = line(own);
    for entry in std::fs::read_dir("/proc").map_err(said)?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        // What an attack of the same job left behind, for rustdoc makes some twice in one.
        let line_of = read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if line_of.contains(lab::SURVIVOR) || line_of.starts_with("sleep") {
            continue;
        }
        // Nor what has ended and waits for the job's first process to take it in: it has no command line to be known by.
        if pid != 1 && !above.contains(&pid) && !line(pid).contains(&own) && lives(pid) {
            return Ok(format!("process {pid}, {line_of:?}"));
        }
    }
    Err("none".into())
}

/// What somebody above cargo left open.
fn inherited() -> Result<String, String> {
    use std::os::fd::FromRawFd;
    use std::os::unix::fs::FileExt;
    let mut text = [0; 256];
    for number in 3..300 {
        // SAFETY: only read from, and never closed: if it is open, it belongs to someone else.
        let file = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(number) });
        if let Ok(length) = file.read_at(&mut text, 0)
            && let text = String::from_utf8_lossy(&text[..length])
            && let Some(at) = text.find(lab::SECRET)
        {
            return Ok(format!("descriptor {number}: {}", &text[at..]));
        }
    }
    Err("nothing in any".into())
}

/// rustc reads any file for `include_str!`, and says it in a message.
fn own_compiler(kind: &str) -> Result<String, String> {
    let source = std::env::temp_dir().join(format!("include-{kind}.rs"));
    let text = format!("const _: () = include!({:?});", home(".netrc"));
    std::fs::write(&source, text).map_err(said)?;
    let rustc = Path::new(lab::TOOLCHAIN).join("bin/rustc");
    let mut command = std::process::Command::new(rustc);
    command.args(["--crate-type=lib", "--emit=metadata", "-o", "/dev/null"]).arg(&source);
    let output = command.output().map_err(said)?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    message.find(lab::SECRET).map(|at| message[at..].into()).ok_or(message)
}
