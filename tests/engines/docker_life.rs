//! From start to removal.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cargo_sandbox::container::{Engine, EngineKind};

use crate::docker_support::{Fixture, engine_command, prepare, report, spec};

#[test]
fn a_container_starts_is_listed_and_removed() {
    let Some(fixture) = Fixture::new() else { return };
    assert_eq!(fixture.engine.kind(), EngineKind::Docker);
    assert!(fixture.listed().is_none());
    fixture.start();
    let listed = fixture.listed().unwrap();
    assert!(listed.running);
    assert_eq!(listed.project, fixture.spec.project);
    assert_eq!(listed.project_root, fixture.spec.project_root);
    fixture.engine.remove(&listed).unwrap();
    assert!(fixture.listed().is_none());
    // Twice is no error: two commands may stop the same container.
    fixture.engine.remove(&listed).unwrap();
}

#[test]
fn a_second_start_finds_its_image() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    fixture.engine.remove(&fixture.listed().unwrap()).unwrap();
    std::fs::remove_dir_all(fixture.spec.directory()).unwrap();
    fixture.start();
    assert!(fixture.listed().unwrap().running);
}

#[test]
fn two_projects_of_the_same_folder_name_do_not_collide() {
    let Some(one) = Fixture::new() else { return };
    let Some(mut two) = Fixture::new() else { return };
    let root = |fixture: &Fixture, parent: &str| fixture.folder(&format!("{parent}/app"));
    two.spec.project_root = root(&two, "b");
    let mut first = one.spec.clone();
    first.project_root = root(&one, "a");
    prepare(&first);
    one.engine.start(&first).unwrap();
    two.start();
    assert_ne!(first.container_name(), two.spec.container_name());
    assert_eq!(report(&first).boot_id, report(&two.spec).boot_id);
}

#[test]
fn a_dead_container_of_the_same_name_makes_way() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    let id = fixture.listed().unwrap().id;
    // As after a front end that was killed between creation and start, for a container that never ran.
    fixture.engine.remove(&fixture.listed().unwrap()).unwrap();
    std::fs::remove_dir_all(fixture.spec.directory()).unwrap();
    let image = engine_command(&["images", "--quiet", "--filter", "label=io.cargo-sandbox.image=host"]);
    let image = image.lines().next().unwrap().to_owned();
    let uid = format!("io.cargo-sandbox.uid={}", fixture.spec.uid);
    let project = format!("io.cargo-sandbox.project={}", fixture.spec.project);
    let name = fixture.spec.container_name();
    engine_command(&["create", "--name", &name, "--label", &uid, "--label", &project, &image, "/nothing"]);
    assert!(!fixture.listed().unwrap().running);
    fixture.start();
    let listed = fixture.listed().unwrap();
    assert!(listed.running);
    assert_ne!(listed.id, id);
}

#[test]
fn somebody_elses_container_of_the_same_name_is_left_alone() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    fixture.engine.remove(&fixture.listed().unwrap()).unwrap();
    std::fs::remove_dir_all(fixture.spec.directory()).unwrap();
    let image = engine_command(&["images", "--quiet", "--filter", "label=io.cargo-sandbox.image=host"]);
    let name = fixture.spec.container_name();
    let id = engine_command(&["create", "--name", &name, image.lines().next().unwrap(), "/nothing"]);
    prepare(&fixture.spec);
    let error = fixture.engine.start(&fixture.spec).unwrap_err();
    assert!(error.message.contains("did not make"), "{error}");
    engine_command(&["rm", &id]);
}

fn wait_until_gone(fixture: &Fixture, patience: Duration) {
    let deadline = Instant::now() + patience;
    while fixture.listed().is_some() {
        assert!(Instant::now() < deadline, "it is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_container_that_was_killed_leaves_nothing_but_the_reason() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    engine_command(&["kill", &fixture.listed().unwrap().id]);
    wait_until_gone(&fixture, Duration::from_secs(10));
    // An engine is asked for a record in whole seconds: just before one is over, too little would be asked for.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    std::thread::sleep(Duration::from_nanos(u64::from(1_998_000_000 - now.subsec_nanos()) % 1_000_000_000));
    let reason = fixture.engine.post_mortem(&fixture.spec).unwrap();
    assert!(reason.contains("through the engine"), "{reason}");
}

#[test]
fn an_agent_that_was_killed_is_told_from_a_container_that_was() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    let agent = engine_command(&["inspect", "--format", "{{.State.Pid}}", &fixture.listed().unwrap().id]);
    assert!(Command::new("kill").args(["-9", &agent]).status().unwrap().success());
    wait_until_gone(&fixture, Duration::from_secs(10));
    assert_eq!(fixture.engine.post_mortem(&fixture.spec).unwrap(), "killed (signal 9)");
}

#[test]
fn an_idle_container_ends_by_itself_and_leaves_nothing() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.spec.idle = Duration::from_secs(1);
    fixture.start();
    wait_until_gone(&fixture, Duration::from_secs(15));
    assert_eq!(fixture.engine.post_mortem(&fixture.spec), None);
}

#[test]
fn an_agent_that_cannot_start_is_quoted_and_leaves_nothing() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.spec.agent = PathBuf::from("/usr/bin/env");
    prepare(&fixture.spec);
    let error = fixture.engine.start(&fixture.spec).unwrap_err();
    assert!(error.message.contains("internal-agent"), "{error}");
    assert!(fixture.listed().is_none());
}

#[test]
fn prune_keeps_what_is_in_use() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    fixture.engine.prune().unwrap();
    assert!(fixture.listed().unwrap().running);
    // A spec of another project still starts, whether its image was there or has to be made again.
    let other = spec(&fixture.folder("other"), &fixture.spec.project);
    prepare(&other);
    fixture.engine.start(&other).unwrap();
}
