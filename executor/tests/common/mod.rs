//! A real executor as a child process, and a client for it. Everything ends with the test: dropping the
//! executor closes its lifeline, which kills all it started.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::indexing_slicing, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::{
    body::Body,
    http::{Method as Verb, Request, Response, StatusCode},
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use protocol::{
    Claims, End, ErrorBody, ExecuteRequest, Frame, Inventory, Method, Outcome, SigningKey, Stream, routes,
    token,
};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

pub const POD: &str = "pod-1";
pub const UID: &str = "uid-1";
/// Generous: only a test that fails waits this long.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct Executor {
    child: Child,
    pub address: SocketAddr,
    pub dir: TempDir,
    pub log: Arc<Mutex<Vec<String>>>,
}

pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// Status, code and field of a refusal.
    pub fn refusal(&self) -> (u16, String, Option<String>) {
        let body: ErrorBody = self.json();
        (self.status.as_u16(), format!("{:?}", body.code), body.field)
    }

    pub fn frames(&self) -> Vec<Frame> {
        assert_eq!(self.status, 200, "{:?}", self.body);
        self.body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    pub fn outcome(&self) -> Outcome {
        match self.frames().pop() {
            Some(Frame::Ended { outcome }) => *outcome,
            other => panic!("no end: {other:?}"),
        }
    }

    pub fn end(&self) -> End {
        self.outcome().end
    }

    pub fn text(&self, wanted: Stream) -> String {
        let texts = self.frames().into_iter().filter_map(|frame| match frame {
            Frame::Output { stream, text } if stream == wanted => Some(text),
            _ => None,
        });
        texts.collect()
    }

    pub fn stdout(&self) -> String {
        self.text(Stream::Stdout)
    }

    pub fn stderr(&self) -> String {
        self.text(Stream::Stderr)
    }

    /// Asserts a normal end, showing what the program said when it is not one.
    pub fn ok(self) -> Self {
        assert_eq!(self.end(), End::Exited { code: 0 }, "{}{}", self.stdout(), self.stderr());
        self
    }
}

pub fn key() -> SigningKey {
    SigningKey::from_seed("k1", &[42; 32]).unwrap()
}

pub fn now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

pub fn claims(method: Method, uid: Option<&str>) -> Claims {
    Claims {
        key_id: "k1".to_owned(),
        method,
        execution_uid: uid.map(str::to_owned),
        pod_uid: POD.to_owned(),
        epoch: 5,
        expires_unix_milliseconds: now() + 30_000,
    }
}

pub fn signed(method: Method, uid: Option<&str>) -> String {
    token::sign(&key(), &claims(method, uid))
}

/// A Python program with a deadline it should not meet.
pub fn python(code: &str) -> ExecuteRequest {
    ExecuteRequest {
        code: code.to_owned(),
        entry_path: "main.py".to_owned(),
        timeout_milliseconds: 50_000,
        collect_files: true,
        ..ExecuteRequest::default()
    }
}

pub fn body(request: &ExecuteRequest, inputs: &[&[u8]]) -> Vec<u8> {
    let mut body = serde_json::to_vec(request).unwrap();
    body.push(b'\n');
    for input in inputs {
        body.extend_from_slice(input);
    }
    body
}

impl Executor {
    /// An executor that is ready.
    pub async fn start() -> Self {
        let executor = Self::spawn(TempDir::new().unwrap(), |_| ());
        executor.ready().await;
        executor
    }

    pub async fn start_with(change: impl FnOnce(&mut Command)) -> Self {
        let executor = Self::spawn(TempDir::new().unwrap(), change);
        executor.ready().await;
        executor
    }

    pub fn command(dir: &TempDir) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_executor"));
        command
            .args([
                "--listen",
                "127.0.0.1:0",
                "--pod-uid",
                POD,
                "--public-keys",
                &key().public(),
                "--lifeline",
            ])
            .arg("--state-dir")
            .arg(dir.path().join("state"))
            .env("EXECUTOR_SECRET", "s3cret")
            .env_remove("CARREL_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    pub fn spawn(dir: TempDir, change: impl FnOnce(&mut Command)) -> Self {
        // Some tests run the executor as another user.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = Self::command(&dir);
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address = None;
        for line in lines.by_ref() {
            let line = line.unwrap();
            log.lock().push(line.clone());
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if entry["fields"]["message"] == "serving" {
                address = Some(entry["fields"]["address"].as_str().unwrap().parse().unwrap());
                break;
            }
        }
        let Some(address) = address else { panic!("{:?}", log.lock()) };
        let rest = Arc::clone(&log);
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| rest.lock().push(line)));
        Self { child, address, dir, log }
    }

    pub async fn ready(&self) {
        self.until(async || self.request(Verb::GET, routes::READYZ, None, Vec::new()).await.status == 200)
            .await;
    }

    /// Asks again and again until it is so.
    pub async fn until(&self, mut so: impl AsyncFnMut() -> bool) {
        let began = Instant::now();
        while !so().await {
            assert!(began.elapsed() < PATIENCE, "it never came; log: {:#?}", self.log.lock());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub fn close_lifeline(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for the executor's own end.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "the executor stays; log: {:#?}", self.log.lock());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn has_exited(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn workspace(&self) -> PathBuf {
        self.dir.path().join("state/runs").join(UID).join("workspace")
    }

    /// One number of the executor's own `/proc/PID/status`, in KiB.
    pub fn memory_kib(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub async fn open(&self, verb: Verb, path: &str, token: Option<&str>, body: Body) -> Response<Incoming> {
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(verb).uri(path).header("host", "executor");
        if let Some(token) = token {
            request = request.header(token::HEADER, token);
        }
        sender.send_request(request.body(body).unwrap()).await.unwrap()
    }

    pub async fn request(&self, verb: Verb, path: &str, token: Option<&str>, body: Vec<u8>) -> Answer {
        let answer = async {
            let response = self.open(verb, path, token, Body::from(body)).await;
            let status = response.status();
            Answer { status, body: response.into_body().collect().await.unwrap().to_bytes() }
        };
        tokio::time::timeout(PATIENCE, answer).await.expect("no answer")
    }

    pub async fn put_as(&self, uid: &str, request: &ExecuteRequest, inputs: &[&[u8]]) -> Answer {
        let token = signed(Method::Execute, Some(uid));
        self.request(Verb::PUT, &routes::execution(uid), Some(&token), body(request, inputs)).await
    }

    pub async fn put(&self, request: &ExecuteRequest) -> Answer {
        self.put_as(UID, request, &[]).await
    }

    pub async fn run(&self, code: &str) -> Answer {
        self.put(&python(code)).await
    }

    pub async fn attach(&self, uid: &str) -> Answer {
        let token = signed(Method::Attach, Some(uid));
        self.request(Verb::GET, &routes::execution(uid), Some(&token), Vec::new()).await
    }

    pub async fn cancel(&self, uid: &str) -> Answer {
        let token = signed(Method::Cancel, Some(uid));
        self.request(Verb::POST, &routes::cancel(uid), Some(&token), Vec::new()).await
    }

    pub async fn acknowledge(&self, uid: &str) -> Answer {
        let token = signed(Method::Acknowledge, Some(uid));
        self.request(Verb::DELETE, &routes::execution(uid), Some(&token), Vec::new()).await
    }

    pub async fn reset(&self, uid: &str) -> Answer {
        let token = signed(Method::Reset, Some(uid));
        self.request(Verb::POST, &routes::reset(uid), Some(&token), Vec::new()).await
    }

    pub async fn file(&self, uid: &str, index: usize) -> Answer {
        let token = signed(Method::ReadFile, Some(uid));
        self.request(Verb::GET, &routes::file(uid, index), Some(&token), Vec::new()).await
    }

    pub async fn inventory(&self) -> Inventory {
        let token = signed(Method::Inventory, None);
        self.request(Verb::GET, routes::INVENTORY, Some(&token), Vec::new()).await.json()
    }

    /// Waits until the program has written this file whole (it ends with a newline).
    pub async fn wait_for_file(&self, name: &str) -> String {
        let path = self.workspace().join(name);
        self.until(async || fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n'))).await;
        fs::read_to_string(path).unwrap()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.close_lifeline();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether a process exists and is more than a corpse.
pub fn is_alive(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z') || rest.starts_with('X'))
}

pub fn pids(text: &str) -> Vec<i32> {
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
