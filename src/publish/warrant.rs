//! What a token is given out for: one operation, and what was verified for it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::protocol::{Action, Answer, Login, Operation, Refusal, Request};
use super::registry::Registry;

/// What cargo gets in the place of a token where it has no use for one: it asks to read before it has seen that the
/// registry wants no token for that.
const NO_TOKEN: &str = "cargo-sandbox-gives-no-token-to-read";

/// What the user has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To read a private registry: of the host's cargo alone.
    Read,
    /// To upload these archives: name and version, and the SHA-256 that was verified.
    Publish(BTreeMap<(String, String), String>),
    /// To see or change a crate's owners.
    Owners(String),
    /// To take a version back.
    Yank(String, String),
    /// To undo that.
    Unyank(String, String),
    /// To keep a token.
    Login,
    /// To forget it.
    Logout,
}

/// What is to be done on this machine with a token of the user's: kept, or forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping<'a> {
    /// Kept, as cargo says it.
    Keep(&'a Login),
    /// Forgotten.
    Forget,
}

/// Does it.
pub type Keeper = Box<dyn Fn(Keeping<'_>) -> Answer + Send + Sync>;

/// The right to one registry's token for one purpose.
pub struct Warrant {
    registry: Registry,
    purpose: Purpose,
    /// Whether the registry lets nobody read without a token.
    reads_with_token: bool,
    token: Option<String>,
    given: Mutex<Vec<Operation>>,
    keeper: Option<Keeper>,
    kept: AtomicBool,
}

impl std::fmt::Debug for Warrant {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Warrant").field("registry", &self.registry).field("purpose", &self.purpose).finish()
    }
}

impl Warrant {
    /// A warrant. `reads_with_token`: the registry's index says so.
    pub fn new(registry: Registry, purpose: Purpose, reads_with_token: bool, token: Option<String>) -> Self {
        let (given, kept) = (Mutex::default(), AtomicBool::new(false));
        Self { registry, purpose, reads_with_token, token, given, keeper: None, kept }
    }

    /// The right to have a token of one registry's kept or forgotten, once. None is given out.
    pub fn to_keep(registry: Registry, purpose: Purpose, keeper: Keeper) -> Self {
        Self { keeper: Some(keeper), ..Self::new(registry, purpose, false, None) }
    }

    /// For which operations the token was given out.
    pub fn given(&self) -> Vec<Operation> {
        self.given.lock().map(|given| given.clone()).unwrap_or_default()
    }

    /// Answers cargo.
    pub fn answer(&self, request: &Request) -> Answer {
        if !self.registry.is_index(&request.registry.index_url) {
            return Answer::Err(Refusal::UrlNotSupported);
        }
        let operation = match (&request.action, &self.purpose) {
            (Action::Login(login), Purpose::Login) => return self.keep(Keeping::Keep(login)),
            (Action::Logout, Purpose::Logout) => return self.keep(Keeping::Forget),
            // Whoever logs in has none, as far as cargo is concerned.
            (Action::Get(_), Purpose::Login | Purpose::Logout) => return Answer::Err(Refusal::NotFound),
            (Action::Get(operation), _) => operation,
            _ => return Answer::Err(Refusal::OperationNotSupported),
        };
        match self.allows(operation) {
            Ok(true) => match &self.token {
                Some(token) => {
                    if let Ok(mut given) = self.given.lock() {
                        given.push(operation.clone());
                    }
                    Answer::token(token)
                }
                None => Answer::Err(Refusal::NotFound),
            },
            Ok(false) => Answer::token(NO_TOKEN),
            Err(why) => Answer::refuse(why),
        }
    }

    fn keep(&self, what: Keeping<'_>) -> Answer {
        match &self.keeper {
            Some(keeper) if !self.kept.swap(true, Ordering::SeqCst) => keeper(what),
            _ => Answer::Err(Refusal::OperationNotSupported),
        }
    }

    /// Whether the token is for this operation; `false`: cargo goes on without one.
    fn allows(&self, operation: &Operation) -> Result<bool, String> {
        match (operation, &self.purpose) {
            // Nobody else ever gets the one that publishes.
            (Operation::Read, _) => Ok(self.reads_with_token),
            (Operation::Publish { name, vers, cksum }, Purpose::Publish(verified)) => {
                match verified.get(&(name.clone(), vers.clone())) {
                    Some(known) if known == cksum => Ok(true),
                    Some(known) => Err(format!(
                        "the archive of {name} {vers} is not the one that was verified: its SHA-256 is {cksum}, and \
                         {known} was verified; have the sources changed in between?"
                    )),
                    None => Err(format!("{name} {vers} was not verified")),
                }
            }
            (Operation::Owners { name }, Purpose::Owners(own)) if name == own => Ok(true),
            (Operation::Yank { name, vers }, Purpose::Yank(own, version))
                if name == own && vers == version =>
            {
                Ok(true)
            }
            (Operation::Unyank { name, vers }, Purpose::Unyank(own, version))
                if name == own && vers == version =>
            {
                Ok(true)
            }
            _ => Err(format!("the token is not given out for this: {operation:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::{Done, RegistryInfo};
    use super::*;

    const INDEX: &str = "sparse+https://registry.example/index/";

    fn ask(warrant: &Warrant, index: &str, operation: Operation) -> Answer {
        let registry = RegistryInfo { index_url: index.into(), name: None, headers: Vec::new() };
        warrant.answer(&Request { v: 1, registry, action: Action::Get(operation), args: Vec::new() })
    }

    fn warrant(purpose: Purpose, reads: bool) -> Warrant {
        Warrant::new(Registry::named("mine", INDEX), purpose, reads, Some("secret".into()))
    }

    fn publish(name: &str, vers: &str, cksum: &str) -> Operation {
        Operation::Publish { name: name.into(), vers: vers.into(), cksum: cksum.into() }
    }

    #[test]
    fn the_token_is_for_what_was_verified_and_nothing_else() {
        let verified = BTreeMap::from([(("a".to_owned(), "1.0.0".to_owned()), "aa".to_owned())]);
        let warrant = warrant(Purpose::Publish(verified), false);
        let secret = Answer::token("secret");
        assert_eq!(ask(&warrant, INDEX, publish("a", "1.0.0", "aa")), secret);
        for other in [
            publish("a", "1.0.0", "ab"),
            publish("a", "1.0.1", "aa"),
            publish("b", "1.0.0", "aa"),
            Operation::Read,
            Operation::Owners { name: "a".into() },
            Operation::Yank { name: "a".into(), vers: "1.0.0".into() },
            Operation::Unknown,
        ] {
            assert_ne!(ask(&warrant, INDEX, other.clone()), secret, "{other:?}");
        }
        let elsewhere = ask(&warrant, "sparse+https://evil.example/index/", publish("a", "1.0.0", "aa"));
        assert_eq!(elsewhere, Answer::Err(Refusal::UrlNotSupported));
        assert_eq!(warrant.given(), [publish("a", "1.0.0", "aa")]);
    }

    #[test]
    fn one_operation_is_no_other() {
        let owners = warrant(Purpose::Owners("a".into()), false);
        let yank = warrant(Purpose::Yank("a".into(), "1.0.0".into()), false);
        let secret = Answer::token("secret");
        let yanks = |name: &str, vers: &str| Operation::Yank { name: name.into(), vers: vers.into() };
        assert_eq!(ask(&owners, INDEX, Operation::Owners { name: "a".into() }), secret);
        assert_ne!(ask(&owners, INDEX, Operation::Owners { name: "b".into() }), secret);
        assert_ne!(ask(&owners, INDEX, publish("a", "1.0.0", "aa")), secret);
        assert_eq!(ask(&yank, INDEX, yanks("a", "1.0.0")), secret);
        assert_ne!(ask(&yank, INDEX, yanks("a", "1.0.1")), secret);
        assert_ne!(ask(&yank, INDEX, Operation::Unyank { name: "a".into(), vers: "1.0.0".into() }), secret);
    }

    #[test]
    fn a_token_is_kept_once_and_where_that_was_asked_for_alone() {
        let ask = |warrant: &Warrant, index: &str, action: Action| {
            let registry = RegistryInfo { index_url: index.into(), name: None, headers: Vec::new() };
            warrant.answer(&Request { v: 1, registry, action, args: Vec::new() })
        };
        let login = || Action::Login(Login { token: None, login_url: None });
        let keeper = || -> Keeper {
            Box::new(|what| match what {
                Keeping::Keep(_) => Answer::Ok(Done::Login),
                Keeping::Forget => Answer::Ok(Done::Logout),
            })
        };
        let warrant = |purpose| Warrant::to_keep(Registry::named("mine", INDEX), purpose, keeper());
        let mine = warrant(Purpose::Login);
        let elsewhere = ask(&mine, "sparse+https://evil.example/index/", login());
        assert_eq!(elsewhere, Answer::Err(Refusal::UrlNotSupported));
        assert_eq!(ask(&mine, INDEX, Action::Logout), Answer::Err(Refusal::OperationNotSupported));
        assert_eq!(ask(&mine, INDEX, Action::Get(Operation::Read)), Answer::Err(Refusal::NotFound));
        assert_eq!(ask(&mine, INDEX, login()), Answer::Ok(Done::Login));
        assert_eq!(ask(&mine, INDEX, login()), Answer::Err(Refusal::OperationNotSupported), "a second time");
        assert_eq!(ask(&warrant(Purpose::Logout), INDEX, Action::Logout), Answer::Ok(Done::Logout));
        let publish =
            Warrant::new(Registry::named("mine", INDEX), Purpose::Read, false, Some("secret".into()));
        assert_eq!(ask(&publish, INDEX, login()), Answer::Err(Refusal::OperationNotSupported));
    }

    #[test]
    fn reading_takes_a_token_where_the_registry_says_so_alone() {
        assert_eq!(ask(&warrant(Purpose::Read, true), INDEX, Operation::Read), Answer::token("secret"));
        assert_eq!(ask(&warrant(Purpose::Read, false), INDEX, Operation::Read), Answer::token(NO_TOKEN));
    }
}
