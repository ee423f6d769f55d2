//! What database servers have in common in a source's file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretSource;

/// How a connection to a PostgreSQL server is protected, in PostgreSQL's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Not encrypted.
    Disable,
    /// Encrypted if the server can.
    #[default]
    Prefer,
    /// Encrypted, by whatever server.
    Require,
    /// Encrypted, by a server whose certificate is trusted.
    VerifyCa,
    /// Encrypted, by a server whose certificate is trusted and names the host.
    VerifyFull,
}

impl SslMode {
    /// As PostgreSQL writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// How a connection to a MySQL server is protected, in MySQL's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MysqlSslMode {
    /// Not encrypted.
    Disabled,
    /// Encrypted if the server can.
    #[default]
    Preferred,
    /// Encrypted, by whatever server.
    Required,
    /// Encrypted, by a server whose certificate is trusted.
    VerifyCa,
    /// Encrypted, by a server whose certificate is trusted and names the host.
    VerifyIdentity,
}

impl MysqlSslMode {
    /// As MySQL writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Preferred => "preferred",
            Self::Required => "required",
            Self::VerifyCa => "verify_ca",
            Self::VerifyIdentity => "verify_identity",
        }
    }
}

/// The secrets of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerSecrets {
    /// The user's password, from an environment variable, a file or a command.
    #[schemars(example = &serde_json::json!({"env": "SHOP_PASSWORD"}))]
    pub password: Option<SecretSource>,
}
