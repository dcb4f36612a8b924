//! What of a repository's configuration jobs see: settings that say how the repository is to be read, and none that holds
//! a credential or names a program.

/// What is kept, in lower case: the section, and its keys. Everything else (`http.extraHeader`, `credential.*`,
/// `core.hooksPath`, `core.sshCommand`, `include.path`, filters, aliases …) is left out.
const KEPT: &[(&str, &[&str])] = &[
    (
        "core",
        &[
            "repositoryformatversion",
            "filemode",
            "bare",
            "ignorecase",
            "precomposeunicode",
            "symlinks",
            "abbrev",
        ],
    ),
    ("extensions", &["objectformat", "refstorage", "compatobjectformat"]),
    ("remote", &["url", "fetch"]),
    ("branch", &["remote", "merge"]),
];

/// The configuration without what is not known to be harmless. What is written in an unusual way (quoted, over several
/// lines, behind a section's name) is left out as well.
pub fn without_credentials(text: &str) -> String {
    let mut result = String::new();
    let mut kept: Option<&[&str]> = None;
    let mut continued = false;
    for line in text.lines() {
        let goes_on = line.ends_with('\\');
        let line = line.trim();
        if std::mem::replace(&mut continued, goes_on) || goes_on {
            continue;
        }
        if line.starts_with('[') {
            kept = section(line);
            if kept.is_some() {
                result.push_str(line);
                result.push('\n');
            }
            continue;
        }
        let Some((keys, (name, value))) = kept.zip(line.split_once('=')) else { continue };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if !keys.contains(&name.as_str()) || value.contains(['"', '\\', '#', ';']) {
            continue;
        }
        let value = if name == "url" { without_user(value) } else { Some(value.to_owned()) };
        if let Some(value) = value {
            result.push_str(&format!("\t{name} = {value}\n"));
        }
    }
    result
}

/// The keys that are kept of a section whose header this is; none where all of it is left out.
fn section(header: &str) -> Option<&'static [&'static str]> {
    let inside = header.strip_prefix('[')?.strip_suffix(']')?;
    let (name, subsection) = match inside.split_once([' ', '\t']) {
        Some((name, rest)) => (name, Some(rest.trim().strip_prefix('"')?.strip_suffix('"')?)),
        None => (inside, None),
    };
    // A quote, an escape or a bracket would begin something else for git than for this.
    if subsection.is_some_and(|text| text.contains(['"', '\\', '[', ']', '@'])) {
        return None;
    }
    let name = name.to_ascii_lowercase();
    KEPT.iter().find(|(section, _)| *section == name).map(|(_, keys)| *keys)
}

/// A URL without user, password and query; `git@host:path` has no secret and stays. None where it cannot be told apart.
fn without_user(url: &str) -> Option<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        // `helper::address` is what a program of that name makes of it.
        let user = url.split_once('@').map_or("", |(user, _)| user);
        return (!url.contains("::") && !user.contains([':', '/'])).then(|| url.to_owned());
    };
    if scheme.contains(':') {
        return None;
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // A second `@` is part of a password that was not escaped; behind a slash it may be one, too.
    if path.contains('@') {
        return None;
    }
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(format!("{scheme}://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_needs_stays() {
        let text = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\
                    [remote \"origin\"]\n\turl = git@host.example:a/b.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n\
                    [branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n";
        assert_eq!(without_credentials(text), text);
        let sha256 = "[extensions]\n\tobjectformat = sha256\n";
        assert_eq!(without_credentials(&sha256.replace("objectformat", "objectFormat")), sha256);
    }

    #[test]
    fn no_secret_and_no_program_is_left() {
        for text in [
            "[http]\n\textraHeader = AUTHORIZATION: basic s3cret\n",
            "[http \"https://h.example/\"]\n\textraheader = s3cret\n",
            "[credential]\n\thelper = !echo password=s3cret\n",
            "[core]\n\tsshCommand = ssh -i s3cret\n\thooksPath = s3cret\n\tfsmonitor = s3cret\n",
            "[include]\n\tpath = s3cret\n",
            "[alias]\n\tx = !s3cret\n",
            "[url \"https://u:s3cret@h.example/\"]\n\tinsteadOf = gh:\n",
            "[remote \"https://u:s3cret@h.example/\"]\n\turl = x\n",
            "[remote \"origin\"]\n\turl = https://u:s3cret@h.example/a\n",
            "[remote \"origin\"]\n\turl = https://s3cret@h.example/a\n",
            "[remote \"origin\"]\n\turl = https://u:p@s3cret@h.example/a\n",
            "[remote \"origin\"]\n\turl = https://u:p/s3cret@h.example/a\n",
            "[remote \"origin\"]\n\turl = https://h.example/a?private_token=s3cret\n",
            "[remote \"origin\"]\n\turl = \"https://u:s3cret@h.example/a\"\n",
            "[remote \"origin\"]\n\turl = https://u:\\\ns3cret@h.example/a\n",
            "[remote \"origin\"]\n\tnotes = \\\n\turl = s3cret\n",
            "[remote \"origin\"]\n\tpushurl = https://u:s3cret@h.example/a\n",
            "[remote \"origin\"]\n\turl = ext::sh -c s3cret\n",
            "[remote \"origin\"]\n\turl = u:s3cret@h.example:a\n",
            "[remote.origin]\n\turl = s3cret\n",
            "[core] bare = s3cret\n\tbare = s3cret\n",
            "bare = s3cret\n",
        ] {
            let left = without_credentials(text);
            assert!(!left.contains("s3cret"), "{text}\n{left}");
        }
        let url = "[remote \"origin\"]\n\turl = https://u:s3cret@h.example/a.git\n";
        assert!(without_credentials(url).contains("url = https://h.example/a.git\n"));
    }
}
