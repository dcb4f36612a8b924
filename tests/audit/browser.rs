//! The page in a real browser, without a network: what is unusual comes first, a click sorts, and nothing is wrong in
//! the browser's console.

use std::fs;
use std::path::Path;

use super::support::run::{Output, run};
use super::support::world::World;
use super::support::{need, program};
use super::{project, sandbox, vendor};

/// Chromium without a window, in a fresh profile; it may run as root. `what` is what it shall do with the page.
fn chromium(world: &World, chromium: &Path, what: &str, address: &str) -> Output {
    let mut command = world.command(chromium);
    command.arg(format!("--user-data-dir={}", world.home.join("chromium").display()));
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--window-size=1280,800",
        what,
        address,
    ]);
    run(&mut command).success("chromium")
}

/// The packages in the order in which the page's table has them.
fn order(page: &str) -> Vec<String> {
    let table = page.split("<tbody>").nth(1).expect("a table").split("</tbody>").next().expect("its end");
    let cells = table.split("<th scope=\"row\" data-value=\"").skip(1);
    cells.map(|cell| cell.split('"').next().expect("a value").to_owned()).collect()
}

#[test]
fn a_click_sorts_and_the_console_is_silent() {
    let Some(browser) = need(program("chromium")) else { return };
    let Some(world) = super::world("audit-browser") else { return };
    let project = project(&world, "aa = \"1\"\nzz = \"1\"");
    let hostile = "fn main() {\n    let _ = std::net::TcpStream::connect(\"192.0.2.1:80\");\n    let _ = \
                   std::process::Command::new(\"true\").arg(\"</ul></td><script>document.title='owned'</script><img src=x \
                   onerror=document.title='owned'>\").status();\n}\n";
    vendor(&world, &project, "aa", "1.0.0", "", &[]);
    vendor(&world, &project, "zz", "1.0.0", "", &[("build.rs", hostile)]);
    sandbox(&world, super::Engine::Native, &project, "--audit build").success("--audit build");
    let page = super::report(&world).join("audit.html");
    let address = format!("file://{}", page.display());

    let written = order(&fs::read_to_string(&page).unwrap());
    assert_eq!(written.len(), 4, "{written:?}");
    assert_eq!(written[0], "zz 1.0.0", "what is unusual comes first");
    let show = |hash: &str| {
        let output = chromium(&world, &browser, "--dump-dom", &format!("{address}{hash}"));
        assert!(!output.stderr.contains("CONSOLE"), "the console: {}", output.stderr);
        assert!(
            output.stdout.contains("<title>cargo-sandbox: what jobs did in app</title>"),
            "{}",
            output.stdout
        );
        output.stdout
    };
    assert_eq!(order(&show("")), written);
    let by_name = show("#sort=package");
    assert_eq!(order(&by_name), ["aa 1.0.0", "app 0.1.0", "zz 1.0.0", "zz 1.0.0"]);
    assert!(by_name.contains("aria-sort=\"ascending\" data-key=\"package\""), "{by_name}");
    let again = order(&show("#sort=package&sort=package"));
    assert_eq!(again[..2], ["zz 1.0.0", "zz 1.0.0"], "a second click turns it round");
    // By number and not by letter: what took longest first.
    let audit = super::audit(&world);
    let seconds = |page: &str| -> Vec<f64> {
        let rows = page.split("<tbody>").nth(1).unwrap().split("<tr>").skip(1);
        rows.map(|row| {
            row.split("class=\"number\" data-value=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect()
    };
    let times = seconds(&show("#sort=time"));
    assert_eq!(times.len(), audit["records"].as_array().unwrap().len());
    assert!(times.is_sorted_by(|one, other| one >= other), "{times:?}");
    // That the console is looked at: an error in the script would be seen.
    let broken = world.work().join("broken.html");
    world.write(
        &broken,
        &fs::read_to_string(&page).unwrap().replace("\"use strict\";", "\"use strict\"; nothing();"),
    );
    let output = chromium(&world, &browser, "--dump-dom", &format!("file://{}", broken.display()));
    assert!(output.stderr.contains("CONSOLE"), "{}", output.stderr);
    // And that it can be looked at.
    let picture = world.work().join("audit.png");
    chromium(&world, &browser, &format!("--screenshot={}", picture.display()), &address);
    let bytes = fs::read(&picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000, "{} bytes", bytes.len());
}
