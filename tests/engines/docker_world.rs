//! What a container shows, and to whom.

use std::path::Path;

use cargo_sandbox::container::{Engine, Image};

use crate::docker_support::{Fixture, Tmpfs, bind, engine_command, mount_options, prepare, report, run};

#[test]
fn the_agent_is_the_caller_without_any_privilege() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    let id = fixture.listed().unwrap().id;
    let pid = engine_command(&["inspect", "--format", "{{.State.Pid}}", &id]);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or_default().split('\t').next().unwrap_or_default().to_owned()
    };
    assert_eq!(field("Uid"), fixture.spec.uid.to_string());
    assert_eq!(field("Gid"), fixture.spec.gid.to_string());
    // Root, which a rootless engine's container has the caller as, has had CAP_SETFCAP; the agent gave it up.
    let user = engine_command(&["inspect", "--format", "{{.Config.User}}", &id]);
    let bounding = if user == "0:0" { "0000000080000000" } else { "0000000000000000" };
    assert_eq!(field("CapBnd"), bounding);
    assert_eq!(field("CapEff"), "0000000000000000");
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Seccomp"), "2");
    // A front end that is in a container itself has the agent's word for it.
    let told = report(&fixture.spec).first_status;
    let capabilities = |status: &str| -> Vec<String> {
        status.lines().filter(|line| line.starts_with("Cap")).map(str::to_owned).collect()
    };
    assert_eq!(capabilities(&told), capabilities(&status));
}

/// Where the host has AppArmor or SELinux, the engine's own profile and label hold, since nothing asks for another one, and
/// no file of the user's gets a label for it.
#[test]
fn the_engines_own_confinement_stays_on() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    let id = fixture.listed().unwrap().id;
    let told = |what: &str| engine_command(&["inspect", "--format", &format!("{{{{json {what}}}}}"), &id]);
    let options: Vec<String> = serde_json::from_str(&told(".HostConfig.SecurityOpt")).unwrap();
    assert!(!options.is_empty());
    for option in &options {
        let ours = ["no-new-privileges", "seccomp=", "unmask="];
        assert!(ours.iter().any(|name| option.starts_with(name)), "asked for `{option}`");
    }
    assert_eq!(told(".HostConfig.Privileged"), "false");
    let binds = told(".HostConfig.Binds");
    assert!(!binds.contains(":z") && !binds.contains(":Z") && !binds.contains(",z"), "{binds}");
}

#[test]
fn another_user_than_the_caller_is_taken_on() {
    if !rustix::process::getuid().is_root() {
        return eprintln!("skipped: only root can prepare a directory for another user");
    }
    let Some(mut fixture) = Fixture::new() else { return };
    (fixture.spec.uid, fixture.spec.gid) = (12345, 12346);
    prepare(&fixture.spec);
    std::os::unix::fs::chown(fixture.spec.directory(), Some(12345), Some(12346)).unwrap();
    fixture.engine.start(&fixture.spec).unwrap();
    let report = report(&fixture.spec);
    assert!(report.agent_status.contains("Uid:\t12345\t12345\t12345\t12345"));
    assert_eq!(run(&fixture.spec, "id -u; id -g"), "12345\n12346\n");
    // An engine's covers of /proc would have made the agent do with less.
    assert_eq!(report.process_tree, "pid namespace");
}

#[test]
fn a_job_runs_on_the_descriptors_it_was_handed() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    assert_eq!(run(&fixture.spec, "echo hello"), "hello\n");
    assert_eq!(run(&fixture.spec, "cat /etc/hostname; whoami"), "cargo-sandbox\ntester\n");
}

#[test]
fn no_job_can_write_to_the_kernels_settings() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    let script = "for f in kernel/core_pattern kernel/hostname vm/drop_caches; do \
                  (: >>/proc/sys/$f) 2>/dev/null && echo $f; done; \
                  (: >>/proc/sysrq-trigger) 2>/dev/null && echo sysrq";
    assert_eq!(run(&fixture.spec, script), "");
}

#[test]
fn the_agent_starts_in_an_image_that_has_nothing_for_it() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.start();
    let id = fixture.listed().unwrap().id;
    let image = engine_command(&["inspect", "--format", "{{.Image}}", &id]);
    fixture.spec.image = Image::Named(image);
    fixture.spec.mounts.clear();
    fixture.start();
    assert!(!report(&fixture.spec).agent_mountinfo.contains(" /usr "));
}

#[test]
fn nothing_is_writable_but_what_was_asked_for() {
    let Some(mut fixture) = Fixture::new() else { return };
    let (read, write) = (fixture.folder("read"), fixture.folder("write"));
    fixture.spec.mounts.extend([bind(&read, false), bind(&write, true)]);
    fixture.start();
    let mounts = report(&fixture.spec).agent_mountinfo;
    let starts = |path: &Path, flag: &str| {
        assert_eq!(mount_options(&mounts, path).and_then(|o| o.split(',').next()), Some(flag), "{path:?}");
    };
    starts(Path::new("/"), "ro");
    starts(Path::new("/usr"), "ro");
    starts(Path::new("/etc"), "ro");
    starts(&read, "ro");
    starts(&write, "rw");
}

#[test]
fn a_mount_below_a_read_only_source_is_shown_read_only() {
    let Some(mut fixture) = Fixture::new() else { return };
    let source = fixture.folder("source");
    let Some(below) = Tmpfs::mount(source.join("below")) else { return };
    let Some(deeper) = Tmpfs::mount(below.0.join("deeper")) else { return };
    fixture.spec.mounts.push(bind(&source, false));
    fixture.start();
    let mounts = report(&fixture.spec).agent_mountinfo;
    for path in [&source, &below.0, &deeper.0] {
        let options = mount_options(&mounts, path).unwrap_or_else(|| panic!("{path:?} is not shown"));
        assert!(options.starts_with("ro"), "{path:?}: {options}");
    }
}

#[test]
fn there_is_no_network_but_the_loopback() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    let interfaces = report(&fixture.spec).interfaces;
    assert!(interfaces.iter().all(|name| name == "lo"), "{interfaces:?}");
}

#[test]
fn the_hosts_name_servers_and_name_are_not_told() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    let id = fixture.listed().unwrap().id;
    let place = engine_command(&["inspect", "--format", "{{.ResolvConfPath}}", &id]);
    if let Ok(text) = std::fs::read_to_string(&place) {
        let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let told = host.lines().filter(|line| line.starts_with("nameserver") || line.starts_with("search"));
        for line in told {
            assert!(!text.contains(line), "{line} in {text}");
        }
    }
    assert_eq!(engine_command(&["inspect", "--format", "{{.Config.Hostname}}", &id]), "cargo-sandbox");
}

#[test]
fn it_runs_on_this_kernel() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    let ours = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(report(&fixture.spec).boot_id.trim(), ours.trim());
}

#[test]
fn a_job_reaches_what_it_is_allowed_and_nothing_else() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.start();
    crate::forward::exercise(&fixture.spec);
    if !rustix::process::getuid().is_root() {
        return eprintln!("skipped: only root can prepare a directory for another user");
    }
    let Some(mut fixture) = Fixture::new() else { return };
    (fixture.spec.uid, fixture.spec.gid) = (12345, 12346);
    prepare(&fixture.spec);
    std::os::unix::fs::chown(fixture.spec.directory(), Some(12345), Some(12346)).unwrap();
    fixture.engine.start(&fixture.spec).unwrap();
    crate::forward::exercise(&fixture.spec);
}
