//! A socket between takelage and the daemon that lets everything through, except for one disturbance.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::running::PATIENCE;

/// What happens to the first request that matches, and from then on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Disturbance {
    /// The daemon answers that its disk is full, this time.
    DiskFull,
    /// The daemon dies: all connections end, and new ones are closed at once.
    Death,
    /// The daemon does what it is asked, but its answers do not arrive any more on this connection.
    Silence,
}

/// A proxy in front of the daemon. Its threads end with the test.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// For `DOCKER_HOST`.
    pub(crate) endpoint: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    method: &'static str,
    path: &'static str,
    disturbance: Disturbance,
    happened: AtomicBool,
}

impl Proxy {
    /// Disturbs the first request with `method` whose path contains `path`.
    pub(crate) fn start(
        directory: &Path,
        method: &'static str,
        path: &'static str,
        what: Disturbance,
    ) -> Self {
        let socket = directory.join("proxy.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(State { method, path, disturbance: what, happened: AtomicBool::new(false) });
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = shared.clone();
                thread::spawn(move || state.serve(&stream));
            }
        });
        Self { endpoint: format!("unix://{}", socket.display()), state }
    }

    /// Waits until the disturbance happened.
    pub(crate) fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.happened() {
            assert!(Instant::now() < deadline, "nobody asked the daemon for {}", self.state.path);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether the disturbance happened.
    pub(crate) fn happened(&self) -> bool {
        self.state.happened.load(Ordering::SeqCst)
    }
}

impl State {
    fn is_dead(&self) -> bool {
        matches!(self.disturbance, Disturbance::Death) && self.happened.load(Ordering::SeqCst)
    }

    /// Serves one connection of takelage's.
    fn serve(self: &Arc<Self>, client: &UnixStream) {
        if self.is_dead() {
            return;
        }
        let Ok(daemon) = UnixStream::connect("/var/run/docker.sock") else { return };
        let silent = Arc::new(AtomicBool::new(false));
        let (from, to) = (daemon.try_clone().unwrap(), client.try_clone().unwrap());
        let (state, mute) = (self.clone(), silent.clone());
        thread::spawn(move || state.answers(&from, &to, &mute));
        // An error is how a connection ends here.
        let _ = self.requests(client, &daemon, &silent);
        let _ = daemon.shutdown(Shutdown::Write);
    }

    /// Passes requests on. The client writes the head of each at once, so that a request is seen by how it begins.
    fn requests(&self, client: &UnixStream, daemon: &UnixStream, silent: &AtomicBool) -> io::Result<()> {
        let (mut from, mut to) = (client, daemon);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 || self.is_dead() {
                return Ok(());
            }
            let chunk = &buffer[..count];
            if self.matches(chunk) && !self.happened.swap(true, Ordering::SeqCst) {
                match self.disturbance {
                    Disturbance::DiskFull => {
                        let body =
                            br#"{"message":"write /var/lib/docker/tmp/layer: no space left on device"}"#;
                        let head = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n";
                        write!(from, "{head}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len())?;
                        from.write_all(body)?;
                        return from.shutdown(Shutdown::Both);
                    }
                    Disturbance::Death => return from.shutdown(Shutdown::Both),
                    Disturbance::Silence => silent.store(true, Ordering::SeqCst),
                }
            }
            to.write_all(chunk)?;
        }
    }

    /// Passes answers on, until the daemon is dead.
    fn answers(&self, daemon: &UnixStream, client: &UnixStream, silent: &AtomicBool) {
        let (mut from, mut to) = (daemon, client);
        let mut buffer = vec![0; 1 << 16];
        let _ = from.set_read_timeout(Some(Duration::from_millis(50)));
        while !self.is_dead() {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) if silent.load(Ordering::SeqCst) => {}
                Ok(count) => {
                    if to.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }

    fn matches(&self, chunk: &[u8]) -> bool {
        let head = String::from_utf8_lossy(&chunk[..chunk.len().min(512)]);
        let line = head.lines().next().unwrap_or_default();
        line.starts_with(self.method) && line.split(' ').nth(1).is_some_and(|path| path.contains(self.path))
    }
}
