//! What a policy gives to one job and takes from it, put into what the agent is asked for.

use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use crate::agent::protocol::{Access, Rights};
use crate::policy::effective::{Denied, Effective};
use crate::policy::file::BuildScripts;
use crate::policy::kind::Kind;
use crate::policy::limits::LimitName;
use crate::policy::network::Network;
use crate::policy::package::{Package, Provenance};
use crate::policy::paths::PathRight;

use super::identify::{Job, Refusal};
use super::packages::Subject;
use super::request::Request;
use super::session::Session;

/// Applies the policy to a job.
///
/// # Errors
/// When it keeps the job from running.
pub fn apply(session: &Session, request: &Request, job: &mut Job) -> Result<(), Refusal> {
    let Some(Subject { package, kind, macros }) = &job.subject else { return Ok(()) };
    let effective = session.policy.effective_with_macros(package, *kind, macros);
    if let Some(why) = effective.denied {
        let hint = hint(&why, package, *kind);
        return Err(Refusal::Denied(format!(
            "the {} of {package} does not run: {why}\n\n{hint}",
            job.kind.name()
        )));
    }
    for said in &effective.paths {
        let (right, path) = &said.value;
        let rights = match right {
            PathRight::Read => Rights::Read,
            PathRight::Execute => Rights::ReadExecute,
            PathRight::Write => Rights::WritePlain,
        };
        job.spec.access.push(Access { path: path.as_os_str().as_bytes().to_vec(), rights });
    }
    for said in &effective.env {
        let found = session.granted_variables.iter().find(|(name, _)| *name == *said.value);
        // What cargo, or a build script's own directive, has set is what is meant for this job.
        if let Some((name, value)) =
            found.filter(|(name, _)| request.variable(&said.value).is_none() && !name.is_empty())
        {
            job.spec.env.push([name.as_bytes(), b"=", &value.clone().into_vec()].concat());
        }
    }
    limit(session, &effective, job);
    job.spec.system_calls = effective.calls.iter().map(|said| said.value).collect();
    job.spec.system_calls.sort_unstable();
    job.spec.system_calls.dedup();
    job.ports = effective.ports.iter().map(|said| said.value).collect();
    job.sets = effective.sets_env.iter().map(|said| said.value.clone()).collect();
    job.network = effective.network.value.clone();
    if matches!(job.network, Network::Only(_) | Network::Host)
        && request.variable("CARGO_NET_OFFLINE").is_none()
    {
        job.spec.env.retain(|variable| variable != b"CARGO_NET_OFFLINE=true");
    }
    if job.network == Network::Host {
        // Sockets of the user's that have a name and no place in a file system would be reached.
        job.spec.local_sockets = false;
    }
    connect(&effective, job)
}

/// Unix sockets that a job may connect to.
fn connect(effective: &Effective, job: &mut Job) -> Result<(), Refusal> {
    job.sockets = effective.sockets.iter().map(|said| said.value.clone()).collect();
    job.sockets.sort_unstable();
    job.sockets.dedup();
    let Some(said) = effective.sockets.first() else { return Ok(()) };
    if job.network == Network::Host {
        return Err(Refusal::Denied(format!(
            "the {} of {} does not run: `sockets` ({}) and `network = \"host\"` ({}) do not go together\n\nhint: let \
             `network` be a list of hosts; a job that makes Unix sockets would reach those of your session in the host's \
             network",
            job.kind.name(),
            job.package,
            said.by,
            effective.network.by
        )));
    }
    job.spec.local_sockets = true;
    for path in &job.sockets {
        job.spec.access.push(Access { path: path.as_os_str().as_bytes().to_vec(), rights: Rights::Connect });
    }
    Ok(())
}

/// Limits that a policy sets; what it does not mention stays as it is for all jobs.
fn limit(session: &Session, effective: &Effective, job: &mut Job) {
    if session.policy.sets_no_limits() {
        return;
    }
    let budget = &mut job.spec.budget;
    for (name, said) in effective.limits.iter().filter(|(_, said)| said.by.source.is_some()) {
        let value = said.value;
        job.limited.push((*name, value, said.by.clone()));
        match name {
            LimitName::WallTime => budget.seconds = value,
            LimitName::DiskWrites => budget.disk_writes = value,
            LimitName::Memory => budget.memory = value,
            LimitName::Processes => budget.processes = value,
            LimitName::OpenFiles => budget.open_files = value,
            LimitName::FileSize => budget.file_size = value,
            LimitName::FreeSpace | LimitName::Tmp | LimitName::ProgramTime => {}
        }
    }
}

/// The line that would let a job run.
fn hint(why: &Denied, package: &Package, kind: Kind) -> String {
    let name = if package.name.is_empty() { "name" } else { &package.name };
    match why {
        Denied::BuildScripts(BuildScripts::Deny, _) => {
            "hint: no build script runs there; `build-scripts = \"allow-listed\"` lets those run that are named".into()
        }
        Denied::Table(place) => format!(
            "hint: take that out; or let a table that is more exact than [{}] say `allow = true`",
            place.table
        ),
        Denied::BuildScripts(..) => {
            let where_to = match package.provenance {
                Provenance::Registry => {
                    "into `cargo-sandbox.toml` in the project's root, then `cargo-sandbox self trust`; or into your own \
                     configuration, for every project"
                }
                Provenance::Repository => "into `cargo-sandbox.toml` in the project's root, then `cargo-sandbox self trust`",
            };
            format!("hint: to let it run, write\n\n    [packages.\"{name}\".{kind}]\n    allow = true\n\n{where_to}")
        }
    }
}
