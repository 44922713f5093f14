//! Credentials per account: the ordinary AWS chain, and a role in each account that is not our own.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use tokio::sync::OnceCell;

use crate::endpoint;
use crate::error::{AwsError, chain};

/// Credentials this close to their expiry are not handed out any more: a call and its retries must fit in.
const EXPIRY_MARGIN: Duration = Duration::from_mins(5);

/// How long an assumed role lasts. Role chaining allows no more.
const SESSION: Duration = Duration::from_hours(1);

/// How long STS, or a link of the chain, may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The role to assume in every account but our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolePattern {
    arn: String,
    session_name: String,
    external_id: Option<String>,
}

impl RolePattern {
    /// A pattern such as `arn:aws:iam::{account}:role/stanch-remediation`. `{account}` must occur; `{partition}` may, for
    /// deployments that reach China or GovCloud. The session is called `stanch`.
    pub fn new(arn: impl Into<String>) -> Result<Self, AwsError> {
        let arn = arn.into();
        let problem = if !arn.starts_with("arn:") || !arn.contains(":role/") {
            Some("is no role ARN")
        } else if !arn.contains("::{account}:") {
            Some("does not hold {account} in place of the account")
        } else {
            None
        };
        match problem {
            Some(problem) => Err(AwsError::RolePattern { pattern: arn, problem }),
            None => Ok(RolePattern { arn, session_name: "stanch".to_owned(), external_id: None }),
        }
    }

    /// The session name CloudTrail shows: 2 to 64 characters of letters, digits and `_+=,.@-`.
    pub fn session_name(mut self, name: impl Into<String>) -> Result<Self, AwsError> {
        let name = name.into();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
        if !(2..=64).contains(&name.len()) || !name.bytes().all(allowed) {
            let problem = "has a session name that is not 2 to 64 letters, digits or _+=,.@-";
            return Err(AwsError::RolePattern { pattern: self.arn, problem });
        }
        self.session_name = name;
        Ok(self)
    }

    /// The external id that the roles' trust policies demand.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// The role's ARN in one account.
    fn arn(&self, account: &str, region: &str) -> String {
        self.arn.replace("{account}", account).replace("{partition}", partition(region))
    }
}

/// Credentials for any account we may act in, loaded when first asked for and kept until five minutes before they expire.
pub struct AwsCredentials {
    base: Base,
    role: Option<RolePattern>,
    endpoint: Option<String>,
    config: OnceCell<SdkConfig>,
    own_account: OnceCell<String>,
    kept: Mutex<HashMap<String, Credentials>>,
}

enum Base {
    Ambient,
    Fixed(Credentials),
}

/// The key under which the ambient credentials themselves are kept; no account id is empty.
const OWN: &str = "";

impl AwsCredentials {
    /// The ordinary chain: environment, profile (with single sign-on and credential processes), web identity, container, instance.
    /// `role` is assumed in every account that is not the chain's own; without it, other accounts are refused.
    /// `endpoint` (a URL on this machine, all others are refused) takes the place of STS, for an emulator: there nobody is asked
    /// whose the credentials are, and without a role the chain's credentials serve every account.
    pub fn ambient(role: Option<RolePattern>, endpoint: Option<String>) -> Self {
        AwsCredentials::new(Base::Ambient, role, endpoint)
    }

    /// The same key for every account, without a word to STS: for emulators and tests on loopback.
    pub fn fixed(access_key: &str, secret: &str) -> Self {
        AwsCredentials::new(Base::Fixed(Credentials::new(access_key, secret, None, None, "fixed")), None, None)
    }

    fn new(base: Base, role: Option<RolePattern>, endpoint: Option<String>) -> Self {
        AwsCredentials { base, role, endpoint, config: OnceCell::new(), own_account: OnceCell::new(), kept: Mutex::default() }
    }

    /// Credentials that act in `account` (12 digits). `region` chooses the STS endpoint: tokens of a regional endpoint also
    /// work in opt-in regions.
    pub async fn for_account(&self, account: &str, region: &str) -> Result<Credentials, AwsError> {
        check_account(account)?;
        check_region(region)?;
        self.endpoint.as_deref().map_or(Ok(()), check_loopback)?;
        if let Base::Fixed(credentials) = &self.base {
            return Ok(credentials.clone());
        }
        let emulated = self.endpoint.is_some();
        let Some(role) = &self.role else {
            let base = self.ambient_credentials(region).await?;
            if !emulated {
                let own = self.own_account(&base, region).await?;
                if own != account {
                    return Err(AwsError::OtherAccount { account: account.to_owned(), own: own.to_owned() });
                }
            }
            return Ok(base);
        };
        if let Some(credentials) = self.kept(account) {
            return Ok(credentials);
        }
        let base = self.ambient_credentials(region).await?;
        if !emulated && self.own_account(&base, region).await? == account {
            return Ok(base);
        }
        let assumed = self.assume(role, account, region, base).await?;
        self.keep(account, &assumed);
        Ok(assumed)
    }

    async fn assume(&self, role: &RolePattern, account: &str, region: &str, base: Credentials) -> Result<Credentials, AwsError> {
        let role_arn = role.arn(account, region);
        let mut config = self.config(region).await.to_builder();
        config.set_endpoint_url(self.endpoint.clone());
        let mut provider = AssumeRoleProvider::builder(role_arn.clone())
            .configure(&config.build())
            .region(Region::new(region.to_owned()))
            .session_name(role.session_name.clone())
            .session_length(SESSION);
        if let Some(id) = &role.external_id {
            provider = provider.external_id(id.clone());
        }
        let provider = provider.build_from_provider(base).await;
        load(&provider).await.map_err(|source| AwsError::AssumeRole { role: role_arn, source })
    }

    async fn ambient_credentials(&self, region: &str) -> Result<Credentials, AwsError> {
        if let Some(credentials) = self.kept(OWN) {
            return Ok(credentials);
        }
        let provider = self.config(region).await.credentials_provider();
        let provider = provider.ok_or_else(|| AwsError::Ambient { source: CredentialsError::not_loaded("no provider is configured") })?;
        let credentials = load(&provider).await.map_err(|source| AwsError::Ambient { source })?;
        self.keep(OWN, &credentials);
        Ok(credentials)
    }

    /// The region of the first call builds the chain; later regions only choose endpoints.
    async fn config(&self, region: &str) -> &SdkConfig {
        let load = || async { aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region.to_owned())).load().await };
        self.config.get_or_init(load).await
    }

    async fn own_account(&self, base: &Credentials, region: &str) -> Result<&str, AwsError> {
        let ask = || async {
            match base.account_id() {
                Some(account) => Ok(account.as_str().to_owned()),
                None => caller_account(base, region).await,
            }
        };
        self.own_account.get_or_try_init(ask).await.map(String::as_str)
    }

    fn kept(&self, key: &str) -> Option<Credentials> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|c| c.expiry().is_none_or(|end| wall_clock() + EXPIRY_MARGIN < end)).cloned()
    }

    fn keep(&self, key: &str, credentials: &Credentials) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(key.to_owned(), credentials.clone());
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").field("role", &self.role).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The time as AWS sees it: signatures and token expiries are checked against the provider's clock, not against our `now`.
#[expect(clippy::disallowed_methods, reason = "a signature carries the real time, whatever the engine's clock says")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The partition a region belongs to.
pub(crate) fn partition(region: &str) -> &'static str {
    const PREFIXES: &[(&str, &str)] =
        &[("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-isob-", "aws-iso-b"), ("us-iso-", "aws-iso"), ("eusc-", "aws-eusc")];
    PREFIXES.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

/// Refuses what is no account id: it becomes part of a role's ARN.
pub(crate) fn check_account(account: &str) -> Result<(), AwsError> {
    if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) {
        Ok(())
    } else {
        Err(AwsError::Account { account: account.to_owned() })
    }
}

/// Refuses what is no region: it becomes part of a host name, and events are not to be trusted with one.
pub(crate) fn check_region(region: &str) -> Result<(), AwsError> {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=32).contains(&region.len()) && region.bytes().all(known) && region.starts_with(|c: char| c.is_ascii_lowercase()) {
        Ok(())
    } else {
        Err(AwsError::Region { region: region.to_owned() })
    }
}

/// Refuses an emulator that is not on this machine: it would be sent signed requests, and would hand out credentials.
pub(crate) fn check_loopback(text: &str) -> Result<(), AwsError> {
    endpoint::loopback(text).map(drop).map_err(|_| AwsError::Endpoint { endpoint: text.to_owned() })
}

async fn load(provider: &impl ProvideCredentials) -> Result<Credentials, CredentialsError> {
    let late = |_| Err(CredentialsError::provider_timed_out(TIMEOUT));
    tokio::time::timeout(TIMEOUT, provider.provide_credentials()).await.unwrap_or_else(late)
}

/// `sts:GetCallerIdentity`: the one STS call that needs no permission. aws-config does not offer it.
async fn caller_account(credentials: &Credentials, region: &str) -> Result<String, AwsError> {
    const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
    const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
    let url = format!("https://sts.{region}.{}/", endpoint::suffix(partition(region)));
    let broken = |reason: String| AwsError::CallerIdentity { reason, retry: false };

    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(wall_clock())
        .settings(SigningSettings::default())
        .build()
        .map_err(|e| broken(chain(&e)))?;
    let request = SignableRequest::new("POST", &url, [("content-type", FORM)].into_iter(), SignableBody::Bytes(BODY.as_bytes()))
        .map_err(|e| broken(chain(&e)))?;
    let (signed, _) = sign(request, &params.into()).map_err(|e| broken(chain(&e)))?.into_parts();

    let sent = |e: reqwest::Error| AwsError::CallerIdentity { reason: chain(&e.without_url()), retry: true };
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(sent)?;
    let mut request = client.post(&url).header("content-type", FORM).body(BODY);
    for (name, value) in signed.headers() {
        request = request.header(name, value);
    }
    let response = request.send().await.map_err(sent)?;
    let status = response.status();
    let text = response.text().await.map_err(sent)?;
    if !status.is_success() {
        let code = element(&text, "Code").unwrap_or("no error code");
        return Err(AwsError::CallerIdentity { reason: format!("{} {code}", status.as_u16()), retry: status.is_server_error() });
    }
    element(&text, "Account").map(str::to_owned).ok_or_else(|| broken("the answer names no account".to_owned()))
}

/// The text of the first element of this name; STS answers are flat enough for that.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(text, _)| text.trim())
}

#[cfg(test)]
mod tests;
