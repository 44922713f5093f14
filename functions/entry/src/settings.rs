//! Every setting, in one list: the reference in the documentation is made from it.

use std::fmt;
use std::path::{Path, PathBuf};

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// What it does, with its unit and default.
    pub about: &'static str,
}

/// All of them. Anything else in the environment is read by the cloud SDKs themselves (`AWS_PROFILE`, `GOOGLE_APPLICATION_CREDENTIALS` …).
pub const SETTINGS: &[Setting] = &[
    Setting { name: "STANCH_DATA", about: "Data folder of the local store. Default: `stanch` below the user's data folder." },
    Setting { name: "STANCH_RULES", about: "Folder with rule files (`*.yaml`). Default: the built-in rule that plans and writes nothing." },
    Setting { name: "STANCH_FIXES", about: "Folder with fixes of your own, beside those that ship with stanch." },
    Setting { name: "STANCH_PROTECTED", about: "YAML file with protected targets of your own, added to those that ship with stanch." },
    Setting {
        name: "STANCH_CHANNELS",
        about: "YAML file with webhook channels: name, `url` and `secret_env` (the variable that holds the secret).",
    },
    Setting {
        name: "STANCH_CHECKPOINTS",
        about: "Folder for checkpoints of the records. Default: the container `stanch-checkpoints` of the storage account, where it has an immutability policy; without an account `checkpoints` in the data folder, where the identity that applies fixes could rewrite them: name one where it can only add files.",
    },
    Setting {
        name: "STANCH_SWEEP",
        about: "What `handler` and `stanch up` list at the source, so that findings whose event never arrived are found: scopes with commas between, as `defender/<subscription>` (all that Defender for Cloud reports; one kind as `defender-assessment/<subscription>`), `security-hub/<account>/<region>` (or `security-hub-v2`), `scc/organizations/<number>` (or `folders/`, `projects/`; for data residency with the location behind it). What the first sweep of a scope lists is the backlog. Default: nothing is listed.",
    },
    Setting { name: "STANCH_SWEEP_EVERY", about: "How often each scope is swept, as `6h` or `30m`; a minute at least. Default: `6h`." },
    Setting {
        name: "STANCH_LOG",
        about: "Log filter, as `info` or `stanch_engine=debug`. Default: `warn` for the command line, `info` for servers.",
    },
    Setting {
        name: "STANCH_LOG_FORMAT",
        about: "`json` (one object a line, with the fields of its spans) or `text`. Default: `json` where a host runs the program, else `text`.",
    },
    Setting {
        name: "OTEL_EXPORTER_OTLP_ENDPOINT",
        about: "Base URL of an OpenTelemetry collector, as `http://127.0.0.1:4318`: traces and metrics go there over OTLP/HTTP. Needs a program built with `--features otlp`, as those that are shipped are. OpenTelemetry's other variables (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_METRIC_EXPORT_INTERVAL` …) hold, too. Default: nothing is exported.",
    },
    Setting {
        name: "STANCH_AZURE_CLIENT_ID",
        about: "Client id of the user-assigned managed identity. Without it and outside Azure: `az login`.",
    },
    Setting {
        name: "STANCH_AWS_ROLE",
        about: "Role assumed in each account, as `arn:aws:iam::{account}:role/stanch-remediation`. Default: the caller's own credentials, in the caller's own account only.",
    },
    Setting { name: "STANCH_AWS_EXTERNAL_ID", about: "External id sent when that role is assumed." },
    Setting {
        name: "STANCH_STORAGE_ACCOUNT",
        about: "Azure storage account that keeps the state (table, queue and blobs), in place of the data folder; for a Functions app its own account (`AzureWebJobsStorage`), where its queue trigger listens. A name, or as `name.core.usgovcloudapi.net` for another cloud. Access is by Entra token alone. On the command line `--data DIR` means that folder all the same; `stanch up` keeps only its token and events that wait for the account in the data folder.",
    },
    Setting {
        name: "STANCH_SEAL_KEY",
        about: "Key that seals sensitive values in that account: 32 random bytes as base64, best a Key Vault reference. Without it a fix that must keep such a value is not applied.",
    },
    Setting {
        name: "STANCH_STORAGE_ENDPOINT",
        about: "Azurite on this machine instead of that account: the address of its blob service; queue and table are on the next two ports (tests only; loopback only).",
    },
    Setting { name: "STANCH_AZURE_ENDPOINT", about: "Sends Azure calls to a server on this machine instead (tests only; loopback only)." },
    Setting { name: "STANCH_AWS_ENDPOINT", about: "Sends AWS calls to a server on this machine instead (tests only; loopback only)." },
    Setting { name: "STANCH_GCP_ENDPOINT", about: "Sends Google calls to a server on this machine instead (tests only; loopback only)." },
];

/// A value that is never shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The settings of a process.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `STANCH_DATA`.
    pub data: Option<PathBuf>,
    /// `STANCH_RULES`.
    pub rules: Option<PathBuf>,
    /// `STANCH_FIXES`.
    pub fixes: Option<PathBuf>,
    /// `STANCH_PROTECTED`.
    pub protected: Option<PathBuf>,
    /// `STANCH_CHANNELS`.
    pub channels: Option<PathBuf>,
    /// `STANCH_CHECKPOINTS`.
    pub checkpoints: Option<PathBuf>,
    /// `STANCH_SWEEP`.
    pub sweep: Option<String>,
    /// `STANCH_SWEEP_EVERY`.
    pub sweep_every: Option<String>,
    /// `STANCH_LOG`.
    pub log: Option<String>,
    /// `STANCH_LOG_FORMAT`.
    pub log_format: Option<String>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub otlp_endpoint: Option<String>,
    /// `STANCH_AZURE_CLIENT_ID`.
    pub azure_client_id: Option<String>,
    /// Whether a managed identity is offered here (`IDENTITY_ENDPOINT`, set by the Functions host).
    pub managed_identity: bool,
    /// `STANCH_AWS_ROLE`.
    pub aws_role: Option<String>,
    /// `STANCH_AWS_EXTERNAL_ID`.
    pub aws_external_id: Option<String>,
    /// `STANCH_STORAGE_ACCOUNT`.
    pub storage_account: Option<String>,
    /// `STANCH_SEAL_KEY`.
    pub seal_key: Option<Secret>,
    /// `STANCH_STORAGE_ENDPOINT`.
    pub storage_endpoint: Option<String>,
    /// `STANCH_AZURE_ENDPOINT`.
    pub azure_endpoint: Option<String>,
    /// `STANCH_AWS_ENDPOINT`.
    pub aws_endpoint: Option<String>,
    /// `STANCH_GCP_ENDPOINT`.
    pub gcp_endpoint: Option<String>,
    /// The user, for the record (`USER`).
    pub user: Option<String>,
    /// The user's data folder (`XDG_DATA_HOME`, else `HOME/.local/share`).
    pub user_data: Option<PathBuf>,
    /// The port the Functions host wants (`FUNCTIONS_CUSTOMHANDLER_PORT`).
    pub functions_port: Option<String>,
    /// Where the Lambda runtime is asked for work (`AWS_LAMBDA_RUNTIME_API`, set by Lambda).
    pub lambda_api: Option<String>,
}

impl Settings {
    /// Reads them from the environment. Empty counts as absent.
    pub fn from_env() -> Self {
        let path = |name| get(name).map(PathBuf::from);
        let home = path("HOME").map(|h| h.join(".local/share"));
        Settings {
            data: path("STANCH_DATA"),
            rules: path("STANCH_RULES"),
            fixes: path("STANCH_FIXES"),
            protected: path("STANCH_PROTECTED"),
            channels: path("STANCH_CHANNELS"),
            checkpoints: path("STANCH_CHECKPOINTS"),
            sweep: get("STANCH_SWEEP"),
            sweep_every: get("STANCH_SWEEP_EVERY"),
            log: get("STANCH_LOG"),
            log_format: get("STANCH_LOG_FORMAT"),
            otlp_endpoint: get("OTEL_EXPORTER_OTLP_ENDPOINT"),
            azure_client_id: get("STANCH_AZURE_CLIENT_ID"),
            managed_identity: get("IDENTITY_ENDPOINT").is_some(),
            aws_role: get("STANCH_AWS_ROLE"),
            aws_external_id: get("STANCH_AWS_EXTERNAL_ID"),
            storage_account: get("STANCH_STORAGE_ACCOUNT"),
            seal_key: get("STANCH_SEAL_KEY").map(Secret),
            storage_endpoint: get("STANCH_STORAGE_ENDPOINT"),
            azure_endpoint: get("STANCH_AZURE_ENDPOINT"),
            aws_endpoint: get("STANCH_AWS_ENDPOINT"),
            gcp_endpoint: get("STANCH_GCP_ENDPOINT"),
            user: get("USER").or_else(|| get("LOGNAME")),
            user_data: path("XDG_DATA_HOME").or(home),
            functions_port: get("FUNCTIONS_CUSTOMHANDLER_PORT"),
            lambda_api: get("AWS_LAMBDA_RUNTIME_API"),
        }
    }

    /// The data folder: as asked, else `stanch` below the user's data folder, else below the present one.
    pub fn data_folder(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| self.user_data.clone().unwrap_or_default().join("stanch"))
    }

    /// The storage account that keeps the state, or the address of Azurite; without one the data folder does.
    pub fn account(&self) -> Option<&str> {
        self.storage_endpoint.as_deref().or(self.storage_account.as_deref())
    }

    /// Has a data folder keep the state, whatever account the environment names.
    pub fn keep_in(&mut self, data: PathBuf) {
        (self.data, self.storage_account, self.storage_endpoint) = (Some(data), None, None);
    }

    /// The folder for checkpoints of what is kept in `data`.
    pub fn checkpoint_folder(&self, data: &Path) -> PathBuf {
        self.checkpoints.clone().unwrap_or_else(|| data.join("checkpoints"))
    }
}

/// A variable that a settings file names (`secret_env`).
pub fn named(variable: &str) -> Option<String> {
    get(variable)
}

fn get(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
