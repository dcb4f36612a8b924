//! What a repository or a dependency tries against the wrapper alone: each first works under plain cargo.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use super::support::need;
use super::support::run::run;
use super::support::tool::front_end;
use super::support::world::User;
use super::{everywhere, package, somewhere};

/// Says whether it could write to the user's home directory.
fn writes_home(home: &Path) -> String {
    format!("    let _ = std::fs::write({:?}, \"\");", home.join("was-here"))
}

#[test]
fn a_raw_build_script_of_an_earlier_build_is_not_executed() {
    everywhere("raw", |world, engine| {
        let project = package(world, &writes_home(&world.home));
        let mark = world.home.join("was-here");
        run(world.plain(&project).arg("build")).success("plain cargo build");
        fs::remove_file(&mark).expect("control: plain cargo runs the script on this machine");
        world.write(&project.join("trigger"), "2");
        let again = run(world.plain(&project).arg("build")).success("plain cargo build");
        fs::remove_file(&mark).expect("control: and the same executable again when only its trigger changes");
        assert!(again.stderr.contains("Compiling"));

        world.write(&project.join("trigger"), "3");
        run(world.wrapped(engine, &project).arg("build")).success("with the wrapper");
        assert!(!mark.exists(), "the raw script was executed");
        world.write(&project.join("trigger"), "4");
        run(world.wrapped(engine, &project).arg("build")).success("with the wrapper");
        assert!(!mark.exists());
        // A shim stays one when somebody forgets the wrapper.
        world.write(&project.join("trigger"), "5");
        run(world.plain_with(engine, &project).arg("build")).success("without it");
        assert!(!mark.exists(), "a shim runs its script inside, whoever starts it");
        world.stop(engine, &project);
    });
}

#[test]
fn what_a_raw_script_told_cargo_is_judged_again() {
    somewhere("told", |world, engine| {
        let project = package(world, "    println!(\"cargo::rustc-env=LD_PRELOAD=/nonexistent.so\");");
        run(world.plain(&project).arg("build")).success("control: cargo obeys, and remembers it");
        let output = run(world.wrapped(engine, &project).arg("build"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        assert!(output.stderr.contains("`LD_PRELOAD`"), "{}", output.stderr);
        world.stop(engine, &project);
    });
}

#[test]
fn cargo_writes_through_no_link_in_the_target_directory() {
    somewhere("links", |world, engine| {
        let project = package(world, "    println!(\"cargo::warning=mine\");");
        run(world.plain(&project).arg("build")).success("plain cargo build");
        let victim = world.home.join("victim");
        world.write(&victim, "precious\n");
        let output = super::find(&project.join("target/debug/build"), "output").remove(0);
        fs::remove_file(&output).expect("the script's output");
        symlink(&victim, &output).expect("link");
        world.write(&project.join("trigger"), "2");
        run(world.plain(&project).arg("build")).success("control: cargo build");
        assert!(fs::read_to_string(&victim).expect("victim").contains("warning=mine"), "control");

        world.write(&victim, "precious\n");
        world.write(&project.join("trigger"), "3");
        let built = run(world.wrapped(engine, &project).arg("build"));
        assert_eq!(built.code(), 101, "{}", built.stderr);
        assert!(built.stderr.contains("output` is a symbolic link"), "{}", built.stderr);
        assert_eq!(fs::read_to_string(&victim).expect("victim"), "precious\n");
    });
}

#[test]
fn a_repository_cannot_build_in_another_projects_directory() {
    somewhere("elsewhere", |world, engine| {
        let project = package(world, "");
        let other = super::members(world);
        let build_dir = world.status(engine, &other).build_dir;
        run(world.sandbox(engine, &other).arg("build")).success("another project");
        let theirs = || super::find(&build_dir, "package-").len();
        let text = format!("[build]\nbuild-dir = {:?}\n", build_dir.display().to_string());
        world.write(&project.join(".cargo/config.toml"), &text);
        let output = run(world.wrapped(engine, &project).arg("build"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        assert!(output.stderr.contains("outside of the project"), "{}", output.stderr);
        assert_eq!(theirs(), 0);
        run(world.plain(&project).arg("build")).success("control: cargo builds there");
        assert!(theirs() > 0, "control");
        world.stop(engine, &other);
    });
}

/// A repository's `[env]` reaches every process that cargo starts, from the first question to the compiler on.
#[test]
fn no_variable_leads_the_wrapper_anywhere() {
    everywhere("variables", |world, engine| {
        let project = package(world, "");
        let evil = world.home.join("evil");
        let names =
            ["HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "TMPDIR", "CARGO_SANDBOX_HOME", "LD_LIBRARY_PATH"];
        let mut text = String::from("[env]\n");
        for name in names {
            text += &format!("{name} = {{ value = {:?}, force = true }}\n", evil.display().to_string());
        }
        text += &format!("PATH = {{ value = \"{}:/usr/bin:/bin\", force = true }}\n", evil.display());
        text += "CARGO_SANDBOX_ENGINE = { value = \"none\", force = true }\n";
        text += "DOCKER_HOST = { value = \"unix:///nonexistent\", force = true }\n";
        world.write(&project.join(".cargo/config.toml"), &text);
        world.write(&evil.join("note"), "");

        // Control: a wrapper that believes its variables.
        let believes = world.home.join("believes");
        let said = world.home.join("said");
        let script =
            format!("#!/bin/sh\necho $HOME $CARGO_SANDBOX_HOME >> {}\nexec \"$@\"\n", said.display());
        world.write(&believes, &script);
        fs::set_permissions(&believes, fs::Permissions::from_mode(0o755)).expect("mode");
        let mut control = world.plain(&project);
        control.env("RUSTC_WRAPPER", &believes).env("RUSTC", world.toolchain.join("bin/rustc")).arg("check");
        run(&mut control).success("control: cargo check");
        let said = fs::read_to_string(&said).expect("control: the wrapper was started");
        assert!(said.starts_with(&format!("{0} {0}\n", evil.display())), "control: {said}");
        fs::remove_dir_all(project.join("target")).expect("target");

        run(world.wrapped(engine, &project).arg("build").env("RUSTC", world.toolchain.join("bin/rustc")))
            .success("the build goes on as the user's own environment says");
        assert_eq!(fs::read_dir(&evil).expect("evil").count(), 1, "nothing was made there");
        assert_eq!(world.status(engine, &project).running.len(), 1, "in the user's own directories");
        world.stop(engine, &project);
    });
}

#[test]
fn jobs_see_no_secret_of_cargos_environment() {
    everywhere("secrets", |world, engine| {
        let script = "    for name in [\"GITHUB_TOKEN\", \"MY_SETTING\", \"RUST_BACKTRACE\"] {\n        \
                      println!(\"cargo::warning={name} {:?}\", std::env::var(name).ok());\n    }";
        let project = package(world, script);
        let build = |mut command: std::process::Command| {
            command
                .arg("build")
                .env("GITHUB_TOKEN", "not-real")
                .env("MY_SETTING", "1")
                .env("RUST_BACKTRACE", "0");
            run(&mut command).success("cargo build").stderr
        };
        let plain = build(world.plain(&project));
        assert!(plain.contains("GITHUB_TOKEN Some(\"not-real\")"), "control: {plain}");
        let wrapped = build(world.wrapped(engine, &project));
        assert!(wrapped.contains("GITHUB_TOKEN None") && wrapped.contains("MY_SETTING None"), "{wrapped}");
        assert!(wrapped.contains("RUST_BACKTRACE Some(\"0\")"), "{wrapped}");
        world.stop(engine, &project);
    });
}

/// The name under which a broker listens can be taken by anybody who knows it; another user's is not spoken to.
#[test]
fn another_users_socket_is_no_broker() {
    let (Some(root), Some(user)) = (need(User::root()), need(User::ordinary())) else { return };
    if root == user {
        return;
    }
    somewhere("squatter", |world, _| {
        let stat = fs::read("/proc/self/stat").expect("stat");
        let stat = cargo_sandbox::caller::Stat::parse(&stat).expect("the kernel's form");
        let name = cargo_sandbox::caller::Name::new(user.uid, &stat).expect("a name");
        let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("an address");
        let _listener = UnixListener::bind_addr(&address).expect("the name is free");
        // This process is in the place of cargo.
        let output = run(&mut world.command(front_end().with_file_name("cargo-sandbox-rustc")));
        assert_eq!(output.code(), 101);
        assert!(output.stderr.contains("another user listens"), "{}", output.stderr);
    });
}

#[test]
fn a_wrapper_that_no_cargo_started_says_so() {
    somewhere("alone", |world, _| {
        let wrapper = front_end().with_file_name("cargo-sandbox-rustc");
        let output = run(world.command("sh").arg("-c").arg(format!("{}; exit $?", wrapper.display())));
        assert_eq!(output.code(), 101);
        assert!(output.stderr.contains("which is no toolchain's cargo"), "{}", output.stderr);
    });
}
