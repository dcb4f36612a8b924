//! Secrets of the environment that cargo was started with.

use super::Attack;
use super::attempt::{read, said};
use super::lab;

pub const ATTACKS: &[Attack] = &[
    ("env-registry-token", |_| variable("CARGO_REGISTRY_TOKEN")),
    ("env-named-registry-token", |_| variable("CARGO_REGISTRIES_MINE_TOKEN")),
    ("env-github-token", |_| variable("GITHUB_TOKEN")),
    ("env-aws", |_| variable("AWS_SECRET_ACCESS_KEY")),
    ("env-npm", |_| variable("NPM_TOKEN")),
    ("env-database-url", |_| variable("DATABASE_URL")),
    ("env-ssh-agent", |_| variable("SSH_AUTH_SOCK")),
    ("env-session-bus", |_| variable("DBUS_SESSION_BUS_ADDRESS")),
    ("env-kubeconfig", |_| variable("KUBECONFIG")),
    ("env-proxy-password", |_| variable("HTTPS_PROXY")),
    ("env-plain-name", |_| variable("COLOUR_OF_THE_DAY")),
    ("env-by-value", |_| {
        let mut found =
            std::env::vars_os().filter(|(_, value)| value.to_string_lossy().contains(lab::SECRET));
        found.next().map(|(name, value)| format!("{name:?}={value:?}")).ok_or_else(|| "none".into())
    }),
    ("env-of-own-block", |_| {
        let text = read("/proc/self/environ")?;
        text.find(lab::SECRET).map(|at| text[at..].into()).ok_or_else(|| "none".into())
    }),
    ("env-of-a-child", |_| {
        let output = std::process::Command::new("/usr/bin/env").output().map_err(said)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.find(lab::SECRET).map(|at| text[at..].into()).ok_or_else(|| "none".into())
    }),
];

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(said)
}
