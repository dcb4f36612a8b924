//! The command lines that are compared: data, in the order in which they are run in each project.

/// A command line, and the state that it is run in: what the rows of the same project before it left.
pub struct Row {
    /// A project of `projects.rs`.
    pub project: &'static str,
    /// Words with one space between them.
    pub line: &'static str,
    /// The working directory, relative to the project.
    pub at: &'static str,
    /// What comes through a pipe on standard input; none without.
    pub input: Option<&'static str>,
    /// More variables of the caller's.
    pub variables: &'static [(&'static str, &'static str)],
    /// Files of the project that are written before, by their paths and with their whole text.
    pub before: &'static [(&'static str, &'static str)],
    /// What is different, and why.
    pub explained: &'static [Explained],
}

/// A difference that is known and has a reason. It must be there, and no other.
pub struct Explained {
    /// Where.
    pub place: Place,
    /// How it looks.
    pub form: Form,
    /// `docs/compatibility.md` says it too.
    pub why: &'static str,
}

/// How a difference looks.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// Lines that only cargo says, and lines that are only said here.
    Lines(&'static [&'static str], &'static [&'static str]),
    /// Another text altogether: what cargo's begins with, and this one's.
    Another(&'static str, &'static str),
}

/// Where a difference can be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Stdout,
    Stderr,
}

const fn row(project: &'static str, line: &'static str) -> Row {
    Row { project, line, at: "", input: None, variables: &[], before: &[], explained: &[] }
}

impl Row {
    const fn at(self, at: &'static str) -> Self {
        Self { at, ..self }
    }

    const fn input(self, input: &'static str) -> Self {
        Self { input: Some(input), ..self }
    }

    const fn with(self, variables: &'static [(&'static str, &'static str)]) -> Self {
        Self { variables, ..self }
    }

    /// With what a nightly cargo takes.
    const fn unstable(self) -> Self {
        self.with(&[("RUSTC_BOOTSTRAP", "1")])
    }

    const fn before(self, before: &'static [(&'static str, &'static str)]) -> Self {
        Self { before, ..self }
    }

    const fn explained(self, explained: &'static [Explained]) -> Self {
        Self { explained, ..self }
    }
}

/// A test that fails, one that panics with a message of several lines, and one that is left out.
const FAILING: &str = "#[test]\nfn holds() {}\n\n#[test]\nfn fails() {\n    println!(\"said before\");\n    \
    assert_eq!(1, 2, \"one is not\\ntwo\");\n}\n\n#[test]\n#[ignore]\nfn left_out() {}\n";

/// A test that does not end as one should.
const ABORTING: &str = "#[test]\nfn aborts() {\n    std::process::abort();\n}\n";

/// A program that says how it was started and ends as it is told.
const TELLER: &str = "use std::io::Read;\n\nfn main() {\n    let mut input = String::new();\n    \
    std::io::stdin().read_to_string(&mut input).unwrap();\n    let words: Vec<String> = std::env::args().skip(1).collect();\n    \
    println!(\"{words:?} {input:?} {}\", std::env::current_dir().unwrap().display());\n    \
    eprintln!(\"to standard error\");\n    \
    std::process::exit(words.iter().find_map(|word| word.parse().ok()).unwrap_or(0));\n}\n";

/// A program that ends by a signal.
const ABORTS: &str = "fn main() {\n    std::process::abort();\n}\n";

const WARNS: &str = "pub fn warned() {\n    let unused = 1;\n}\n";

const OWN_VERSION: &[Explained] = &[Explained {
    place: Place::Stdout,
    form: Form::Another("cargo 1.", "cargo-sandbox "),
    why: "this tool's own version; cargo's is what `cargo-sandbox version` says",
}];

const OWN_HELP: &[Explained] = &[Explained {
    place: Place::Stdout,
    form: Form::Another("Rust's package manager", "Runs cargo so that "),
    why: "this tool's own options; cargo's are what `cargo-sandbox help` says",
}];

/// The table.
pub const ROWS: &[Row] = &[
    // A library with integration tests, doctests and benches.
    row("semver", "check"),
    row("semver", "c -q"),
    row("semver", "check --tests --message-format short"),
    row("semver", "check --no-default-features"),
    row("semver", "check --features serde --locked"),
    row("semver", "check --features no-such-feature"),
    row("semver", "check --all-features --offline -j 1"),
    row("semver", "build --color always"),
    row("semver", "b --release --frozen"),
    row("semver", "build --target x86_64-unknown-linux-gnu"),
    row("semver", "build --target no-such-target"),
    row("semver", "build --profile release"),
    row("semver", "build --profile no-such-profile"),
    row("semver", "test"),
    row("semver", "t --lib --tests"),
    row("semver", "test --doc"),
    row("semver", "test --test test_version -- --nocapture test_parse"),
    row("semver", "test --test no_such_test"),
    row("semver", "test -- --list"),
    row("semver", "test -q"),
    row("semver", "test --no-run"),
    row("semver", "bench").unstable(),
    row("semver", "bench --no-run").unstable(),
    row("semver", "doc"),
    row("semver", "d --no-deps --document-private-items"),
    row("semver", "rustdoc -- --document-hidden-items -Zunstable-options").unstable(),
    row("semver", "rustc --lib -- --emit asm"),
    row("semver", "rustc -- --no-such-option"),
    row("semver", "clippy"),
    row("semver", "clippy -- -D clippy::pedantic"),
    row("semver", "fmt --check"),
    row("semver", "fmt"),
    row("semver", "metadata --format-version 1 --no-deps"),
    row("semver", "tree"),
    row("semver", "tree --all-features -e features"),
    row("semver", "pkgid"),
    row("semver", "locate-project"),
    row("semver", "package --list"),
    row("semver", "package --allow-dirty"),
    row("semver", "clean --dry-run"),
    row("semver", "clean"),
    // Options that cargo itself is asked with.
    row("heck", "--version").explained(OWN_VERSION),
    row("heck", "-V").explained(OWN_VERSION),
    row("heck", "version --verbose"),
    row("heck", "--list"),
    row("heck", "--help").explained(OWN_HELP),
    row("heck", "").explained(OWN_HELP),
    row("heck", "help"),
    row("heck", "help build"),
    row("heck", "build --help"),
    row("heck", "test -h"),
    row("heck", "--explain E0308"),
    row("heck", "chekc"),
    row("heck", "buidl --release"),
    row("heck", "no-such-command-at-all"),
    row("heck", "build --no-such-option"),
    row("heck", "build --release --debug"),
    row("heck", "check --package no-such-package"),
    row("heck", "build --jobs none"),
    row("heck", "build --message-format no-such-format"),
    row("heck", "build -Zunstable-options"),
    row("heck", "build -Z help"),
    row("heck", "--color no-such-colour build"),
    row("heck", "check").at("../no-project"),
    row("heck", "metadata --format-version 1").at("../no-project"),
    row("heck", "check --manifest-path ../heck/Cargo.toml").at("../no-project"),
    row("heck", "check --manifest-path no/such/Cargo.toml"),
    row("heck", "-C ../heck -Zunstable-options check").at("../no-project").unstable(),
    row("heck", "config get build.target-dir"),
    row("heck", "--config build.jobs=1 check"),
    row("heck", "--config no-such-file.toml check"),
    row("heck", "test --lib -- shouty"),
    row("heck", "test --lib -- --no-such-option"),
    row("heck", "search heck --offline"),
    row("heck", "info heck --offline"),
    row("heck", "update --offline"),
    row("heck", "update --dry-run --offline"),
    row("heck", "fetch --offline"),
    row("heck", "generate-lockfile --offline"),
    row("heck", "add no-such-crate-at-all --offline"),
    row("heck", "remove no-such-crate-at-all"),
    row("heck", "locate-project --workspace --message-format plain"),
    row("heck", "read-manifest"),
    row("heck", "verify-project"),
    row("heck", "new --vcs none ../made"),
    row("heck", "run").at("../made"),
    row("heck", "new --vcs none --lib ../made/second"),
    row("heck", "new ../made"),
    row("heck", "init --vcs none --lib --name named").at("../no-project"),
    row("heck", "check --all-targets").at("../no-project"),
    row("heck", "add --path ../no-project").at("../made"),
    row("heck", "uninstall no-such-program"),
    row("heck", "install --list"),
    row("heck", "report future-incompatibilities"),
    // A library with programs as examples.
    row("lexopt", "build --examples"),
    row("lexopt", "run"),
    row("lexopt", "run --example hello -- --number=2 you --shout"),
    row("lexopt", "r -q --example hello"),
    row("lexopt", "run --example hello --quiet -- --no-such-option"),
    row("lexopt", "run --example no-such-example"),
    row("lexopt", "run -v --example hello -- -n 1 again"),
    row("lexopt", "test --examples"),
    row("lexopt", "test --all-targets --release --no-fail-fast"),
    row("lexopt", "check -v"),
    row("lexopt", "build -vv --example hello").before(&[("examples/hello.rs", "fn main() {}\n")]),
    row("lexopt", "build --timings"),
    row("lexopt", "build --message-format json"),
    row("lexopt", "build --message-format json-diagnostic-rendered-ansi --examples")
        .before(&[("examples/hello.rs", "fn main() {\n    let unused = 1;\n}\n")]),
    row("lexopt", "build --message-format json-render-diagnostics --examples")
        .before(&[("examples/hello.rs", "fn main() {\n    let unused = 2;\n}\n")]),
    row("lexopt", "test --test own").before(&[("tests/own.rs", FAILING)]),
    row("lexopt", "test --test own --no-fail-fast -- --include-ignored"),
    row("lexopt", "test --test own holds"),
    row("lexopt", "test -q --test own"),
    row("lexopt", "test --test own").before(&[("tests/own.rs", ABORTING)]),
    row("lexopt", "test --doc").before(&[("src/added.rs", "")]),
    row("lexopt", "build --target-dir elsewhere --example hello"),
    row("lexopt", "run --example hello -- three words 3").input("through\na pipe\n").before(&[("examples/hello.rs", TELLER)]),
    row("lexopt", "run --example hello -- -- -3").at("src").input(""),
    row("lexopt", "run -q --example hello -- 255").input("no end of line"),
    row("lexopt", "run --example hello").before(&[("examples/hello.rs", ABORTS)]),
    row("lexopt", "vendor"),
    row("lexopt", "clean -p lexopt"),
    row("lexopt", "clean --release"),
    // The same with the unstable layout of the build directory, which is a new one here.
    row("pico-args", "check -Zbuild-dir-new-layout").unstable(),
    row("pico-args", "test -Zbuild-dir-new-layout").unstable(),
    row("pico-args", "run -Zbuild-dir-new-layout --example dash_dash -- a b").unstable(),
    row("pico-args", "build -Zunstable-options --artifact-dir out --examples").unstable(),
    row("pico-args", "config get -Zunstable-options build.jobs").unstable(),
    row("pico-args", "build --build-plan -Zunstable-options").unstable(),
    row("pico-args", "build --unit-graph -Zunstable-options").unstable(),
    row("pico-args", "build -Zbuild-std=core --target x86_64-unknown-linux-gnu").unstable().explained(&[Explained {
        place: Place::Stderr,
        form: Form::Lines(
            &["        rustup component add rust-src"],
            &["        rustup component add rust-src --toolchain [TOOLCHAIN]"],
        ),
        why: "cargo is told which toolchain it is of, so that no file of the repository's chooses another",
    }]),
    row("pico-args", "check -Zno-such-flag").unstable(),
    row("pico-args", "test --features eq-separator,combined-flags"),
    row("pico-args", "test --features short-space-opt --test tests"),
    row("pico-args", "rustc --example app --profile release -- -C debuginfo=0"),
    row("pico-args", "build --examples --keep-going -j 2").before(&[("examples/wrong.rs", "fn main() { wrong }\n")]),
    row("pico-args", "check --examples"),
    row("pico-args", "fix --allow-no-vcs --examples --broken-code"),
    // A library with a suite of its own and no build script.
    row("strsim", "check --lib"),
    row("strsim", "build"),
    row("strsim", "test --tests"),
    row("strsim", "test --doc jaro"),
    row("strsim", "doc --lib"),
    row("strsim", "clippy"),
    row("strsim", "build --message-format json"),
    row("strsim", "tree"),
    // Programs with input, and dependencies with procedural macros and build scripts.
    row("hexyl", "build --locked"),
    row("hexyl", "run").input("hello\n"),
    row("hexyl", "run -q -- --length 4 Cargo.toml"),
    row("hexyl", "run -- no-such-file"),
    row("hexyl", "run --bin hexyl -- --version"),
    row("hexyl", "run --bin no-such-program"),
    row("hexyl", "tree --depth 1"),
    row("hexyl", "tree -i libc --locked"),
    row("hexyl", "tree --duplicates --offline"),
    row("hexyl", "metadata --format-version 1 --filter-platform x86_64-unknown-linux-gnu"),
    row("hexyl", "pkgid libc"),
    row("hexyl", "fetch --locked"),
    row("hexyl", "update --offline --precise 0.1.0 libc"),
    row("hexyl", "update --locked --offline"),
    row("hexyl", "add libc --offline"),
    row("hexyl", "build --locked"),
    row("hexyl", "remove libc"),
    row("hexyl", "build --message-format json"),
    row("hexyl", "vendor --locked"),
    // A workspace with a build script, a procedural macro and warnings.
    row("members", "check --workspace"),
    row("members", "check --workspace --exclude app"),
    row("members", "check --all --exclude no-such-member"),
    row("members", "build -p app -p library"),
    row("members", "run -p app"),
    row("members", "run"),
    row("members", "test --workspace"),
    row("members", "test -p library --message-format short").before(&[("library/src/added.rs", WARNS)]),
    row("members", "clippy --workspace --all-targets"),
    row("members", "clippy -- -D warnings"),
    row("members", "doc --workspace"),
    row("members", "build --color always").before(&[("scripted/src/lib.rs", "include!(concat!(env!(\"OUT_DIR\"), \"/word.rs\"));\n\npub const WORD: &str = env!(\"WORD_FROM_SCRIPT\");\n\nfn unused() {}\n")]),
    row("members", "build --message-format json"),
    row("members", "build --release"),
    row("members", "check").at("app/src"),
    row("members", "check --lib").at("app"),
    row("members", "fmt --all --check"),
    row("members", "fmt -p app"),
    row("members", "tree --workspace"),
    row("members", "metadata --format-version 1"),
    row("members", "package -p scripted --allow-dirty"),
    row("members", "package --workspace --allow-dirty"),
    row("members", "clean --workspace"),
    // What does not compile, and what a build script says before it fails.
    row("broken", "check"),
    row("broken", "build --message-format short"),
    row("broken", "build --message-format json"),
    row("broken", "test --no-run"),
    row("broken", "run -q"),
    row("broken", "doc"),
    row("broken", "clippy -q"),
    row("broken", "check --keep-going"),
    row("failing-script", "check"),
    row("failing-script", "run"),
    row("failing-script", "build -vv"),
    // C, a build script and a macro in one.
    row("hello-native", "run"),
    row("hello-native", "test"),
    row("hello-native", "build -v"),
    row("hello-native", "install --path app --root installed --debug --locked"),
    row("hello-native", "install --list --root installed"),
    row("hello-native", "uninstall hello-native --root installed"),
];
