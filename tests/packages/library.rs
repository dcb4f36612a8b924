//! A small library of Debian's that this machine does not have, and a package that is built with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::program;
use super::support::world::World;

/// A library, with what there is to ask it.
pub struct Library {
    /// The package for who builds with it.
    pub package: &'static str,
    /// As `pkg-config` knows it.
    pub pkg_config: &'static str,
    /// What it is included by.
    pub header: &'static str,
    /// Gives its version as a text.
    function: &'static str,
}

/// Any of them will do.
const LIBRARIES: [Library; 3] = [
    Library {
        package: "libcmark-dev",
        pkg_config: "libcmark",
        header: "cmark.h",
        function: "cmark_version_string",
    },
    Library {
        package: "libjansson-dev",
        pkg_config: "jansson",
        header: "jansson.h",
        function: "jansson_version_str",
    },
    Library { package: "libuv1-dev", pkg_config: "libuv", header: "uv.h", function: "uv_version_string" },
];

impl Library {
    /// The first that is not installed.
    pub fn absent() -> Result<Self, String> {
        for tool in ["apt-get", "dpkg-deb", "pkg-config"] {
            program(tool)?;
        }
        LIBRARIES
            .into_iter()
            .find(Self::is_absent)
            .ok_or_else(|| "every library that these tests could do without is installed".into())
    }

    /// Those that this machine does not have and the table of crates knows the key of.
    pub fn absent_with_key() -> Result<(Self, &'static str), String> {
        let library =
            LIBRARIES.into_iter().find(|library| library.package == "libjansson-dev" && library.is_absent());
        library.map(|library| (library, "jansson")).ok_or_else(|| "`libjansson-dev` is installed".into())
    }

    /// Whether this machine does not have it.
    pub fn is_absent(&self) -> bool {
        let found = Command::new("pkg-config").args(["--exists", self.pkg_config]).status();
        !Path::new("/usr/include").join(self.header).exists() && found.is_ok_and(|status| !status.success())
    }

    /// A program that says the library's version. Its build script asks `pkg-config`, as most do.
    pub fn project(&self, world: &World, name: &str) -> PathBuf {
        self.project_that_says(world, name, "")
    }

    /// The same with more in the manifest's `[package]`, or behind it.
    pub fn project_that_says(&self, world: &World, name: &str, more: &str) -> PathBuf {
        let Self { pkg_config, header, function, .. } = self;
        let project = world.work().join(name);
        let manifest = format!(
            "[workspace]

[package]
name = \"{name}\"
version = \"0.1.0\"
edition = \"2024\"
{more}"
        );
        world.write(&project.join("Cargo.toml"), &manifest);
        let script = format!(
            r#"use std::process::Command;
fn main() {{
    let output = Command::new("pkg-config").args(["--libs", "{pkg_config}"]).output().expect("pkg-config");
    if !output.status.success() {{
        eprintln!("{{}}", String::from_utf8_lossy(&output.stderr));
        std::process::exit(1);
    }}
    assert!(!std::fs::read("/usr/include/{header}").expect("the header").is_empty());
    for word in String::from_utf8(output.stdout).unwrap().split_whitespace() {{
        match word.split_at(2) {{
            ("-l", name) => println!("cargo::rustc-link-lib={{name}}"),
            ("-L", path) => println!("cargo::rustc-link-search={{path}}"),
            _ => {{}}
        }}
    }}
}}
"#
        );
        world.write(&project.join("build.rs"), &script);
        let program = format!(
            "use std::ffi::{{CStr, c_char}};\nunsafe extern \"C\" {{ fn {function}() -> *const c_char; }}\nfn main() {{ println!(\"{pkg_config} \
             says {{}}\", unsafe {{ CStr::from_ptr({function}()) }}.to_str().unwrap()); }}\n"
        );
        world.write(&project.join("src/main.rs"), &program);
        project
    }
}
