//! Every attack of the suite, for all kinds of job. No attack does harm: what it writes carries a token by which
//! the suite finds it, what it reads is a secret made for it, what it calls in the kernel gets arguments that the
//! kernel refuses after it has decided that the call is allowed.
//!
//! The world that is attacked (paths, ports, process ids) is compiled in as [`lab`]: a job's environment is
//! scrubbed, and a real attacker would look for it.

mod attempt;
mod environment;
mod files;
mod kernel;
mod lab;
mod network;
mod processes;
mod sys;
mod writes;

use attempt::Attempt;
pub use lab::PROJECT;

/// An attack: its name in the suite's catalogue, and what it does. `Ok` is what was gained.
type Attack = (&'static str, fn(&Attempt) -> Result<String, String>);

/// Makes all attacks and reports each on standard error, a line each, in one write.
pub fn run(kind: &str) {
    let lists = [
        files::ATTACKS,
        writes::ATTACKS,
        environment::ATTACKS,
        network::ATTACKS,
        processes::ATTACKS,
        kernel::ATTACKS,
    ];
    for (name, attack) in lists.into_iter().flatten() {
        let (word, text) = match attack(&Attempt::new(name, kind)) {
            Ok(gained) => ("gained", gained),
            Err(why) => ("refused", why),
        };
        // The secret first, where there is one.
        let text = text.find(lab::SECRET).map_or(text.as_str(), |at| &text[at..]);
        let text: String = text.chars().take(300).flat_map(char::escape_default).collect();
        attempt::report(&format!("@@escape|{kind}|{name}|{word}|{text}|\n"));
    }
    attempt::report(&format!("@@escape|{kind}|all|done||\n"));
}
