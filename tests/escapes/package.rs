//! `cargo package` builds what it has packed, and the build can reach the archive and the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use super::support::run::run;
use super::{ENGINE, package, worlds};

/// Only where it runs on what was unpacked.
const SCRIPT: &str = r#"
    let packed = std::path::Path::new("../tmp-crate/packed-0.1.0.crate");
    println!("cargo::warning=runs in {:?}", std::env::current_dir().unwrap());
    println!("cargo::warning=secret {}", std::fs::read(SECRET).is_ok());
    if let Ok(mut file) = std::fs::OpenOptions::new().append(true).open(packed) {
        use std::io::Write;
        let written = file.write_all(b"planted").is_ok();
        println!("cargo::warning=tarball {written}");
    }"#;

#[test]
fn the_verify_build_sees_what_is_packed_and_changes_nothing_of_it() {
    for world in worlds("package") {
        let secret = world.work().join("packed/secret");
        let project = package(&world, "packed", &SCRIPT.replace("SECRET", &format!("{secret:?}")));
        let manifest = fs::read_to_string(project.join("Cargo.toml")).expect("manifest");
        world.write(&project.join("Cargo.toml"), &format!("{manifest}exclude = [\"secret\"]\n"));
        world.write(&secret, "precious");
        let archive = |target: &Path| -> PathBuf { target.join("package/packed-0.1.0.crate") };

        let plain = world.home.join("plain");
        let output = run(world.plain(&project).arg("package").env("CARGO_TARGET_DIR", &plain));
        let said = output.success("cargo package").stderr;
        assert!(said.contains("secret true") && said.contains("tarball true"), "control: {said}");
        let bytes = fs::read(archive(&plain)).expect("archive");
        assert!(bytes.ends_with(b"planted"), "control: the archive is another one after the build");
        let honest = world.home.join("honest");
        run(world.plain(&project).args(["package", "--no-verify"]).env("CARGO_TARGET_DIR", &honest))
            .success("cargo package --no-verify");

        let output = run(world.sandbox(ENGINE, &project).arg("package")).success("cargo-sandbox package");
        assert!(output.stderr.contains("package/packed-0.1.0"), "it was built: {}", output.stderr);
        assert!(output.stderr.contains("secret false"), "{}", output.stderr);
        assert!(!output.stderr.contains("tarball true"), "{}", output.stderr);
        let bytes = fs::read(archive(&project.join("target"))).expect("archive");
        assert!(bytes == fs::read(archive(&honest)).expect("archive"), "the archive is the honest one");

        // What a repository puts in the archive's place is not written through.
        let victim = world.home.join("victim");
        world.write(&victim, "precious");
        let place = archive(&project.join("target"));
        fs::remove_file(&place).expect("archive");
        std::os::unix::fs::symlink(&victim, &place).expect("link");
        let output = run(world.sandbox(ENGINE, &project).arg("package"));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        assert!(output.stderr.contains("packed-0.1.0.crate` is a symbolic link"), "{}", output.stderr);
        world.stop(ENGINE, &project);
    }
}
