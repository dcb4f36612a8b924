//! Packages of sources and of headers: what a build script is made of, and what its dependencies speak of, it reads; of all
//! other packages nothing.

use std::fs;
use std::path::Path;

use crate::each_engine;
use crate::support::run::run;
use crate::support::tree;

/// A vendored package: its name, more of its manifest, its files.
type Vendored = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const VENDORED: &[Vendored] = &[
    // As openssl-src: a library that knows where its package was unpacked.
    (
        "text-src",
        "",
        &[
            (
                "src/lib.rs",
                "pub fn text() -> String { std::fs::read_to_string(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/text\")).unwrap() }\n",
            ),
            ("text", "unpacked"),
        ],
    ),
    // Between that one and the script.
    ("helper", "[dependencies]\ntext-src = \"1\"\n", &[("src/lib.rs", "pub use text_src::text;\n")]),
    // As any `-sys` crate with headers of its own.
    (
        "headers-sys",
        "links = \"headers\"\n",
        &[
            ("src/lib.rs", ""),
            (
                "build.rs",
                "fn main() { println!(\"cargo::metadata=include={}/include\", std::env::var(\"CARGO_MANIFEST_DIR\").unwrap()); }\n",
            ),
            ("include/number.h", "7"),
        ],
    ),
    // What its script leaves for others is a link to where it was unpacked.
    (
        "linked-sys",
        "links = \"linked\"\n",
        &[
            ("src/lib.rs", ""),
            (
                "build.rs",
                r#"fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    let include = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/include";
    std::os::unix::fs::symlink(include, format!("{out}/include")).unwrap();
    println!("cargo::metadata=root={out}");
}
"#,
            ),
            ("include/number.h", "8"),
        ],
    ),
    // Of the same project, and no business of the script's.
    ("other", "", &[("src/lib.rs", ""), ("text", "another's")]),
    (
        "built-sys",
        "[dependencies]\nheaders-sys = \"1\"\nlinked-sys = \"1\"\n[build-dependencies]\nhelper = \"1\"\n",
        &[
            ("src/lib.rs", "pub const SAID: &str = env!(\"SAID\");\n"),
            (
                "build.rs",
                r#"fn main() {
    let include = std::env::var("DEP_HEADERS_INCLUDE").unwrap();
    let number = std::fs::read_to_string(format!("{include}/number.h")).unwrap();
    let linked = std::fs::read_to_string(std::env::var("DEP_LINKED_ROOT").unwrap() + "/include/number.h").unwrap();
    let other = std::fs::read_to_string("../other/text").is_ok();
    println!("cargo::rustc-env=SAID={} {number} {linked} {other}", helper::text());
}
"#,
            ),
        ],
    ),
];

#[test]
fn a_script_reads_what_it_is_made_of_and_what_its_dependencies_speak_of() {
    each_engine("sources", |world, engine| {
        let project = world.work().join("sources");
        world.write(
            &project.join("Cargo.toml"),
            "[package]\nname = \"sources\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\nbuilt-sys = \"1\"\nother = \"1\"\n\
             [workspace]\nexclude = [\"vendor\"]\n",
        );
        world.write(&project.join("src/main.rs"), "fn main() { println!(\"{}\", built_sys::SAID); }\n");
        world.write(
            &project.join(".cargo/config.toml"),
            "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n",
        );
        for (name, more, files) in VENDORED {
            let directory = project.join("vendor").join(name);
            let manifest =
                format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{more}");
            world.write(&directory.join("Cargo.toml"), &manifest);
            world.write(&directory.join(".cargo-checksum.json"), "{\"files\":{}}");
            for (path, text) in *files {
                world.write(&directory.join(path), text);
            }
        }
        let plain = run(world.plain(&project).args(["run", "--quiet"])).success("cargo run");
        assert_eq!(plain.stdout, "unpacked 7 8 true\n", "control: under cargo a script reads every package");
        let before = tree::read(&project.join("vendor"), &|_| true);
        fs::remove_dir_all(project.join("target")).expect("target");
        let here = run(world.sandbox(engine, &project).args(["run", "--quiet"])).success("run");
        assert_eq!(here.stdout, "unpacked 7 8 false\n", "{engine}");
        assert!(tree::read(&project.join("vendor"), &|_| true) == before, "{engine}: a package was changed");
        world.stop(engine, &project);
    });
}

/// A package for scripts to leave things in for one another. cxx-build is made with it, and needs no more than that it can.
#[test]
fn a_script_writes_in_a_shared_directory_and_nothing_stays_there() {
    each_engine("scratch", |world, engine| {
        let project = world.work().join("shared");
        world.write(
            &project.join("Cargo.toml"),
            "[package]\nname = \"shared\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[build-dependencies]\nscratch = \"=1.0.9\"\n\
             [workspace]\n",
        );
        world.write(&project.join("src/main.rs"), "fn main() { println!(\"{}\", env!(\"SAID\")); }\n");
        world.write(
            &project.join("build.rs"),
            r#"fn main() {
    let file = scratch::path("mine").join("file");
    std::fs::write(&file, "left").unwrap();
    println!("cargo::rustc-env=SAID={}", std::fs::read_to_string(file).unwrap());
}
"#,
        );
        let left = |build: &Path| {
            let outputs = fs::read_dir(build.join("debug/build")).expect("outputs").flatten();
            outputs.filter(|output| output.path().join("out/mine/file").exists()).count()
        };
        let run_it = ["run", "--quiet"];
        let plain = run(world.plain(&project).args(run_it)).success("cargo run");
        assert_eq!((plain.stdout.as_str(), left(&project.join("target"))), ("left\n", 1), "control");
        let here = run(world.sandbox(engine, &project).args(run_it)).success("run");
        let build_dir = world.status(engine, &project).build_dir;
        assert_eq!((here.stdout.as_str(), left(&build_dir)), ("left\n", 0), "{engine}");
        world.stop(engine, &project);
    });
}
