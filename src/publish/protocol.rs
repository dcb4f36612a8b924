//! What cargo and a credential provider say to each other: a line of JSON each (cargo's reference, "Credential Provider
//! Protocol").

use serde::{Deserialize, Serialize};

/// What a provider says first: the versions that it speaks.
pub const HELLO: &str = r#"{"v":[1]}"#;

/// What cargo asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The version that it speaks.
    pub v: u32,
    /// Of which registry.
    pub registry: RegistryInfo,
    /// What for.
    #[serde(flatten)]
    pub action: Action,
    /// What the configuration names behind the provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

/// A registry as cargo names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RegistryInfo {
    /// Its index.
    pub index_url: String,
    /// Its name in the configuration, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the registry said when it refused, for the provider to look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
}

/// What a provider is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Action {
    /// Give the token.
    Get(Operation),
    /// Keep a token.
    Login(Login),
    /// Forget the token.
    Logout,
    /// What this version of the tool does not know.
    #[serde(other)]
    Unknown,
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
pub enum Operation {
    /// The index and downloads of a private registry.
    Read,
    /// An upload.
    Publish {
        /// The crate.
        name: String,
        /// Its version.
        vers: String,
        /// The archive's SHA-256.
        cksum: String,
    },
    /// Taking a version back.
    Yank {
        /// The crate.
        name: String,
        /// Its version.
        vers: String,
    },
    /// Undoing that.
    Unyank {
        /// The crate.
        name: String,
        /// Its version.
        vers: String,
    },
    /// A crate's owners.
    Owners {
        /// The crate.
        name: String,
    },
    /// What this version of the tool does not know.
    #[serde(other)]
    Unknown,
}

/// A token to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Login {
    /// The token, where the user has given it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Where the user gets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_url: Option<String>,
}

/// What a provider answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It was done.
    Ok(Done),
    /// It was not.
    Err(Refusal),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Done {
    /// The token.
    Get {
        /// The token.
        token: String,
        /// How long cargo may keep it: `never` here, so that it asks for each operation.
        cache: String,
        /// Whether it is the same for every operation.
        #[serde(default)]
        operation_independent: bool,
    },
    /// A token was kept.
    Login,
    /// A token was forgotten.
    Logout,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Refusal {
    /// Not for this provider.
    UrlNotSupported,
    /// There is none.
    NotFound,
    /// It does not do that.
    OperationNotSupported,
    /// Another reason.
    Other {
        /// In words.
        message: String,
        /// And behind them.
        #[serde(default, rename = "caused-by")]
        caused_by: Vec<String>,
    },
}

impl Answer {
    /// A token for one operation.
    pub fn token(token: impl Into<String>) -> Self {
        Self::Ok(Done::Get { token: token.into(), cache: "never".into(), operation_independent: false })
    }

    /// A refusal in words.
    pub fn refuse(message: impl Into<String>) -> Self {
        Self::Err(Refusal::Other { message: message.into(), caused_by: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_as_cargo_writes_them() {
        let text = r#"{"v":1,"registry":{"index-url":"sparse+http://r/","name":"mine"},"kind":"get","operation":"publish","name":"a","vers":"0.1.0","cksum":"83"}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        let operation = Operation::Publish { name: "a".into(), vers: "0.1.0".into(), cksum: "83".into() };
        assert_eq!(request.action, Action::Get(operation));
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        let of = |text: &str| {
            let text = format!(r#"{{"v":1,"registry":{{"index-url":"u"}},{text}}}"#);
            serde_json::from_str::<Request>(&text).unwrap().action
        };
        assert_eq!(of(r#""kind":"get","operation":"read""#), Action::Get(Operation::Read));
        assert_eq!(of(r#""kind":"get","operation":"new-one""#), Action::Get(Operation::Unknown));
        let login = Login { token: None, login_url: Some("u".into()) };
        assert_eq!(of(r#""kind":"login","login-url":"u""#), Action::Login(login));
        assert_eq!(of(r#""kind":"logout""#), Action::Logout);
    }

    #[test]
    fn answers_as_cargo_reads_them() {
        let text = serde_json::to_string(&Answer::token("t")).unwrap();
        assert_eq!(
            text,
            r#"{"Ok":{"kind":"get","token":"t","cache":"never","operation_independent":false}}"#
        );
        let text = serde_json::to_string(&Answer::Err(Refusal::NotFound)).unwrap();
        assert_eq!(text, r#"{"Err":{"kind":"not-found"}}"#);
        let text = serde_json::to_string(&Answer::refuse("why")).unwrap();
        assert_eq!(text, r#"{"Err":{"kind":"other","message":"why","caused-by":[]}}"#);
    }
}
