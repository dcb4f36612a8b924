//! Containers of images: pulled from a registry, and from a directory or an archive in the OCI layout.

mod registry;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use registry::Registry;
use support::debian::Image;
use support::run::{Output, fails, run};
use support::tool::Engine;
use support::world::{self, User, World};
use support::{need, program};

/// What is in every image of these tests, and on no host.
const MARK: (&str, &str) = ("usr/share/cargo-sandbox-mark", "image");

/// A project whose program says what its build script saw.
fn project(world: &World) -> PathBuf {
    let project = world.work().join("project");
    world.write(
        &project.join("Cargo.toml"),
        "[package]\nname = \"project\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n",
    );
    let script = format!(
        "fn main() {{\n    let mark = std::fs::read_link(\"/{}\").map_or(\"host\".into(), |mark| mark.display().to_string());\n    \
         println!(\"cargo::rerun-if-changed=always\\ncargo::rustc-env=MARK={{mark}}\");\n}}\n",
        MARK.0
    );
    world.write(&project.join("build.rs"), &script);
    world.write(&project.join("src/main.rs"), "fn main() { println!(\"made in: {}\", env!(\"MARK\")) }\n");
    project
}

/// A C compiler and what it needs.
fn compiler(name: &str, world: &World) -> Option<Image> {
    // rustc itself needs the first ones; the last are what these drag in, for programs that no build runs.
    let packages = ["libc6", "libgcc-s1", "zlib1g", "dash", "gcc", "libc6-dev"];
    let without = ["perl-base", "debconf", "dpkg", "tar", "debianutils"];
    let links = [MARK, ("bin/sh", "dash"), ("usr/bin/cc", "gcc")];
    Image::of(name, &world.home.join("scratch"), &packages, &without, &links)
}

fn with_image(world: &World, engine: Engine, project: &Path, image: &str) -> Output {
    let mut command = world.sandbox(engine, project);
    run(command.args(["--sandbox-image", image, "run"]))
}

fn is_made_in(output: Output, what: &str) -> Output {
    let output = output.success("run");
    assert!(output.stdout.contains(&format!("made in: {what}\n")), "{}{}", output.stdout, output.stderr);
    output
}

#[test]
fn an_image_is_pulled_by_name_and_by_digest() {
    let (Some(engine), Some(user)) = (need(Engine::Docker.here()), need(User::ordinary())) else { return };
    let (Some(world), Some(docker)) = (need(World::new("pulled", &user)), need(program("docker"))) else {
        return;
    };
    let (Some(registry), Some(image)) = (Registry::start(&world.home), compiler("pulled", &world)) else {
        return;
    };
    let project = project(&world);
    is_made_in(run(world.sandbox(engine, &project).arg("run")), "host");

    let name = format!("{}/compiler:1", registry.address);
    let docker = |words: &[&str]| run(Command::new(&docker).args(words)).success(words[0]).stdout;
    docker(&["tag", image.name(), &name]);
    docker(&["push", "--quiet", &name]);
    let digest = docker(&["inspect", "--format", "{{index .RepoDigests 0}}", &name]).trim().to_owned();
    assert!(digest.contains("/compiler@sha256:"), "{digest}");
    docker(&["rmi", &name]);

    let pulled = is_made_in(with_image(&world, engine, &project, &name), "image");
    assert!(pulled.stderr.contains(&format!("     Pulling image {name}\n")), "{}", pulled.stderr);
    let again = is_made_in(with_image(&world, engine, &project, &name), "image");
    assert!(!again.stderr.contains("Pulling"), "{}", again.stderr);
    world.stop(engine, &project);
    docker(&["rmi", &name]);

    let pulled = is_made_in(with_image(&world, engine, &project, &digest), "image");
    assert!(pulled.stderr.contains("Pulling"), "{}", pulled.stderr);
    world.stop(engine, &project);
    docker(&["rmi", &digest]);

    // Another one of that name: what was asked for by digest does not come.
    let other = format!("{}/compiler@sha256:{}", registry.address, "0".repeat(64));
    let refused = with_image(&world, engine, &project, &other);
    assert_eq!(refused.code(), 101, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("it cannot be pulled") && refused.stderr.contains("hint:"),
        "{}",
        refused.stderr
    );

    // The native engine says what to do.
    let mut native = world.sandbox(Engine::Native, &project);
    let words = ["the native engine pulls no images", "skopeo copy", "oci:image"];
    fails(native.args(["--sandbox-image", &name, "build"]), &words);
}

#[test]
fn an_image_is_built_of_a_dockerfile() {
    let (Some(engine), Some(user)) = (need(Engine::Docker.here()), need(User::ordinary())) else { return };
    let (Some(world), Some(docker)) = (need(World::new("built", &user)), need(program("docker"))) else {
        return;
    };
    let Some(image) = compiler("built", &world) else { return };
    let project = project(&world);
    let directory = project.join("image");
    let file = directory.join("Dockerfile");
    world.write(&directory.join("mark"), "x");
    let text = format!("FROM {}\nCOPY mark /usr/share/built\nRUN echo ran > /usr/share/ran\n", image.name());
    world.write(&file, &text);
    let built = is_made_in(with_image(&world, engine, &project, "./image/Dockerfile"), "image");
    assert!(built.stderr.contains("    Building image "), "{}", built.stderr);
    let again = is_made_in(with_image(&world, engine, &project, "./image/Dockerfile"), "image");
    assert!(!again.stderr.contains("Building image"), "{}", again.stderr);

    // Another file that it copies is another image; what fails in it is shown.
    world.write(&directory.join("mark"), "y");
    world.write(
        &file,
        &format!("FROM {}\nCOPY mark /usr/share/built\nRUN echo so it ends && exit 7\n", image.name()),
    );
    let mut failing = world.sandbox(engine, &project);
    let words = ["so it ends", "returned a non-zero code: 7", "image/Dockerfile"];
    fails(failing.args(["--sandbox-image", "./image/Dockerfile", "build"]), &words);
    let mut native = world.sandbox(Engine::Native, &project);
    let words = ["the native engine builds no images", "oci:image"];
    fails(native.args(["--sandbox-image", "./image/Dockerfile", "build"]), &words);
    world.write(&project.join("Dockerfile"), "FROM x\nCOPY . .\n");
    let mut all = world.sandbox(engine, &project);
    fails(all.args(["--sandbox-image", "./Dockerfile", "build"]), &["Cargo.toml", "sent to the engine"]);

    world.stop(engine, &project);
    run(world.sandbox(engine, &project).args(["self", "prune"])).success("self prune");
    let left = run(Command::new(&docker).args(["images", "--quiet", "localhost/cargo-sandbox-built"]));
    assert_eq!(left.success("docker images").stdout, "");
}

#[test]
fn an_image_in_a_file_is_taken_by_both_engines() {
    let (Some(skopeo), Some(user)) = (need(program("skopeo")), need(User::ordinary())) else { return };
    let Some(first) = need(World::new("layout", &user)) else { return };
    let Some(image) = compiler("layout", &first) else { return };
    let layout = first.home.join("layout");
    let mut copy = Command::new(&skopeo);
    copy.args(["--insecure-policy", "copy", "--quiet", &format!("docker-daemon:{}", image.name())]);
    run(copy.arg(format!("oci:{}:one", layout.display()))).success("skopeo");
    drop(image);
    for engine in Engine::ALL.into_iter().filter_map(|engine| need(engine.here())) {
        let project = with_layout(&first, &layout);
        is_taken(&first, engine, &project);
        by_the_repository(&first, engine, &project);
        world::remove(&first.state().join("images"));
    }
    let project = with_layout(&first, &layout);
    an_archive_is_the_same(&first, &layout, &project);
    what_is_not_what_it_says_is_refused(&first, &project);

    let Some(root) = need(User::root()).and_then(|root| need(World::new("layout", &root))) else { return };
    let project = with_layout(&root, &layout);
    is_taken(&root, Engine::Native, &project);
    let prune = || run(root.sandbox(Engine::Native, &project).args(["self", "prune"])).success("self prune");
    is_made_in(with_image(&root, Engine::Native, &project, "./image"), "image");
    prune();
    assert!(root.state().join("images").exists(), "a container runs");
    root.stop(Engine::Native, &project);
    prune();
    assert!(!root.state().join("images").exists());
}

fn with_layout(world: &World, layout: &Path) -> PathBuf {
    let project = project(world);
    world::remove(&project.join("image"));
    world.copy(layout, &project.join("image"));
    project
}

/// It is unpacked once.
fn is_taken(world: &World, engine: Engine, project: &Path) {
    let first = is_made_in(with_image(world, engine, project, "./image"), "image");
    assert!(first.stderr.contains("   Unpacking image "), "{}", first.stderr);
    let second = is_made_in(with_image(world, engine, project, "./image"), "image");
    assert!(!second.stderr.contains("Unpacking"), "{}", second.stderr);
    world.stop(engine, project);
}

/// With the same digest, in one piece.
fn an_archive_is_the_same(world: &World, layout: &Path, project: &Path) {
    let archive = world.work().join("image.tar");
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(&archive).arg("--directory").arg(layout).arg(".");
    run(&mut tar).success("tar");
    is_made_in(with_image(world, Engine::Native, project, "../image.tar"), "image");
    let same = is_made_in(with_image(world, Engine::Native, project, "./image"), "image");
    assert!(!same.stderr.contains("Unpacking"), "{}", same.stderr);
    world.stop(Engine::Native, project);
    world::remove(&world.state().join("images"));
}

fn what_is_not_what_it_says_is_refused(world: &World, project: &Path) {
    let config = world.home.join(".config/cargo-sandbox/config.toml");
    world.write(&config, "[native]\npackages = [\"libssl-dev\"]\n");
    let mut packages = world.sandbox(Engine::Native, project);
    let words = ["config.toml:2, [native]", "cannot be added to the image", "hint: build one that has them"];
    fails(packages.args(["--sandbox-image", "./image", "build"]), &words);
    fs::remove_file(&config).expect("removed");
    world::remove(&world.state().join("images"));

    let blobs = fs::read_dir(project.join("image/blobs/sha256")).expect("blobs");
    let largest = blobs.map(|blob| blob.expect("a blob").path());
    let largest = largest.max_by_key(|blob| fs::metadata(blob).expect("a file").len()).expect("a layer");
    let mut bytes = fs::read(&largest).expect("a layer");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&largest, bytes).expect("a layer");
    let mut forged = world.sandbox(Engine::Native, project);
    fails(forged.args(["--sandbox-image", "./image", "build"]), &["is something else", "sha256:"]);
    assert_eq!(fs::read_dir(world.state().join("images")).expect("images").count(), 0, "nothing is left");

    let mut none = world.sandbox(Engine::Native, project);
    fails(none.args(["--sandbox-image", "./src", "build"]), &["./src", "oci-layout"]);
}

/// A repository says which image it means, by its digest, and is trusted with it.
fn by_the_repository(world: &World, engine: Engine, project: &Path) {
    let policy = project.join("cargo-sandbox.toml");
    let tool = |words: &[&str]| run(world.sandbox(engine, project).args(words));
    let trust = || tool(&["self", "trust", "--yes"]).success("self trust");
    world.write(&policy, "image = \"./image\"\n");
    assert!(tool(&["run"]).stderr.contains("self trust"));
    trust();
    let said = tool(&["run"]);
    let digest = said.stderr.split("write `@").nth(1).and_then(|rest| rest.split('`').next());
    let digest = digest.unwrap_or_else(|| panic!("no digest in {}", said.stderr)).to_owned();
    assert_eq!(said.code(), 101);

    world.write(&policy, &format!("image = \"./image@{digest}\"\n"));
    trust();
    is_made_in(tool(&["run"]), "image");
    let explained = tool(&["self", "explain", "project"]).success("self explain").stdout;
    assert!(explained.contains(&digest), "{explained}");

    world.write(&policy, &format!("image = \"./image@sha256:{}\"\n", "0".repeat(64)));
    trust();
    let said = tool(&["run"]);
    assert!(said.stderr.contains("is not the one that") && said.code() == 101, "{}", said.stderr);
    fs::remove_file(&policy).expect("removed");
}
