//! Hosts that name an account, or a container in one: `account.domain`, `container.account.domain`.

use crate::fault::{Fault, Outcome};
use crate::target::Prefixes;

/// What stands before one of the domains in a host, without the port.
pub(crate) fn rest_of<'a>(domains: &[String], host: &'a str) -> Option<&'a str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    domains.iter().find_map(|domain| {
        let domain = domain.trim_start_matches('.');
        let start = name.len().checked_sub(domain.len() + 1)?;
        let (rest, end) = name.split_at_checked(start)?;
        let end = end.strip_prefix('.')?;
        (!domain.is_empty() && end.eq_ignore_ascii_case(domain)).then_some(rest)
    })
}

/// The path that such a host stands for; none for other hosts.
///
/// # Errors
/// 400 when the host has too many parts.
pub(crate) fn rewrite(
    domains: &[String],
    prefixes: &Prefixes,
    host: &str,
) -> Outcome<Option<String>> {
    let Some(rest) = rest_of(domains, host) else {
        return Ok(None);
    };
    let parts: Vec<&str> = rest.trim_matches('.').split('.').collect();
    let (container, account) = match parts.as_slice() {
        [account] => (None, *account),
        [container, account] => (Some(*container), *account),
        _ => return Err(Fault::text(400, "Bad domain in host header")),
    };
    // A host name has no underscore: the first hyphen stands for it.
    let account = match account.contains('_') {
        true => account.to_owned(),
        false => account.replacen('-', "_", 1),
    };
    let (start, end) = account.split_once('_').unwrap_or((&account, ""));
    let known = prefixes
        .0
        .iter()
        .find(|prefix| prefix.eq_ignore_ascii_case(start));
    let account = match known {
        Some(prefix) => format!("{prefix}_{end}"),
        None => return Ok(None),
    };
    let container = container.map_or_else(String::new, |container| format!("/{container}"));
    Ok(Some(format!("/v1/{account}{container}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_below_a_domain_become_paths() {
        let domains = ["example.net".to_owned()];
        let prefixes = Prefixes(vec!["AUTH".into(), "SERVICE".into()]);
        let path = |host: &str| rewrite(&domains, &prefixes, host).unwrap();
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(path("AUTH_a.example.net"), is("/v1/AUTH_a"));
        assert_eq!(path("auth-a.example.net:8080"), is("/v1/AUTH_a"));
        assert_eq!(path("c.auth-a-b.example.net"), is("/v1/AUTH_a-b/c"));
        assert_eq!(path("c.service-a.Example.Net"), is("/v1/SERVICE_a/c"));
        for other in [
            "example.net",
            "a.example.org",
            "anexample.net",
            "other.example.net",
            "",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
        assert!(rewrite(&domains, &prefixes, "a.b.c.example.net").is_err());
        assert_eq!(rest_of(&domains, "a.example.net:80"), Some("a"));
        assert_eq!(rest_of(&[], "a.example.net"), None);
    }
}
