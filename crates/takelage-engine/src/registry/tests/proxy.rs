//! A proxy in front of a registry that does to answers what a test wants.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) range: Option<String>,
    pub(super) authorization: Option<String>,
    /// How often this was asked for before, with this method.
    pub(super) before: usize,
    pub(super) body: Vec<u8>,
    /// Where the proxy listens.
    pub(super) port: u16,
}

/// What to do with it.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Pass,
    /// Answer this, with further header lines.
    Answer(u16, String, Vec<u8>),
    /// Pass the answer on with its first byte changed.
    Corrupt,
    /// Pass on so many bytes of the content and hang up.
    Truncate(usize),
    /// Hang up without an answer.
    HangUp,
    /// Ignore that only a part was asked for.
    Whole,
}

/// Answers this.
pub(super) fn answer(status: u16, headers: &str, content: &[u8]) -> Action {
    Action::Answer(status, headers.to_owned(), content.to_vec())
}

type Decide = Arc<dyn Fn(&Request) -> Action + Send + Sync>;

/// A running proxy. It ends with the test's runtime.
pub(super) struct Proxy {
    pub(super) port: u16,
    pub(super) requests: Arc<Mutex<Vec<Request>>>,
}

impl Proxy {
    pub(super) async fn start(
        upstream: u16,
        decide: impl Fn(&Request) -> Action + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (decide, log): (Decide, _) = (Arc::new(decide), requests.clone());
        let counts = Arc::new(Mutex::new(HashMap::new()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (decide, log, counts) = (decide.clone(), log.clone(), counts.clone());
                // Whoever hangs up in the middle is the test's client.
                tokio::spawn(async move { drop(serve(stream, upstream, decide, log, counts).await) });
            }
        });
        Self { port, requests }
    }

    /// Returns how often something was asked for.
    pub(super) fn count(&self, method: &str, part: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|it| it.method == method && it.path.contains(part)).count()
    }
}

/// Serves one request and closes the connection.
async fn serve(
    mut client: TcpStream,
    upstream: u16,
    decide: Decide,
    log: Arc<Mutex<Vec<Request>>>,
    counts: Arc<Mutex<HashMap<String, usize>>>,
) -> std::io::Result<()> {
    let (head, mut body) = head(&mut client).await?;
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let length: usize = header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    while body.len() < length {
        if client.read_buf(&mut body).await? == 0 {
            break;
        }
    }
    let mut words = head.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let before = {
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(format!("{method} {path}")).or_insert(0);
        *count += 1;
        *count - 1
    };
    let (range, authorization) = (header("range"), header("authorization"));
    let port = client.local_addr()?.port();
    let request = Request { method, path, range, authorization, before, body, port };
    let action = decide(&request);
    log.lock().unwrap().push(request.clone());
    if let Action::Answer(status, headers, content) = &action {
        let head = format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            content.len()
        );
        client.write_all(head.as_bytes()).await?;
        return client.write_all(content).await;
    }
    if matches!(action, Action::HangUp) {
        return Ok(());
    }
    let (mut head, mut content) =
        forward(upstream, &head, &request.body, matches!(action, Action::Whole)).await?;
    match action {
        Action::Corrupt => content[0] ^= 1,
        Action::Truncate(length) => content.truncate(length),
        _ => {}
    }
    // Where uploads go on must be here as well.
    head = head.replace(&format!("127.0.0.1:{upstream}"), &format!("127.0.0.1:{port}"));
    client.write_all(head.as_bytes()).await?;
    client.write_all(&content).await?;
    client.shutdown().await
}

/// Asks the registry and reads its whole answer.
async fn forward(upstream: u16, head: &str, body: &[u8], whole: bool) -> std::io::Result<(String, Vec<u8>)> {
    let mut server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    let drop = |line: &&str| {
        let line = line.to_lowercase();
        let ranged = whole && line.starts_with("range:");
        !line.starts_with("connection:") && !ranged
    };
    let lines: Vec<_> = head.trim_end().lines().filter(drop).collect();
    server.write_all(format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n")).as_bytes()).await?;
    server.write_all(body).await?;
    let (head, mut content) = self::head(&mut server).await?;
    server.read_to_end(&mut content).await?;
    Ok((head, content))
}

/// Reads the head of a message, and what came with it.
async fn head(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
