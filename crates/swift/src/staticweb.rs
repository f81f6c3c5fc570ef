//! Containers as sites: an index instead of a listing, listings for people, error pages.

use crate::call::{Call, Input, set, text};
use crate::container::Container;
use crate::contents;
use crate::doors::SitePage;
use crate::fault::{Fault, Outcome};
use crate::listing::{Row, escape};
use crate::query::{Query, is_true};
use crate::rights::Wish;
use crate::target::quote;
use futures::FutureExt;
use http::{Response, StatusCode};
use trestle_http::Body;

/// Most rows of a listing.
const ROWS_MAX: usize = 10_000;

/// Whether a request is for the site that a container may be.
pub(crate) fn serves(call: &Call) -> bool {
    let nobody = call.who.is_anonymous() || call.who.pass.is_some() || call.says("x-web-mode");
    call.reads() && call.target.container.is_some() && nobody
}

/// What makes a container a site.
struct Site<'a> {
    container: &'a Container,
    index: Option<&'a str>,
    error: Option<&'a str>,
    listings: bool,
}

impl<'a> Site<'a> {
    fn of(container: &'a Container) -> Self {
        let meta = |name| {
            container
                .meta(name)
                .map(str::trim)
                .filter(|text| !text.is_empty())
        };
        Site {
            container,
            index: meta("web-index"),
            error: meta("web-error"),
            listings: meta("web-listings").is_some_and(is_true),
        }
    }

    fn is_site(&self) -> bool {
        self.index.is_some() || self.container.meta("web-listings").is_some()
    }
}

/// Answers a request for a site, or for the resource when there is no site.
pub(crate) async fn answer(call: &Call) -> Outcome<Response<Body>> {
    let container = call.container(&call.account, call.container_name()).await?;
    let Some(container) = container else {
        return resource(call).await;
    };
    let site = Site::of(&container);
    match call.target.object.is_some() {
        true => object(call, &site).await,
        false => root(call, &site).await,
    }
}

async fn resource(call: &Call) -> Outcome<Response<Body>> {
    // An answer of the dialect within itself, which the compiler cannot size.
    let asking = call.swift.resource(call, Input::of("")).boxed();
    asking.await
}

fn again(call: &Call, object: &str) -> Call {
    Call {
        headers: call.headers.clone(),
        ..call.again(&call.method, &call.account, call.container_name(), object)
    }
}

fn slashed(call: &Call) -> Response<Body> {
    let path = call.target.path();
    let path = path.strip_prefix(&quote(&call.below)).unwrap_or(&path);
    let location = format!("{}{path}/", call.origin);
    let mut response = Fault::new(301).into_response();
    set(response.headers_mut(), "location", &location);
    response
}

/// A refusal, with the site's own page when it has one.
async fn refused(call: &Call, site: &Site<'_>, fault: Fault) -> Outcome<Response<Body>> {
    let Some(suffix) = site.error.filter(|_| [401, 404].contains(&fault.status())) else {
        return Err(fault);
    };
    let asking = again(call, &format!("{}{suffix}", fault.status()));
    match crate::read::answer(&asking).await {
        Ok(mut page) if page.status().is_success() => {
            *page.status_mut() = StatusCode::from_u16(fault.status()).unwrap_or_default();
            Ok(page)
        }
        _ => Err(fault),
    }
}

async fn root(call: &Call, site: &Site<'_>) -> Outcome<Response<Body>> {
    let may = call
        .may(Wish {
            account: &call.account,
            container: Some(call.container_name()),
            // A site shows itself to whom its objects are shown.
            object: Some(call.target.object.as_deref().unwrap_or("*")),
            reads: true,
            manages: false,
        })
        .await;
    if !site.is_site() {
        return match call.says("x-web-mode") {
            true => Err(Fault::new(404)),
            false => resource(call).await,
        };
    }
    if let Err(fault) = may {
        return refused(call, site, fault).await;
    }
    if !call.target.slash {
        return Ok(slashed(call));
    }
    if let Some(index) = site.index {
        match crate::read::answer(&again(call, index)).await {
            Err(fault) if fault.status() == 404 => {}
            Err(fault) => return refused(call, site, fault).await,
            answered => return answered,
        }
    }
    listed(call, site, "").await
}

async fn object(call: &Call, site: &Site<'_>) -> Outcome<Response<Body>> {
    let name = call.target.object.as_deref().unwrap_or_default();
    let missing = match resource(call).await {
        Ok(response) if is_marker(site, &response) => Fault::new(404),
        Err(fault) if fault.status() == 404 => fault,
        Err(fault) if site.is_site() && fault.status() == 401 => {
            return refused(call, site, fault).await;
        }
        answered => return answered,
    };
    if !site.is_site() {
        return Err(missing);
    }
    let slash = name.ends_with('/');
    if let Some(index) = site.index {
        let inner = format!("{}/{index}", name.trim_end_matches('/'));
        match crate::read::answer(&again(call, &inner)).await {
            Ok(_) if !slash => return Ok(slashed(call)),
            Ok(response) => return Ok(response),
            Err(fault) if fault.status() == 404 => {}
            Err(fault) => return refused(call, site, fault).await,
        }
    }
    if slash {
        return listed(call, site, name).await;
    }
    let rows = rows(call, site, &format!("{name}/"), 1).await;
    match rows.is_ok_and(|rows| !rows.is_empty()) {
        true => Ok(slashed(call)),
        false => refused(call, site, Fault::new(404)).await,
    }
}

/// Whether an object only marks a pseudo-directory.
fn is_marker(site: &Site<'_>, response: &Response<Body>) -> bool {
    let wanted = site.container.meta("web-directory-type");
    let wanted = wanted.unwrap_or("application/directory");
    let text = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
    let length = match text("content-length") {
        Some(length) => length.parse().unwrap_or(0),
        None => http_body::Body::size_hint(response.body())
            .exact()
            .unwrap_or(u64::MAX),
    };
    response.status().is_success() && text("content-type") == Some(wanted) && length <= 1
}

async fn rows(call: &Call, site: &Site<'_>, prefix: &str, limit: usize) -> Outcome<Vec<Row>> {
    call.may(Wish {
        account: &call.account,
        container: Some(call.container_name()),
        object: None,
        reads: true,
        manages: false,
    })
    .await?;
    let query = format!("delimiter=/&prefix={}", quote(prefix));
    let query = Query::parse(Some(&query))?;
    contents::objects_of(call, site.container, &query, limit).await
}

/// A listing for people.
async fn listed(call: &Call, site: &Site<'_>, prefix: &str) -> Outcome<Response<Body>> {
    if !site.listings {
        let index = site.index.map_or_else(String::new, |index| {
            format!(
                "<h1>Index File Not Found</h1><p>The index {} is not there.</p>",
                escape(index)
            )
        });
        let page = format!(
            "<!DOCTYPE html>\n<html>\n<head><title>Listing of {}</title></head>\n<body>\
             <h1>Web Listing Disabled</h1><p>The owner of this web site has disabled web listing. \
             If you are the owner, you can enable it by setting X-Container-Meta-Web-Listings.</p>\
             {index}</body>\n</html>\n",
            escape(&label(call, site))
        );
        return refused(call, site, Fault::html(404, page)).await;
    }
    let rows = match rows(call, site, prefix, ROWS_MAX).await {
        Ok(rows) if rows.is_empty() && !prefix.is_empty() => {
            return refused(call, site, Fault::new(404)).await;
        }
        Ok(rows) => rows,
        Err(fault) => return refused(call, site, fault).await,
    };
    let mut response = text(
        200,
        "text/html; charset=UTF-8",
        page(call, site, prefix, &rows),
    );
    response.extensions_mut().insert(SitePage);
    Ok(response)
}

fn label(call: &Call, site: &Site<'_>) -> String {
    let object = call.target.object.as_deref().unwrap_or_default();
    match site.container.meta("web-listings-label") {
        Some(label) => format!("{label}/{object}"),
        None => {
            let Call { target, .. } = call;
            format!("/v1/{}/{}/{object}", target.account, call.container_name())
        }
    }
}

fn page(call: &Call, site: &Site<'_>, prefix: &str, rows: &[Row]) -> String {
    let label = escape(&label(call, site));
    let style = match site.container.meta("web-listings-css") {
        Some(css) => {
            let path = match ["/", "http://", "https://"]
                .iter()
                .any(|s| css.starts_with(s))
            {
                true => quote(css).replace("%3A", ":"),
                false => format!(
                    "{}{}",
                    "../".repeat(prefix.matches('/').count()),
                    quote(css)
                ),
            };
            format!("  <link rel=\"stylesheet\" type=\"text/css\" href=\"{path}\" />\n")
        }
        None => "  <style type=\"text/css\">\n   h1 {font-size: 1em}\n   th, td \
                 {text-align: left; padding: 0 1em}\n   a {text-decoration: none}\n  </style>\n"
            .to_owned(),
    };
    let carried = call
        .temp_url
        .as_ref()
        .map_or_else(String::new, |url| url.carried());
    let below = call
        .temp_url
        .as_ref()
        .and_then(|url| url.prefix.as_ref())
        .map_or(0, String::len);
    let mut body = format!(
        "<!DOCTYPE html>\n<html>\n <head>\n  <title>Listing of {label}</title>\n{style} </head>\n \
         <body>\n  <h1 id=\"title\">Listing of {label}</h1>\n  <table id=\"listing\">\n   \
         <tr id=\"heading\"><th class=\"colname\">Name</th><th class=\"colsize\">Size</th>\
         <th class=\"coldate\">Date</th></tr>\n"
    );
    let mut line = |class: &str, link: &str, name: &str, size: &str, date: &str| {
        body.push_str(&format!(
            "   <tr {class}>\n    <td class=\"colname\"><a href=\"{link}{carried}\">{name}</a></td>\n    \
             <td class=\"colsize\">{size}</td>\n    <td class=\"coldate\">{date}</td>\n   </tr>\n"
        ));
    };
    if prefix.len() > below {
        line(
            "id=\"parent\" class=\"item\"",
            "../",
            "../",
            "&nbsp;",
            "&nbsp;",
        );
    }
    let shown = |name: &str| {
        let name = name.get(prefix.len()..).unwrap_or(name);
        (
            format!("./{}", quote(name).replace('.', "%2E")),
            escape(name),
        )
    };
    for row in rows {
        if let Row::Subdir(name) = row {
            let (link, name) = shown(name);
            line("class=\"item subdir\"", &link, &name, "&nbsp;", "&nbsp;");
        }
    }
    for row in rows {
        if let Row::Item { name, fields, .. } = row {
            let field = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted);
            let string = |wanted| {
                field(wanted)
                    .and_then(|(_, v)| v.as_str())
                    .unwrap_or_default()
            };
            let kind: Vec<String> = string("content_type")
                .split('/')
                .map(|part| format!("type-{}", escape(&part.to_lowercase())))
                .collect();
            let size = field("bytes")
                .and_then(|(_, v)| v.as_u64())
                .unwrap_or_default();
            let date = string("last_modified")
                .split('.')
                .next()
                .unwrap_or_default();
            let (link, name) = shown(name);
            let class = format!("class=\"item {}\"", kind.join(" "));
            line(&class, &link, &name, &human(size), &date.replace('T', " "));
        }
    }
    body.push_str("  </table>\n </body>\n</html>\n");
    body
}

/// A size as people read it.
fn human(size: u64) -> String {
    let mut size = size as f64;
    let mut suffix = "";
    for next in ["Ki", "Mi", "Gi", "Ti", "Pi"] {
        if size < 1024.0 {
            break;
        }
        (size, suffix) = (size / 1024.0, next);
    }
    format!("{:.0}{suffix}", size.round())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        for (size, text) in [(0, "0"), (1023, "1023"), (1024, "1Ki"), (1_600_000, "2Mi")] {
            assert_eq!(human(size), text);
        }
    }
}
