//! The tables of `docs/threat-model.md`, made from the catalogue.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use super::catalogue::{CASES, Case, KINDS};
use super::host_cases::{SUBJECTS, all};
use super::support::tool::Engine;
use super::way::Way;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/threat-model.md");
const START: &str = "<!-- made from tests/escapes/catalogue.rs and host_cases.rs: CSB_UPDATE_DOCS=1 cargo test --test escapes page -->\n";
const END: &str = "<!-- end of what is made -->\n";

/// Files with tests that the list names.
const TESTS: &[(&str, &str)] = &[
    ("believed", include_str!("believed.rs")),
    ("deputy", include_str!("deputy.rs")),
    ("directives", include_str!("directives.rs")),
    ("fix", include_str!("fix.rs")),
    ("install", include_str!("install.rs")),
    ("package", include_str!("package.rs")),
    ("planted", include_str!("planted.rs")),
    ("raw_executable", include_str!("raw_executable.rs")),
    ("engines/native", include_str!("../engines/native.rs")),
    ("publish/attacks", include_str!("../publish/attacks.rs")),
    ("publish/certificate", include_str!("../publish/certificate.rs")),
    ("publish/upload", include_str!("../publish/upload.rs")),
    ("publish/world", include_str!("../publish/world.rs")),
    ("commands/errors", include_str!("../commands/errors.rs")),
    ("editor/forged", include_str!("../editor/forged.rs")),
    ("editor/hostile", include_str!("../editor/hostile.rs")),
    ("editor/session", include_str!("../editor/session.rs")),
    ("editor/words", include_str!("../editor/words.rs")),
    ("host/executed", include_str!("../host/executed.rs")),
    ("host/hostile", include_str!("../host/hostile.rs")),
    ("host/planted_library", include_str!("../host/planted_library.rs")),
    ("host/static_wrapper", include_str!("../host/static_wrapper.rs")),
    ("limits/bombs", include_str!("../limits/bombs.rs")),
    ("limits/configuration", include_str!("../limits/configuration.rs")),
    ("limits/free_space", include_str!("../limits/free_space.rs")),
    ("limits/weaker", include_str!("../limits/weaker.rs")),
    ("packages/main", include_str!("../packages/main.rs")),
    ("provider/attacks", include_str!("../provider/attacks.rs")),
    ("provider/daemon", include_str!("../provider/daemon.rs")),
    ("provider/nix", include_str!("../provider/nix.rs")),
    ("policy/containers", include_str!("../policy/containers.rs")),
    ("policy/files", include_str!("../policy/files.rs")),
    ("policy/database", include_str!("../policy/database.rs")),
    ("policy/macros", include_str!("../policy/macros.rs")),
    ("policy/network", include_str!("../policy/network.rs")),
    ("policy/sockets", include_str!("../policy/sockets.rs")),
    ("policy/scripts", include_str!("../policy/scripts.rs")),
    ("policy/trust", include_str!("../policy/trust.rs")),
    ("scripts/main", include_str!("../scripts/main.rs")),
    ("terminal/main", include_str!("../terminal/main.rs")),
    ("terminal/typing", include_str!("../terminal/typing.rs")),
    ("tools/coverage", include_str!("../tools/coverage.rs")),
    ("tools/forged", include_str!("../tools/forged.rs")),
    ("tools/hostile", include_str!("../tools/hostile.rs")),
    ("tools/library", include_str!("../tools/library.rs")),
    ("tools/scripts", include_str!("../tools/scripts.rs")),
    ("tools/unknown", include_str!("../tools/unknown.rs")),
    ("trust/asking", include_str!("../trust/asking.rs")),
    ("trust/attacks", include_str!("../trust/attacks.rs")),
    ("trust/unasked", include_str!("../trust/unasked.rs")),
    ("ways/hostile", include_str!("../ways/hostile.rs")),
    ("ways/life", include_str!("../ways/life.rs")),
    ("ways/setup", include_str!("../ways/setup.rs")),
    ("ways/wrapper", include_str!("../ways/wrapper.rs")),
];

/// The jobs in words.
fn jobs(case: &Case) -> String {
    let missing: Vec<_> = KINDS.iter().copied().filter(|kind| !case.kinds.contains(kind)).collect();
    let jobs = if missing.is_empty() {
        "all".to_owned()
    } else if missing.len() <= 3 {
        format!("all but {}", missing.join(", "))
    } else {
        case.kinds.join(", ")
    };
    let root = if case.root { "; root's" } else { "" };
    let open = match case.open_to_wrapper {
        [] => String::new(),
        kinds => format!("; with the wrapper alone not {}", kinds.join(", ")),
    };
    format!("{jobs}{root}{open}")
}

fn tables() -> String {
    let mut text = String::new();
    let pairs: usize = CASES.iter().map(|case| case.kinds.len()).sum();
    let wrapper: Vec<_> =
        KINDS.iter().copied().filter(|kind| Way::Wrapper(Engine::Native).covers(kind)).collect();
    let _infallible = writeln!(
        text,
        "{} attacks from within jobs, {pairs} with the kinds of job counted ({}), and {} others, each with a test of its \
         own. The jobs' own are made in three ways: by cargo-sandbox itself and, after `self setup`, by plain cargo in all \
         kinds of job, and with `RUSTC_WRAPPER` alone in those that it covers ({}).",
        CASES.len(),
        KINDS.join(", "),
        all().count(),
        wrapper.join(", ")
    );
    let mut subject = "";
    for case in CASES {
        if case.subject != subject {
            subject = case.subject;
            let _infallible = writeln!(
                text,
                "\n### {subject}\n\n| attack: the job … | name | jobs | what stops it |\n|---|---|---|---|"
            );
        }
        let (attack, name) = (case.attack, case.name);
        let _infallible =
            writeln!(text, "| {attack} | `{name}` | {} | {} |", jobs(case), case.defences.join("; "));
    }
    for (subject, cases) in SUBJECTS {
        let _infallible =
            writeln!(text, "\n### {subject}\n\n| from | attack | what stops it | test |\n|---|---|---|---|");
        for case in *cases {
            let defences = case.defences.join("; ");
            let _infallible =
                writeln!(text, "| {} | {} | {defences} | `{}` |", case.from, case.attack, case.test);
        }
    }
    text
}

#[test]
fn the_page_has_the_tables_of_the_catalogue() {
    let page = fs::read_to_string(PAGE).expect("docs/threat-model.md");
    let (before, rest) = page.split_once(START).expect("where the tables start");
    let (made, after) = rest.split_once(END).expect("where the tables end");
    let tables = format!("\n{}\n", tables());
    if made == tables {
        return;
    }
    if std::env::var_os("CSB_UPDATE_DOCS").is_some() {
        fs::write(PAGE, [before, START, &tables, END, after].concat()).expect("docs/threat-model.md");
        return;
    }
    panic!(
        "docs/threat-model.md is not what the catalogue says; CSB_UPDATE_DOCS=1 cargo test --test escapes page"
    );
}

#[test]
fn every_test_that_the_catalogue_names_is_there() {
    for case in all() {
        let (module, name) = case.test.split_once("::").expect("module and name");
        let (_, text) = TESTS.iter().find(|(known, _)| *known == module).expect("a module of tests");
        assert!(text.contains(&format!("#[test]\nfn {name}()")), "{}", case.test);
        assert!(!case.defences.is_empty(), "{}", case.attack);
    }
}

/// Those by which cargo is made to act on the host must not hang on one thread. What a repository asks for is the
/// user's to allow, and in the other ways cargo has no domain, as the README says.
#[test]
fn attacks_on_the_host_are_stopped_twice() {
    let (_, deputy) = SUBJECTS.first().expect("cargo as a deputy");
    let once: BTreeSet<_> =
        deputy.iter().filter(|case| case.defences.len() < 2).map(|case| case.test).collect();
    let expected = [
        // What is shown is escaped, and nothing else could be done about it.
        "directives::a_warning_moves_no_cursor",
        "directives::a_script_that_fails_moves_no_cursor",
        "directives::a_macro_moves_no_cursor",
        // cargo itself hands it on; what then obeys is no part of this tool.
        "directives::a_macro_forges_no_message_of_cargos",
        // Nothing of it happens on the host.
        "deputy::a_linker_of_the_scripts_choice_runs_inside",
        "deputy::cargos_records_tell_no_program_what_is_in_its_environment",
        // Attacks on the last line of defence itself, or on a program that only reads.
        "deputy::the_formatter_shows_no_file_from_elsewhere",
        "raw_executable::a_copy_of_a_system_program_is_not_executed",
        "raw_executable::a_git_dependency_in_a_directory_that_is_named_is_fetched",
    ];
    assert_eq!(once, expected.into_iter().collect());
}
