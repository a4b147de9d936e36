//! Who descends from whom, from `/proc`. Finding only; see `kill.rs`.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
};

/// One process. Its start time tells it from a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub pid: i32,
    pub parent: i32,
    pub start: u64,
}

/// Every process there is; a process that goes away meanwhile is left out.
pub(crate) fn read_all() -> Vec<Entry> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(read).collect()
}

/// One process as it is now.
pub(crate) fn read(pid: i32) -> Option<Entry> {
    // The name of a program may be any bytes.
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &String::from_utf8_lossy(&stat))
}

/// Reads one `stat` line. The name in it may hold spaces and parentheses; the last one ends it.
fn parse(pid: i32, line: &str) -> Option<Entry> {
    let (_, fields) = line.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let parent = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some(Entry { pid, parent, start })
}

/// Everything below `root`, which is not part of it, without the trees of those that are spared.
pub(crate) fn descendants(all: &[Entry], root: i32, spared: &BTreeSet<i32>) -> Vec<Entry> {
    let mut children: HashMap<i32, Vec<Entry>> = HashMap::new();
    for entry in all {
        children.entry(entry.parent).or_default().push(*entry);
    }
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        // Removed, so that no table, however inconsistent, is walked in a circle.
        for child in children.remove(&parent).unwrap_or_default() {
            if child.pid != root && !spared.contains(&child.pid) {
                found.push(child);
                parents.push(child.pid);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_made_to_confuse_does_not() {
        let tail = "0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1000 10";
        let stat = format!("12 (evil) R 1 (x) ) S 34 12 12 {tail}");
        assert_eq!(parse(12, &stat), Some(Entry { pid: 12, parent: 34, start: 777 }));
        assert_eq!(parse(12, "12 (cut"), None);
    }

    #[test]
    fn this_process_is_found_with_its_parent() {
        let pid = std::process::id().cast_signed();
        let me = read(pid).unwrap();
        assert_eq!(me.parent, rustix::process::getppid().unwrap().as_raw_nonzero().get());
        assert!(me.start > 0);
        assert!(read_all().contains(&me));
    }

    #[test]
    fn descendants_are_the_whole_tree_and_nothing_beside_it() {
        let entry = |pid, parent| Entry { pid, parent, start: 0 };
        let all = [entry(1, 0), entry(10, 1), entry(11, 10), entry(12, 11), entry(20, 1), entry(13, 10)];
        let mut found: Vec<i32> =
            descendants(&all, 10, &BTreeSet::new()).iter().map(|entry| entry.pid).collect();
        found.sort_unstable();
        assert_eq!(found, [11, 12, 13]);
        let rest: Vec<i32> =
            descendants(&all, 10, &BTreeSet::from([11])).iter().map(|entry| entry.pid).collect();
        assert_eq!(rest, [13]);
    }

    #[test]
    fn a_circle_in_the_table_ends() {
        let entry = |pid, parent| Entry { pid, parent, start: 0 };
        assert_eq!(descendants(&[entry(2, 3), entry(3, 2)], 2, &BTreeSet::new()).len(), 1);
    }
}
