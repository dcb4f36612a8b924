//! `publish`: packed and looked at on the host, verified in the Build container, sent from the Publish container.

mod host;
pub mod registry;
mod send;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::cargo::CargoCommand;
use crate::project::{Project, find_manifest};
use crate::publish::contents::{Archive, Package, leaving};
use crate::publish::protocol::Operation;
use crate::publish::verified::Verified;
use crate::publish::warrant::Purpose;

use super::vetted::Vetted;
use host::Host;
use send::Sending;

/// Options of `publish` that `package` has not, or that only count where something is sent.
const OWN_FLAGS: &[&str] = &["--dry-run", "-n", "--no-verify"];

/// What to do about files of elsewhere.
const LEAVING: &str = "what is outside of the package is not sent: put copies in the place of links, or take the files \
                       out of the package (`exclude`, `readme`, `license-file`)";

/// What of the packages of the workspace matters here, as `cargo metadata` says it.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Debug, Deserialize)]
struct MetadataPackage {
    name: String,
    version: String,
    manifest_path: PathBuf,
    readme: Option<String>,
    license_file: Option<String>,
    publish: Option<Vec<String>>,
}

/// Publishes.
pub fn run(vetted: &Vetted<'_>, root: &Path) -> anyhow::Result<u8> {
    let command = &vetted.command;
    let dry = command.flag(&["--dry-run", "-n"]);
    let host = Host::new(vetted, Project::new(root))?;
    let manifest = find_manifest(&vetted.directory, command.manifest_path.as_deref())?.canonicalize()?;
    let metadata = metadata(&host, &manifest)?;
    let current = metadata.packages.iter().find(|package| package.manifest_path == manifest);
    let sending = Sending::new(vetted, host.state(), by_manifest(command, &metadata, current))?;
    if !dry {
        // Before anything is built.
        sending.require_token()?;
    }

    // cargo packs, and builds nothing of it.
    let packing = package_command(command, true);
    host.forget_packed()?;
    if let Some((code, said)) = host.heard_if_failed(&packing)? {
        if said.contains("Permission denied") || said.contains("does not appear to exist") {
            eprintln!("\nhint: {LEAVING}");
        }
        return Ok(code);
    }
    let archives = host.packed()?;
    if archives.is_empty() {
        bail!("cargo has packed nothing");
    }
    refuse_leaving(&archives, &metadata, root)?;
    warn_of_secrets(&archives, command.quiet);

    let archives = match verify(vetted, &host, archives)? {
        Ok(archives) => archives,
        Err(code) => return Ok(code),
    };
    if dry {
        for archive in &archives {
            eprint!("{}", archive.list());
            sending.tell_difference(&host, archive);
        }
        eprintln!("warning: aborting upload due to dry run");
        return Ok(0);
    }
    let verified: BTreeMap<(String, String), String> = archives
        .iter()
        .map(|archive| ((archive.name.clone(), archive.version.clone()), archive.checksum.clone()))
        .collect();
    let first = archives.first().map(|archive| Operation::Publish {
        name: archive.name.clone(),
        vers: archive.version.clone(),
        cksum: archive.checksum.clone(),
    });
    let operation = first.context("there is nothing to send")?;
    sending.load_index(&host, &archives[0].name)?;
    let hidden = [host.target_dir().to_owned(), root.join("target")];
    sending.run(inside(command, &manifest, &sending), Purpose::Publish(verified), &operation, root, &hidden)
}

/// Has the archives built, unless that was done before. Returns them as they are then.
fn verify(
    vetted: &Vetted<'_>,
    host: &Host<'_>,
    archives: Vec<Archive>,
) -> anyhow::Result<Result<Vec<Archive>, u8>> {
    let command = &vetted.command;
    if command.flag(&["--no-verify"]) {
        return Ok(Ok(archives));
    }
    let verifying = package_command(command, false);
    let words: Vec<_> = verifying.arguments.iter().map(|word| word.to_string_lossy()).collect();
    let built_by = format!("{} {}", host.toolchain_stamp(), words.join(" "));
    let checksums = |archives: &[Archive]| -> Vec<String> {
        archives.iter().map(|archive| archive.checksum.clone()).collect()
    };
    let mut known = Verified::read(host.directory());
    if known.knows(checksums(&archives).iter().map(String::as_str), &built_by) {
        if !command.quiet {
            eprintln!("    Verified before, and not built again: the archives are the same");
        }
        return Ok(Ok(archives));
    }
    host.forget_packed()?;
    let code = host.run(&verifying)?;
    if code != 0 {
        return Ok(Err(code));
    }
    let built = host.packed()?;
    if checksums(&built) != checksums(&archives) {
        bail!("the sources have changed while they were packed and built\n\nhint: run the command again");
    }
    known
        .add(checksums(&built).iter().map(String::as_str), &built_by)
        .context("failed to write down what was verified")?;
    Ok(Ok(built))
}

fn metadata(host: &Host<'_>, manifest: &Path) -> anyhow::Result<Metadata> {
    let words = ["metadata", "--no-deps", "--format-version", "1", "--manifest-path"].map(OsString::from);
    let command = CargoCommand::parse(words.into_iter().chain([manifest.into()]).collect());
    let (code, stdout, stderr) = host.unheard(&command)?;
    if code != 0 {
        bail!("{}", String::from_utf8_lossy(&stderr).trim_start_matches("error: ").trim_end());
    }
    serde_json::from_slice(&stdout).context("cargo describes the workspace in a way that is not understood")
}

/// The one registry that the packages may be sent to, where their manifests name one.
fn by_manifest(
    command: &CargoCommand,
    metadata: &Metadata,
    current: Option<&MetadataPackage>,
) -> Option<String> {
    let named: Vec<String> = [command.option("-p"), command.option("--package")]
        .concat()
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let chosen = metadata.packages.iter().filter(|package| match current {
        _ if !named.is_empty() => {
            named.iter().any(|name| name.split('@').next() == Some(package.name.as_str()))
        }
        Some(current) if !command.flag(&["--workspace", "--all"]) => package.name == current.name,
        _ => true,
    });
    let mut names: Vec<&String> = chosen.filter_map(|package| package.publish.as_ref()).flatten().collect();
    names.dedup();
    match names.as_slice() {
        [one] => Some((*one).clone()),
        _ => None,
    }
}

/// `package` in the place of `publish`.
fn package_command(command: &CargoCommand, no_verify: bool) -> CargoCommand {
    let mut command = CargoCommand::parse(command.without_flags(OWN_FLAGS));
    command = CargoCommand::parse(command.without_option("--token"));
    if let Some(position) = command.position {
        command.arguments[position] = "package".into();
    }
    if no_verify {
        command.insert(["--no-verify".into()]);
    }
    CargoCommand::parse(command.arguments)
}

/// cargo's command line in the Publish container: nothing of it names a place of the host but the manifest.
fn inside(command: &CargoCommand, manifest: &Path, sending: &Sending<'_>) -> Vec<OsString> {
    let mut command = CargoCommand::parse(command.without_flags(OWN_FLAGS));
    for option in [
        "--token",
        "--target-dir",
        "--manifest-path",
        "--config",
        "-C",
        "--registry",
        "--index",
        "--lockfile-path",
    ] {
        command = CargoCommand::parse(command.without_option(option));
    }
    let registry: [OsString; 2] = match &sending.registry.name {
        Some(name) => ["--registry".into(), name.into()],
        None => ["--index".into(), sending.registry.index.clone().into()],
    };
    let words = ["--no-verify".into(), "--manifest-path".into(), manifest.into()];
    command.insert(words.into_iter().chain(registry));
    command.arguments
}

fn refuse_leaving(archives: &[Archive], metadata: &Metadata, root: &Path) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for archive in archives {
        let described = metadata
            .packages
            .iter()
            .find(|package| package.name == archive.name && package.version == archive.version)
            .with_context(|| {
                format!("cargo has packed `{}`, which is no member of the workspace", archive.name)
            })?;
        let directory = described.manifest_path.parent().unwrap_or(Path::new("/")).canonicalize()?;
        let named = described.readme.iter().chain(&described.license_file).cloned().collect();
        let package = Package { directory, named };
        for (path, real) in leaving(archive, &package, root)? {
            lines.push(format!("  {}: `{}` is `{}`", archive.name, path.display(), real.display()));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    bail!("files that are outside of their package would be sent:\n{}\n\nhint: {LEAVING}", lines.join("\n"))
}

fn warn_of_secrets(archives: &[Archive], quiet: bool) {
    for archive in archives.iter().filter(|_| !quiet) {
        for (path, why) in archive.secrets() {
            eprintln!(
                "warning: `{}` of {} looks like {why}, and everybody will be able to read it\n\nhint: if it is not \
                 meant to be sent: `exclude` it in Cargo.toml",
                path.display(),
                archive.name
            );
        }
    }
}
