//! `self trust`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::broker::escapes::visible;
use crate::policy::question::Question;
use crate::policy::trust::hash_of;

use super::super::trust::{Scene, changed, trusted};
use super::super::{FrontEnd, consent};

/// What to do about the project's trust.
#[derive(Debug, Args)]
pub struct TrustArguments {
    /// Trust without a question
    #[arg(long, conflicts_with_all = ["list", "revoke", "hash"])]
    yes: bool,

    /// Trust if it is exactly what this hash was shown for: for CI
    #[arg(long, value_name = "HASH", conflicts_with_all = ["list", "revoke"])]
    hash: Option<String>,

    /// Show everything that is trusted, in every project
    #[arg(long, conflicts_with = "revoke")]
    list: bool,

    /// Forget all trust in this project
    #[arg(long)]
    revoke: bool,

    /// The project's manifest, where it is not the one here or above
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
}

/// Shows what needs trust here, and remembers the answer.
pub fn run(front_end: &FrontEnd, arguments: &TrustArguments) -> anyhow::Result<u8> {
    if arguments.list {
        return list(front_end);
    }
    let scene = Scene { directory: &front_end.cwd, manifest_path: arguments.manifest_path.as_deref() };
    let (root, store) = (scene.root(), front_end.trust_store()?);
    if arguments.revoke {
        let had = store.revoke(&root).context("failed to forget what you trust")?;
        let shown = root.display();
        println!(
            "{}",
            if had { format!("{shown} is trusted no more") } else { format!("{shown} was not trusted") }
        );
        return Ok(0);
    }
    let questions = scene.questions(front_end)?;
    let before = trusted(front_end, &root)?;
    if questions.is_empty() {
        println!("nothing in {} needs trust", root.display());
        return Ok(0);
    }
    if questions.iter().all(|question| before.covers(question)) {
        println!("all that needs trust in {} is trusted already", root.display());
        return Ok(0);
    }
    println!("{} asks for:\n", root.display());
    for question in &questions {
        for item in &question.items {
            println!("{}", item.show(&question.file));
        }
        if let Some(change) = changed(&before, question).filter(|_| !before.covers(question)) {
            print!("  changed since you trusted it:\n{change}");
        }
    }
    println!("\nhash: {}", hash_of(&root, &questions));
    if !agreed(arguments, &hash_of(&root, &questions), &questions)? {
        println!("not trusted");
        return Ok(super::super::EXIT_FAILURE);
    }
    store.grant(&root, &questions).context("failed to remember what you trust")?;
    println!("trusted, until one of these files changes");
    Ok(0)
}

fn agreed(arguments: &TrustArguments, hash: &str, questions: &[Question]) -> anyhow::Result<bool> {
    if let Some(expected) = &arguments.hash {
        if expected != hash {
            bail!(
                "this is not what `{expected}` was shown for\n\nhint: look at the list, and if you want all of it, use \
                 its hash"
            );
        }
        return Ok(true);
    }
    if arguments.yes {
        return Ok(true);
    }
    if !consent::can_be_asked() {
        bail!("there is no terminal to ask at\n\nhint: `--hash {hash}` for what is shown here, or `--yes`");
    }
    let count: usize = questions.iter().map(|question| question.items.len()).sum();
    let these = if count == 1 { "this".to_owned() } else { format!("all {count}") };
    Ok(consent::given(&format!("\nTrust {these}?"))?)
}

fn list(front_end: &FrontEnd) -> anyhow::Result<u8> {
    let all = front_end.trust_store()?.list().context("failed to read what you trust")?;
    if all.is_empty() {
        println!("no project is trusted with anything");
    }
    for trusted in all {
        println!("{}", visible(&trusted.root.display().to_string()));
        for file in trusted.files {
            println!("  {}  sha256:{}", visible(&file.path.display().to_string()), file.sha256);
            let name = file.path.file_name().unwrap_or_default();
            for item in &file.items {
                let shown = item.show(name.as_ref()).to_string();
                println!("    {}", shown.replace('\n', "\n    "));
            }
        }
    }
    Ok(0)
}
