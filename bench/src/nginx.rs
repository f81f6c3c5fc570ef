//! nginx with sendfile beside: what a very good file server does with the same bytes.

use crate::Result;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running nginx of our own.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    /// Serves, on the first core, a folder whose `{size}` files answer every key of that size.
    /// None when nginx is not installed.
    pub(crate) fn start(folder: &Path, sizes: &[usize]) -> Result<Option<Self>> {
        if Command::new("nginx")
            .arg("-v")
            .stderr(Stdio::null())
            .status()
            .is_err()
        {
            eprintln!("NOT MEASURED: nginx is not installed (apt-get install nginx-light)");
            return Ok(None);
        }
        for size in sizes {
            std::fs::write(
                folder.join(size.to_string()),
                trestle_tests::tree::noise(1, *size),
            )?;
        }
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let home = folder.display();
        let configuration = format!(
            "daemon off; worker_processes 1; user root; pid {home}/pid; error_log {home}/error;
             events {{ worker_connections 1024; }}
             http {{
               access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
               open_file_cache max=100; client_body_temp_path {home}/t1; proxy_temp_path {home}/t2;
               fastcgi_temp_path {home}/t3; uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
               server {{
                 listen {address};
                 location ~ ^/rest/b/[a-z0-9]+-(?<size>[0-9]+)/ {{ alias {home}/$size; }}
               }}
             }}"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration)?;
        let child = Command::new("taskset")
            .args(["-c", "0", "nginx", "-c"])
            .arg(file)
            .spawn()?;
        let nginx = Nginx { child, address };
        for _ in 0..100 {
            if TcpStream::connect(address).is_ok() {
                return Ok(Some(nginx));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("nginx does not listen".into())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker on SIGTERM; on SIGKILL it could not.
        let id = self.child.id().to_string();
        let _gone = Command::new("kill").args(["-TERM", &id]).status();
        let _gone = self.child.wait();
    }
}
