//! During a build the host executes cargo, the wrapper and nothing of the project's.
//!
//! The trace follows the front end with everything it starts. The container is warm before, started by an
//! earlier command, so its processes are not among them: what the trace sees is the host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::run::run;
use crate::support::tool::{Engine, front_end};
use crate::support::world::{User, World};
use crate::support::{need, program};

/// A project in which everything runs that can: build scripts with and without a name of their own, a proc
/// macro. It needs no registry.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/members");

/// The files that were executed, from a trace.
fn executed(trace: &Path) -> BTreeSet<PathBuf> {
    let text = fs::read_to_string(trace).unwrap_or_else(|error| panic!("{}: {error}", trace.display()));
    // 1234 execve("/path", …) = 0, or in two lines when another process came between; a call that failed
    // (a search along PATH) executed nothing.
    let mut started = std::collections::BTreeMap::new();
    let mut executed = BTreeSet::new();
    for line in text.lines() {
        let (process, call) = line.trim_start().split_once(' ').unwrap_or((line, ""));
        if call.contains("execve(\"") || call.contains("execveat(") {
            let path = call.split('"').nth(1).unwrap_or_else(|| panic!("no path in {line}"));
            started.insert(process.to_owned(), PathBuf::from(path));
        } else if !call.contains("execve resumed") && !call.contains("execveat resumed") {
            continue;
        }
        if call.trim_end().ends_with("= 0")
            && let Some(path) = started.remove(process)
        {
            executed.insert(path);
        }
    }
    executed
}

#[test]
fn both_forms_of_a_trace_are_read() {
    let trace = std::env::temp_dir().join(format!("csb-trace-{}", std::process::id()));
    let text = "1 execve(\"/bin/a\", [\"a\"], 0x7 /* 3 vars */) = 0\n\
                2 execve(\"/no/b\", [\"b\"], 0x7 /* 3 vars */) = -1 ENOENT (No such file or directory)\n\
                3 execve(\"/bin/c\", [\"c\"], 0x7 /* 3 vars */ <unfinished ...>\n\
                1 +++ exited with 0 +++\n\
                3 <... execve resumed>)             = 0\n";
    fs::write(&trace, text).expect("write");
    let expected: BTreeSet<_> = ["/bin/a", "/bin/c"].iter().map(PathBuf::from).collect();
    assert_eq!(executed(&trace), expected);
    fs::remove_file(&trace).expect("remove");
}

/// Has every unit compiled and every script run anew, without a new container.
fn change_everything(world: &World, project: &Path) {
    for file in ["app/src/main.rs", "derive/src/lib.rs", "library/src/lib.rs", "scripted/make-word.rs"] {
        let path = project.join(file);
        let text = fs::read_to_string(&path).expect("fixture");
        world.write(&path, &format!("{text}// changed\n"));
    }
}

fn strace(log: &Path) -> Result<Vec<String>, String> {
    let strace = program("strace")?.display().to_string();
    let options = ["-f", "-qq", "-s", "4096", "-e", "trace=execve,execveat", "-e", "signal=none", "-o"];
    let mut command = vec![strace];
    command.extend(options.map(String::from));
    command.push(log.display().to_string());
    Ok(command)
}

/// Plain cargo executes rustc and the build script: the trace would show it.
fn control(world: &World, project: &Path) {
    let log = world.home.join("trace-plain");
    let Some(strace) = need(strace(&log)) else { return };
    let mut command = world.command(&strace[0]);
    command.args(&strace[1..]).arg(world.cargo()).arg("build").current_dir(project);
    run(command.env("CARGO_TARGET_DIR", world.home.join("target-plain"))).success("cargo build under strace");
    let executed = executed(&log);
    let script = executed.iter().any(|path| path.ends_with("build-script-make-word"));
    assert!(script, "the trace of plain cargo shows no build script: {executed:#?}");
    assert!(executed.contains(&world.toolchain.join("bin/rustc")), "{executed:#?}");
}

/// Who starts cargo.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// The front end.
    Sandbox,
    /// The user, with the installed wrapper.
    Wrapper,
}

fn host_executes_only(engine: Engine, user: &User, way: Way) {
    let name = format!("executed-{engine}-{way:?}");
    let under = |world: &World, project: &Path, above: &[&str]| match way {
        Way::Sandbox => world.sandbox_under(engine, project, above),
        Way::Wrapper => world.wrapped_under(engine, project, above),
    };
    let Some(world) = need(World::new(&name, user)) else { return };
    let project = world.work().join("members");
    world.copy(Path::new(FIXTURE), &project);
    let log = world.home.join("trace");
    let Some(strace) = need(strace(&log)) else { return };
    control(&world, &project);

    run(under(&world, &project, &[]).arg("build")).success("the build that warms the container");
    let warm = world.status(engine, &project).running;
    assert_eq!(warm.len(), 1, "one warm container");
    change_everything(&world, &project);
    let above: Vec<_> = strace.iter().map(String::as_str).collect();
    let output = run(under(&world, &project, &above).args(["build", "-v"]));
    let output = output.success("the build under strace");
    for unit in ["app", "derive", "library", "scripted"] {
        assert!(
            output.stderr.contains(&format!("Compiling {unit} ")),
            "{unit} was not compiled:\n{}",
            output.stderr
        );
    }
    assert_eq!(world.status(engine, &project).running, warm, "the trace began with a warm container");

    let front_end = front_end();
    let wrapper = front_end.with_file_name("cargo-sandbox-rustc");
    let wrapper_bytes = fs::read(&wrapper).expect("wrapper");
    let own = [front_end, wrapper.clone(), world.cargo()];
    let compilers = ["rustc", "rustdoc", "cc", "gcc", "ld", "collect2"];
    let mut wrapped = 0;
    for path in executed(&log) {
        // What cargo calls a build script is a link to a shim; what counts is the file behind it.
        let file = fs::canonicalize(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is_wrapper = fs::read(&file).is_ok_and(|bytes| bytes == wrapper_bytes);
        wrapped += usize::from(is_wrapper);
        let compiler =
            file.file_name().is_some_and(|name| compilers.iter().any(|compiler| name == *compiler));
        let system = file.starts_with("/usr") && !compiler;
        let shim = file.starts_with(world.state()) && shim_directory(&file) && small_and_static(&file);
        let allowed = own.contains(&path) || own.contains(&file) || is_wrapper || shim || system;
        assert!(allowed, "the host executed {} ({})", path.display(), file.display());
    }
    assert!(wrapped > 0, "the trace shows no wrapper: nothing was compiled?");
    world.stop(engine, &project);
}

fn shim_directory(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "shims")
}

/// A build script's own executable is dynamic and has megabytes: a shim that is neither cannot be one.
fn small_and_static(file: &Path) -> bool {
    let bytes = fs::read(file).expect("readable");
    let elf = bytes.starts_with(b"\x7fELF");
    bytes.len() < 256 << 10 && (!elf || !crate::support::elf::loading(file).interpreter)
}

#[test]
fn native_engine() {
    let Some(user) = need(User::ordinary()) else { return };
    host_executes_only(Engine::Native, &user, Way::Sandbox);
}

#[test]
fn native_engine_as_root() {
    let Some(user) = need(User::root()) else { return };
    host_executes_only(Engine::Native, &user, Way::Sandbox);
}

#[test]
fn docker_engine() {
    let Some(engine) = need(Engine::Docker.here()) else { return };
    let Some(user) = need(User::ordinary()) else { return };
    host_executes_only(engine, &user, Way::Sandbox);
}

#[test]
fn plain_cargo_with_the_wrapper() {
    let Some(user) = need(User::ordinary()) else { return };
    for engine in Engine::ALL.into_iter().filter_map(|engine| need(engine.here())) {
        host_executes_only(engine, &user, Way::Wrapper);
    }
}

#[test]
fn plain_cargo_with_the_wrapper_as_root() {
    let Some(user) = need(User::root()) else { return };
    host_executes_only(Engine::Native, &user, Way::Wrapper);
}
