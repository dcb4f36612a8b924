//! A library that a macro puts into `deps/`, which cargo and nextest name first in the `LD_LIBRARY_PATH` of what they
//! start. The tools have a loader: none of them may be started that way on this machine.

use super::*;

/// Is the real one to all that load it, and makes a file when it is loaded by the tool. Both paths are put in their places.
const LIBRARY: &str = r#"
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
__attribute__((constructor)) static void start(void) {
    const char tool[] = "/cargo-TOOL";
    char own[4096];
    long length = call(89, (long)"/proc/self/exe", (long)own, sizeof own);
    long at = length - (long)(sizeof tool - 1);
    if (at < 0) return;
    for (int i = 0; tool[i]; i++) if (own[at + i] != tool[i]) return;
    call(2, (long)"MARK", 0101, 0600);
}
"#;

/// Whoever needs the real one looks for one of these in it.
const VERSIONS: [&str; 8] =
    ["GCC_3.0", "GCC_3.3", "GCC_3.3.1", "GCC_3.4", "GCC_3.4.2", "GCC_4.0.0", "GCC_4.2.0", "GCC_4.3.0"];

/// Compiles the library; a tool that loads it leaves `mark`.
fn library(world: &World, tool: &str, mark: &Path) -> Option<PathBuf> {
    let cc = need(support::program("cc"))?;
    let at = |name: &str| world.home.join(name);
    world.write(&at("empty.c"), "");
    world.write(
        &at("library.c"),
        &LIBRARY.replace("TOOL", tool).replace("MARK", mark.to_str().expect("UTF-8")),
    );
    world.write(&at("versions"), &VERSIONS.map(|version| format!("{version} {{ }};\n")).concat());
    let compile = |name: &str, more: &[&str]| {
        let mut compile = Command::new(&cc);
        compile
            .args(["-shared", "-fPIC", "-nostdlib", "-fno-builtin", "-w", "-Wl,--no-as-needed"])
            .args(more);
        run(compile.arg("-o").arg(at(name))).success("cc");
        at(name)
    };
    let real = run(Command::new(&cc).arg("-print-file-name=libgcc_s.so.1")).success("cc").stdout;
    let real = fs::canonicalize(real.trim()).expect("the compiler's library");
    // So that the real one is needed by its whole path.
    let stand_in = compile(
        "stand-in.so",
        &[at("empty.c").to_str().expect("UTF-8"), &format!("-Wl,-soname,{}", real.display())],
    );
    let script = format!("-Wl,-soname,libgcc_s.so.1,--version-script={}", at("versions").display());
    let [source, stand_in] = [at("library.c"), stand_in].map(|path| path.to_str().expect("UTF-8").to_owned());
    Some(compile("planted.so", &[&script, &source, &stand_in]))
}

/// A package whose dependency plants when it is compiled.
fn project(world: &World, library: &Path) -> PathBuf {
    let manifest = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}\n")
    };
    let source = "pub fn nothing() { between::nothing() }\n#[test] fn one() {}\n";
    let depends = "[dependencies]\nbetween = { path = \"between\" }\n";
    let project = package(world, "loading", depends, &[("src/lib.rs", source)]);
    let write = |path: &str, text: &str| world.write(&project.join(path), text);
    let planter = "[dependencies]\nplanter = { path = \"../planter\" }\n";
    write("between/Cargo.toml", &manifest("between", planter));
    write("between/src/lib.rs", "planter::plant!();\npub fn nothing() {}\n");
    write("planter/Cargo.toml", &manifest("planter", "[lib]\nproc-macro = true\n"));
    write("planter/src/lib.rs", &support::planter::planter("libgcc_s.so.1"));
    fs::copy(library, project.join("planter/src/planted.so")).expect("copy");
    project
}

#[test]
fn a_library_that_a_macro_plants_is_not_loaded_by_a_tool() {
    for (tool, line) in [
        // It starts itself before each test.
        ("nextest", "nextest run"),
        // They have themselves started before the compiler.
        ("expand", "expand"),
        ("llvm-cov", "llvm-cov --no-report"),
    ] {
        // The host's part is the same for both engines.
        for world in native_worlds(&format!("library-{tool}"), &[tool]) {
            let engine = Engine::Native;
            // Where cargo's own domain may write, and no job.
            let mark = world.work().join("loading/mark");
            let Some(library) = library(&world, tool, &mark) else { return };
            let project = project(&world, &library);
            // Only looked for: nothing is reported.
            let with_tools = |mut command: Command| {
                run(command.env("LLVM_COV", "/bin/true").env("LLVM_PROFDATA", "/bin/true")).success(line)
            };
            let output = with_tools(plain(&world, &project, line));
            assert!(left(&mark), "control: cargo {line} loads it on this machine: {}", output.stderr);

            let output = with_tools(sandbox(&world, engine, &project, line));
            let build = world.status(engine, &project).build_dir;
            let places = ["debug/deps", "llvm-cov-target/debug/deps"].map(|place| build.join(place));
            let planted = |place: &PathBuf| place.join("libgcc_s.so.1").exists();
            assert!(places.iter().any(planted), "planted: {}", output.stderr);
            assert!(!left(&mark), "{line}: {}", output.stderr);
            world.stop(engine, &project);
        }
    }
}
