//! Writing where something of the user's lies, or where cargo on the host reads, writes or executes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::Attack;
use super::attempt::{
    Attempt, Outcome, build_dir, built_package, crate_beside, home, project, said, writable,
};
use super::lab;
use super::sys;

pub const ATTACKS: &[Attack] = &[
    // The user's home.
    ("write-home", |a| a.create_in(lab::HOME)),
    ("append-shell-profile", |a| a.append(home(".bashrc"))),
    ("append-authorized-keys", |a| a.append(home(".ssh/authorized_keys"))),
    ("write-user-unit", |a| a.create(home(format!(".config/systemd/user/{}.service", a.kind).as_str()))),
    ("write-autostart", |a| a.create(home(format!(".config/autostart/{}.desktop", a.kind).as_str()))),
    ("write-cargo-bin", |a| a.create_in(home(".cargo/bin"))),
    ("append-cargo-config", |a| a.append(home(".cargo/config.toml"))),
    ("write-other-project", |a| a.append(home("work/other/src/lib.rs"))),
    ("write-tmp", |a| a.create_in(lab::TMP)),
    // What cargo keeps for all projects.
    ("write-other-crate", |a| a.append(crate_beside("victim-1.0.0/src/lib.rs"))),
    ("write-registry", |a| a.create_in(crate_beside(""))),
    ("write-registry-cache", |a| a.create_in(home(".cargo/registry/cache"))),
    ("write-git-database", |a| a.create_in(home(".cargo/git/db"))),
    ("write-own-source", |a| a.create_in(own_source())),
    ("write-toolchain", |_| writable(Path::new(lab::TOOLCHAIN).join("lib/rustlib/components"))),
    ("write-system", |_| writable("/usr/bin/env").or_else(|_| writable("/etc/hosts"))),
    ("write-core-pattern", |_| writable("/proc/sys/kernel/core_pattern")),
    ("write-kernel-setting", |_| writable("/proc/sys/vm/drop_caches")),
    ("write-processor-setting", |_| writable("/sys/devices/system/cpu/cpu0/uevent")),
    ("write-control-group", |_| {
        let groups = fs::read_dir("/sys/fs/cgroup").map_err(said)?.flatten();
        let files = groups.flat_map(|entry| ["release_agent", "cgroup.procs"].map(|name| entry.path().join(name)));
        let files = files.chain(["/sys/fs/cgroup/cgroup.procs".into(), "/sys/fs/cgroup/cgroup.subtree_control".into()]);
        let mut opened = files.filter_map(|path| writable(path).ok());
        opened.next().ok_or_else(|| "none".into())
    }),
    ("write-victims-memory-score", |_| writable(format!("/proc/{}/oom_score_adj", lab::VICTIM))),
    // The project.
    ("write-workspace-source", |a| a.append(project("src/internal.rs"))),
    ("write-manifest", |a| a.append(project("Cargo.toml"))),
    ("write-lock-file", |a| a.append(project("Cargo.lock"))),
    ("write-project-config", |a| a.append(project(".cargo/config.toml"))),
    ("write-git-hook", |a| a.create(project(format!(".git/hooks/post-checkout-{}", a.kind).as_str()))),
    ("write-git-config", |a| a.append(project(".git/config"))),
    ("write-editor-settings", |a| a.create(project(format!(".vscode/{}.json", a.kind).as_str()))),
    ("write-assistant-instructions", |a| a.create(project(format!("AGENTS-{}.md", a.kind).as_str()))),
    ("write-other-vendored", |a| a.append(project("vendor/bystander/src/lib.rs"))),
    ("write-final-artifact", |a| a.create_in(Path::new(lab::TARGET_DIR).join("debug"))),
    ("write-documentation", |a| a.create_in(Path::new(lab::TARGET_DIR).join("doc"))),
    ("write-package", |a| a.create_in(Path::new(lab::TARGET_DIR).join("package"))),
    // The build directory.
    ("write-build-dir", |a| a.create_in(lab::BUILD_DIR)),
    ("write-compiler-info", |_| writable(build_dir(".rustc_info.json"))),
    ("write-profile-dir", |a| a.create(build_dir(format!("debug/planted-{}.d", a.kind).as_str()))),
    ("write-fingerprint", |a| a.create_in(build_dir("debug/.fingerprint"))),
    ("write-build-lock", |_| {
        writable(build_dir("debug/.cargo-lock")).or_else(|_| writable(build_dir("debug/.cargo-build-lock")))
    }),
    ("write-deps", |a| a.create_in(build_dir("debug/deps"))),
    ("write-incremental", |a| a.create_in(build_dir("debug/incremental"))),
    ("write-others-output", |a| a.create_in(built_package("victim", "out")?.join("out"))),
    ("write-others-script-output", |_| writable(built_package("victim", "output")?.join("output"))),
    ("write-others-script", |a| a.create_in(built_package("victim", "output")?)),
    ("write-own-package-dir", |a| a.create_in(own_package_dir()?)),
    ("write-new-package-dir", |a| a.create_in(build_dir("debug/build"))),
    // What this tool keeps.
    ("write-state", |a| a.create_in(lab::STATE)),
    ("write-shim", |a| a.create_in(Path::new(lab::STATE).join("shims"))),
    ("write-scripts", |a| a.create_in(Path::new(lab::STATE).join("scripts"))),
    ("write-wrapper", |a| a.create_in(Path::new(lab::STATE).join("bin"))),
    ("write-sessions", |a| a.create_in(Path::new(lab::STATE).join("sessions"))),
    ("write-work", |a| a.create_in(Path::new(lab::BUILD_DIR).join(".."))),
    // Something else than plain files, where cargo looks. `out` is where the job may write at all.
    ("link-script-output", |a| {
        // cargo writes the script's output through it.
        let victim = home(&format!("victims/output-{}", a.kind));
        symlink(&victim, own_package_dir()?.join("output")).map_err(said)?;
        println!("{}", a.token());
        Ok("planted".into())
    }),
    ("link-script-timestamp", |a| {
        let victim = home(&format!("victims/timestamp-{}", a.kind));
        let place = own_package_dir()?.join("root-output");
        let _ = fs::remove_file(&place);
        symlink(&victim, place).map_err(said)?;
        Ok("planted".into())
    }),
    ("symlink-in-deps", |a| {
        let place = build_dir(&format!("debug/deps/link-{}", a.kind));
        symlink(home(".netrc"), &place).map_err(said)?;
        Ok("planted".into())
    }),
    ("hard-link-in-deps", |a| {
        let place = build_dir(&format!("debug/deps/hard-{}", a.kind));
        fs::hard_link(home(".netrc"), &place).map_err(said)?;
        Ok("planted".into())
    }),
    ("hard-link-of-home", |a| {
        let place = scratch(a, "hard-link-of-home")?;
        fs::hard_link(home(".netrc"), &place).map_err(said)?;
        Ok("planted".into())
    }),
    ("rename-of-home", |a| {
        let from = home(&format!("victims/renamed-{}", a.kind));
        fs::rename(&from, scratch(a, "renamed")?).map_err(said)?;
        Ok("taken away".into())
    }),
    ("fifo-in-deps", |a| {
        let place = build_dir(&format!("debug/deps/fifo-{}", a.kind));
        node(&place, 0o010_644, 0)
    }),
    ("socket-in-deps", |a| {
        use std::os::fd::AsRawFd;
        // The path is longer than an address can be.
        let deps = fs::File::open(build_dir("debug/deps")).map_err(said)?;
        let place = format!("/proc/self/fd/{}/socket-{}", deps.as_raw_fd(), a.kind);
        std::os::unix::net::UnixListener::bind(place).map(|_| "made".into()).map_err(said)
    }),
    ("device-node", |a| {
        // The null device: harmless wherever it stays.
        node(&scratch(a, "device")?, 0o020_666, 0x103)
    }),
    ("set-user-id-by-chmod", |a| {
        let place = file(a, "chmod")?;
        fs::set_permissions(place, fs::Permissions::from_mode(0o4755)).map_err(said)?;
        Ok("set".into())
    }),
    ("set-group-id-by-fchmodat", |a| {
        let place = c_path(&file(a, "fchmodat")?);
        sys::succeeds(268, &[HERE, place.as_ptr() as u64, 0o2755])
    }),
    ("set-user-id-by-fchmodat2", |a| {
        let place = c_path(&file(a, "fchmodat2")?);
        sys::succeeds(452, &[HERE, place.as_ptr() as u64, 0o4755, 0])
    }),
    ("set-user-id-by-open", |a| {
        let place = c_path(&scratch(a, "open")?);
        // O_CREAT | O_WRONLY
        sys::succeeds(2, &[place.as_ptr() as u64, 0o101, 0o4755])
    }),
    ("set-user-id-by-openat2", |a| {
        let place = c_path(&scratch(a, "openat2")?);
        let how = [0o101_u64, 0o4755, 0];
        sys::succeeds(437, &[HERE, place.as_ptr() as u64, how.as_ptr() as u64, 24])
    }),
    ("set-user-id-by-creat", |a| {
        let place = c_path(&scratch(a, "creat")?);
        sys::succeeds(85, &[place.as_ptr() as u64, 0o4755])
    }),
    ("set-user-id-by-mknod", |a| node(&scratch(a, "mknod")?, 0o104_755, 0)),
    ("file-capabilities", |a| {
        // cap_net_raw+ep, version 2
        let data: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];
        let (place, name) = (c_path(&file(a, "capabilities")?), c"security.capability");
        sys::succeeds(188, &[place.as_ptr() as u64, name.as_ptr() as u64, data.as_ptr() as u64, 20, 0])
    }),
];

/// `AT_FDCWD`.
const HERE: u64 = -100_i64 as u64;

fn c_path(path: &Path) -> std::ffi::CString {
    std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("no zero in it")
}

fn node(place: &Path, mode: u64, device: u64) -> Outcome {
    let path = c_path(place);
    sys::succeeds(133, &[path.as_ptr() as u64, mode, device])
}

/// A new name where the job may write: what stays there is on the host's disk afterwards.
fn scratch(attempt: &Attempt, name: &str) -> Result<PathBuf, String> {
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from);
    let directory = match attempt.kind.as_str() {
        kind if kind.ends_with("-script") && !kind.starts_with("macro") => out.ok_or("no OUT_DIR")?,
        "run" | "test" | "bench" => {
            let directory = build_dir("tmp");
            fs::create_dir_all(&directory).map_err(said)?;
            directory
        }
        _ => build_dir("debug/deps"),
    };
    let place = directory.join(format!("{name}-{}", attempt.kind));
    let _ = fs::remove_file(&place);
    Ok(place)
}

fn file(attempt: &Attempt, name: &str) -> Result<PathBuf, String> {
    let place = scratch(attempt, name)?;
    fs::write(&place, "#!/bin/sh\n").map_err(said)?;
    Ok(place)
}

fn own_package_dir() -> Result<PathBuf, String> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    Ok(out.parent().ok_or("the root")?.to_owned())
}

/// The source of the package whose job this is.
fn own_source() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
        .join("src")
}
