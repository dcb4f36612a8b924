//! A configuration file as a job may read it: who wrote a token into it did not mean every dependency to have it.

use toml::Value;

/// Tables in which cargo looks for tokens, or for what gives them.
const REGISTRIES: [&str; 2] = ["registry", "registries"];

/// Keys that hold one or name a program that does.
const KEYS: [&str; 4] = ["token", "secret-key", "credential-provider", "global-credential-providers"];

/// The file's content without tokens.
///
/// # Errors
/// When it is no TOML.
pub fn without_tokens(text: &str) -> Result<String, toml::de::Error> {
    let mut file: toml::Table = toml::from_str(text)?;
    file.remove("credential-alias");
    // Proxies and variables may carry passwords; nothing is fetched, and variables were passed or not before.
    file.remove("http");
    for name in REGISTRIES {
        if let Some(value) = file.get_mut(name) {
            remove(value);
        }
    }
    Ok(file.to_string())
}

fn remove(value: &mut Value) {
    let Some(table) = value.as_table_mut() else { return };
    table.retain(|key, _| !KEYS.contains(&key));
    table.iter_mut().for_each(|(_, below)| remove(below));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_left_out_and_the_rest_stays() {
        let text = "[registry]\ntoken = 's'\ndefault = 'mine'\n[registries.mine]\nindex = 'u'\ntoken = 's'\n[build]\njobs = 2";
        let shown: toml::Table = toml::from_str(&without_tokens(text).unwrap()).unwrap();
        let expected = "registry.default = 'mine'\nregistries.mine.index = 'u'\nbuild.jobs = 2";
        assert_eq!(shown, toml::from_str::<toml::Table>(expected).unwrap());
    }
}
