//! Every attack of the catalogue in every kind of job, for each user: first under plain cargo, where all must work,
//! then on each engine, where none may: by cargo-sandbox itself, and in the other ways to start cargo for the jobs
//! that they cover.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use super::catalogue::{CASES, Case, KINDS, Proof};
use super::lab::Lab;
use super::support::need;
use super::support::run::{Output, run};
use super::support::tool::Engine;
use super::support::world::User;
use super::way::Way;

/// How one attack went in one kind of job.
#[derive(Debug, Clone)]
struct Report {
    gained: bool,
    text: String,
}

/// What came out of one run of all commands.
pub struct Results {
    /// By attack and kind.
    reports: BTreeMap<(String, String), Report>,
    /// Tokens on the host, as `attack@kind`.
    tokens: BTreeSet<String>,
    secret: String,
}

impl Results {
    /// Makes all attacks that this way covers. Fails where a command does, or a kind of job did not come to the end of
    /// the list.
    pub fn of(lab: &Lab, way: Way) -> Self {
        let mut reports = BTreeMap::new();
        let mut done = BTreeSet::new();
        for (words, kinds) in way.commands() {
            let mut command = lab.command(way);
            let output = run(command.args(*words));
            // rustdoc shows what a doctest says only if it fails.
            let expected = if words.contains(&"--doc") { 101 } else { 0 };
            assert_eq!(output.code(), expected, "{words:?}, {way}: {}", without_reports(&output.stderr));
            for (kind, name, report) in parse(&output) {
                if name == "all" {
                    done.insert(kind);
                } else {
                    // What an earlier command built may be built again; the first time counts.
                    reports.entry((name, kind)).or_insert(report);
                }
            }
            for kind in *kinds {
                assert!(done.contains(*kind), "no attack from {kind} under {words:?}, {way}");
            }
        }
        Self { reports, tokens: lab.tokens(), secret: lab.secret.clone() }
    }

    fn report(&self, case: &Case, kind: &str) -> &Report {
        let found = self.reports.get(&(case.name.to_owned(), kind.to_owned()));
        found.unwrap_or_else(|| panic!("attack {} was not made from {kind}", case.name))
    }

    /// Whether an attack worked, by what proves it.
    pub fn worked(&self, case: &Case, kind: &str) -> bool {
        let report = self.report(case, kind);
        match case.proof {
            Proof::Secret => report.gained && report.text.contains(&self.secret),
            Proof::Token => self.tokens.contains(&format!("{}@{kind}", case.name)),
            Proof::Word | Proof::Call => report.gained,
        }
    }

    /// Whether the kernel does not have what is attacked.
    pub fn absent(&self, case: &Case, kind: &str) -> bool {
        let report = self.report(case, kind);
        let absent = ["(os error 38)", "(os error 97)", "(os error 93)"];
        case.proof == Proof::Call && !report.gained && absent.iter().any(|error| report.text.ends_with(error))
    }
}

fn without_reports(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains("@@escape|"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The lines of the attacks, wherever cargo put them.
fn parse(output: &Output) -> Vec<(String, String, Report)> {
    let text = [output.stdout.as_str(), &output.stderr].join("\n");
    let mut found = Vec::new();
    for part in text.split("@@escape|").skip(1) {
        let mut fields = part.splitn(5, '|');
        let mut next = || fields.next().unwrap_or_default().to_owned();
        let (kind, name, word, text) = (next(), next(), next(), next());
        assert!(["gained", "refused", "done"].contains(&word.as_str()), "a torn line: {part}");
        found.push((kind, name, Report { gained: word == "gained", text }));
    }
    found
}

/// The control, made once for each user.
pub fn control(user: &User) -> Result<(), String> {
    static ROOT: OnceLock<Result<(), String>> = OnceLock::new();
    static ORDINARY: OnceLock<Result<(), String>> = OnceLock::new();
    let place = if user.uid == 0 { &ROOT } else { &ORDINARY };
    place.get_or_init(|| make_control(user)).clone()
}

fn make_control(user: &User) -> Result<(), String> {
    let lab = Lab::new(user, Way::Plain)?;
    let results = Results::of(&lab, Way::Plain);
    let mut failed = Vec::new();
    let mut absent = BTreeSet::new();
    for case in CASES.iter().filter(|case| user.uid == 0 || !case.root) {
        for kind in case.kinds {
            if results.worked(case, kind) {
                continue;
            }
            if results.absent(case, kind) {
                absent.insert(case.name);
            } else {
                failed.push(format!("{} from {kind}: {:?}", case.name, results.report(case, kind)));
            }
        }
    }
    if !lab.victim_was_signalled() {
        failed.push("no signal reached the process on the host".to_owned());
    }
    if lab.strange_files().is_empty() {
        failed.push("no link, device or set-user-id file was left".to_owned());
    }
    if !absent.is_empty() {
        super::support::note(&format!("this kernel has nothing to attack for {absent:?}"));
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("attacks that do not work under plain cargo prove nothing:\n{}", failed.join("\n")))
    }
}

fn prepared(user: Result<User, String>, engine: Engine) -> Option<(User, Engine)> {
    let (user, engine) = (need(user)?, need(engine.here())?);
    if let Err(error) = control(&user) {
        panic!("control as {}: {error}", user.name);
    }
    Some((user, engine))
}

/// Makes all attacks, and fails where one gains something.
fn attack(lab: &Lab, way: Way) {
    let results = Results::of(lab, way);
    let mut gains = Vec::new();
    for case in CASES {
        for kind in case.kinds.iter().filter(|kind| way.covers(kind)) {
            let open = matches!(way, Way::Wrapper(_)) && case.open_to_wrapper.contains(kind);
            match (results.worked(case, kind), open) {
                (true, false) => {
                    gains.push(format!("{} from {kind}: {:?}", case.name, results.report(case, kind)));
                }
                (false, true) => gains.push(format!(
                    "nothing by {} from {kind}: the catalogue and the README say that this is left open",
                    case.name
                )),
                (true, true) | (false, false) => {}
            }
        }
    }
    if lab.victim_was_signalled() {
        gains.push("a signal reached a process on the host".to_owned());
    }
    gains.extend(lab.strange_files().iter().map(|path| format!("left on the host: {}", path.display())));
    let name = &lab.world.user.name;
    assert!(gains.is_empty(), "gained under {way}, as {name}:\n{}", gains.join("\n"));
}

/// cargo-sandbox itself, and then plain cargo in the same project after `self setup`. The second one finds what the
/// attacks have in common built, and all that attacks is built and run again.
fn nothing_gets_out(user: Result<User, String>, engine: Engine) {
    let Some((user, engine)) = prepared(user, engine) else { return };
    let Some(lab) = need(Lab::new(&user, Way::Sandbox(engine))) else { return };
    attack(&lab, Way::Sandbox(engine));
    lab.world.stop(engine, &lab.project);
    lab.set_up(engine);
    attack(&lab, Way::SetUp(engine));
    lab.world.stop(engine, &lab.project);
}

/// With the wrapper alone cargo builds in the project's own `target/`: a world of its own.
fn nothing_gets_past_the_wrapper(user: Result<User, String>, engine: Engine) {
    let Some((user, engine)) = prepared(user, engine) else { return };
    let Some(lab) = need(Lab::new(&user, Way::Wrapper(engine))) else { return };
    attack(&lab, Way::Wrapper(engine));
    lab.world.stop(engine, &lab.project);
}

#[test]
fn nothing_gets_out_of_docker_as_root() {
    nothing_gets_out(User::root(), Engine::Docker);
}

#[test]
fn nothing_gets_out_of_docker_as_an_ordinary_user() {
    nothing_gets_out(User::ordinary(), Engine::Docker);
}

#[test]
fn nothing_gets_out_of_the_native_engine_as_root() {
    nothing_gets_out(User::root(), Engine::Native);
}

#[test]
fn nothing_gets_out_of_the_native_engine_as_an_ordinary_user() {
    nothing_gets_out(User::ordinary(), Engine::Native);
}

#[test]
fn nothing_gets_past_the_wrapper_with_docker_as_root() {
    nothing_gets_past_the_wrapper(User::root(), Engine::Docker);
}

#[test]
fn nothing_gets_past_the_wrapper_with_docker_as_an_ordinary_user() {
    nothing_gets_past_the_wrapper(User::ordinary(), Engine::Docker);
}

#[test]
fn nothing_gets_past_the_wrapper_with_the_native_engine_as_root() {
    nothing_gets_past_the_wrapper(User::root(), Engine::Native);
}

#[test]
fn nothing_gets_past_the_wrapper_with_the_native_engine_as_an_ordinary_user() {
    nothing_gets_past_the_wrapper(User::ordinary(), Engine::Native);
}

/// With each job observed, which has another filter, and a listener that answers what the ordinary one refuses.
fn nothing_gets_past_the_listener(engine: Engine) {
    let Some((user, engine)) = prepared(User::ordinary(), engine) else { return };
    let Some(lab) = need(Lab::new(&user, Way::Recorded(engine))) else { return };
    attack(&lab, Way::Recorded(engine));
    lab.world.stop(engine, &lab.project);
}

#[test]
fn nothing_gets_past_the_listener_with_docker() {
    nothing_gets_past_the_listener(Engine::Docker);
}

#[test]
fn nothing_gets_past_the_listener_with_the_native_engine() {
    nothing_gets_past_the_listener(Engine::Native);
}

/// A case that stands for nothing, or an attack that nobody counts.
#[test]
fn the_catalogue_is_sound() {
    let mut names = BTreeSet::new();
    for case in CASES {
        assert!(names.insert(case.name), "{} is there twice", case.name);
        assert!(
            !case.kinds.is_empty() && case.kinds.iter().all(|kind| KINDS.contains(kind)),
            "{}",
            case.name
        );
        assert!(!case.defences.is_empty(), "{} has no defence", case.name);
        assert!(case.open_to_wrapper.iter().all(|kind| case.kinds.contains(kind)), "{}", case.name);
    }
}
