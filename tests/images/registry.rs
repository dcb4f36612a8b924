//! A registry on this machine, as anybody has one: Debian's `docker-registry`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{need, program};

/// One that runs.
pub struct Registry {
    /// `127.0.0.1:port`: engines ask registries on the loopback device without TLS.
    pub address: String,
    server: Child,
}

impl Registry {
    pub fn start(place: &Path) -> Option<Self> {
        let server = need(program("docker-registry"))?;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let storage = place.join("registry");
        fs::create_dir_all(&storage).expect("a directory");
        let configuration = place.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            storage.display()
        );
        fs::write(&configuration, text).expect("a file");
        let mut command = Command::new(server);
        command.arg("serve").arg(&configuration).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Self { address, server: command.spawn().expect("a registry") };
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&registry.address).is_err() {
            assert!(Instant::now() < end, "the registry does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ended = self.server.kill();
        let _status = self.server.wait();
    }
}
