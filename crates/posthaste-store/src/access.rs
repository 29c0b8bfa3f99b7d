//! Sessions, a customer's tokens, and what an environment's operators chose.

use async_trait::async_trait;
use posthaste_core::id::{AppId, TokenId};
use posthaste_core::looks::Looks;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_core::token::{TokenHash, TokenRecord};

use crate::columns::looks;
use crate::directory::NewToken;
use crate::error::StoreError;

/// What operators may choose for their environment; each is kept as bytes that only its reader understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// How its portal looks.
    Portal,
    /// By which letters its public catalogue is found. Two environments never have the same.
    Catalogue,
    /// The hash of its operators' password.
    Password,
}

impl Choice {
    /// Under which name it is kept.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portal => "portal",
            Self::Catalogue => "catalogue",
            Self::Password => "password",
        }
    }
}

/// Who may look for now, and how what they see looks.
#[async_trait]
pub trait Access: Send + Sync {
    /// Keeps a session with the rights of the token that `of` is the hash of: it ends when that one does, and no later.
    /// One made with a session stands for the same token as that. `None`: it stands for itself.
    async fn create_session(
        &self,
        new: NewToken,
        of: Option<TokenHash>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// The newest tokens and sessions of an app that still work: so many at most.
    async fn tokens_of_app(
        &self,
        environment: EnvironmentId,
        app: AppId,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<TokenRecord>, StoreError>;

    /// Ends one token of an environment, and of an app if one is named; says whether there is such a one.
    async fn end_token(
        &self,
        environment: EnvironmentId,
        app: Option<AppId>,
        id: TokenId,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Ends all tokens and sessions of an app, at `at`; says how many still worked.
    async fn end_tokens_of_app(
        &self,
        environment: EnvironmentId,
        app: AppId,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Ends all sessions of an environment's operators; says how many still worked. Their tokens go on.
    async fn end_sessions(&self, environment: EnvironmentId, now: Timestamp) -> Result<u64, StoreError>;

    /// What was chosen, if anything was.
    async fn chosen(&self, environment: EnvironmentId, choice: Choice)
    -> Result<Option<Vec<u8>>, StoreError>;

    /// Chooses; `None`: as if nothing had ever been chosen.
    async fn choose(
        &self,
        environment: EnvironmentId,
        choice: Choice,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError>;

    /// The environment of this name and what is kept of its password, if it has one. Makes no environment.
    async fn password_of(&self, name: &str) -> Result<Option<(EnvironmentId, Vec<u8>)>, StoreError>;

    /// How the environment's portal looks.
    async fn looks(&self, environment: EnvironmentId) -> Result<Looks, StoreError> {
        let chosen = self.chosen(environment, Choice::Portal).await?;
        chosen.map_or_else(|| Ok(Looks::default()), |bytes| looks::read(&bytes))
    }

    /// Makes it look like this.
    async fn change_looks(&self, environment: EnvironmentId, looks: &Looks) -> Result<(), StoreError> {
        self.choose(environment, Choice::Portal, Some(looks::written(looks)?)).await
    }

    /// Whose public catalogue is found by these letters.
    async fn environment_of_catalogue(&self, letters: &str) -> Result<Option<EnvironmentId>, StoreError>;
}
