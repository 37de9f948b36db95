//! A writer that is killed at any instant loses nothing that it acknowledged.
//!
//! The test starts itself as another process, which writes without end and says on its standard
//! output when each write has returned; kills it; and reads the store. `AIOS_CRASH_ROUNDS` sets how
//! often, 50 by default.

mod common;

use arrow_storage::{Columns, Compaction, Durability, Metric, Options, Store};
use common::{batch, contents, ids, schema};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const OPTIONS: Options = Options {
    durability: Durability::Commit,
    flush_bytes: 20_000,
    compaction: Compaction::Background,
};

/// What write number `n` does to rows: deletes for every fourth, rows of version `n` otherwise.
fn write(n: i64) -> (bool, Vec<i64>) {
    (
        n % 4 == 3,
        (0..1 + n % 7)
            .map(|i| (n * 11 + i * 5) % 50)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect(),
    )
}

fn apply(model: &mut BTreeMap<i64, i64>, n: i64) {
    let (delete, rows) = write(n);
    for id in rows {
        if delete {
            model.remove(&id);
        } else {
            model.insert(id, n);
        }
    }
}

/// The child: go on from write `first` until killed.
fn write_without_end(folder: &Path, first: i64) {
    let store = Store::open(folder, OPTIONS).unwrap();
    let mut out = std::io::stdout();
    for n in first.. {
        let (delete, rows) = write(n);
        if delete {
            store.delete(&ids(&rows)).unwrap();
        } else {
            store.upsert(&batch(&rows.iter().map(|&id| (id, n)).collect::<Vec<_>>())).unwrap();
        }
        if n % 61 == 60 {
            store.compact().unwrap();
        }
        writeln!(out, "done {n}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn killed_at_any_instant() {
    if let (Ok(folder), Ok(first)) = (std::env::var("CRASH_FOLDER"), std::env::var("CRASH_FIRST")) {
        write_without_end(Path::new(&folder), first.parse().unwrap());
        return;
    }
    let rounds = std::env::var("AIOS_CRASH_ROUNDS").map_or(50, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    Store::create(folder.path(), schema(), Columns::default(), Metric::L2, OPTIONS).unwrap();
    let (mut next, mut model) = (0, BTreeMap::new());
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed_at_any_instant", "--nocapture"])
            .env("CRASH_FOLDER", folder.path())
            .env("CRASH_FIRST", next.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(3_000 + (round * 7919) % 60_000));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        for line in output.lines().map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("done ") {
                assert_eq!(next, n.parse::<i64>().unwrap());
                apply(&mut model, next);
                next += 1;
            }
        }
        killer.join().unwrap();
        let store = Store::open(folder.path(), OPTIONS).unwrap();
        let found = contents(&store.snapshot());
        if found != model {
            // The write that was under way may be there, but only whole.
            apply(&mut model, next);
            next += 1;
        }
        assert_eq!(model, found, "round {round}, write {next}");
        drop(store);
        Store::verify(folder.path()).unwrap();
    }
    assert!(next > rounds as i64 / 2, "{next} writes are too few to mean anything");
}
