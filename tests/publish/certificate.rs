//! A certificate that the repository has cargo trust, and whoever has forged it between the user and the registry.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::support::run::run;
use super::support::world::World;
use super::support::{need, program};
use super::{engines, package, sandbox, users};

const TOKEN: &str = "the-token-of-the-user";

#[test]
fn a_certificate_of_the_repositorys_is_not_believed() {
    let Some(user) = users().into_iter().next() else { return };
    let Some(world) = need(World::new("publish-certificate", &user)) else { return };
    let Some(openssl) = need(program("openssl")) else { return };
    let forger = Forger::start(&openssl, &world.home.join("forger"));
    // The user's registry, by the address at which somebody else answers.
    let config = format!("[registries.mine]\nindex = \"sparse+https://127.0.0.1:{}/index/\"\n", forger.port);
    world.write(&world.home.join(".cargo/config.toml"), &config);
    let certificate = fs::read_to_string(world.home.join("forger/certificate.pem")).expect("certificate");
    let files = [(".cargo/config.toml", "[http]\ncainfo = \"evil.pem\"\n"), ("evil.pem", &*certificate)];
    let deceived = package(&world, "deceived", "", &files);
    let honest = package(&world, "honest", "", &[]);
    let line = "publish --registry mine --no-verify";
    let plain = |project: &Path| {
        let mut command = world.plain(project);
        command.args(line.split(' ')).env("CARGO_REGISTRIES_MINE_TOKEN", TOKEN);
        run(command.env("CARGO_HTTP_TIMEOUT", "5").env("CARGO_NET_RETRY", "0"))
    };

    let refused = plain(&honest);
    assert_ne!(refused.code(), 0);
    assert_eq!(forger.heard(), "", "control: nobody believes it without the repository: {}", refused.stderr);
    let output = plain(&deceived);
    assert!(forger.heard().contains(TOKEN), "control: {}\n{}", output.stderr, forger.heard());

    for engine in engines() {
        let before = forger.heard();
        let output = run(&mut sandbox(&world, engine, &deceived, TOKEN, line));
        assert_eq!(output.code(), 101, "{}", output.stderr);
        assert!(
            output.stderr.contains("http.cainfo") && output.stderr.contains("self trust"),
            "{}",
            output.stderr
        );
        // Nor without the repository's word.
        let output = run(&mut sandbox(&world, engine, &honest, TOKEN, line));
        assert_ne!(output.code(), 0, "{}", output.stderr);
        assert_eq!(forger.heard(), before, "{engine}");
    }
}

/// OpenSSL's own server with a certificate that nobody has signed: what it is asked comes decrypted, and what it shall
/// answer is given to it.
struct Forger {
    process: Child,
    port: u16,
    heard: Arc<Mutex<String>>,
}

impl Forger {
    fn start(openssl: &Path, directory: &Path) -> Self {
        fs::create_dir_all(directory).expect("directory");
        let mut make = Command::new(openssl);
        make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-keyout", "key.pem", "-out", "certificate.pem", "-subj", "/CN=localhost", "-days", "30"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"]);
        run(make.current_dir(directory)).success("openssl req");
        // It does not say which one it has been given.
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let mut server = Command::new(openssl);
        server.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
        server.args(["-cert", "certificate.pem", "-key", "key.pem"]).current_dir(directory);
        let mut process = server
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl s_server");
        let (mut questions, mut answers) =
            (process.stdout.take().expect("a pipe"), process.stdin.take().expect("a pipe"));
        let heard = Arc::new(Mutex::new(String::new()));
        let all = Arc::clone(&heard);
        // Ends with the server.
        std::thread::spawn(move || {
            let (mut request, mut chunk) = (String::new(), [0; 4096]);
            while let Ok(length @ 1..) = questions.read(&mut chunk) {
                let said = String::from_utf8_lossy(&chunk[..length]).into_owned();
                all.lock().expect("no panic").push_str(&said);
                request.push_str(&said);
                if !request.contains("\r\n\r\n") {
                    continue;
                }
                let config = format!(
                    "{{\"dl\":\"https://127.0.0.1:{port}\",\"api\":\"https://127.0.0.1:{port}\",\"auth-required\":true}}"
                );
                let (status, body) = match request.contains("config.json") {
                    true => ("200 OK", config.as_str()),
                    false => ("404 Not Found", ""),
                };
                request.clear();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                if answers.write_all(answer.as_bytes()).and_then(|()| answers.flush()).is_err() {
                    return;
                }
            }
        });
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "openssl s_server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, port, heard }
    }

    fn heard(&self) -> String {
        self.heard.lock().expect("no panic").clone()
    }
}

impl Drop for Forger {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
