//! Configuration: defaults, then a TOML file, then the environment, then flags; the last wins.

use crate::ConfigArgs;
use serde::Deserialize;
use std::fmt::Write;
use std::path::PathBuf;

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
    value: Option<String>,
    secret: bool,
    source: Source,
}

/// The file's content. Unknown keys are errors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<String>,
    listen: Option<String>,
    root_user: Option<String>,
    root_password: Option<String>,
    root_access_key: Option<String>,
    root_secret_key: Option<String>,
}

/// What the server runs with.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    settings: Vec<Setting>,
}

const NAMES: [(&str, &str, bool); 6] = [
    ("data", "TRESTLE_DATA", false),
    ("listen", "TRESTLE_LISTEN", false),
    ("root_user", "TRESTLE_ROOT_USER", false),
    ("root_password", "TRESTLE_ROOT_PASSWORD", true),
    ("root_access_key", "TRESTLE_ROOT_ACCESS_KEY", false),
    ("root_secret_key", "TRESTLE_ROOT_SECRET_KEY", true),
];

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
    let path = match (&args.config, environment("TRESTLE_CONFIG")?) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(path)) => Some(path.into()),
        (None, None) => Some(PathBuf::from("trestle.toml")).filter(|path| path.exists()),
    };
    let file = match &path {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            toml::from_str(&text).map_err(|error| {
                let before = error.span().and_then(|span| text.get(..span.start));
                let line = before.map_or(1, |before| before.matches('\n').count() + 1);
                // Of a wrong type the message quotes the value, which may be a secret.
                let message = match error.message() {
                    message if message.starts_with("invalid type") => "each value is a string",
                    message => message,
                };
                format!("{}, line {line}, is not valid: {message}", path.display())
            })?
        }
        None => File::default(),
    };
    build(args, &file, path, &environment)
}

type Environment<'a> = &'a dyn Fn(&str) -> Result<Option<String>, String>;

fn build(
    args: &ConfigArgs,
    file: &File,
    path: Option<PathBuf>,
    environment: Environment<'_>,
) -> Result<Config, String> {
    let mut settings = Vec::new();
    for (name, variable, secret) in NAMES {
        let flag = match name {
            "data" => args.data.as_ref().map(|path| path.display().to_string()),
            "listen" => args.listen.clone(),
            _ => None,
        };
        let in_file = match name {
            "data" => &file.data,
            "listen" => &file.listen,
            "root_user" => &file.root_user,
            "root_password" => &file.root_password,
            "root_access_key" => &file.root_access_key,
            _ => &file.root_secret_key,
        };
        let default = match name {
            "data" => Some("./trestle-data".to_owned()),
            "listen" => Some("127.0.0.1:9000".to_owned()),
            _ => None,
        };
        let (value, source) = if let Some(value) = flag {
            (Some(value), Source::Flag)
        } else if let Some(value) = environment(variable)? {
            (Some(value), Source::Environment(variable))
        } else if let (Some(value), Some(path)) = (in_file.clone(), &path) {
            (Some(value), Source::File(path.clone()))
        } else {
            (default, Source::Default)
        };
        if value.as_ref().is_some_and(|value| value.is_empty()) {
            return Err(format!("{name} is empty"));
        }
        settings.push(Setting {
            name,
            value,
            secret,
            source,
        });
    }
    Ok(Config { settings })
}

impl Config {
    fn get(&self, name: &str) -> Option<&str> {
        self.settings
            .iter()
            .find(|setting| setting.name == name)?
            .value
            .as_deref()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.get("data").unwrap_or_default().into()
    }

    pub(crate) fn listen(&self) -> &str {
        self.get("listen").unwrap_or_default()
    }

    /// What was said of the root user: user, password, access key, secret key.
    pub(crate) fn root(&self, part: &str) -> Option<&str> {
        self.get(&format!("root_{part}"))
    }

    /// A line for each value.
    pub(crate) fn show(&self) -> String {
        let mut text = String::new();
        for setting in &self.settings {
            let value = match &setting.value {
                None => "(not set)".to_owned(),
                Some(_) if setting.secret => "(hidden)".to_owned(),
                Some(value) => format!("{value:?}"),
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
        let file: File = toml::from_str(
            "data = '/file'\nlisten = 'file:1'\nroot_user = 'file'\nroot_password = 'file-secret'",
        )
        .unwrap();
        let environment = |name: &str| {
            Ok(match name {
                "TRESTLE_DATA" => Some("/environment".to_owned()),
                "TRESTLE_LISTEN" => Some("environment:1".to_owned()),
                _ => None,
            })
        };
        let args = ConfigArgs {
            data: Some("/flag".into()),
            ..ConfigArgs::default()
        };
        let config = build(&args, &file, Some("a.toml".into()), &environment).unwrap();
        assert_eq!(config.data(), PathBuf::from("/flag"));
        assert_eq!(config.listen(), "environment:1");
        assert_eq!(config.root("user"), Some("file"));
        let shown = config.show();
        assert!(shown.contains("data = \"/flag\"  # flag"), "{shown}");
        assert!(shown.contains("# environment TRESTLE_LISTEN"), "{shown}");
        assert!(
            shown.contains("root_password = (hidden)  # file a.toml"),
            "{shown}"
        );
        assert!(!shown.contains("file-secret"));
        assert!(toml::from_str::<File>("nonsense = 1").is_err());
        let empty = |_: &str| Ok(Some(String::new()));
        assert!(build(&ConfigArgs::default(), &File::default(), None, &empty).is_err());
    }
}
