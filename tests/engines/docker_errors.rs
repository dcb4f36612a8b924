//! What is said when a daemon cannot be used.

use std::os::unix::process::CommandExt;
use std::process::Command;

use cargo_sandbox::agent::Overlay;
use cargo_sandbox::container::docker::{CONNECT_PATIENCE, DockerEngine, PROBE_PATIENCE};
use cargo_sandbox::container::{Engine, EngineError, Image, Mount};

use crate::docker_support::{Fixture, docker_host, endpoints, prepare};

fn refusal(host: &str) -> EngineError {
    DockerEngine::connect(&docker_host(host), CONNECT_PATIENCE).unwrap_err()
}

#[test]
fn a_socket_that_is_not_there_is_named() {
    let error = refusal("unix:///does/not/exist.sock");
    assert_eq!(error.message, "there is no socket /does/not/exist.sock (from DOCKER_HOST)");
    assert!(error.unavailable && !error.hints.is_empty());
}

#[test]
fn a_socket_that_nobody_listens_on_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let error = refusal(path.to_str().unwrap());
    assert!(error.message.starts_with("no daemon listens on"), "{error}");
    assert!(error.unavailable);
}

#[test]
fn a_socket_that_does_not_answer_costs_the_probe_its_patience_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mute.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let start = std::time::Instant::now();
    let error = DockerEngine::connect(&docker_host(path.to_str().unwrap()), PROBE_PATIENCE).unwrap_err();
    assert!(error.message.contains("did not answer within 100 ms"), "{error}");
    assert!(error.unavailable);
    assert!(start.elapsed() < 10 * PROBE_PATIENCE);
}

#[test]
fn another_machine_is_refused_with_the_reason() {
    for host in ["tcp://127.0.0.1:2375", "ssh://root@localhost"] {
        let error = refusal(host);
        assert!(error.message.contains("cannot cross to another kernel"), "{error}");
        assert!(error.unavailable);
    }
}

/// Runs itself again as an ordinary user, since only root can become one.
#[test]
fn permission_denied_says_what_the_group_means() {
    const AGAIN: &str = "CARGO_SANDBOX_TEST_SOCKET";
    if let Some(path) = std::env::var_os(AGAIN) {
        let error = refusal(path.to_str().unwrap());
        assert!(error.message.starts_with("permission denied"), "{error}");
        assert!(error.unavailable);
        assert!(error.hints.iter().any(|hint| hint.contains("same power over this machine as root")));
        return;
    }
    if !rustix::process::getuid().is_root() {
        return eprintln!("skipped: only root can become another user");
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = directory.path().join("closed.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o660)).unwrap();
    // The test's own file may be where only root can go.
    let program = directory.path().join("again");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    // The standard library drops root's supplementary groups with the user id.
    let output = Command::new(&program)
        .args(["--exact", "docker_errors::permission_denied_says_what_the_group_means"])
        .env(AGAIN, &path)
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_with_the_command_that_fetches_it() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.spec.image = Image::Named("localhost/no-such-image:1".into());
    prepare(&fixture.spec);
    let error = fixture.engine.start(&fixture.spec).unwrap_err();
    let begin = "there is no image localhost/no-such-image:1 on this machine, and it cannot be pulled: ";
    assert!(error.message.starts_with(begin), "{}", error.message);
    assert!(
        error.hints.iter().any(|hint| hint.contains("pull localhost/no-such-image:1")),
        "{:?}",
        error.hints
    );
}

#[test]
fn a_source_that_is_not_there_is_named_before_anything_is_made() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.spec.mounts.push(Mount::read_only("/does/not/exist"));
    prepare(&fixture.spec);
    let error = fixture.engine.start(&fixture.spec).unwrap_err();
    assert!(error.message.starts_with("cannot mount /does/not/exist"), "{error}");
    assert!(fixture.listed().is_none());
}

#[test]
fn packages_that_cannot_be_shown_stop_the_start() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.spec.over.push(Overlay { over: "/does/not/exist".into(), target: "/usr/include".into() });
    prepare(&fixture.spec);
    let error = fixture.engine.start(&fixture.spec).unwrap_err();
    for words in ["cannot lay packages over the system: /usr/include", "`[native] packages` cannot be shown"]
    {
        assert!(error.message.contains(words), "`{words}` is not in: {error}");
    }
}

#[test]
fn the_engine_describes_itself() {
    let Ok(engine) = DockerEngine::connect(&endpoints(), CONNECT_PATIENCE) else { return };
    let line = engine.describe().unwrap();
    assert!(line.contains("API 1.") && line.contains(".sock"), "{line}");
}
