//! `examples/hostile` does what its README says: all of it under cargo, none of it under cargo-sandbox.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::need;
use crate::support::run::{Output, run};
use crate::support::tool::Engine;
use crate::support::world::{User, World};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hostile");

struct Scene {
    world: World,
    project: PathBuf,
    listener: TcpListener,
}

impl Scene {
    fn build(&self, command: &mut Command) -> Output {
        command.arg("build").env("GITHUB_TOKEN", "not-a-real-one");
        run(command).success("the build of a hostile project succeeds in both cases")
    }

    /// Whether anyone connected since the last question.
    fn connections(&self) -> usize {
        std::iter::from_fn(|| self.listener.accept().ok()).count()
    }

    fn was_here(&self) -> bool {
        let file = self.world.home.join(".hostile-example-was-here");
        let existed = file.exists();
        let _ = fs::remove_file(file);
        existed
    }
}

/// The processes that the example left behind, as process ids.
fn survivors() -> Vec<i32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let ours = processes.filter(|process| {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains("hostile-example-survivor")
    });
    ours.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
}

fn lines(output: &Output, word: &str) -> Vec<String> {
    let word = format!("] {word}: ");
    output.stderr.lines().filter(|line| line.contains(&word)).map(str::to_owned).collect()
}

#[test]
fn cargo_lets_all_of_it_happen_and_the_sandbox_none() {
    let Some(user) = need(User::ordinary()) else { return };
    let Some(world) = need(World::new("hostile", &user)) else { return };
    let listener = TcpListener::bind("127.0.0.1:47811");
    let Some(listener) = need(listener.map_err(|error| format!("port 47811 of this machine: {error}")))
    else {
        return;
    };
    listener.set_nonblocking(true).expect("non-blocking listener");
    let project = world.work().join("hostile");
    world.copy(Path::new(EXAMPLE), &project);
    world.write(&world.home.join(".ssh/id_ed25519"), "not a real key\n");
    let scene = Scene { world, project, listener };

    // Control: the attempts are real, so that their failure below means something.
    let output = scene
        .build(scene.world.plain(&scene.project).env("CARGO_TARGET_DIR", scene.world.home.join("plain")));
    assert_eq!(lines(&output, "succeeded").len(), 10, "under cargo all succeeds:\n{}", output.stderr);
    assert_eq!(scene.connections(), 2);
    assert!(scene.was_here());
    let left = survivors();
    assert_eq!(left.len(), 2, "the build script and the macro left a process each");
    for process in left {
        // SAFETY: kill(2) takes two integers and touches no memory of ours.
        unsafe { libc::kill(process, libc::SIGKILL) };
    }

    for engine in Engine::ALL {
        let Some(engine) = need(engine.here()) else { continue };
        let _ = fs::remove_dir_all(scene.project.join("target"));
        let _ = fs::remove_dir_all(scene.world.state());
        let output = scene.build(&mut scene.world.sandbox(engine, &scene.project));
        // To start a process is no crime; whether it still runs is asked of the host.
        let succeeded =
            lines(&output, "succeeded").into_iter().filter(|line| !line.contains("leave a process"));
        assert_eq!(succeeded.collect::<Vec<_>>(), [""; 0], "{engine}");
        assert_eq!(
            lines(&output, "succeeded").len() + lines(&output, "refused").len(),
            10,
            "{}",
            output.stderr
        );
        assert_eq!(scene.connections(), 0, "{engine}");
        assert!(!scene.was_here(), "{engine}");
        assert_eq!(survivors(), [0; 0], "{engine}: outlived the build");
        scene.world.stop(engine, &scene.project);
    }
}
