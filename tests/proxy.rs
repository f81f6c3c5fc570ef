//! Real HTTP intermediaries in front of a server: nginx and Varnish, each with a configuration of
//! its own in a folder of its own.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running intermediary.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Proxy {
    /// nginx as a reverse proxy that passes everything on.
    ///
    /// # Panics
    /// When it is not installed or does not listen.
    pub fn nginx(upstream: SocketAddr, home: &Path) -> Self {
        Proxy::nginx_with("", upstream, home)
    }

    /// nginx with a cache. Its answers say in `x-cache` what the cache did: MISS, HIT, REVALIDATED,
    /// and so on.
    ///
    /// # Panics
    /// When it is not installed or does not listen.
    pub fn nginx_cache(upstream: SocketAddr, home: &Path) -> Self {
        let cache = "proxy_cache cache; proxy_cache_revalidate on;
                     add_header x-cache $upstream_cache_status always;";
        Proxy::nginx_with(cache, upstream, home)
    }

    fn nginx_with(rules: &str, upstream: SocketAddr, home: &Path) -> Self {
        let address = free_address();
        let folder = home.display();
        let configuration = format!(
            "daemon off; worker_processes 1; user root; pid {folder}/pid; error_log {folder}/error;
             events {{ worker_connections 1024; }}
             http {{
               access_log off; client_max_body_size 0; merge_slashes off;
               client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;
               fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
               scgi_temp_path {folder}/t5;
               proxy_cache_path {folder}/cache keys_zone=cache:1m;
               upstream origin {{ server {upstream}; keepalive 8; }}
               server {{
                 listen {address};
                 location / {{
                   proxy_pass http://origin; proxy_http_version 1.1;
                   proxy_set_header Connection \"\"; proxy_set_header Host $http_host;
                   proxy_request_buffering off;
                   {rules}
                 }}
               }}
             }}"
        );
        let file = write(home, "nginx.conf", &configuration);
        start(Command::new("nginx").arg("-c").arg(file), address)
    }

    /// Varnish with its stock rules, except that it presents `authorization` to the server itself,
    /// so that what it serves is public, and that it neither serves what is stale nor forgets it at
    /// once.
    ///
    /// # Panics
    /// When it is not installed or does not listen.
    pub fn varnish(upstream: SocketAddr, authorization: &str, home: &Path) -> Self {
        let address = free_address();
        let rules = format!(
            "vcl 4.1;
             backend origin {{ .host = \"{}\"; .port = \"{}\"; }}
             sub vcl_backend_fetch {{ set bereq.http.authorization = \"{authorization}\"; }}
             sub vcl_backend_response {{ set beresp.grace = 0s; set beresp.keep = 60s; }}
             sub vcl_deliver {{
               if (obj.hits > 0) {{ set resp.http.x-cache = \"HIT\"; }}
               else {{ set resp.http.x-cache = \"MISS\"; }}
             }}",
            upstream.ip(),
            upstream.port(),
        );
        let file = write(home, "rules.vcl", &rules);
        let mut command = Command::new("varnishd");
        command
            .args(["-F", "-j", "none", "-s", "malloc,16m", "-T", "none"])
            .args(["-a", &address.to_string(), "-f"])
            .arg(file)
            .arg("-n")
            .arg(home.join("varnish"));
        start(&mut command, address)
    }
}

fn write(home: &Path, name: &str, text: &str) -> std::path::PathBuf {
    std::fs::create_dir_all(home).unwrap_or_else(|error| panic!("{home:?}: {error}"));
    let file = home.join(name);
    std::fs::write(&file, text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    file
}

/// An address that nobody listens on: these programs do not tell which port the system picked.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap_or_else(|error| panic!("no free port: {error}"))
}

fn start(command: &mut Command, address: SocketAddr) -> Proxy {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut proxy = Proxy { child, address };
    for _ in 0..600 {
        if TcpStream::connect(address).is_ok() {
            return proxy;
        }
        let ended = proxy.child.try_wait();
        assert!(matches!(ended, Ok(None)), "{command:?} ended: {ended:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{command:?} does not listen");
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both end their workers when they are asked to; killed, they could not.
        let asked: io::Result<_> = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let _ended = asked.and_then(|_| self.child.wait());
    }
}
