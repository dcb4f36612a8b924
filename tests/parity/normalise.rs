//! What is taken out before two runs are compared, each with its reason. Everything else counts.

use std::path::Path;

use cargo_sandbox::agent::protocol::JOB_HOME;

/// cargo's standard error: blocks in an order of their own, without the times.
///
/// - The time in `Finished … in 1.23s` differs in every run.
/// - Units finish in the order that the scheduler likes, so status lines and diagnostics are sorted as whole
///   blocks; how often each occurs still counts. What cargo says last (`Finished …`, `error: could not
///   compile …`) stays where it is.
/// - `warning: build failed, waiting for other jobs to finish...` is said only if others still ran.
pub fn stderr(text: &str) -> String {
    let mut blocks: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = without_time(line);
        if line == "warning: build failed, waiting for other jobs to finish..." {
            continue;
        }
        match blocks.last_mut() {
            Some(block) if !starts_block(&line) => {
                block.push('\n');
                block.push_str(&line);
            }
            _ => blocks.push(line),
        }
    }
    for block in &mut blocks {
        block.truncate(block.trim_end().len());
    }
    let last = blocks.pop();
    blocks.sort();
    blocks.extend(last);
    blocks.join("\n")
}

/// Without the line that the first build of a project by the wrapper alone begins with, and only that one.
pub fn without_note(text: &str, first: bool) -> String {
    const NOTE: &str = "note: cargo-sandbox confines ";
    assert!(text.matches(NOTE).count() <= usize::from(first), "{text}");
    if !first {
        return text.to_owned();
    }
    let lines = text.lines().filter(|line| !line.starts_with(NOTE));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A status line (`   Compiling x v1.0.0`) or the head of a diagnostic.
fn starts_block(line: &str) -> bool {
    let line = &*without_colours(line);
    let status = line.len() > 12
        && line.is_char_boundary(12)
        && line[..12].trim_start().starts_with(|first: char| first.is_ascii_uppercase())
        && line[..12].ends_with(|last: char| last.is_ascii_lowercase())
        && line[12..].starts_with(' ');
    // `--message-format short`: `src/lib.rs:3:12: error[E0554]: …`
    let short = line.split_once(": ").is_some_and(|(place, said)| {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let numbers = place.rsplitn(3, ':').take(2).filter(|part| is_number(part)).count();
        numbers == 2 && (said.starts_with("warning") || said.starts_with("error"))
    });
    status
        || short
        || line.starts_with("warning: ")
        || line.starts_with("error: ")
        || line.starts_with("error[")
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

fn without_time(line: &str) -> String {
    let Some((head, time)) = line.rsplit_once(" in ") else { return line.to_owned() };
    // `0.52s` or `1m 02s`, and nothing behind it.
    let is_time = time.ends_with('s')
        && time.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'm' | 's' | ' '))
        && time.starts_with(|c: char| c.is_ascii_digit());
    // With colours there is an escape before the word and one behind it.
    let finished = line.trim_start().starts_with("Finished ") || line.contains("m    Finished\u{1b}[");
    if finished && is_time { format!("{head} in [TIME]") } else { line.to_owned() }
}

/// `-v` shows what is executed and times, both of which differ by nature.
///
/// - The command line of a rustc call (`Running …`, and once more if it fails) begins with the wrapper: that
///   there is one is the whole point. How it ended counts.
/// - The reason `… has changed (1795473515.65s, 76000003ns after last build at …)` ends in times.
///
/// Which units are `Fresh`, `Dirty` (and why) or compiled is what remains.
pub fn verbose_stderr(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("Running `"));
    let lines = lines.map(|line| match (line.split_once(" has changed ("), line.rsplit_once("` (")) {
        (Some((file, _)), _) => format!("{file} has changed"),
        (_, Some((command, ended))) if command.starts_with("  process didn't exit successfully: `") => {
            format!("  process didn't exit successfully: ({ended}")
        }
        _ => line.to_owned(),
    });
    stderr(&lines.collect::<Vec<_>>().join("\n"))
}

/// What tests and benches say of time, and JSON messages in an order of their own.
pub fn program_stdout(text: &str) -> String {
    let json = text.lines().any(|line| line.starts_with("{\"reason\":"));
    let text = if json { json_stdout(text) } else { text.to_owned() };
    text.lines().map(without_figures).collect::<Vec<_>>().join("\n")
}

/// - `test result: ok. … finished in 0.01s`
/// - `all doctests ran in 0.52s; merged doctests compilation took 0.31s`
/// - `test parse ... bench:         123.45 ns/iter (+/- 6.78)`
fn without_figures(line: &str) -> String {
    let figures = ["test result: ", "all doctests ran in "].iter().any(|head| line.starts_with(head));
    match line.split_once("... bench: ") {
        Some((name, _)) => format!("{name}... bench: [TIME]"),
        None if figures => {
            let is_time = |word: &str| {
                word.trim_end_matches([';', ','])
                    .strip_suffix('s')
                    .is_some_and(|number| number.parse::<f64>().is_ok())
            };
            let words = line.split(' ').map(|word| if is_time(word) { "[TIME]" } else { word });
            words.collect::<Vec<_>>().join(" ")
        }
        None => line.to_owned(),
    }
}

/// What is looked at in and around a project: not pages of figures, and not what rustc keeps for itself.
pub fn kept_of_project(path: &Path) -> bool {
    !path.components().any(|part| part.as_os_str() == "cargo-timings")
}

/// Standard error of any command.
///
/// - The reason `… has changed (1795473515.65s, 76000003ns after last build at …)` ends in times.
/// - The name of a page of `--timings` is the time.
/// - How much `clean` finds: rustc keeps what is younger than ten seconds of its own cache, and build scripts are
///   shims here.
/// - Of two units with the same warning, the one that ends later has the duplicate, and the other the advice.
/// - After a unit that fails, others may still end.
pub fn any_stderr(text: &str) -> String {
    let lines = text.lines().map(|line| {
        if let Some((file, _)) = line.split_once(" has changed (") {
            format!("{file} has changed")
        } else if let Some((head, _)) = line.split_once("cargo-timing-") {
            format!("{head}cargo-timing-[TIME]")
        } else if let (Some((head, _)), true) = (line.split_once(" files, "), line.ends_with(" total")) {
            let head = head.trim_end_matches(|last: char| last.is_ascii_digit());
            format!("{head}[SOME] files, [SIZE] total")
        } else if let (true, Some((head, _))) = (line.contains(" generated "), line.split_once(" warning ("))
        {
            format!("{head} warning")
        } else if let (true, Some((head, _))) = (line.contains(" generated "), line.split_once(" warnings ("))
        {
            format!("{head} warnings")
        } else {
            line.to_owned()
        }
    });
    let mut lines: Vec<String> = lines.collect();
    if text.contains("error: could not compile ") {
        lines.push("error: [the last line]".to_owned());
    }
    stderr(&lines.join("\n"))
}

/// Lines in an order of their own: `--message-format json` reports units as they finish.
pub fn json_stdout(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// What is looked at in a build dir, which no user looks into, by its relative path.
pub fn kept_of_build_dir(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let inside = |dir: &str| path.components().any(|part| part.as_os_str() == dir);
    // cargo's memory of what rustc answered, keyed by path and modification time of the wrapper.
    let rustc_info = name == ".rustc_info.json";
    // rustc's own cache: session directories are named by time and chance.
    let incremental = name == "incremental";
    // The executable of a build script is replaced for cargo by a shim: that is the product. What the script
    // did (`output`, `out/`) is compared, and so are the names of everything else in its directory.
    let script = name.starts_with("build-script-") || name.starts_with("build_script_");
    let script = script && inside("build") && !inside("out");
    !rustc_info && !incremental && !script
}

/// Whether cargo wrote down there what a build script said, by the path in a build dir.
pub fn is_said(path: &Path) -> bool {
    let is_text = path.ends_with("output") || path.ends_with("stderr");
    is_text && path.iter().nth_back(2).is_some_and(|part| part == "build")
}

/// What a build script said. A job's home is its own, so where a script speaks of a place in it, the user's stands
/// there under cargo.
pub fn said(text: &[u8], home: &Path) -> String {
    String::from_utf8_lossy(text).replace(JOB_HOME, home.to_str().expect("a plain path"))
}

#[test]
fn time_is_taken_out_and_nothing_else() {
    let finished = "    Finished `dev` profile [unoptimized + debuginfo] target(s) in 1m 02s";
    assert_eq!(
        without_time(finished),
        "    Finished `dev` profile [unoptimized + debuginfo] target(s) in [TIME]"
    );
    assert_eq!(without_time("warning: rebuilt in 3s"), "warning: rebuilt in 3s");
}

#[test]
fn order_is_free_but_number_and_last_line_count() {
    let one = "   Compiling a v1.0.0\n   Compiling b v1.0.0\nwarning: unused\n --> src/lib.rs\n\n    Finished x in 1s";
    let two = "   Compiling b v1.0.0\nwarning: unused\n --> src/lib.rs\n\n   Compiling a v1.0.0\n    Finished x in 2.5s";
    assert_eq!(stderr(one), stderr(two));
    assert_ne!(stderr(one), stderr(&one.replace("   Compiling b v1.0.0\n", "")));
    assert_ne!(stderr(one), stderr("    Finished x in 1s\n   Compiling a v1.0.0\n   Compiling b v1.0.0"));
    assert_ne!(stderr(one), stderr(&one.replace("src/lib.rs", "src/main.rs")));
}
