//! Why a container is gone. It was removed when it ended, so the engine's record of events has to tell.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use crate::container::ContainerSpec;

/// How far back "just now" goes.
const RECENT: Duration = Duration::from_secs(120);

/// How far ahead of now the record is asked for. Podman begins to read at the time of the request's arrival and
/// ends at the one that was asked for, whether it has read by then or not.
const AHEAD: Duration = Duration::from_secs(2);

/// Longest wait for the record.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long after a container's end another event of it may come: Podman tells of a kill from another process
/// than of the end.
const AFTER_ITS_END: Duration = Duration::from_millis(200);

/// What an end is called; Podman calls it so in answers and otherwise in filters.
const END: &str = "die";
const END_IN_FILTERS_OF_PODMAN: &str = "died";

/// The cause, if the engine knows one worth telling.
pub(super) async fn of(connection: &Connection, spec: &ContainerSpec) -> Option<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let events = ["oom", "kill", END, END_IN_FILTERS_OF_PODMAN];
    let filters = HashMap::from([
        ("container".to_owned(), vec![spec.container_name()]),
        ("event".to_owned(), events.map(str::to_owned).to_vec()),
    ]);
    let options = EventsOptionsBuilder::new()
        .since(&now.saturating_sub(RECENT).as_secs().to_string())
        .until(&now.saturating_add(AHEAD).as_secs().to_string())
        .filters(&filters)
        .build();
    let mut events = connection.docker.events(Some(options)).boxed();
    let mut record = Vec::new();
    let mut deadline = Instant::now() + PATIENCE;
    // An engine that does not end the record at the time that was asked for has told all by then.
    while let Ok(Some(Ok(event))) = timeout_at(deadline, events.next()).await {
        let action = event.action.unwrap_or_default();
        if action == END {
            deadline = deadline.min(Instant::now() + AFTER_ITS_END);
        }
        let actor = event.actor.unwrap_or_default();
        let exit_code = actor.attributes.and_then(|mut attributes| attributes.remove("exitCode"));
        record.push(Happened { action, container: actor.id, exit_code });
    }
    cause(&record)
}

/// One event of the record.
struct Happened {
    action: String,
    container: Option<String>,
    exit_code: Option<String>,
}

/// The cause of the last end in a record, in which containers of the same name may come one after the other.
fn cause(record: &[Happened]) -> Option<String> {
    let container = &record.last()?.container;
    let of =
        |name: &str| record.iter().rev().find(|event| event.action == name && event.container == *container);
    if of("oom").is_some() {
        return Some("out of memory".into());
    }
    if of("kill").is_some() {
        return Some("killed by someone through the engine".into());
    }
    match of(END)?.exit_code.as_deref() {
        Some("137") => Some("killed (signal 9)".into()),
        Some("0") | None => None,
        Some(code) => Some(format!("the agent ended with status {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, code: Option<&str>) -> Happened {
        of_container("this", action, code)
    }

    fn of_container(id: &str, action: &str, code: Option<&str>) -> Happened {
        Happened { action: action.into(), container: Some(id.into()), exit_code: code.map(str::to_owned) }
    }

    #[test]
    fn memory_counts_before_the_kill_that_it_caused() {
        assert_eq!(cause(&[event("oom", None), event("die", Some("137"))]).unwrap(), "out of memory");
        assert_eq!(cause(&[event("die", Some("137"))]).unwrap(), "killed (signal 9)");
        assert_eq!(cause(&[event("die", Some("0"))]), None);
        assert_eq!(cause(&[]), None);
    }

    #[test]
    fn a_former_container_of_the_same_name_says_nothing_of_this_one() {
        let former = || [of_container("former", "kill", None), of_container("former", "die", Some("137"))];
        let with = |event: Happened| cause(&former().into_iter().chain([event]).collect::<Vec<_>>());
        assert_eq!(with(event("die", Some("3"))).unwrap(), "the agent ended with status 3");
        assert_eq!(with(event("die", Some("0"))), None);
        assert_eq!(cause(&former()).unwrap(), "killed by someone through the engine");
    }
}
