//! What build scripts are in the habit of doing: with the same result as under cargo.

use super::support::line;
use super::support::run::run;
use super::{each_engine, package};

/// Each habit leaves a line, which the program prints.
const HABITS: &str = r##"use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

fn var(name: &str) -> String { std::env::var(name).unwrap() }

/// Runs it to its success; what it said.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{said}{complained}");
    assert!(!complained.contains("jobserver"), "{command:?}\n{complained}");
    said.into_owned()
}

fn in_dir(program: impl AsRef<std::ffi::OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir);
    command
}

/// As autocfg does: compiles bits of Rust, by the wrappers that the variables name, and sees what fails.
fn probe(out: &Path, code: &str) -> bool {
    let wrappers = ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"].map(std::env::var_os);
    let mut words: Vec<_> = wrappers.into_iter().flatten().filter(|word| !word.is_empty()).collect();
    words.push(std::env::var_os("RUSTC").unwrap());
    let mut rustc = Command::new(&words[0]);
    rustc.args(&words[1..]).args(["--crate-name", "probe", "--crate-type=lib", "--emit=metadata", "--out-dir"]);
    rustc.arg(out).arg("--target").arg(var("TARGET")).arg("-").stdin(std::process::Stdio::piped());
    let mut child = rustc.stderr(std::process::Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), code.as_bytes()).unwrap();
    drop(child.stdin.take());
    child.wait().unwrap().success()
}

fn main() {
    let source = PathBuf::from(var("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(var("OUT_DIR"));
    let mut lines = Vec::new();
    let mut say = |name: &str, text: String| lines.push(format!("{name}: {}", text.trim()));

    say("probe", format!("{} {}", probe(&out, "pub fn f() -> u8 { 1 }"), probe(&out, "pub fn f() -> u8 { no }")));
    say("wrapper", format!("{:?}", std::env::var_os("RUSTC_WRAPPER").filter(|value| !value.is_empty())));

    say("called", format!("{} {}", var("RUSTC"), var("RUSTDOC")));
    say("path", var("PATH"));

    // The processors and their caches, as autoconf's macros and allocators look them up.
    let processors = Path::new("/sys/devices/system/cpu");
    let caches = |cpu: &str| fs::read_dir(processors.join(cpu).join("cache")).map_or(0, |entries| entries.count());
    say("processors", format!("{} {}", fs::read_to_string(processors.join("online")).unwrap().trim(), caches("cpu0")));

    // What fontconfig starts from.
    say("fonts", fs::read_to_string("/etc/fonts/fonts.conf").map_or(0, |text| text.len()).to_string());

    // A cargo below, with a build script of its own, in a directory that is written for it.
    let nested = out.join("nested");
    fs::create_dir_all(nested.join("src")).unwrap();
    fs::write(nested.join("Cargo.toml"), "[package]\nname = \"nested\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n").unwrap();
    fs::write(nested.join("build.rs"), "fn main() { println!(\"cargo:rustc-env=SAW={}\", std::env::var_os(\"MARK\").is_some_and(|mark| std::fs::write(mark, \"\").is_ok())); }").unwrap();
    fs::write(nested.join("src/main.rs"), "fn main() { println!(\"nested {}\", env!(\"SAW\")); }").unwrap();
    let mut cargo = in_dir(var("CARGO"), &nested);
    cargo.args(["build", "--quiet", "--offline"]).env("CARGO_TARGET_DIR", out.join("nested-target"));
    run(cargo.env("MARK", var("HABIT_MARK")).env_remove("CARGO_ENCODED_RUSTFLAGS"));
    // What it saw is what differs: it has the rights of this script.
    let saw = run(&mut Command::new(out.join("nested-target/debug/nested")));
    println!("cargo::warning=<{}>", saw.trim());
    say("nested cargo", saw.split(' ').next().unwrap().to_owned());

    // Makefiles, with cargo's jobserver; cc with more than one file.
    let c = out.join("c");
    fs::create_dir_all(&c).unwrap();
    for name in ["one", "two", "three"] {
        fs::write(c.join(format!("{name}.c")), format!("int {name}(void) {{ return {}; }}\n", name.len())).unwrap();
    }
    fs::write(c.join("Makefile"), "all: libhabits.a\nlibhabits.a: one.o two.o three.o\n\tar rcs $@ $^\n%.o: %.c\n\tcc -c $< -o $@\nflags:\n\t@echo $(MAKEFLAGS)\n").unwrap();
    let mut make = in_dir("make", &c);
    run(make.env("MAKEFLAGS", var("CARGO_MAKEFLAGS")));
    say("make", c.join("libhabits.a").is_file().to_string());
    let flags = run(in_dir("make", &c).arg("flags").env("MAKEFLAGS", var("CARGO_MAKEFLAGS")));
    say("jobserver", flags.contains("--jobserver").to_string());

    fs::write(c.join("configure"), "#!/bin/sh\necho 'int main(void) { return 0; }' > conftest.c\ncc -o conftest conftest.c && ./conftest && echo works > config.log\n").unwrap();
    fs::set_permissions(c.join("configure"), fs::Permissions::from_mode(0o755)).unwrap();
    run(&mut in_dir("./configure", &c));
    say("configure", fs::read_to_string(c.join("config.log")).unwrap());

    fs::write(c.join("CMakeLists.txt"), "cmake_minimum_required(VERSION 3.13)\nproject(c C)\nadd_library(made STATIC one.c two.c)\n").unwrap();
    run(in_dir("cmake", &c).args(["-S", ".", "-B", "cmake-build"]));
    run(in_dir("cmake", &c).args(["--build", "cmake-build"]).env("MAKEFLAGS", var("CARGO_MAKEFLAGS")));
    say("cmake", c.join("cmake-build/libmade.a").is_file().to_string());

    // A library under several names, and a link out of OUT_DIR to the package's own headers.
    run(in_dir("cc", &c).args(["-shared", "-fPIC", "-o", "libhabit.so.1", "one.c"]));
    let _again = fs::remove_file(c.join("libhabit.so"));
    symlink("libhabit.so.1", c.join("libhabit.so")).unwrap();
    let _again = fs::remove_file(out.join("include"));
    symlink(source.join("include"), out.join("include")).unwrap();
    run(in_dir("cc", &c).args(["-I../include", "-include", "habit.h", "-c", "two.c", "-o", "linked.o"]));
    println!("cargo:rustc-link-search=native={}", c.display());
    println!("cargo:rustc-link-lib=static=habits");
    say("links", format!("{:?} {}", fs::read_link(c.join("libhabit.so")).unwrap(), out.join("include/habit.h").is_file()));

    // A file that nobody may write is copied, made writable and changed.
    let copy = out.join("template.txt");
    let _again = fs::remove_file(&copy);
    fs::copy(source.join("template.txt"), &copy).unwrap();
    let mode = fs::metadata(&copy).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&copy, fs::read_to_string(&copy).unwrap() + " filled").unwrap();
    say("read-only", format!("{mode:o} {}", fs::read_to_string(&copy).unwrap()));

    println!("cargo::warning=<offline {:?}>", std::env::var_os("CARGO_NET_OFFLINE"));
    fs::write(out.join("habits.txt"), lines.join("\n")).unwrap();
}
"##;

const PROGRAM: &str = "unsafe extern \"C\" { safe fn one() -> i32; safe fn three() -> i32; }\n\
                       fn main() { println!(\"{}\\nlinked {} {}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/habits.txt\")), \
                       one(), three()); }\n";

#[test]
fn habits_have_the_same_result_as_under_cargo() {
    each_engine("script-habits", |world, engine| {
        let mark = world.home.join("nested-was-here");
        let script = HABITS.replace("var(\"HABIT_MARK\")", &format!("{mark:?}"));
        let files = [
            ("build.rs", script.as_str()),
            ("src/main.rs", PROGRAM),
            ("include/habit.h", "#define HABIT 1\n"),
            ("template.txt", "template"),
        ];
        let project = package(world, "", &files);
        let template = project.join("template.txt");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        std::fs::set_permissions(template, mode).expect("mode");

        let plain = run(&mut line::plain(world, &project, "run")).success("cargo run");
        assert!(
            plain.stderr.contains("<nested true>") && plain.stderr.contains("<offline None>"),
            "control: {plain:?}"
        );
        std::fs::remove_file(&mark).expect("control: what is built below writes to the home directory");
        let here = run(&mut line::sandbox(world, engine, &project, "run")).success("cargo-sandbox run");
        assert_eq!(here.stdout, plain.stdout);
        let line_of = |name| plain.stdout.lines().find(|line| line.starts_with(name)).expect("of the script");
        let [path, processors, fonts] = ["path: ", "processors: ", "fonts: "].map(line_of);
        let expected = format!(
            "probe: true false\nwrapper: None\ncalled: rustc rustdoc\n{path}\n{processors}\n{fonts}\nnested cargo: nested\nmake: true\njobserver: true\n\
             configure: works\ncmake: true\nlinks: \"libhabit.so.1\" true\nread-only: 444 template filled\nlinked 3 5\n"
        );
        assert_eq!(here.stdout, expected);
        // The cargo below is in the same sandbox, and knows that there is no network.
        assert!(here.stderr.contains("<nested false>") && !mark.exists(), "{}", here.stderr);
        assert!(here.stderr.contains("<offline Some(\"true\")>"), "{}", here.stderr);
        // A second run of the script finds what the first one left.
        world.write(&project.join("build.rs"), &format!("// again\n{script}"));
        let again = run(&mut line::sandbox(world, engine, &project, "run")).success("again");
        assert_eq!(again.stdout, expected);
        world.stop(engine, &project);
    });
}
