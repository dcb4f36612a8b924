//! What goes wrong is said, and what was done is not done twice.

use super::support::run::run;
use super::{engines, package, sandbox, scene, users};

#[test]
fn errors_say_what_happened_and_what_to_do() {
    for (user, engine) in users().into_iter().zip(engines()) {
        let Some((world, server)) = scene("publish-errors", &user) else { return };
        let project = package(&world, "mistaken", "", &[]);
        let publish = ["publish", "--registry", "mine"];

        let none = run(world.sandbox(engine, &project).args(publish));
        assert_eq!(none.code(), 101);
        assert!(none.stderr.contains("there is no token for the registry `mine`"), "{}", none.stderr);
        assert!(none.stderr.contains("hint: `cargo-sandbox login --registry mine`"), "{}", none.stderr);
        assert!(!none.stderr.contains("Compiling"), "nothing was built for nothing: {}", none.stderr);

        let unknown = run(world.sandbox(engine, &project).args(["publish", "--registry", "other"]));
        assert!(unknown.stderr.contains("no registry `other` is configured"), "{}", unknown.stderr);

        let wrong = "fr1_AAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let refused = run(&mut sandbox(&world, engine, &project, wrong, "publish --registry mine"));
        assert_eq!(refused.code(), 101);
        assert!(refused.stderr.contains("The credentials supplied were invalid"), "{}", refused.stderr);
        assert!(refused.stderr.contains("Compiling"), "{}", refused.stderr);
        assert_eq!((server.uploads(), server.published().len()), (1, 0));

        // It was verified then, and is not built again.
        let sent = run(&mut sandbox(&world, engine, &project, &server.token, "publish --registry mine"));
        let sent = sent.success("publish");
        assert!(!sent.stderr.contains("Compiling"), "{}", sent.stderr);
        assert!(sent.stderr.contains("Verified before"), "{}", sent.stderr);
        assert_eq!(server.uploads(), 2);

        let again = run(&mut sandbox(&world, engine, &project, &server.token, "publish --registry mine"));
        assert_eq!(again.code(), 101);
        assert!(again.stderr.contains("already exists"), "{}", again.stderr);
        assert_eq!(server.uploads(), 2, "nothing is sent twice");

        // Another archive is built, whatever was built before.
        world.write(&project.join("src/lib.rs"), "pub fn broken() -> u8 {}\n");
        let broken = run(&mut sandbox(&world, engine, &project, &server.token, "publish --registry mine"));
        assert_ne!(broken.code(), 0);
        assert!(broken.stderr.contains("mismatched types"), "{}", broken.stderr);

        let (index, token) = (server.index(), server.token.clone());
        drop(server);
        let gone = run(&mut sandbox(
            &world,
            engine,
            &project,
            &token,
            "yank --registry mine --version 0.1.0 mistaken",
        ));
        assert_eq!(gone.code(), 101);
        let said = gone.stderr;
        assert!(said.contains("could not be reached") || said.contains("cannot be read"), "{index}: {said}");
        world.stop(engine, &project);
    }
}

#[test]
fn a_dry_run_shows_what_would_be_sent() {
    let Some(user) = users().into_iter().next() else { return };
    let engine = engines().pop().expect("an engine");
    let Some((world, server)) = scene("publish-dry", &user) else { return };
    let files = [("src/lib.rs", "pub fn one() {}\n"), ("deploy.pem", "TOKEN=1\n"), ("notes.txt", "a\n")];
    let project = package(&world, "shown", "", &files);
    let dry = |token: &str| {
        run(&mut sandbox(&world, engine, &project, token, "publish --registry mine --dry-run"))
            .success("dry run")
    };
    // Without a token: nothing is sent.
    let first = dry("").stderr;
    assert!(first.contains("        16  src/lib.rs"), "{first}");
    assert!(first.contains("SHA-256 ") && first.contains("has no version of shown yet"), "{first}");
    assert!(first.contains("warning: `deploy.pem` of shown looks like a key, by its name"), "{first}");
    assert_eq!(server.uploads(), 0);

    run(&mut sandbox(&world, engine, &project, &server.token, "publish --registry mine --no-verify"))
        .success("publish");
    world.write(&project.join("src/lib.rs"), "pub fn one() {}\npub fn two() {}\n");
    world.write(&project.join("more.txt"), "more\n");
    std::fs::remove_file(project.join("notes.txt")).unwrap();
    let manifest = std::fs::read_to_string(project.join("Cargo.toml")).unwrap();
    world.write(&project.join("Cargo.toml"), &manifest.replace("0.1.0", "0.1.1"));
    let second = dry(&server.token).stderr;
    for line in [
        "compared with shown 0.1.0 on the registry:",
        "added    more.txt",
        "changed  src/lib.rs (16 to 32 bytes)",
        "removed  notes.txt",
    ] {
        assert!(second.contains(line), "{line}: {second}");
    }
    world.stop(engine, &project);
}
