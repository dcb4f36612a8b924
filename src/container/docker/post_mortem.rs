//! Why a container is gone. It was removed when it ended, so the engine's record of events has to tell.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::connection::Connection;
use crate::container::ContainerSpec;

/// How far back "just now" goes.
const RECENT: Duration = Duration::from_secs(120);

/// Longest wait for the record.
const PATIENCE: Duration = Duration::from_secs(2);

/// The cause, if the engine knows one worth telling.
pub(super) async fn of(connection: &Connection, spec: &ContainerSpec) -> Option<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let filters = HashMap::from([
        ("container".to_owned(), vec![spec.container_name()]),
        ("event".to_owned(), vec!["oom".to_owned(), "kill".to_owned(), "die".to_owned()]),
    ]);
    let options = EventsOptionsBuilder::new()
        .since(&now.saturating_sub(RECENT).as_secs().to_string())
        .until(&now.as_secs().saturating_add(1).to_string())
        .filters(&filters)
        .build();
    let mut events = Box::pin(connection.docker.events(Some(options)));
    let mut record = Vec::new();
    let collect = async {
        while let Some(Ok(event)) = events.next().await {
            let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
            let attribute = |name: &str| attributes.get(name).cloned();
            record.push((event.action.unwrap_or_default(), attribute("exitCode"), attribute("signal")));
        }
    };
    // An engine that does not end the record at the time that was asked for has told all by then.
    let _ = timeout(PATIENCE, collect).await;
    cause(&record)
}

/// From events: what happened, exit code, signal.
fn cause(record: &[(String, Option<String>, Option<String>)]) -> Option<String> {
    let of = |name: &str| record.iter().rev().find(|(action, ..)| action == name);
    if of("oom").is_some() {
        return Some("out of memory".into());
    }
    if of("kill").is_some() {
        return Some("killed by someone through the engine".into());
    }
    match of("die")?.1.as_deref() {
        Some("137") => Some("killed (signal 9)".into()),
        Some("0") | None => None,
        Some(code) => Some(format!("the agent ended with status {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, code: Option<&str>) -> (String, Option<String>, Option<String>) {
        (action.into(), code.map(str::to_owned), None)
    }

    #[test]
    fn memory_counts_before_the_kill_that_it_caused() {
        assert_eq!(cause(&[event("oom", None), event("die", Some("137"))]).unwrap(), "out of memory");
        assert_eq!(cause(&[event("die", Some("137"))]).unwrap(), "killed (signal 9)");
        assert_eq!(cause(&[event("die", Some("0"))]), None);
        assert_eq!(cause(&[]), None);
    }
}
