//! What a daemon's answers mean to the user.

use bollard::errors::Error;

use crate::container::EngineError;

/// The HTTP status of a daemon's refusal, if it is one. Its text differs between engines; the number does not.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Says what `step` failed with, and what to do where that is known.
pub(super) fn explain(step: &str, error: &Error) -> EngineError {
    let failed = EngineError::failed(format!("{step}: {}", text(error)));
    match error {
        Error::DockerResponseServerError { message, .. } | Error::DockerStreamError { error: message } => {
            for (part, hint) in KNOWN {
                if message.contains(part) {
                    return failed.hint(*hint);
                }
            }
            failed
        }
        Error::RequestTimeoutError => {
            failed.hint("see whether `docker info` answers; restart the daemon if it does not")
        }
        Error::IOError { .. } | Error::HyperResponseError { .. } | Error::SocketNotFoundError(_) => {
            failed.hint("the daemon went away: start it again, or use `--engine native`")
        }
        _ => failed,
    }
}

/// What to do where the daemon does not see what is here.
pub(super) const OTHER_FILES: &str = "the daemon goes by its own machine's paths: where this is a container with its socket, everything that jobs see has to \
     be mounted from that machine at the same path (docs/ci.md)";

/// Parts of daemons' messages, and what the user can do.
const KNOWN: &[(&str, &str)] = &[
    (
        "no space left on device",
        "free space where the daemon keeps its data: `docker system prune`, `docker info` names the place",
    ),
    (
        "disk quota exceeded",
        "free space where the daemon keeps its data: `docker system prune`, `docker info` names the place",
    ),
    ("bind source path does not exist", OTHER_FILES),
    (
        "cgroup",
        "the daemon cannot set limits: a rootless one needs cgroups v2 with delegation, see its documentation",
    ),
    ("seccomp", "the daemon must support seccomp profiles; `docker info` lists it under Security Options"),
    (
        "rlimit",
        "the daemon's own limits are lower than this shell's: lower these with `ulimit -n` or `ulimit -u`",
    ),
];

/// One line; a daemon's own message without the client's words around it.
fn text(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } | Error::DockerStreamError { error: message } => {
            message.trim().replace('\n', " ")
        }
        Error::RequestTimeoutError => "the daemon did not answer in time".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_with_a_way_out() {
        let error = Error::DockerResponseServerError {
            status_code: 500,
            message: "write /var/lib/docker/x: no space left on device\n".into(),
        };
        let error = explain("cannot import the image", &error);
        assert_eq!(
            error.message,
            "cannot import the image: write /var/lib/docker/x: no space left on device"
        );
        assert!(error.hints[0].contains("prune"));
    }
}
