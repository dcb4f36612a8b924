//! `network` and `ports`: what is granted is reached, and nothing beside it.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use super::support::run::spawn;
use super::*;

/// A server on this machine's loopback that says the same to everybody.
pub fn server(says: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
    let port = listener.local_addr().expect("address").port();
    std::thread::spawn(move || {
        for call in listener.incoming() {
            let _gone = call.expect("call").write_all(says.as_bytes());
        }
    });
    port
}

/// A program that asks each of these and prints what it heard, or what kind of error there was.
fn asks(places: &[String]) -> String {
    format!(
        r#"use std::io::Read;
use std::net::{{TcpStream, ToSocketAddrs}};
fn ask(place: &str) -> String {{
    let mut heard = String::new();
    let connect = |address| TcpStream::connect_timeout(&address, std::time::Duration::from_secs(2));
    match place.to_socket_addrs().map(|mut all| all.next().unwrap()).and_then(connect) {{
        Ok(mut stream) => {{
            let _ = stream.set_read_timeout(Some(std::time::Duration::from_secs(1)));
            let _ = stream.read_to_string(&mut heard);
            heard
        }}
        Err(error) => format!("{{:?}}", error.kind()),
    }}
}}
fn main() {{
    for place in {places:?} {{ println!("cargo::warning=<{{place}} {{}}>", ask(place)); }}
    let dns = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    println!("cargo::warning=<dns {{}}>", dns.send_to(&[0; 12], "8.8.8.8:53").is_ok());
}}
"#
    )
}

/// An address of this machine beside its loopback, where it has one.
fn own_address() -> Option<String> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string()).filter(|address| address != "0.0.0.0")
}

#[test]
fn a_list_is_what_is_reached_and_nothing_else_is() {
    let Some(world) = world("policy-network") else { return };
    let (granted, other) = (server("the granted one"), server("another one"));
    let own = own_address().unwrap_or_else(|| "10.0.0.1".into());
    let places = [
        format!("127.0.0.1:{granted}"),
        format!("localhost:{granted}"),
        format!("127.0.0.1:{other}"),
        format!("{own}:{other}"),
        "169.254.169.254:80".to_owned(),
        "index.crates.io:443".to_owned(),
    ];
    let script = asks(&places);
    for engine in engines() {
        let name = format!("connects-{engine}");
        let project = project(&world, &name, &Parts { script: &script, ..Parts::default() });
        // Plain cargo reaches both servers.
        let plain = run(&mut line::plain(&world, &project, "check")).success("control");
        for said in ["the granted one", "another one"] {
            assert!(plain.stderr.contains(said), "{}", plain.stderr);
        }
        let check = |text: &str| {
            policy(&world, &project, text);
            trust(&world, engine, &project);
            run(&mut sandbox(&world, engine, &project, "clean")).success("clean");
            run(&mut sandbox(&world, engine, &project, "check")).success("check").stderr
        };
        for text in ["", &format!("[packages.{name}.test]\nnetwork = [\"127.0.0.1:{granted}\"]\n")] {
            let heard = check(text);
            assert!(!heard.contains("the granted one") && !heard.contains("another one"), "{heard}");
        }
        let heard = check(&format!("[packages.{name}.build-script]\nnetwork = [\"127.0.0.1:{granted}\"]\n"));
        for place in &places[..2] {
            assert!(heard.contains(&format!("<{place} the granted one>")), "{heard}");
        }
        assert!(heard.contains(&format!("<127.0.0.1:{other} ConnectionRefused>")), "{heard}");
        assert!(!heard.contains("another one"), "{heard}");
        for place in &places[3..] {
            let line = heard.lines().find(|line| line.contains(place)).expect("asked");
            assert!(
                ["NetworkUnreachable", "HostUnreachable", "Uncategorized"]
                    .iter()
                    .any(|kind| line.contains(kind)),
                "{line}"
            );
        }
        assert!(heard.contains("<dns false>"), "{heard}");
        world.stop(engine, &project);
    }
}

/// The loopback of the container is the project's: two jobs that run at the same time meet there, unless one has none.
#[test]
fn none_is_not_even_the_containers_loopback() {
    let Some(world) = world("policy-none") else { return };
    let program = "use std::io::Write;\nfn main() { let all = std::net::TcpListener::bind(\"127.0.0.1:4100\").unwrap();\n\
                   println!(\"listening\"); for call in all.incoming() { let _ = call.unwrap().write_all(b\"met\"); } }\n";
    let test = "#[test]\nfn it() { use std::io::Read;\n\
                let met = std::net::TcpStream::connect(\"127.0.0.1:4100\").and_then(|mut stream| {\n\
                let mut text = String::new(); stream.read_to_string(&mut text).map(|_| text) });\n\
                println!(\"<{:?}>\", met.map_err(|error| error.kind())); }\n";
    let engine = Engine::Native;
    let project = project(&world, &format!("meets-{engine}"), &Parts { program, test, ..Parts::default() });
    run(&mut sandbox(&world, engine, &project, "build --all-targets")).success("build");
    let running = spawn(&mut sandbox(&world, engine, &project, "run -q"));
    let tested = || {
        run(&mut sandbox(&world, engine, &project, "test --test it -- --nocapture")).success("test").stdout
    };
    // Until it listens.
    let met = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        tested().contains("<Ok(\"met\")>")
    });
    assert!(met, "control: they share the container's loopback");
    policy(&world, &project, "[defaults.test]\nnetwork = \"none\"\n");
    let alone = tested();
    assert!(alone.contains("<Err(ConnectionRefused)>"), "{alone}");
    running.signal_group(libc::SIGKILL);
    let _ended = running.wait(Duration::from_secs(60));
    world.stop(engine, &project);
}

/// A port of this machine that is free now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// What a connection to this machine's port gives, as soon as it gives anything.
fn heard_at(port: u16) -> Option<String> {
    let mut text = String::new();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    std::io::Read::read_to_string(&mut stream, &mut text).ok()?;
    Some(text).filter(|text| !text.is_empty())
}

#[test]
fn a_published_port_leads_to_the_program_and_ends_with_it() {
    let Some(world) = world("policy-ports") else { return };
    let program = "use std::io::Write;\nfn main() { let all = std::net::TcpListener::bind(\"127.0.0.1:4101\").unwrap();\n\
                   for call in all.incoming() { let _ = call.unwrap().write_all(&[b'x'; 3_000_000]); } }\n";
    for engine in engines() {
        let name = format!("serves-{engine}");
        let project = project(&world, &name, &Parts { program, ..Parts::default() });
        let port = free_port();
        run(&mut sandbox(&world, engine, &project, "build")).success("build");
        policy(&world, &project, &format!("[packages.{name}.run]\nports = [\"{port}:4101\"]\n"));
        fails(
            &mut sandbox(&world, engine, &project, "run"),
            &["programs of `run` of `serves-", "are reached at port"],
        );
        assert_eq!(heard_at(port), None, "not without trust");
        trust(&world, engine, &project);
        let running = spawn(&mut sandbox(&world, engine, &project, "run -q"));
        let heard = (0..100).find_map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            heard_at(port)
        });
        assert_eq!(heard.map(|text| text.len()), Some(3_000_000));
        assert_eq!(heard_at(4101), None, "what is not published");
        // A second one finds the port in use.
        fails(
            &mut sandbox(&world, engine, &project, "run"),
            &[&format!("port {port} of this machine"), "hint: "],
        );
        running.signal_group(libc::SIGINT);
        let _ended = running.wait(Duration::from_secs(60));
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "it ends with the program");
        world.stop(engine, &project);
    }
}

#[test]
fn the_hosts_network_is_that_of_the_jobs_that_are_granted_it_alone() {
    let Some(world) = world("policy-host") else { return };
    let port = server("the server of the host");
    let places = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let script = asks(&places);
    let test = format!(
        "#[test]\nfn it() {{ use std::io::Read; let mut text = String::new();\n\
         let stream = std::net::TcpStream::connect(\"127.0.0.1:{port}\");\n\
         let heard = stream.and_then(|mut stream| stream.read_to_string(&mut text)).is_ok();\n\
         let socket = std::os::unix::net::UnixDatagram::unbound().is_ok();\n\
         println!(\"<{{heard}} {{text}} {{socket}}>\"); }}\n"
    );
    for engine in engines() {
        let name = format!("hosted-{engine}");
        let project = project(&world, &name, &Parts { script: &script, test: &test, ..Parts::default() });
        let tested = || {
            let line = "test --test it -- --nocapture";
            let output = run(&mut sandbox(&world, engine, &project, line)).success("test");
            assert!(!output.stderr.contains("the server of the host"), "a build script: {}", output.stderr);
            output.stdout
        };
        let without = tested();
        assert!(without.contains("<false  true>"), "{without}");
        policy(&world, &project, "[defaults.test]\nnetwork = \"host\"\n");
        fails(
            &mut sandbox(&world, engine, &project, "test"),
            &["reach all that you reach from this machine"],
        );
        trust(&world, engine, &project);
        let with = tested();
        // No socket of the user's that has a name of its own: those are in that network, too. Later kernels keep jobs
        // from them by Landlock.
        let sockets = cargo_sandbox::agent::landlock_abi() >= 9;
        assert!(with.contains(&format!("<true the server of the host {sockets}>")), "{with}");
        policy(&world, &project, "");
        let again = tested();
        assert!(again.contains("<false  true>"), "{again}");
        world.stop(engine, &project);
    }
}
