//! Programs that say outside of their sandbox that they run, and wait there for a word.

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::bed::{Bed, eventually};

/// A program that counts its starts, prints `before`, waits for [`go`], and prints `after`.
pub(crate) fn waiting(bed: &Bed, name: &str) -> Value {
    json!({ "code": waiting_code(bed, name), "timeoutMilliseconds": 300_000 })
}

pub(crate) fn waiting_code(bed: &Bed, name: &str) -> String {
    let at = bed.path(name).display().to_string();
    format!(
        "import os, time\n\
         open('{at}.pid', 'w').write(str(os.getpid()))\n\
         open('{at}.starts', 'a').write('x')\n\
         print('before', flush=True)\n\
         while not os.path.exists('{at}.go'): time.sleep(0.01)\n\
         print('after')\n"
    )
}

/// A program that counts its starts and ends.
pub(crate) fn counting(bed: &Bed, name: &str) -> Value {
    let at = bed.path(name).display().to_string();
    json!({ "code": format!("open('{at}.starts', 'a').write('x')\nprint('done')") })
}

/// Lets a waiting program go on.
pub(crate) fn go(bed: &Bed, name: &str) {
    fs::write(bed.path(&format!("{name}.go")), "").unwrap();
}

/// How often a program was started.
pub(crate) fn starts(bed: &Bed, name: &str) -> usize {
    fs::read(bed.path(&format!("{name}.starts"))).map_or(0, |marks| marks.len())
}

/// Waits until a program runs, and gives its process.
pub(crate) async fn started(bed: &Bed, name: &str) -> i32 {
    eventually("the program starts", async || starts(bed, name) > 0).await;
    pid(bed, name)
}

/// The number that a program wrote about a process.
pub(crate) fn pid(bed: &Bed, name: &str) -> i32 {
    fs::read_to_string(bed.path(&format!("{name}.pid"))).unwrap().parse().unwrap()
}

/// Whether a process runs; a dead one that nobody has waited for does not.
pub(crate) fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits for the end of a process.
pub(crate) async fn gone(pid: i32) {
    eventually("the process ends", async || !runs(pid)).await;
}

/// Kills the executor of a pod.
pub(crate) fn kill_executor(pod_uid: &str) {
    let mine = format!("CARREL_POD_UID={pod_uid}");
    let is_executor = |pid: i32| {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let has = |file: &str, wanted: &str| read(file).split(|b| *b == 0).any(|v| v == wanted.as_bytes());
        has("cmdline", "executor") && has("environ", &mine)
    };
    let all =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let found: Vec<i32> = all.filter(|pid| is_executor(*pid)).collect();
    assert_eq!(found.len(), 1, "one executor for each pod");
    for pid in found {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
}
