//! `self doctor --fix`: what this program can do about what is missing. Each thing is said before it is done, and asked for.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::super::{consent, version};
use super::{Context, prune};
use crate::cli::FrontEnd;
use crate::container::engines::Selection;
use crate::container::native::KernelSetting;

/// Where systems keep settings of the kernel for their next start (sysctl.d(5)).
const KEPT: &str = "/etc/sysctl.d/60-cargo-sandbox.conf";

/// Where systemd says that it runs (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Have the kernel allow user namespaces.
    Switch(KernelSetting),
    /// Start a daemon: by this command.
    Start(&'static [&'static str]),
    /// Remove what is left of so many projects that are gone.
    Prune(usize),
}

impl Remedy {
    /// What is to be done, as a sentence's end.
    fn what(&self) -> String {
        match self {
            Self::Switch(KernelSetting { name, value }) => {
                format!("let programs make user namespaces: `sysctl -w {name}={value}`, kept in {KEPT}")
            }
            Self::Start(words) => format!("start a daemon: `{}`", words.join(" ")),
            Self::Prune(count) => {
                format!("remove what is left of {count} projects that are gone: `cargo-sandbox self prune`")
            }
        }
    }

    /// Whether only root may.
    fn needs_root(&self) -> bool {
        match self {
            Self::Switch(_) => true,
            Self::Start(words) => !words.contains(&"--user"),
            Self::Prune(_) => false,
        }
    }

    fn apply(&self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Switch(setting) => switch(setting),
            Self::Start(words) => start(words),
            Self::Prune(_) => prune::run(context).map(|_| ()),
        }
    }
}

/// What can be done here. Nothing that would only be a second way is proposed: with `auto` one engine is enough.
pub fn find(front_end: &FrontEnd, context: &Context, selection: Selection) -> Vec<Remedy> {
    let [(_, docker), (_, native)] = version::engines(front_end);
    let mut found = Vec::new();
    let native_needed = match selection {
        Selection::Native => true,
        Selection::Auto => docker.is_err(),
        Selection::Docker => false,
    };
    if native_needed && native.is_err() {
        found.extend(KernelSetting::switched_off().into_iter().map(Remedy::Switch));
    }
    let docker_needed = match selection {
        Selection::Docker => true,
        Selection::Auto => native.is_err() && found.is_empty(),
        Selection::Native => false,
    };
    if docker_needed && docker.is_err() && Path::new(SYSTEMD).is_dir() {
        let there = |unit: &str| {
            ["/usr/lib/systemd", "/lib/systemd", "/etc/systemd"]
                .iter()
                .any(|top| Path::new(top).join(unit).is_file())
        };
        if !is_root() && there("user/podman.socket") {
            found.push(Remedy::Start(&["systemctl", "--user", "start", "podman.socket"]));
        } else if there("system/docker.service") {
            found.push(Remedy::Start(&["systemctl", "start", "docker"]));
        }
    }
    match prune::gone(&context.state).len() {
        0 => {}
        count => found.push(Remedy::Prune(count)),
    }
    found
}

/// Proposes each, and does what is agreed to; whether anything was done.
///
/// # Errors
/// When nobody can be asked, or the first thing fails.
pub fn propose(remedies: &[Remedy], context: &Context, yes: bool) -> anyhow::Result<bool> {
    let mut done = false;
    for remedy in remedies {
        println!("\nto do: {}", remedy.what());
        if remedy.needs_root() && !is_root() {
            println!("only root may: `sudo cargo-sandbox self doctor --fix`, or the command itself");
            continue;
        }
        if !yes && !consent::can_be_asked() {
            bail!("there is no terminal to ask at\n\nhint: `--yes` does all that is listed here");
        }
        if yes || consent::given("do it?")? {
            remedy.apply(context)?;
            done = true;
        }
    }
    Ok(done)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn switch(setting: &KernelSetting) -> anyhow::Result<()> {
    let KernelSetting { name, value } = setting;
    fs::write(setting.path(), value).with_context(|| format!("failed to set {name}"))?;
    // Only where it is not there yet: a line of the administrator's is his.
    let line = format!("{name} = {value}\n");
    if fs::read_to_string(KEPT).is_ok_and(|text| text.contains(&line)) {
        return Ok(());
    }
    let file = OpenOptions::new().create(true).append(true).open(KEPT);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(|| format!("failed to write {KEPT}"))
}

/// By the system's own directories: what comes before them in `PATH` is nobody's business here.
fn start(words: &[&str]) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("no command")?;
    let found = ["/usr/bin", "/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.is_file());
    let program = found.with_context(|| format!("there is no {program}"))?;
    let status = Command::new(&program).args(arguments).status();
    match status.with_context(|| format!("failed to start {}", program.display()))? {
        status if status.success() => Ok(()),
        status => bail!("`{}` failed: {status}", words.join(" ")),
    }
}
