//! When containers start, are shared, replaced, and end.

use super::support::image::HostImage;
use super::support::run::spawn;
use super::*;

#[test]
fn nothing_to_build_starts_no_container() {
    each_engine("fresh", |world, engine| {
        let project = package(world, "project");
        run(world.sandbox(engine, &project).arg("check")).success("the first check");
        world.stop(engine, &project);
        let again = run(world.sandbox(engine, &project).arg("check")).success("a fresh check");
        assert!(!again.stderr.contains("Checking"), "{}", again.stderr);
        assert!(
            world.status(engine, &project).running.is_empty(),
            "{engine}: a fresh check started a container"
        );
    });
}

/// Where nothing is built yet it is started beside cargo, which here never comes to a job.
#[test]
fn a_cold_build_starts_its_container_before_the_first_job() {
    each_engine("ahead", |world, engine| {
        let project = package(world, "project");
        let manifest = fs::read_to_string(project.join("Cargo.toml")).expect("a manifest");
        let missing = format!("{manifest}\n[dependencies]\nmissing = {{ path = \"missing\" }}\n");
        world.write(&project.join("Cargo.toml"), &missing);
        let output = run(world.sandbox(engine, &project).arg("check"));
        assert_eq!(output.code(), 101, "{engine}: {}", output.stderr);
        assert!(
            output.stderr.contains("failed to load manifest for dependency `missing`"),
            "{}",
            output.stderr
        );
        let ahead = world.status(engine, &project).running;
        assert_eq!(ahead.len(), 1, "{engine}");

        world.write(&project.join("Cargo.toml"), &manifest);
        run(world.sandbox(engine, &project).arg("check")).success("check");
        assert_eq!(world.status(engine, &project).running, ahead, "{engine}: the same container");
        world.stop(engine, &project);
    });
}

#[test]
fn a_container_is_shared_by_commands_and_replaced_when_its_description_changes() {
    each_engine("shared", |world, engine| {
        let project = package(world, "project");
        let more = world.work().join("more");
        world.write(&more.join("file"), "");
        run(world.sandbox(engine, &project).arg("build")).success("build");
        let first = world.status(engine, &project).running;
        run(world.sandbox(engine, &project).arg("check")).success("check");
        assert_eq!(world.status(engine, &project).running, first, "{engine}: the same container");
        assert_eq!(first.len(), 1);

        let mut changed = world.sandbox(engine, &project);
        changed.arg("--sandbox-read").arg(&more).args(["build", "--release"]);
        run(&mut changed).success("build of another description");
        eventually(Duration::from_secs(10), "the old container ends", || {
            let running = world.status(engine, &project).running;
            running.len() == 1 && running != first
        });
        world.stop(engine, &project);
    });
}

#[test]
fn an_idle_container_ends_by_itself() {
    each_engine("idle", |world, engine| {
        let project = package(world, "project");
        run(world.sandbox(engine, &project).args(["--sandbox-idle", "1", "check"])).success("check");
        eventually(Duration::from_secs(15), "an idle container ends", || {
            world.status(engine, &project).running.is_empty()
        });
    });
}

#[test]
fn cargo_clean_leaves_a_project_that_builds() {
    each_engine("clean", |world, engine| {
        let project = package(world, "project");
        for _ in 0..2 {
            run(world.sandbox(engine, &project).arg("build")).success("build");
            assert!(project.join("target/debug/project").is_file());
            run(world.sandbox(engine, &project).arg("clean")).success("clean");
            assert!(!project.join("target").exists() && !world.status(engine, &project).build_dir.exists());
        }
        world.stop(engine, &project);
    });
}

#[test]
fn a_container_that_is_taken_away_is_named_and_the_next_run_works() {
    each_engine("taken", |world, engine| {
        let project = package(world, "project");
        world.write(
            &project.join("build.rs"),
            "fn main() { std::thread::sleep(std::time::Duration::from_secs(60)); }\n",
        );
        let build = spawn(world.sandbox(engine, &project).arg("build"));
        let scripts = || {
            let build_dir = world.status(engine, &project).build_dir;
            build_dir
                .ancestors()
                .nth(2)
                .map(|project| project.join("scripts/debug"))
                .is_some_and(|path| path.exists())
        };
        eventually(Duration::from_secs(60), "the build script is compiled", scripts);
        world.stop(engine, &project);
        let output = build.wait(Duration::from_secs(30));
        assert_eq!(output.code(), 101, "{engine}: {}", output.stderr);
        assert!(output.stderr.contains("went away") && output.stderr.contains("hint:"), "{}", output.stderr);

        world.write(&project.join("build.rs"), "fn main() {}\n");
        run(world.sandbox(engine, &project).arg("build")).success("the next run");
        world.stop(engine, &project);
    });
}

#[test]
fn the_doctor_proves_it() {
    each_engine("doctor", |world, engine| {
        let project = package(world, "project");
        // In a project, and where there is none.
        for directory in [project.as_path(), &world.work()] {
            let output = run(world.sandbox(engine, directory).args(["self", "doctor"])).success("doctor");
            for word in
                ["kernel:", "toolchain:", "docker:", "native:", "landlock:", "limits:", "jobs can run here"]
            {
                assert!(output.stdout.contains(word), "`{word}` is not in:\n{}", output.stdout);
            }
        }
        world.stop(engine, &project);
        let mut broken = world.sandbox(Engine::Docker, &project);
        let output = run(broken.args(["self", "doctor"]).env("DOCKER_HOST", "unix:///nowhere"));
        assert_eq!(output.code(), 101, "{}", output.stdout);
        assert!(output.stdout.contains("jobs cannot run here"), "{}", output.stdout);
    });
}

#[test]
fn prune_removes_what_belongs_to_projects_that_are_gone() {
    each_engine("prune", |world, engine| {
        let (kept, gone) = (package(world, "kept"), package(world, "gone"));
        for project in [&kept, &gone] {
            run(world.sandbox(engine, project).arg("build")).success("build");
        }
        let build_dir = |project: &Path| world.status(engine, project).build_dir;
        let (kept_dir, gone_dir) = (build_dir(&kept), build_dir(&gone));
        fs::remove_dir_all(&gone).expect("the project goes");
        let output = run(world.sandbox(engine, &world.work()).args(["self", "prune"])).success("prune");
        assert!(output.stdout.contains("gone") && output.stdout.contains("freed "), "{}", output.stdout);
        assert!(kept_dir.exists() && !gone_dir.exists());
        assert_eq!(
            world.status(engine, &kept).running.len(),
            1,
            "{engine}: the other project's container runs"
        );
        world.stop(engine, &kept);
    });
}

#[test]
fn a_jobserver_above_cargo_is_joined() {
    each_engine("jobserver", |world, engine| {
        let project = package(world, "project");
        // A build script takes a token as make's children do: by the numbers that it is told.
        let script = r#"fn main() {
            let flags = std::env::var("CARGO_MAKEFLAGS").unwrap();
            let auth = flags.split(' ').filter_map(|word| word.strip_prefix("--jobserver-auth=")).next_back().unwrap();
            let (read, write) = auth.split_once(',').expect(auth);
            let own = |number: &str| -> std::fs::File {
                // SAFETY: the variable says that this descriptor is the jobserver's, and nothing else here has it.
                unsafe { std::os::fd::FromRawFd::from_raw_fd(number.parse().unwrap()) }
            };
            let mut token = [0];
            std::io::Read::read_exact(&mut own(read), &mut token).unwrap();
            std::io::Write::write_all(&mut own(write), &token).unwrap();
            println!("cargo::warning=token {}", token[0] as char);
        }"#;
        world.write(&project.join("build.rs"), script);
        // As GNU make 4.4 does: a fifo with a token for each job beyond the first.
        let fifo = world.work().join("fifo");
        let make = format!("mkfifo {0} && exec 9<>{0} && printf TT >&9 && exec \"$@\"", fifo.display());
        let mut command = world.sandbox_under(engine, &project, &["sh", "-c", &make, "sh"]);
        command.arg("build").env("MAKEFLAGS", format!("-j3 --jobserver-auth=fifo:{}", fifo.display()));
        let output = run(&mut command).success("a build under a make");
        assert!(output.stderr.contains("token T"), "{}", output.stderr);
        assert!(!output.stderr.contains("failed to connect to jobserver"), "{}", output.stderr);
        world.stop(engine, &project);
    });
}

#[test]
fn a_container_of_an_image_that_the_user_names() {
    let engine = Engine::Docker;
    if need(engine.here()).is_none() {
        return;
    }
    let Some(world) = world("image") else { return };
    let Some(image) = HostImage::new(&world, "image") else { return };
    let project = package(&world, "project");
    fs::remove_file(project.join("build.rs")).expect("no script: the image has no linker");
    let mut check = world.sandbox(engine, &project);
    run(check.args(["--sandbox-image", &image.name, "check"])).success("check in an image");
    world.stop(engine, &project);

    let mut missing = world.sandbox(engine, &project);
    missing.args(["--sandbox-image", "cargo-sandbox-test-none:1", "check", "--release"]);
    fails(&mut missing, &["cargo-sandbox-test-none:1"]);
    let mut native = world.sandbox(Engine::Native, &project);
    fails(native.args(["--sandbox-image", &image.name, "check", "--release"]), &["image", "docker"]);
}

#[test]
fn a_project_deep_in_a_repository() {
    let (Some(world), Some(git)) = (world("deep"), need(support::program("git"))) else { return };
    let top = world.work().join("repository");
    let project = top.join("some/project");
    world.copy(&package(&world, "project"), &project);
    world.write(&top.join(".gitignore"), "ignored\n");
    world.write(&top.join("some/.gitignore"), "target\n");
    let initialised = run(world.command(git).args(["init", "--quiet"]).current_dir(&top));
    initialised.success("git init");
    // Which files make its build script run again cargo asks git, whose answer starts at the top.
    run(world.sandbox(Engine::Native, &project).arg("build")).success("a build below a repository's top");
    run(world.sandbox(Engine::Native, &project).arg("build")).success("and again");
    world.stop(Engine::Native, &project);
}
