//! A web server of the small archive in `tests/repository`, which can misbehave.

#![expect(clippy::unwrap_used, reason = "what a test rests on must be there, or it fails")]

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool},
    thread,
    time::Duration,
};

use takelage_bootstrap::{Mirror, Request, Settings};

/// How a path is answered, instead of with its file.
#[derive(Clone)]
pub(crate) enum Answer {
    /// With these bytes.
    Bytes(Vec<u8>),
    /// With this status, so many times.
    Status(u16, usize),
    /// With the file, cut off in the middle, so many times.
    CutOff(usize),
}

pub(crate) struct Server {
    pub(crate) url: String,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

pub(crate) static GO_ON: AtomicBool = AtomicBool::new(false);

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repository")
}

pub(crate) fn settings(cache: &Path) -> Settings<'static> {
    Settings {
        cache: cache.into(),
        keyrings: vec![repository().join("keys/archive.gpg")],
        proxy: None,
        max_age: Duration::ZERO,
        offline: false,
        progress: &|_| {},
        cancelled: &GO_ON,
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/debian", listener.local_addr().unwrap());
        let server = Self { url, answers: Arc::default(), requests: Arc::default() };
        let (answers, requests) = (Arc::clone(&server.answers), Arc::clone(&server.requests));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, requests) = (Arc::clone(&answers), Arc::clone(&requests));
                thread::spawn(move || serve(stream.unwrap(), &answers, &requests));
            }
        });
        server
    }

    /// Answers requests for paths that end so in another way.
    pub(crate) fn answer(&self, end: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(end.into(), answer);
    }

    /// How often paths that end so were asked for.
    pub(crate) fn asked(&self, end: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|path| path.ends_with(end)).count()
    }

    pub(crate) fn request(&self, include: &[&str]) -> Request {
        let mut request = Request::new("test");
        request.include = include.iter().map(ToString::to_string).collect();
        request.mirror = Mirror::Host(self.url.clone());
        request
    }
}

fn serve(mut stream: TcpStream, answers: &Mutex<HashMap<String, Answer>>, requests: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut from = 0;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
    }
    let path = first.split_whitespace().nth(1).unwrap().to_owned();
    requests.lock().unwrap().push(path.clone());
    let mut status = 200;
    let mut content = fs_err::read(repository().join(path.trim_start_matches('/'))).unwrap_or_else(|_| {
        status = 404;
        Vec::new()
    });
    let mut end = usize::MAX;
    if let Some((_, answer)) =
        answers.lock().unwrap().iter_mut().find(|(end, _)| path.ends_with(end.as_str()))
    {
        match answer {
            Answer::Bytes(bytes) => {
                status = 200;
                content.clone_from(bytes);
            }
            Answer::Status(other, times) if *times > 0 => {
                *times -= 1;
                status = *other;
            }
            Answer::CutOff(times) if *times > 0 => {
                *times -= 1;
                end = content.len() / 2;
            }
            _ => {}
        }
    }
    if status == 200 && from > 0 {
        status = 206;
    }
    let head = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        content.len() - from
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&content[from..end.min(content.len()).max(from)]);
    let _ = stream.shutdown(std::net::Shutdown::Write);
}
