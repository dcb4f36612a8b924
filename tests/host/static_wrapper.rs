//! No loader and no variable has a say in the wrapper.
//!
//! `cargo::rustc-env=` sets any variable in its process and cargo itself puts `deps/` first in its
//! `LD_LIBRARY_PATH`, so a dynamic wrapper would run a dependency's code on the host.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::elf::{Loading, loading};
use crate::support::run::{run, spawn};
use crate::support::{need, program};

const WRAPPER: &str = env!("CARGO_BIN_EXE_cargo-sandbox-rustc");

/// Says that it was loaded by writing a file.
const LOADED: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) {
    const char *path = getenv("MARKER");
    int file = path ? open(path, O_CREAT | O_WRONLY, 0600) : -1;
    if (file >= 0) close(file);
}
"#;

#[test]
fn it_asks_for_no_loader_and_no_library() {
    assert_eq!(loading(Path::new(WRAPPER)), Loading { interpreter: false, dynamic: false });
    // The question is answered as it should for a program that does ask.
    let front_end = Path::new(env!("CARGO_BIN_EXE_cargo-sandbox"));
    assert_eq!(loading(front_end), Loading { interpreter: true, dynamic: true });
}

#[test]
fn planted_libraries_are_not_loaded() {
    let Some(cc) = need(program("cc")) else { return };
    let dir = tempfile::tempdir().expect("temporary directory");
    let at = |name: &str| dir.path().join(name);
    let compile = |arguments: &[&str], inputs: &[PathBuf], output: &Path| {
        run(Command::new(&cc).args(arguments).args(inputs).arg("-o").arg(output)).success("cc");
    };
    std::fs::write(at("loaded.c"), LOADED).expect("write");
    std::fs::write(at("main.c"), "int main(void) { return 0; }\n").expect("write");
    compile(&["-shared", "-fPIC"], &[at("loaded.c")], &at("preload.so"));
    std::fs::write(at("empty.c"), "").expect("write");
    let planted = at("planted");
    std::fs::create_dir(&planted).expect("directory");
    let (libgcc, libc) = (planted.join("libgcc_s.so.1"), planted.join("libc.so.6"));
    compile(&["-shared", "-fPIC", "-Wl,-soname,libgcc_s.so.1"], &[at("loaded.c")], &libgcc);
    compile(&["-Wl,--no-as-needed"], &[at("main.c"), libgcc.clone()], &at("dynamic"));

    let marker = at("marker");
    let loads = |program: &Path, variable: &str, value: &Path| {
        let _ = std::fs::remove_file(&marker);
        let mut command = Command::new(program);
        command.env_clear().env("MARKER", &marker).env(variable, value);
        // The wrapper finds no broker here and says so; nothing of interest would take it longer.
        let output = spawn(command.current_dir(dir.path())).wait(Duration::from_secs(10));
        (marker.exists(), output.code())
    };
    let wrapper = Path::new(WRAPPER);
    let dynamic = at("dynamic");
    let (_, undisturbed) = loads(wrapper, "IGNORED", Path::new("1"));

    assert_eq!(loads(&dynamic, "LD_PRELOAD", &at("preload.so")), (true, 0), "control");
    assert_eq!(loads(wrapper, "LD_PRELOAD", &at("preload.so")), (false, undisturbed));

    assert_eq!(loads(&dynamic, "LD_LIBRARY_PATH", &planted), (true, 0), "control");
    assert_eq!(loads(wrapper, "LD_LIBRARY_PATH", &planted), (false, undisturbed));

    // A C library without anything in it: a program that loads it cannot start.
    compile(&["-shared", "-nostdlib", "-Wl,-soname,libc.so.6"], &[at("empty.c")], &libc);
    assert_ne!(loads(&dynamic, "LD_LIBRARY_PATH", &planted).1, 0, "control");
    assert_eq!(loads(wrapper, "LD_LIBRARY_PATH", &planted), (false, undisturbed));

    let audit = at("preload.so");
    assert_eq!(loads(wrapper, "LD_AUDIT", &audit), (false, undisturbed));
    assert_eq!(loads(wrapper, "GLIBC_TUNABLES", Path::new("glibc.rtld.execstack=2")), (false, undisturbed));
}
