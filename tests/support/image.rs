//! An image of the docker engine, made of this machine's files.

use std::path::PathBuf;
use std::process::Command;

use super::run::run;
use super::world::World;
use super::{need, program};

/// An image with nothing but the C library that rustc needs, and `/etc/mark`; it goes with this value.
pub struct HostImage {
    pub name: String,
    docker: PathBuf,
}

impl HostImage {
    /// Makes one, where there is a docker engine.
    pub fn new(world: &World, name: &str) -> Option<Self> {
        let (docker, tar) = (need(program("docker"))?, need(program("tar"))?);
        let files = "set -e; mkdir -p $1/usr/lib $1/usr/share $1/etc $1/tmp; echo made > $1/etc/mark; \
            for f in $(ldd \"$2\" | tr ' \\t' '\\n\\n' | grep -E '^/(usr/)?lib'); do mkdir -p $1$(dirname $f); cp -L $f $1$f; done";
        let root = world.home.join("image");
        let rustc = world.toolchain.join("bin/rustc");
        let mut copy = Command::new("sh");
        run(copy.args(["-c", files, "sh"]).arg(&root).arg(&rustc)).success("the image's files");
        let name = format!("cargo-sandbox-test-{name}:1");
        let import =
            format!("{} -C {} -c . | {} import - {name}", tar.display(), root.display(), docker.display());
        run(Command::new("sh").args(["-c", &import])).success("docker import");
        Some(Self { name, docker })
    }
}

impl Drop for HostImage {
    fn drop(&mut self) {
        run(Command::new(&self.docker).args(["rmi", "--force", &self.name]));
    }
}
