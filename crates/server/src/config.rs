//! Configuration: defaults, then a TOML file, then the environment, then flags; the last wins.
//!
//! [`SETTINGS`] is the one list of what can be set. A setting that is not in it is refused, in the
//! file and as a flag.

use clap::{Arg, ArgAction, ArgMatches};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use toml::{Spanned, Value};

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One text that is not empty.
    Text,
    /// One or more, with commas between them, as an array in the file, or as a repeated flag.
    List,
}

/// One thing that can be set.
struct Row {
    /// In the file, and as a flag with dashes for underscores.
    name: &'static str,
    variable: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    secret: bool,
    /// What a value is called, and what it does; without it there is no flag.
    help: Option<(&'static str, &'static str)>,
}

const fn text(name: &'static str, variable: &'static str) -> Row {
    Row {
        name,
        variable,
        kind: Kind::Text,
        default: None,
        secret: false,
        help: None,
    }
}

impl Row {
    const fn flag(mut self, value: &'static str, help: &'static str) -> Self {
        self.help = Some((value, help));
        self
    }

    const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn list(mut self) -> Self {
        self.kind = Kind::List;
        self
    }

    fn id(&self) -> String {
        self.name.replace('_', "-")
    }
}

const SETTINGS: &[Row] = &[
    text("data", "TRESTLE_DATA")
        .default("./trestle-data")
        .flag("DIR", "The data folder"),
    text("listen", "TRESTLE_LISTEN")
        .list()
        .default("127.0.0.1:9000")
        .flag(
            "ADDRESS",
            "An address to listen on, may be repeated; port 0 picks a free one",
        ),
    text("listen_tls", "TRESTLE_LISTEN_TLS")
        .list()
        .flag("ADDRESS", "An address to speak TLS on, may be repeated"),
    text("tls_certificate", "TRESTLE_TLS_CERTIFICATE").flag(
        "FILE",
        "The server's certificate and those that vouch for it, in PEM; read again on SIGHUP \
         [default: one for trials, made at the first start]",
    ),
    text("tls_key", "TRESTLE_TLS_KEY").flag("FILE", "The certificate's private key, in PEM"),
    text("tls_clients", "TRESTLE_TLS_CLIENTS").flag(
        "FILE",
        "Authorities whose client certificates are taken, in PEM",
    ),
    text("trusted_proxies", "TRESTLE_TRUSTED_PROXIES")
        .list()
        .flag(
            "NETWORK",
            "An address or a network whose proxies are believed, may be repeated",
        ),
    text("proxy_headers", "TRESTLE_PROXY_HEADERS")
        .default("x-forwarded")
        .flag("KIND", "What they write: x-forwarded or forwarded"),
    text("proxy_protocol", "TRESTLE_PROXY_PROTOCOL")
        .default("off")
        .flag(
            "on|off",
            "Whether their connections begin with a header of the PROXY protocol",
        ),
    text("requests_max", "TRESTLE_REQUESTS_MAX")
        .default("1024")
        .flag("COUNT", "Most requests that are answered at once"),
    text("body_rate_min", "TRESTLE_BODY_RATE_MIN")
        .default("500")
        .flag(
            "BYTES",
            "How many bytes of a request's body have to come a second; 0 for any",
        ),
    text("body_grace", "TRESTLE_BODY_GRACE").default("30").flag(
        "SECONDS",
        "For how long a client is waited for before that counts, time of the server's own not \
         included",
    ),
    text("events_kept", "TRESTLE_EVENTS_KEPT")
        .default("168")
        .flag("HOURS", "How long a bucket's events can be read after they happened"),
    text("tree_keys_max", "TRESTLE_TREE_KEYS_MAX")
        .default("10000")
        .flag(
            "COUNT",
            "Most keys of a directory that are moved or deleted at once; more are a job",
        ),
    text("metrics", "TRESTLE_METRICS")
        .default("root")
        .flag("WHO", "Who may read /metrics: root or public"),
    text("audit", "TRESTLE_AUDIT").default("changes").flag(
        "WHAT",
        "What the audit log holds: changes (with all that is denied), all, or off",
    ),
    text("audit_files", "TRESTLE_AUDIT_FILES")
        .default("64")
        .flag("COUNT", "Most files of the audit log, of 16 MiB each; the oldest go first"),
    text("master_key", "TRESTLE_MASTER_KEY").flag(
        "FILE",
        "The key of everything that is encrypted; made when it is missing \
         [default: $XDG_CONFIG_HOME/trestle/master.key]",
    ),
    text("region", "TRESTLE_REGION")
        .list()
        .default("us-east-1")
        .flag(
            "NAME",
            "A region that S3 requests may be signed for, may be repeated; the first is this \
             server's",
        ),
    text("domain", "TRESTLE_DOMAINS").list().flag(
        "HOST",
        "A host name of this server, may be repeated; a host below it names a bucket in S3",
    ),
    text("kms_key", "TRESTLE_KMS_KEYS").list().flag(
        "NAME",
        "A key that S3 contents may be encrypted under by name, may be repeated; the first is meant \
         without a name",
    ),
    text("storage_class", "TRESTLE_STORAGE_CLASSES")
        .list()
        .flag(
            "NAME",
            "A storage class that S3 objects may have beside STANDARD, may be repeated",
        ),
    text("signature_v2", "TRESTLE_SIGNATURE_V2")
        .default("on")
        .flag("on|off", "Whether S3 takes signatures of version 2"),
    text("sse_c", "TRESTLE_SSE_C").default("private").flag(
        "private|anywhere",
        "Over which connections S3 takes keys of clients (SSE-C): over TLS and on the loopback \
         interface, or over all",
    ),
    text("cdmi_enterprise_number", "TRESTLE_CDMI_ENTERPRISE_NUMBER").flag(
        "NUMBER",
        "The enterprise number in CDMI object ids; it counts at the first start \
         [default: 32473, which is for examples]",
    ),
    text("buckets_per_account", "TRESTLE_BUCKETS_PER_ACCOUNT").flag(
        "NUMBER",
        "How many buckets an account may have [default: any number]",
    ),
    text("expiry_delay", "TRESTLE_EXPIRY_DELAY").default("0").flag(
        "SECONDS",
        "For how long an object that has ended is kept before it is deleted; only Swift's \
         X-Open-Expired gets at it",
    ),
    text("swift_policy", "TRESTLE_SWIFT_POLICY")
        .list()
        .default("default")
        .flag(
            "NAME",
            "A storage policy that Swift containers may have, may be repeated; the first is the \
             default",
        ),
    text("swift_domain", "TRESTLE_SWIFT_DOMAIN").list().flag(
        "HOST",
        "A domain below which a host names a Swift account, or a container in one, may be repeated",
    ),
    text("swift_sync_realms", "TRESTLE_SWIFT_SYNC_REALMS").flag(
        "FILE",
        "The clusters that Swift containers are synchronised between, and their keys, in the form of \
         Swift's container-sync-realms.conf",
    ),
    text("swift_sync_host", "TRESTLE_SWIFT_SYNC_HOST")
        .list()
        .flag(
            "HOST",
            "A host whose Swift containers may be sent to by their whole URLs, with its port where \
             the URLs have one, may be repeated; then whoever knows a container's sync key may send \
             into it",
        ),
    text("swift_name_check", "TRESTLE_SWIFT_NAME_CHECK").flag(
        "CHARACTERS",
        "Swift refuses paths with one of these characters, with a part that is . or .., and longer \
         ones than --swift-name-length",
    ),
    text("swift_name_length", "TRESTLE_SWIFT_NAME_LENGTH").flag(
        "BYTES",
        "The longest path that --swift-name-check lets through [default: 255]",
    ),
    text("swift_account_rate", "TRESTLE_SWIFT_ACCOUNT_RATE").flag(
        "RATE",
        "How many containers a second are made and deleted in a Swift account [default: any number]",
    ),
    text("swift_container_rate", "TRESTLE_SWIFT_CONTAINER_RATE")
        .list()
        .flag(
            "SIZE:RATE",
            "How many objects a second are written in a Swift container of so many objects, may be \
             repeated; between two sizes the rate lies between theirs",
        ),
    text("swift_listing_rate", "TRESTLE_SWIFT_LISTING_RATE")
        .list()
        .flag(
            "SIZE:RATE",
            "How many listings a second a Swift container of so many objects gives, may be repeated",
        ),
    text("swift_exempt_account", "TRESTLE_SWIFT_EXEMPT_ACCOUNT")
        .list()
        .flag(
            "ACCOUNT",
            "A Swift account, as URLs name it, for which no rate holds, may be repeated",
        ),
    text("swift_blocked_account", "TRESTLE_SWIFT_BLOCKED_ACCOUNT")
        .list()
        .flag(
            "ACCOUNT",
            "A Swift account, as URLs name it, for which nothing is answered (497), may be repeated",
        ),
    text("root_user", "TRESTLE_ROOT_USER"),
    text("root_password", "TRESTLE_ROOT_PASSWORD").secret(),
    text("root_access_key", "TRESTLE_ROOT_ACCESS_KEY"),
    text("root_secret_key", "TRESTLE_ROOT_SECRET_KEY").secret(),
];

/// The flags of every command that reads the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigArgs {
    file: Option<PathBuf>,
    given: Vec<(&'static str, Vec<String>)>,
}

impl clap::Args for ConfigArgs {
    fn augment_args(mut command: clap::Command) -> clap::Command {
        for row in SETTINGS {
            let Some((value, help)) = row.help else {
                continue;
            };
            let help = match row.default {
                Some(default) => format!("{help} [default: {default}]"),
                None => help.to_owned(),
            };
            let argument = Arg::new(row.name).long(row.id()).value_name(value);
            command = command.arg(argument.help(help).action(match row.kind {
                Kind::Text => ArgAction::Set,
                Kind::List => ArgAction::Append,
            }));
        }
        command.arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("A TOML file [default: ./trestle.toml when it exists]"),
        )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for ConfigArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = SETTINGS.iter().filter(|row| row.help.is_some());
        let given = flags.filter_map(|row| {
            let values: Vec<String> = matches.get_many(row.name)?.cloned().collect();
            Some((row.name, values))
        });
        Ok(ConfigArgs {
            file: matches.get_one::<PathBuf>("config").cloned(),
            given: given.collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Default,
    File(PathBuf),
    Environment(&'static str),
    Flag,
}

/// A value and its source.
#[derive(Clone, Debug)]
struct Setting {
    name: &'static str,
    values: Vec<String>,
    secret: bool,
    source: Source,
}

/// What the server runs with.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    settings: Vec<Setting>,
}

/// A variable of this process.
pub(crate) fn environment(name: &str) -> Result<Option<String>, String> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8")),
    }
}

/// Reads the configuration of this process.
pub(crate) fn load(args: &ConfigArgs) -> Result<Config, String> {
    let path = match (&args.file, environment("TRESTLE_CONFIG")?) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(path)) => Some(path.into()),
        (None, None) => Some(PathBuf::from("trestle.toml")).filter(|path| path.exists()),
    };
    let file = match &path {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            parse(&text).map_err(|message| format!("{}{message}", path.display()))?
        }
        None => File::new(),
    };
    build(args, &file, path, &environment)
}

/// Each setting of a file with its values.
type File = BTreeMap<&'static str, Vec<String>>;

/// Reads a file. A message says the line, and never quotes a value: it may be a secret.
fn parse(text: &str) -> Result<File, String> {
    let wrong = |at: usize, message: &str| {
        let before = text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!(", line {line}, is not valid: {message}")
    };
    let table: BTreeMap<Spanned<String>, Spanned<Value>> =
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            wrong(start, error.message())
        })?;
    let mut file = File::new();
    for (name, value) in table {
        let Some(row) = SETTINGS.iter().find(|row| row.name == name.get_ref()) else {
            let message = format!("unknown setting {}", name.get_ref());
            return Err(wrong(name.span().start, &message));
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let values = match (row.kind, value.get_ref()) {
            (Kind::List, Value::Array(values)) => values.iter().map(text).collect(),
            (_, value) => text(value).map(|value| vec![value]),
        };
        let values = values.ok_or_else(|| {
            let message = format!("{}: each value is a string", row.name);
            wrong(value.span().start, &message)
        })?;
        file.insert(row.name, values);
    }
    Ok(file)
}

type Environment<'a> = &'a dyn Fn(&str) -> Result<Option<String>, String>;

fn build(
    args: &ConfigArgs,
    file: &File,
    path: Option<PathBuf>,
    environment: Environment<'_>,
) -> Result<Config, String> {
    let mut settings = Vec::new();
    for row in SETTINGS {
        let flag = args.given.iter().find(|(name, _)| *name == row.name);
        let (values, source) = if let Some((_, values)) = flag {
            (values.clone(), Source::Flag)
        } else if let Some(value) = environment(row.variable)? {
            (vec![value], Source::Environment(row.variable))
        } else if let (Some(values), Some(path)) = (file.get(row.name), &path) {
            (values.clone(), Source::File(path.clone()))
        } else {
            let default = row.default.map(str::to_owned);
            (default.into_iter().collect(), Source::Default)
        };
        let values = match row.kind {
            Kind::Text => values,
            Kind::List => split(&values),
        };
        let missing = source != Source::Default && values.is_empty();
        if missing || values.iter().any(String::is_empty) {
            return Err(format!("{} is empty", row.name));
        }
        settings.push(Setting {
            name: row.name,
            values,
            secret: row.secret,
            source,
        });
    }
    Ok(Config { settings })
}

/// The values between commas.
fn split(values: &[String]) -> Vec<String> {
    values
        .iter()
        .flat_map(|value| value.split(','))
        .map(|value| value.trim().to_owned())
        .collect()
}

impl Config {
    /// All values of a setting.
    pub(crate) fn list(&self, name: &str) -> &[String] {
        self.settings
            .iter()
            .find(|setting| setting.name == name)
            .map(|setting| setting.values.as_slice())
            .unwrap_or_default()
    }

    /// The value of a setting.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.list(name).first().map(String::as_str)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.get("data").unwrap_or_default().into()
    }

    /// What was said of the root user: user, password, access key, secret key.
    pub(crate) fn root(&self, part: &str) -> Option<&str> {
        self.get(&format!("root_{part}"))
    }

    /// A line for each value.
    pub(crate) fn show(&self) -> String {
        let mut text = String::new();
        for setting in &self.settings {
            let value = match setting.values.as_slice() {
                [] => "(not set)".to_owned(),
                _ if setting.secret => "(hidden)".to_owned(),
                values => format!("{:?}", values.join(",")),
            };
            let source = match &setting.source {
                Source::Default => "default".to_owned(),
                Source::File(path) => format!("file {}", path.display()),
                Source::Environment(name) => format!("environment {name}"),
                Source::Flag => "flag".to_owned(),
            };
            // Writing to a String cannot fail.
            let _written = writeln!(text, "{} = {value}  # {source}", setting.name);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_source_wins_and_secrets_are_hidden() {
        let file = parse(
            "data = '/file'\nlisten = 'file:1'\nroot_user = 'file'\nroot_password = 'file-secret'",
        )
        .unwrap();
        let environment = |name: &str| {
            Ok(match name {
                "TRESTLE_DATA" => Some("/environment".to_owned()),
                "TRESTLE_LISTEN" => Some("environment:1, environment:2".to_owned()),
                _ => None,
            })
        };
        let args = ConfigArgs {
            file: None,
            given: vec![("data", vec!["/flag".to_owned()])],
        };
        let config = build(&args, &file, Some("a.toml".into()), &environment).unwrap();
        assert_eq!(config.data(), PathBuf::from("/flag"));
        assert_eq!(config.list("listen"), ["environment:1", "environment:2"]);
        assert_eq!(config.root("user"), Some("file"));
        let shown = config.show();
        assert!(shown.contains("data = \"/flag\"  # flag"), "{shown}");
        assert!(shown.contains("# environment TRESTLE_LISTEN"), "{shown}");
        assert!(
            shown.contains("root_password = (hidden)  # file a.toml"),
            "{shown}"
        );
        assert!(!shown.contains("file-secret"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_quoting_it() {
        assert!(parse("\nnonsense = 1").unwrap_err().contains("line 2"));
        let wrong = parse("root_password = 123456789").unwrap_err();
        assert!(wrong.contains("root_password") && !wrong.contains("123456789"));
        let file = parse("listen = []").unwrap();
        let none = |_: &str| Ok(None);
        assert!(build(&ConfigArgs::default(), &file, Some("a".into()), &none).is_err());
        let empty = |_: &str| Ok(Some(String::new()));
        assert!(build(&ConfigArgs::default(), &File::new(), None, &empty).is_err());
    }

    #[test]
    fn names_are_given_once() {
        for (i, row) in SETTINGS.iter().enumerate() {
            let others = SETTINGS.iter().skip(i + 1);
            assert!(others.clone().all(|other| other.name != row.name));
            assert!(others.clone().all(|other| other.variable != row.variable));
        }
    }
}
