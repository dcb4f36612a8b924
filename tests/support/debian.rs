//! Images made of the files of this machine's own packages, and of no others.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::run::run;
use super::{need, program};

/// An image of the docker engine, which goes with this value.
pub struct Image {
    name: String,
    docker: std::path::PathBuf,
}

impl Image {
    /// An image with these Debian packages and all that they depend on, but for what is in `without`; `links` are made
    /// beside.
    pub fn of(
        name: &str,
        scratch: &Path,
        packages: &[&str],
        without: &[&str],
        links: &[(&str, &str)],
    ) -> Option<Self> {
        let docker = need(program("docker"))?;
        for tool in ["dpkg-query", "apt-cache", "tar"] {
            need(program(tool))?;
        }
        let packages = need(closure(packages, without))?;
        let root = scratch.join(name);
        // As this machine has them, whatever its packages call the places of their files.
        for merged in ["bin", "sbin", "lib", "lib64"] {
            fs::create_dir_all(root.join("usr").join(merged)).expect("directory");
            symlink(Path::new("usr").join(merged), root.join(merged)).expect("link");
        }
        let mut list = String::new();
        for package in &packages {
            let files = run(Command::new("dpkg-query").args(["--listfiles", package])).success("dpkg-query");
            for file in files.stdout.lines().filter(|file| wanted(file)) {
                let _infallible = writeln!(list, "{file}");
            }
        }
        let files = scratch.join(format!("{name}.list"));
        fs::write(&files, list).expect("list");
        let copy = "tar --create --no-recursion --ignore-failed-read --files-from=\"$1\" --directory=/ 2>/dev/null | tar \
                    --extract --directory=\"$2\"";
        run(Command::new("sh").args(["-c", copy, "sh"]).arg(&files).arg(&root)).success("the image's files");
        for directory in ["tmp", "etc"] {
            fs::create_dir_all(root.join(directory)).expect("directory");
        }
        for (link, target) in links {
            let _there = symlink(target, root.join(link));
        }
        let image = Self { name: format!("cargo-sandbox-test-of-{name}:1"), docker };
        let import = "tar --create --directory=\"$1\" . | \"$2\" import - \"$3\"";
        let mut command = Command::new("sh");
        command.args(["-c", import, "sh"]).arg(&root).arg(&image.docker).arg(&image.name);
        run(&mut command).success("docker import");
        fs::remove_dir_all(&root).expect("image root");
        Some(image)
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        run(Command::new(&self.docker).args(["rmi", "--force", &self.name]));
    }
}

/// Only what programs need: no manuals, and nothing of `/etc`.
fn wanted(file: &str) -> bool {
    let skipped =
        ["/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info", "/etc", "/var"];
    let path = Path::new(file);
    let plain = fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_dir());
    plain && !skipped.iter().any(|skipped| file.starts_with(skipped))
}

/// What is installed of these packages and all that they depend on.
fn closure(packages: &[&str], without: &[&str]) -> Result<Vec<String>, String> {
    let mut command = Command::new("apt-cache");
    command.args([
        "depends",
        "--recurse",
        "--installed",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
    ]);
    command.args(["--no-breaks", "--no-replaces", "--no-enhances"]);
    let output = run(command.args(packages)).success("apt-cache depends");
    let mut all: Vec<String> = output
        .stdout
        .lines()
        .filter(|line| line.starts_with(char::is_alphanumeric))
        .map(String::from)
        .collect();
    all.retain(|package| !without.contains(&package.as_str()));
    all.retain(|package| {
        run(Command::new("dpkg-query").args(["--show", "--showformat=${Status}", package]))
            .stdout
            .ends_with(" installed")
    });
    match packages.iter().find(|package| !all.iter().any(|found| found == *package)) {
        Some(missing) => Err(format!("the Debian package `{missing}` is not installed")),
        None => Ok(all),
    }
}
