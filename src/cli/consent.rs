//! Asking somebody at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Whether somebody is there to ask.
pub fn can_be_asked() -> bool {
    io::stdin().is_terminal()
}

/// Asks; anything but yes is no.
///
/// # Errors
/// When the terminal cannot be read or written.
pub fn given(question: &str) -> io::Result<bool> {
    print!("{question} [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
