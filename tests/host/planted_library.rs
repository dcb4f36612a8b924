//! A C library that a macro puts into `deps/`, which cargo has first in the `LD_LIBRARY_PATH` of the wrapper.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::planter::planter;
use crate::support::run::run;
use crate::support::tool::Engine;
use crate::support::world::{User, World};
use crate::support::{need, program};

/// A C library with nothing in it but what the loader and a small program look for; the program's start makes a file
/// and goes no further. The path is put in its place.
const LIBRARY: &str = r#"
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
void __libc_early_init(_Bool initial) { (void)initial; }
static void start(void) {
    call(2, (long)"MARK", 0101, 0600);
    call(231, 0, 0, 0);
}
void start_old(void) { start(); }
void start_new(void) { start(); }
__asm__(".symver start_old, __libc_start_main@GLIBC_2.2.5");
__asm__(".symver start_new, __libc_start_main@@GLIBC_2.34");
int execvp(const char *path, char *const arguments[]) { (void)path; (void)arguments; return -1; }
int unsetenv(const char *name) { (void)name; return -1; }
"#;

const VERSIONS: &str = "GLIBC_2.2.5 { global: execvp; unsetenv; };\n\
                        GLIBC_2.34 { };\nGLIBC_PRIVATE { global: __libc_early_init; };\n";

/// A wrapper as it would be written with a C library. What it starts has the variable no more.
const DYNAMIC: &str = r#"
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **arguments) {
    (void)count;
    unsetenv("LD_LIBRARY_PATH");
    return execvp(arguments[1], arguments + 1);
}
"#;

/// `library`, which plants when it is compiled, and a program, which is compiled then.
fn project(world: &World, planted: &Path) -> PathBuf {
    let project = world.work().join("project");
    let manifest = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}\n")
    };
    let write = |path: &str, text: &str| world.write(&project.join(path), text);
    write(
        "Cargo.toml",
        &manifest("project", "[dependencies]\nlibrary = { path = \"library\" }\n[workspace]\n"),
    );
    write("src/main.rs", "fn main() { library::nothing() }\n");
    let depends = "[dependencies]\nplanter = { path = \"../planter\" }\n";
    write("library/Cargo.toml", &manifest("library", depends));
    write("library/src/lib.rs", "planter::plant!();\npub fn nothing() {}\n");
    write("planter/Cargo.toml", &manifest("planter", "[lib]\nproc-macro = true\n"));
    write("planter/src/lib.rs", &planter("libc.so.6"));
    fs::copy(planted, project.join("planter/src/planted.so")).expect("copy");
    project
}

fn scene(user: &User, name: &str) -> Option<(World, PathBuf)> {
    let world = need(World::new(name, user))?;
    let cc = need(program("cc"))?;
    let at = |name: &str| world.home.join(name);
    world.write(&at("library.c"), &LIBRARY.replace("MARK", at("mark").to_str().expect("UTF-8")));
    world.write(&at("versions"), VERSIONS);
    world.write(&at("dynamic.c"), DYNAMIC);
    let script = format!("-Wl,-soname,libc.so.6,--version-script={}", at("versions").display());
    let mut library = Command::new(&cc);
    library.args(["-shared", "-fPIC", "-nostdlib", "-fno-builtin", "-w", &script]);
    run(library.arg(at("library.c")).arg("-o").arg(at("planted.so"))).success("cc");
    run(Command::new(&cc).arg(at("dynamic.c")).arg("-o").arg(at("dynamic"))).success("cc");
    fs::set_permissions(at("dynamic"), fs::Permissions::from_mode(0o755)).expect("mode");
    let project = project(&world, &at("planted.so"));
    Some((world, project))
}

fn is_not_loaded_on_the_host(engine: Engine, user: &User) {
    let Some((world, project)) = scene(user, &format!("planted-library-{engine}")) else { return };
    let mark = world.home.join("mark");
    let mut control = world.plain(&project);
    control.env("RUSTC_WRAPPER", world.home.join("dynamic"));
    // Its library starts nothing, so that cargo finds nothing compiled.
    let output = run(control.env("CARGO_TARGET_DIR", world.home.join("plain")).arg("build"));
    assert!(mark.exists(), "control: a dynamic wrapper loads it: {}", output.stderr);
    fs::remove_file(&mark).expect("the mark");

    for wrapper in [false, true] {
        let (mut command, target) = if wrapper {
            (world.wrapped(engine, &project), project.join("target"))
        } else {
            (world.sandbox(engine, &project), world.status(engine, &project).build_dir)
        };
        let output = run(command.arg("build"));
        assert!(target.join("debug/deps/libc.so.6").exists(), "planted: {}", output.stderr);
        assert!(!mark.exists(), "the library was loaded on the host, {engine}, wrapper alone: {wrapper}");
        // It is loaded in the container: one crate's harm to another's compiler, which cannot start any more, as under
        // plain cargo. The wrapper got as far as to have it started.
        assert_eq!(output.code(), 101, "{}", output.stderr);
        assert!(output.stderr.contains("deps/libc.so.6: version"), "{}", output.stderr);
        assert!(output.stderr.contains("could not compile `project`"), "{}", output.stderr);
    }
    world.stop(engine, &project);
}

#[test]
fn a_library_in_deps_is_not_loaded_on_the_host() {
    for user in [User::ordinary(), User::root()].into_iter().filter_map(need) {
        for engine in Engine::ALL.into_iter().filter_map(|engine| need(engine.here())) {
            is_not_loaded_on_the_host(engine, &user);
        }
    }
}
