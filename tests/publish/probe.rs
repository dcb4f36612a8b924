// In the place of a toolchain's cargo (see world.rs). In the Publish container it says what there is.
use std::fs::{self, File, OpenOptions};
use std::net::{TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn main() {
    if std::env::var_os("CARGO_HOME").is_none_or(|home| home != "/publish/home") {
        let real = std::env::current_exe().unwrap().with_file_name("real-cargo");
        panic!("{}", Command::new(real).args(std::env::args_os().skip(1)).exec());
    }
    let ports = std::env::var("CARGO_HTTP_USER_AGENT").unwrap_or_default();
    // Not even the root can be listed: what is mounted, and what others have there.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounted = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let usual =
        ["/", "/usr", "/bin", "/lib", "/lib64", "/home", "/root", "/var", "/run", "/opt", "/srv", "/publish"];
    let mut seen = std::collections::BTreeSet::new();
    for path in mounted.chain(usual) {
        // What the kernel has there, and what is made for each job alone.
        if !["/proc", "/dev", "/sys", "/tmp"].iter().any(|own| Path::new(path).starts_with(own)) {
            walk(Path::new(path), &mut seen);
        }
    }
    for (name, _) in std::env::vars_os() {
        println!("variable {}", name.display());
    }
    for port in ports.split(' ').chain(["22", "80", "443", "2375", "5432"]) {
        reach(&format!("127.0.0.1:{port}"));
        reach(&format!("[::1]:{port}"));
    }
    for elsewhere in
        ["169.254.169.254:80", "10.0.0.1:80", "192.0.2.1:443", "index.crates.io:443", "example.org:80"]
    {
        reach(elsewhere);
    }
    let datagram = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", "192.0.2.1:53"));
    if datagram.is_ok() {
        println!("reached a datagram's host");
    }
    for line in fs::read_to_string("/proc/net/dev").unwrap().lines().skip(2) {
        println!("interface {}", line.split(':').next().unwrap().trim());
    }
    // While the directory is read it is open itself.
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|to| !to.starts_with("/proc")) {
            println!("descriptor {}", entry.file_name().display());
        }
    }
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let number = |name: String| name.parse::<u32>().is_ok();
    println!(
        "processes {}",
        processes.filter(|entry| number(entry.file_name().display().to_string())).count()
    );
}

fn walk(path: &Path, seen: &mut std::collections::BTreeSet<std::path::PathBuf>) {
    if !seen.insert(path.to_owned()) {
        return;
    }
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if metadata.is_dir() {
        let new = path.join("probe-was-here");
        if File::create(&new).is_ok() {
            println!("write {}", path.display());
            let _ = fs::remove_file(new);
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            walk(&entry.path(), seen);
        }
        return;
    }
    if File::open(path).is_ok() {
        println!("read {}", path.display());
    }
    if metadata.is_file() && OpenOptions::new().append(true).open(path).is_ok() {
        println!("write {}", path.display());
    }
    // A file of data that may be executed starts nothing: the kernel says that it is no program.
    if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        let started = Command::new(path).arg("--version").env_clear().output();
        if !started.is_err_and(|error| error.raw_os_error() == Some(13)) {
            println!("execute {}", path.display());
        }
    }
}

fn reach(address: &str) {
    let addresses = address.to_socket_addrs().into_iter().flatten();
    for one in addresses {
        if TcpStream::connect_timeout(&one, Duration::from_secs(2)).is_ok() {
            println!("reached {address}");
        }
    }
}
