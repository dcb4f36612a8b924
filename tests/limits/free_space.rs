//! Ending a job where too little of the disk is left.

use super::support::run::run;
use super::support::world::World;
use super::{each_world, package};

/// More than is free, so that it is the writing job alone that decides.
fn floor(world: &World) -> String {
    let disk = rustix::fs::statvfs(&world.home).expect("statvfs");
    format!("free-space={}M", (disk.f_bavail * disk.f_frsize / 2 * 3) >> 20)
}

#[test]
fn a_job_that_takes_the_last_space_is_stopped_and_others_are_not() {
    each_world("space", |world, engine| {
        let project = world.work().join("filler");
        let fill = |count: u32| {
            format!(
                "use std::io::Write;\nfn main() {{\n    let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());\n    \
                 let mut file = std::fs::File::create(out.join(\"filling\")).unwrap();\n    \
                 for _ in 0..{count} {{\n        file.write_all(&vec![1_u8; 16 << 20]).unwrap();\n        file.sync_all().unwrap();\n        \
                 std::thread::sleep(std::time::Duration::from_millis(50));\n    }}\n    \
                 std::fs::remove_file(out.join(\"filling\")).unwrap();\n}}\n"
            )
        };
        package(world, &project, "\n[workspace]\n", "fn main() {}\n", Some(&fill(1)));
        let floor = floor(world);
        let build = || {
            let mut command = world.sandbox(engine, &project);
            run(command.args(["--sandbox-limit", &floor, "build"]))
        };
        build().success("a job that writes little, on a disk that is as good as full");
        world.write(&project.join("build.rs"), &fill(30));
        run(world.sandbox(engine, &project).arg("build")).success("control: with the usual floor");
        world.write(&project.join("build.rs"), &fill(31));
        let output = build();
        assert_eq!(output.code(), 101, "{}", output.stderr);
        for word in ["the build script of filler was stopped", "`free-space`", "hint: "] {
            assert!(output.stderr.contains(word), "`{word}` is not in:\n{}", output.stderr);
        }
        world.stop(engine, &project);
    });
}
