//! Packages in an image: the docker engine derives one that has them. Of a real image with a real apt.

use std::fmt::Write as _;

use super::support::debian::Image;
use super::support::program;
use super::*;

/// What it takes to build, to ask `pkg-config` and to install.
const PACKAGES: [&str; 13] = [
    "libc6",
    "libgcc-s1",
    "zlib1g",
    "dash",
    "gcc",
    "libc6-dev",
    "pkgconf",
    "apt",
    "dpkg",
    "tar",
    "coreutils",
    "diffutils",
    "libc-bin",
];

/// The package with the keys of this machine's distribution, their file, and where packages are.
fn distribution() -> (&'static str, &'static str, &'static str) {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    match release.lines().any(|line| line == "ID=ubuntu") {
        true => (
            "ubuntu-keyring",
            "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
            "http://archive.ubuntu.com/ubuntu RELEASE main universe",
        ),
        false => (
            "debian-archive-keyring",
            "/usr/share/keyrings/debian-archive-keyring.gpg",
            "http://deb.debian.org/debian RELEASE main",
        ),
    }
}

/// An image of this machine's packages whose apt knows what is installed in it, as a Dockerfile in `project`.
fn image(world: &World, project: &Path, name: &str) -> Option<Image> {
    let links = [("bin/sh", "dash"), ("usr/bin/cc", "gcc")];
    let without = ["debconf", "adduser", "perl-base", "debianutils"];
    let packages = [&PACKAGES[..], &[distribution().0]].concat();
    let image = Image::of(name, &world.home.join("scratch"), &packages, &without, &links)?;
    let directory = project.join("image");
    let query = "--showformat=${db:Status-Status} ${Package} ${Version} ${Architecture} ${Multi-Arch}\n";
    let installed = run(Command::new("dpkg-query").args(["--show", query])).success("dpkg-query").stdout;
    // What this machine has, the image is told to have, but for what the library's package may need.
    let mut status = String::new();
    for line in installed.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [state, package, version, architecture, multi] = *words else { continue };
        if state != "installed" {
            continue;
        }
        let _infallible = write!(
            status,
            "Package: {package}\nStatus: install ok installed\nMaintainer: x <x@x>\nArchitecture: {architecture}\nVersion: \
             {version}\nDescription: x\n"
        );
        if !multi.is_empty() {
            let _infallible = writeln!(status, "Multi-Arch: {multi}");
        }
        status.push('\n');
    }
    world.write(&directory.join("status"), &status);
    let (_, keyring, mirror) = distribution();
    let release = fs::read_to_string("/etc/os-release").expect("os-release");
    let codename =
        release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).expect("a release");
    let source = format!("deb [signed-by={keyring}] {}\n", mirror.replace("RELEASE", codename));
    world.write(&directory.join("sources.list"), &source);
    world.write(
        &directory.join("passwd"),
        "root:x:0:0:root:/root:/bin/sh\n_apt:x:42:65534::/nonexistent:/bin/false\n",
    );
    world.write(&directory.join("group"), "root:x:0:\nnogroup:x:65534:\n");
    world.write(
        &directory.join("conf"),
        "Acquire::Check-Valid-Until \"false\";\nAcquire::Check-Date \"false\";\n",
    );
    // What a name stands for changes with the machine, and the file must with it.
    let mut inspect = Command::new(need(program("docker"))?);
    let id =
        run(inspect.args(["inspect", "--format", "{{.Id}}", image.name()])).success("docker inspect").stdout;
    let text = format!(
        "FROM {}\nLABEL base={}\nCOPY passwd group /etc/\nCOPY sources.list /etc/apt/sources.list\nCOPY conf /etc/apt/apt.conf.d/test\n\
         COPY status /var/lib/dpkg/status\nRUN chmod 1777 /tmp; mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/triggers \
         /var/lib/apt/lists/partial /var/cache/apt/archives/partial /var/log/apt /etc/apt/preferences.d /root\n",
        image.name(),
        id.trim()
    );
    world.write(&directory.join("Dockerfile"), &text);
    Some(image)
}

#[test]
fn an_image_gets_packages_from_its_own_distribution() {
    let (Some(engine), Some(user)) = (need(Engine::Docker.here()), need(User::ordinary())) else { return };
    let Some(library) = need(Library::absent()) else { return };
    let Some(world) = need(World::new("packages-image", &user)) else { return };
    let project = library.project(&world, "within");
    let Some(_image) = image(&world, &project, "packages") else { return };
    let line = |words: &str| format!("--sandbox-image ./image/Dockerfile {words}");
    // Without: the image has it as little as this machine.
    let words = [library.pkg_config, "is not in the image"];
    fails(&mut sandbox(&world, engine, &project, &line("build")), &words);
    configure(&world, &format!("[native]\npackages = [\"{}\"]\n", library.package));
    let output = built(run(&mut sandbox(&world, engine, &project, &line("run"))), &library);
    assert!(output.stderr.contains("Dockerfile with packages"), "{}", output.stderr);
    assert!(library.is_absent() && roots(&world).is_empty());
    world.stop(engine, &project);
    // It is there, and nothing is built again.
    clean(&world, engine, &project);
    let again = built(run(&mut sandbox(&world, engine, &project, &line("run --offline"))), &library);
    assert!(!again.stderr.contains("Building image"), "{}", again.stderr);
    world.stop(engine, &project);
    configure(&world, "[native]\npackages = [\"csb-there-is-no-such-package\"]\n");
    let words = [
        "cannot build",
        "Unable to locate package csb-there-is-no-such-package",
        "hint: the names in `[native] packages`",
    ];
    fails(&mut sandbox(&world, engine, &project, &line("build")), &words);
    let docker = need(program("docker")).expect("as before");
    let left = run(Command::new(&docker).args(["images", "--quiet", "localhost/cargo-sandbox-packages"]))
        .success("docker images");
    for id in left.stdout.split_whitespace() {
        run(Command::new(&docker).args(["rmi", "--force", id]));
    }
}
