//! The fenced blocks of a page, and the commands in them.

/// What stands between two fences.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The first word behind the fence.
    pub language: String,
    /// The number of the fence's line.
    pub line: usize,
    pub text: String,
}

/// A command, and what the page shows of its output.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    pub line: String,
    pub shown: Vec<String>,
}

/// The fenced blocks of a page, in order. One that never ends is a mistake of the page.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (index, line) in page.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open) {
            (Some(_), true) => open = false,
            (Some(info), false) => {
                let language = info.split_whitespace().next().unwrap_or_default().to_owned();
                blocks.push(Block { language, line: index + 1, text: String::new() });
                open = true;
            }
            (None, true) => {
                let block = blocks.last_mut().expect("one is open");
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, false) => {}
        }
    }
    assert!(!open, "the block of line {} has no end", blocks.last().expect("one is open").line);
    blocks
}

impl Block {
    /// The commands of a shell's block: each line, or in a `console` block what stands behind `$`.
    pub fn commands(&self) -> Vec<Command> {
        let text = self.text.replace("\\\n", " ");
        let mut commands: Vec<Command> = Vec::new();
        for line in text.lines() {
            match (self.language.as_str(), line.strip_prefix("$ ")) {
                ("console", Some(command)) => {
                    commands.push(Command { line: command.to_owned(), shown: Vec::new() });
                }
                ("console", None) => {
                    commands.last_mut().expect("a command before its output").shown.push(line.to_owned());
                }
                ("sh" | "bash" | "shell", _) if !line.trim().is_empty() && !line.trim().starts_with('#') => {
                    commands.push(Command { line: line.to_owned(), shown: Vec::new() });
                }
                _ => {}
            }
        }
        commands
    }
}

#[test]
fn blocks_and_their_commands_are_found() {
    let page = "a\n```sh\none \\\n  two\n# no command\nthree\n```\n```console\n$ four\nsaid\n```\n";
    let blocks = blocks(page);
    assert_eq!(blocks.iter().map(|block| block.line).collect::<Vec<_>>(), [2, 8]);
    let lines: Vec<_> = blocks.iter().flat_map(Block::commands).map(|command| command.line).collect();
    assert_eq!(lines, ["one    two", "three", "four"]);
    assert_eq!(blocks[1].commands()[0].shown, ["said"]);
}
