//! `owner`, `yank`, `login`, `logout`, and where tokens come from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::server::Server;
use super::support::run::{run, run_with};
use super::support::world::World;
use super::support::{need, program};
use super::{engines, package, sandbox, scene, users};

#[test]
fn owners_and_yanked_versions() {
    for (user, engine) in users().into_iter().zip(engines()) {
        let Some((world, server)) = scene("publish-owner", &user) else { return };
        let project = package(&world, "owned", "", &[]);
        let on =
            |directory, token: &str, line: &str| run(&mut sandbox(&world, engine, directory, token, line));
        on(&project, &server.token, "publish --registry mine --no-verify").success("publish");

        // Somebody else may nothing, and the registry says so.
        let refused = on(&project, &server.other, "yank --registry mine --version 0.1.0 owned");
        assert_eq!(refused.code(), 101);
        assert!(refused.stderr.contains("not allowed to perform"), "{}", refused.stderr);
        on(&project, &server.token, "owner --registry mine --add bob owned").success("owner --add");
        on(&project, &server.other, "yank --registry mine --version 0.1.0").success("yank");
        assert!(server.index_entry("owned").contains("\"yanked\":true"), "{}", server.index_entry("owned"));
        // Where there is no project, the crate is named.
        let elsewhere = world.work();
        on(&elsewhere, &server.other, "yank --registry mine owned@0.1.0 --undo").success("yank --undo");
        assert!(server.index_entry("owned").contains("\"yanked\":false"));
        on(&elsewhere, &server.token, "owner --registry mine --remove bob owned").success("owner --remove");
        let refused = on(&elsewhere, &server.other, "yank --registry mine --version 0.1.0 owned");
        assert_ne!(refused.code(), 0);
        on(&elsewhere, &server.token, "owner --registry mine --list owned").success("owner --list");
        world.stop(engine, &project);
    }
}

#[test]
fn a_token_that_was_logged_in_is_kept_where_cargo_keeps_it() {
    for (user, engine) in users().into_iter().zip(engines()) {
        let Some((world, server)) = scene("publish-login", &user) else { return };
        let project = package(&world, "logged", "", &[]);
        let file = world.home.join(".cargo/credentials.toml");
        // In cargo's own words, and as cargo asks the registry where tokens are to be had.
        let line = ["login", "--registry", "mine"];
        let input = format!("{}\n", server.token);
        let by_cargo = run_with(world.plain(&project).args(line), Some(&input)).success("cargo login");
        fs::remove_file(&file).expect("control: cargo keeps it there");
        let asked = |server: &Server| server.requests().len();
        let before = asked(&server);
        let login = run_with(world.sandbox(engine, &project).args(line), Some(&input)).success("login");
        assert_eq!((login.stdout, login.stderr), (by_cargo.stdout, by_cargo.stderr));
        assert_eq!(server.requests()[before..], ["GET /index/config.json"]);
        fs::remove_file(&file).expect("it is kept there");
        let empty = run(world.sandbox(engine, &project).args(line));
        assert_eq!(empty.code(), 101);
        assert!(empty.stderr.contains("please provide a non-empty token"), "{}", empty.stderr);
        let login = run(world.sandbox(engine, &project).args(line).arg(&server.token)).success("login");
        assert!(login.stderr.contains("`cargo login <token>` is deprecated"), "{}", login.stderr);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // cargo itself finds it there.
        assert!(fs::read_to_string(&file).unwrap().contains(&format!("token = \"{}\"", server.token)));
        run(world.sandbox(engine, &project).args(["publish", "--registry", "mine", "--no-verify"]))
            .success("publish");
        run(world.plain(&project).args(["yank", "--registry", "mine", "--version", "0.1.0"]))
            .success("cargo yank");
        let line = ["logout", "--registry", "mine"];
        let kept = fs::read_to_string(&file).unwrap();
        let by_cargo = run(world.plain(&project).args(line)).success("cargo logout");
        world.write(&file, &kept);
        let logout = run(world.sandbox(engine, &project).args(line)).success("logout");
        assert_eq!(logout.stderr, by_cargo.stderr);
        let by_cargo = run(world.plain(&project).args(line)).success("cargo logout");
        let nothing = run(world.sandbox(engine, &project).args(line)).success("logout");
        assert_eq!(nothing.stderr, by_cargo.stderr);
        let left =
            run(world.sandbox(engine, &project).args(["yank", "--registry", "mine", "--version", "0.1.0"]));
        assert_eq!(left.code(), 101);
        assert!(left.stderr.contains("no token for the registry `mine`"), "{}", left.stderr);
    }
}

/// Providers of the user's own configuration give tokens; what one is asked shows what for.
#[test]
fn the_users_own_credential_providers_are_asked() {
    let Some(user) = users().into_iter().next() else { return };
    let engine = engines().pop().expect("an engine");
    let Some((world, server)) = scene("publish-provider", &user) else { return };
    let log = world.home.join("asked");
    let provider = world.home.join("provider");
    world.write(
        &provider,
        &format!(
            "#!/bin/sh\necho '{{\"v\":[1]}}'\nwhile read -r line; do\n  echo \"$line\" >> {}\n  \
             echo '{{\"Ok\":{{\"kind\":\"get\",\"token\":\"{}\",\"cache\":\"never\",\"operation_independent\":false}}}}'\ndone\n",
            log.display(),
            server.token
        ),
    );
    let print = world.home.join("print-token");
    world.write(&print, &format!("#!/bin/sh\necho {}\n", server.token));
    for program in [&provider, &print] {
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let config = fs::read_to_string(world.home.join(".cargo/config.toml")).unwrap();
    let with = |world: &World, providers: &str| {
        world.write(
            &world.home.join(".cargo/config.toml"),
            &format!("{config}[registry]\nglobal-credential-providers = [{providers}]\n"),
        );
    };
    let publish = |name: &str| {
        let project = package(&world, name, "", &[]);
        let output =
            run(world.sandbox(engine, &project).args(["publish", "--registry", "mine", "--no-verify"]));
        output.success(name);
    };
    with(&world, &format!("\"{}\"", provider.display()));
    publish("provided");
    let asked = fs::read_to_string(&log).unwrap();
    assert!(asked.contains("\"operation\":\"publish\",\"name\":\"provided\",\"vers\":\"0.1.0\""), "{asked}");
    with(&world, &format!("\"cargo:token-from-stdout {}\"", print.display()));
    publish("printed");
    assert_eq!(server.published(), ["printed", "provided"]);
}

/// cargo itself puts the token into a real keyring, which has a session of its own here.
#[test]
fn a_token_in_the_keyring_is_found() {
    let Some(user) = users().into_iter().next() else { return };
    let engine = engines().pop().expect("an engine");
    for tool in ["dbus-run-session", "gnome-keyring-daemon", "secret-tool"] {
        if need(program(tool)).is_none() {
            return;
        }
    }
    let Some((world, server)) = scene("publish-keyring", &user) else { return };
    let project = package(&world, "kept", "", &[]);
    let config = fs::read_to_string(world.home.join(".cargo/config.toml")).unwrap();
    let providers = "[registry]\nglobal-credential-providers = [\"cargo:libsecret\"]\n";
    world.write(&world.home.join(".cargo/config.toml"), &format!("{config}{providers}"));
    let session = world.home.join("run");
    world.write(&session.join("note"), "");
    fs::set_permissions(&session, fs::Permissions::from_mode(0o700)).unwrap();
    let login = "echo password | gnome-keyring-daemon --unlock --components=secrets > /dev/null && echo \"$1\" | \"$2\" login \
                 --registry mine && shift 2 && exec \"$@\"";
    let cargo = world.cargo().display().to_string();
    let above = ["dbus-run-session", "--", "sh", "-c", login, "sh", &server.token, &cargo];
    let mut publish = world.sandbox_under(engine, &project, &above);
    publish.args(["publish", "--registry", "mine", "--no-verify"]).env("XDG_RUNTIME_DIR", &session);
    run(&mut publish).success("publish with the keyring's token");
    assert_eq!(server.published(), ["kept"]);
    assert!(!world.home.join(".cargo/credentials.toml").exists(), "the keyring alone has it");
    world.stop(engine, &project);
}
