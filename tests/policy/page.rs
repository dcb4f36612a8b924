//! `docs/policy.md` and the JSON schema, made from the code; and the walk-through in the page, walked.

use cargo_sandbox::policy::file::PolicyFile;
use cargo_sandbox::policy::reference;

use super::network::server;
use super::*;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policy.md");
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cargo-sandbox.schema.json");
const USER_SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.schema.json");
const START: &str =
    "<!-- made from src/policy/reference.rs: CSB_UPDATE_DOCS=1 cargo test --test policy page -->\n";
const END: &str = "<!-- end of what is made -->\n";

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_page_and_the_schema_say_what_the_code_says() {
    let page = read(PAGE);
    let (before, rest) = page.split_once(START).expect("the mark of its start");
    let (_, after) = rest.split_once(END).expect("the mark of its end");
    let made = format!("{before}{START}\n{}\n{END}{after}", reference::page());
    let text = |schema| serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    let schemas = [(SCHEMA, text(reference::schema())), (USER_SCHEMA, text(reference::user_schema()))];
    if std::env::var_os("CSB_UPDATE_DOCS").is_some() {
        fs::write(PAGE, &made).expect("page");
        for (path, schema) in &schemas {
            fs::write(path, schema).expect("schema");
        }
    }
    let same = schemas.iter().all(|(path, schema)| read(path) == *schema);
    assert!(read(PAGE) == made && same, "CSB_UPDATE_DOCS=1 cargo test --test policy page");
}

#[test]
fn the_pages_own_example_is_a_policy() {
    let page = read(PAGE);
    let example =
        page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let file = PolicyFile::parse(example).unwrap_or_else(|mistake| panic!("{mistake}\n{example}"));
    assert!(file.engine.is_some() && file.tables().len() > 5);
}

/// The blocks of the walk-through: what stands behind each fence, by its name.
fn block<'a>(page: &'a str, name: &str) -> &'a str {
    let mark = format!("<!-- walk: {name} -->\n```");
    let (_, rest) = page.split_once(&mark).unwrap_or_else(|| panic!("no block {name}"));
    let (_, rest) = rest.split_once('\n').expect("a line");
    rest.split_once("```").expect("its end").0
}

#[test]
fn the_walk_through_works() {
    let Some(world) = world("policy-walk") else { return };
    let page = read(PAGE);
    let port = server("the data").to_string();
    // The page has a port that everybody can read; here it is one that is free.
    let own = |text: &str| text.replace("4873", &port);
    let engine = Engine::Native;
    let project = world.work().join("walk");
    world.write(&project.join("Cargo.toml"), block(&page, "manifest"));
    world.write(&project.join("build.rs"), &own(block(&page, "script")));
    world.write(&project.join("src/main.rs"), block(&page, "program"));
    run(&mut line::plain(&world, &project, "run")).success("control: plain cargo downloads");

    let failed = fails(&mut sandbox(&world, engine, &project, "run"), &[]);
    for line in own(block(&page, "failure")).lines().filter(|line| !line.trim().is_empty()) {
        assert!(failed.stderr.contains(line.trim()), "`{line}` is not in:\n{}", failed.stderr);
    }
    let suggested = own(block(&page, "policy"));
    assert!(failed.stderr.contains(suggested.trim()), "what is to be added is not said:\n{}", failed.stderr);
    policy(&world, &project, &suggested);
    let asked = fails(&mut sandbox(&world, engine, &project, "run"), &[]);
    for line in own(block(&page, "question")).lines().filter(|line| !line.trim().is_empty()) {
        assert!(asked.stderr.contains(line.trim()), "`{line}` is not in:\n{}", asked.stderr);
    }
    trust(&world, engine, &project);
    let output = run(&mut sandbox(&world, engine, &project, "run -q")).success("run");
    assert_eq!(output.stdout, block(&page, "output"));
    let explained =
        run(&mut sandbox(&world, engine, &project, "self explain downloads")).success("self explain");
    for line in own(block(&page, "explained")).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let found = explained.stdout.lines().any(|said| {
            let said: Vec<&str> = said.split_whitespace().collect();
            words.iter().all(|word| said.iter().any(|said| said.ends_with(word)))
        });
        assert!(found, "`{line}` is not in:\n{}", explained.stdout);
    }
    world.stop(engine, &project);
}
