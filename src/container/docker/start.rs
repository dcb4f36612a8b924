//! From a description to a running agent: image, container, start, wait, and a look at what came of it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    RemoveContainerOptionsBuilder, StartContainerOptions,
};
use futures_util::{Stream, StreamExt};
use rustix::net::sockopt::socket_peercred;
use rustix::process::Pid;
use tokio::time::timeout;

use super::connection::{Connection, Facts, Users, another_kernel};
use super::container::{self, Request};
use super::errors::{OTHER_FILES, explain, status};
use super::{image, labels, libraries, mounts, verify};
use crate::agent::client::{AgentConnection, connect};
use crate::agent::protocol::{Enforced, Reply, Request as AgentRequest};
use crate::container::enforced::boot_id;
use crate::container::{ContainerSpec, EngineError};

/// Longest time from the start of a container to its agent's first answer.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How often the agent's socket is tried. It is there within some milliseconds of the engine's answer.
const POLL: Duration = Duration::from_millis(1);

/// Attempts to get a name that another container still has.
const NAME_ATTEMPTS: usize = 50;

/// Longest wait for a removal that the engine began by itself.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(20);

/// How much of the agent's last words goes into an error.
const LAST_WORDS: usize = 2000;

/// Makes and starts a container, and returns when its agent accepts connections.
pub(super) async fn start(connection: &Connection, spec: &ContainerSpec) -> Result<Started, EngineError> {
    let image = image::ensure(connection, spec).await?;
    let libraries = libraries::of(&spec.agent)?;
    let Facts { flavour, abilities, .. } = connection.facts;
    let request = container::request(spec, image, &libraries, flavour, abilities.users)?;
    let id = create(connection, spec, &request).await?;
    let started = Started { id, request };
    match run(connection, spec, &started.id).await {
        Ok(()) => Ok(started),
        Err(error) => {
            remove(connection, &started.id).await?;
            Err(error)
        }
    }
}

/// A container whose agent answers.
#[derive(Debug)]
pub(super) struct Started {
    pub id: String,
    request: Request,
}

/// Creates the container. A dead one of the same name, left by a front end that was killed, makes way.
async fn create(
    connection: &Connection,
    spec: &ContainerSpec,
    request: &Request,
) -> Result<String, EngineError> {
    let name = spec.container_name();
    for _ in 0..NAME_ATTEMPTS {
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        match connection.docker.create_container(Some(options), request.body.clone()).await {
            Ok(created) => return Ok(created.id),
            Err(error) if is_name_taken(&error) => {}
            Err(error) => return Err(explain("cannot create the container", &error)),
        }
        if let Some(id) = leftover(connection, &name).await? {
            remove(connection, &id).await?;
        }
        // It may also be on its way out: the engine frees the name a little later.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(EngineError::failed(format!("the name {name} stays taken"))
        .hint(format!("see `{} ps --all`", connection.facts.flavour.command())))
}

/// Docker says 409; Podman says 500 and names the reason only in words.
fn is_name_taken(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { status_code: 409, .. } => true,
        Error::DockerResponseServerError { message, .. } => message.contains("already in use"),
        _ => false,
    }
}

/// The container that has `name`, if it is this user's own. The caller holds the lock of this spec and found
/// no agent, so whatever state it is in, nobody uses it.
async fn leftover(connection: &Connection, name: &str) -> Result<Option<String>, EngineError> {
    let found = match connection.docker.inspect_container(name, None::<InspectContainerOptions>).await {
        Ok(found) => found,
        Err(error) if status(&error) == Some(404) => return Ok(None),
        // Podman's, in the moment between its end and its removal (see `list`).
        Err(Error::JsonDataError { .. }) => return Ok(None),
        Err(error) => return Err(explain(&format!("cannot inspect {name}"), &error)),
    };
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    if labels.get(labels::UID) != Some(&labels::own_uid()) {
        let message = format!("there is a container {name} that this tool did not make for this user");
        return Err(EngineError::failed(message));
    }
    Ok(found.id)
}

/// Starts the container and waits for its agent.
async fn run(connection: &Connection, spec: &ContainerSpec, id: &str) -> Result<(), EngineError> {
    // Attached before the start: a container that ends is removed at once, and its output with it.
    let options = AttachContainerOptionsBuilder::new().stdout(true).stderr(true).stream(true).build();
    let attached = connection.docker.attach_container(id, Some(options)).await;
    let output = attached.map_err(|error| explain("cannot attach to the container", &error))?.output;
    let started = connection.docker.start_container(id, None::<StartContainerOptions>).await;
    started.map_err(|error| explain("cannot start the container", &error))?;
    wait(spec, output).await
}

/// Waits until the agent accepts a connection, and keeps what it says meanwhile.
async fn wait(
    spec: &ContainerSpec,
    mut output: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
) -> Result<(), EngineError> {
    let deadline = Instant::now() + START_PATIENCE;
    let mut said = String::new();
    loop {
        if AgentConnection::open(&spec.directory(), &spec.fingerprint()).is_ok() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let message = format!("the agent did not answer within {} s", START_PATIENCE.as_secs());
            return Err(EngineError::failed(with_words(&message, &said)));
        }
        match timeout(POLL, output.next()).await {
            Err(_) => {}
            Ok(Some(Ok(part))) => said.push_str(&String::from_utf8_lossy(&part.into_bytes())),
            Ok(Some(Err(_)) | None) => {
                return Err(EngineError::failed(with_words("the agent ended at its start", &said)));
            }
        }
    }
}

/// The end of what was said, on one line and without anything that a terminal would obey.
fn with_words(message: &str, said: &str) -> String {
    let start = said.char_indices().rev().take(LAST_WORDS).last().map_or(0, |(index, _)| index);
    let words: String = said[start..].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match words.trim() {
        "" => message.to_owned(),
        words => format!("{message}: {words}"),
    }
}

/// Removes a container, whatever state it is in, and returns when it is gone; the one that is gone already is no
/// error.
pub(super) async fn remove(connection: &Connection, id: &str) -> Result<(), EngineError> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match connection.docker.remove_container(id, Some(options)).await {
        Ok(()) => Ok(()),
        Err(error) if status(&error) == Some(404) => Ok(()),
        // It ended by itself and the engine is removing it.
        Err(error) if status(&error) == Some(409) => gone(connection, id).await,
        Err(error) => Err(explain("cannot remove a container", &error)),
    }
}

/// Waits until the engine knows nothing of a container any more.
async fn gone(connection: &Connection, id: &str) -> Result<(), EngineError> {
    let deadline = Instant::now() + REMOVAL_PATIENCE;
    while Instant::now() < deadline {
        let found = connection.docker.inspect_container(id, None::<InspectContainerOptions>).await;
        if found.is_err_and(|error| status(&error) == Some(404)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(EngineError::failed(format!("container {id} is being removed and does not go away"))
        .hint(format!("see `{} ps --all`", connection.facts.flavour.command())))
}

/// Looks at what came of the request: the engine's answer, the agent's own report, and its first process as the
/// host sees it.
pub(super) async fn verify(
    connection: &Connection,
    spec: &ContainerSpec,
    started: &Started,
) -> Result<(), EngineError> {
    let answer = connection.docker.inspect_container(&started.id, None::<InspectContainerOptions>).await;
    let answer = answer.map_err(|error| explain("cannot inspect the container", &error))?;
    let mut wrong = verify::inspect(&answer, spec, &started.request, connection.facts.abilities.limits);

    let (report, peer) = report(spec)?;
    if report.boot_id.trim() != boot_id().unwrap_or_default() {
        return Err(another_kernel(&format!("{} runs on another kernel", connection.facts.product)));
    }
    // A rootless engine's numbers say nothing on either side: the caller is root in its container.
    let user = (connection.facts.abilities.users == Users::Same).then_some(started.request.user);
    wrong.extend(verify::inherited(&report.agent_status, user));
    wrong.extend(verify::mounts(&report.agent_mountinfo, &started.request.mounts));
    wrong.extend(verify::settings(&report.job_mountinfo, started.request.user.0));
    if !spec.host_network {
        wrong.extend(verify::interfaces(&report.interfaces));
    }
    match peer.and_then(status_from_outside) {
        Some(text) => {
            let seen = [verify::inherited(&text, user), verify::capabilities(&text, started.request.user.0)]
                .concat();
            wrong.extend(seen.into_iter().map(|line| format!("seen from outside, {line}")));
        }
        // Not visible from here: this front end is in a container itself, by whose paths the daemon goes as well.
        None => {
            if let Some(mount) = mounts::foreign(&started.request.mounts, &report.agent_mountinfo) {
                return Err(other_files(connection, &mount.source));
            }
            wrong.extend(verify::capabilities(&report.first_status, started.request.user.0));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} made a container that is not confined as asked: {}",
        connection.facts.product,
        wrong.join("; ")
    );
    Err(EngineError::failed(message).hint("`--engine native` needs no daemon"))
}

/// The refusal of a daemon that goes by the paths of another machine or container.
fn other_files(connection: &Connection, path: &Path) -> EngineError {
    EngineError::failed(format!(
        "{} has other files at {} than there are here",
        connection.facts.product,
        path.display()
    ))
    .hint(OTHER_FILES)
}

/// The status of a process as this one sees it. The agent's first process stays as the engine started it, while
/// the one that runs jobs has capabilities over namespaces of its own.
fn status_from_outside(process: Pid) -> Option<String> {
    fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()
}

/// Asks the agent what is in force. Also tells which process made its socket, if it is visible from here: the
/// kernel says so, whereas the number that an engine tells may be one of another process namespace.
fn report(spec: &ContainerSpec) -> Result<(Enforced, Option<Pid>), EngineError> {
    let failed = |error: &dyn std::fmt::Display| {
        EngineError::failed(format!("cannot learn from the agent what is enforced: {error}"))
    };
    let ask = || -> io::Result<(Option<Pid>, Reply)> {
        let stream = connect(&spec.directory())?;
        // Fails where the number would be 0, which is how the kernel says "not visible".
        let peer = socket_peercred(&stream).ok().map(|credentials| credentials.pid);
        let socket = stream.try_clone()?;
        let agent = AgentConnection::greeted(stream, &spec.fingerprint())?;
        socket.set_read_timeout(Some(START_PATIENCE))?;
        agent.send(&AgentRequest::Report, &[])?;
        Ok((peer, agent.read_reply()?))
    };
    let (peer, reply) = ask().map_err(|error| failed(&error))?;
    match reply {
        Reply::Enforced(enforced) => Ok((*enforced, peer)),
        Reply::Failed { message, .. } => Err(failed(&message)),
        _ => Err(failed(&"it answered something else")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_one_line_without_escapes() {
        assert_eq!(with_words("ended", "a\n\u{1b}[31mb\n"), "ended: a  [31mb");
        assert_eq!(with_words("ended", "\n"), "ended");
        let long = "x".repeat(3 * LAST_WORDS);
        assert_eq!(with_words("e", &long).len(), LAST_WORDS + 3);
    }
}
