//! The containers of this tool and of this user.

use bollard::errors::Error;
use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::connection::Connection;
use super::labels;

/// The states that a container has before it ends and that every engine takes in a filter.
const NOT_ENDED: &[&str] = &["created", "running", "paused"];

/// Whatever state they are in.
///
/// A container of Podman's that is about to be removed is in a state that the API does not know, and the client
/// then cannot read the whole answer. Those that have ended are left out where that happens: their engine
/// removes them.
pub(super) async fn own(connection: &Connection) -> Result<Vec<ContainerSummary>, Error> {
    match ask(connection, &[]).await {
        Err(Error::JsonDataError { .. }) => ask(connection, NOT_ENDED).await,
        answer => answer,
    }
}

async fn ask(connection: &Connection, states: &[&str]) -> Result<Vec<ContainerSummary>, Error> {
    let mut filters =
        labels::filter(&[labels::PROJECT.to_owned(), format!("{}={}", labels::UID, labels::own_uid())]);
    if !states.is_empty() {
        filters.insert("status".into(), states.iter().map(ToString::to_string).collect());
    }
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    connection.docker.list_containers(Some(options)).await
}
