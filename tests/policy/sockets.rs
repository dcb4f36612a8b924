//! `sockets`: what is granted is connected to, and nothing beside it; nobody else connects.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use super::*;

/// A server at a path of this machine that says the same to everybody.
fn server(path: &Path, says: &'static str) {
    let listener = UnixListener::bind(path).expect("listener");
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("mode");
    std::thread::spawn(move || {
        for call in listener.incoming() {
            let _gone = call.expect("call").write_all(says.as_bytes());
        }
    });
}

/// A program that asks each of these, and says what it heard or what error there was.
fn asks(paths: &[PathBuf], say: &str) -> String {
    format!(
        r#"use std::io::Read;
fn ask(path: &str) -> String {{
    let mut heard = String::new();
    let stream = std::os::unix::net::UnixStream::connect(path);
    match stream.and_then(|mut stream| stream.read_to_string(&mut heard)) {{
        Ok(_) => heard,
        Err(error) => format!("{{:?}}", error.kind()),
    }}
}}
fn main() {{
    for path in {paths:?} {{ println!("{say}<{{path}} {{}}>", ask(path)); }}
}}
"#
    )
}

#[test]
fn a_list_is_what_is_connected_to_and_by_nobody_else() {
    let Some(world) = world("policy-sockets") else { return };
    let base = world.home.join("db");
    world.write(&base.join("x"), "");
    let private = tempfile::tempdir_in("/tmp").expect("directory");
    fs::set_permissions(private.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    for engine in engines() {
        let name = format!("connects-{engine}");
        let inside = world.work().join(&name).join("run");
        world.write(&inside.join("x"), "");
        let [granted, beside, other] =
            ["granted", "beside", "other"].map(|name| base.join(format!("{name}-{engine}")));
        let (within, temporary) = (inside.join("socket"), private.path().join(format!("socket-{engine}")));
        server(&granted, "the granted one");
        server(&beside, "the one beside it");
        server(&other, "another granted one");
        server(&within, "the project's own");
        server(&temporary, "the temporary one");
        let all = [granted.clone(), other.clone(), within.clone(), temporary.clone(), beside.clone()];
        let (script, program) = (asks(&all, "cargo::warning="), asks(&all[..2], ""));
        let project =
            project(&world, &name, &Parts { script: &script, program: &program, ..Parts::default() });
        // Under plain cargo all are reached, by all.
        let plain = run(&mut line::plain(&world, &project, "run")).success("control");
        for said in ["the granted one", "the one beside it", "the project's own", "the temporary one"] {
            assert!(plain.stderr.contains(said), "{}", plain.stderr);
        }
        assert!(plain.stdout.contains("the granted one"), "{}", plain.stdout);

        let again = |line: &str| {
            run(&mut sandbox(&world, engine, &project, "clean")).success("clean");
            run(&mut sandbox(&world, engine, &project, line)).success(line)
        };
        let list = format!("{:?}", &all[..4]);
        let silent = |heard: &str| {
            ["granted one", "beside it", "own>", "temporary one"].iter().all(|said| !heard.contains(said))
        };
        let text = |kind: &str| format!("[packages.{name}.{kind}]\nsockets = {list}\n");
        for text in ["".to_owned(), text("test"), text("build-script").replace(&name, "others")] {
            policy(&world, &project, &text);
            trust(&world, engine, &project);
            let heard = again("check").stderr;
            assert!(silent(&heard), "{text}: {heard}");
        }
        policy(&world, &project, &text("build-script"));
        fails(
            &mut sandbox(&world, engine, &project, "check"),
            &["connect to the Unix socket", "in your name", &granted.display().to_string(), "self trust"],
        );
        trust(&world, engine, &project);
        let output = again("run");
        for (path, said) in [
            (&granted, "the granted one"),
            (&other, "another granted one"),
            (&within, "the project's own"),
            (&temporary, "the temporary one"),
        ] {
            assert!(output.stderr.contains(&format!("<{} {said}>", path.display())), "{}", output.stderr);
        }
        assert!(output.stderr.contains(&format!("<{} NotFound>", beside.display())), "{}", output.stderr);
        // A program of the same package may make Unix sockets, and there is none for it.
        assert!(output.stdout.contains("NotFound") && silent(&output.stdout), "{}", output.stdout);
        let explained = run(&mut sandbox(&world, engine, &project, &format!("self explain {name}")));
        assert!(explained.stdout.contains("sockets"), "{}", explained.stdout);

        // What is put in its place by a link is not connected to.
        fs::remove_file(&granted).expect("removed");
        std::os::unix::fs::symlink(&beside, &granted).expect("link");
        run(&mut sandbox(&world, engine, &project, "clean")).success("clean");
        fails(&mut sandbox(&world, engine, &project, "check"), &["symbolic link"]);
        world.stop(engine, &project);
    }
}

/// Where the user's own network is, so are the abstract sockets of the user's session.
#[test]
fn not_together_with_the_network_of_the_host() {
    let Some(world) = world("policy-sockets-host") else { return };
    // Programs know both names of the directory.
    let script = "fn main() { let same = std::fs::canonicalize(\"/var/run/mysqld\").unwrap();\n\
                  let called = std::os::unix::net::UnixStream::connect(\"/var/run/mysqld/not-there.sock\");\n\
                  println!(\"cargo::warning=<{} {:?}>\", same.display(), called.unwrap_err().kind()); }\n";
    for engine in engines() {
        let name = format!("both-{engine}");
        let project = project(&world, &name, &Parts { script, ..Parts::default() });
        let text = format!(
            "[packages.{name}.build-script]\nsockets = [\"/var/run/mysqld/not-there.sock\"]\nnetwork = \"host\"\n"
        );
        policy(&world, &project, &text);
        trust(&world, engine, &project);
        fails(&mut sandbox(&world, engine, &project, "check"), &["do not go together"]);
        // What is not there is not missed.
        policy(&world, &project, &text.replace("network = \"host\"\n", ""));
        trust(&world, engine, &project);
        let output = run(&mut sandbox(&world, engine, &project, "check")).success("check");
        assert!(output.stderr.contains("</run/mysqld NotFound>"), "{}", output.stderr);
        world.stop(engine, &project);
    }
}
