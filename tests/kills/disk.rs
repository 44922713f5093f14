//! A full disk and a folder that cannot be written: said clearly, and nothing is damaged.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::account::{self, Figures};
use crate::chance::Chance;
use crate::kinds;
use crate::program::{Ground, Place, Posted};
use crate::proxy::Proxy;

/// A small disk of its own, in memory; gone with this value.
pub(crate) struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts one on an empty folder. The error says why this machine cannot.
    pub(crate) fn mount(path: &Path, megabytes: usize) -> Result<Disk, String> {
        let size = format!("size={megabytes}m,mode=1777");
        as_root(&["mount", "-t", "tmpfs", "-o", &size, "tmpfs", path.to_str().unwrap()])?;
        Ok(Disk { path: path.to_owned() })
    }

    /// Takes all space that is left.
    pub(crate) fn fill(&self) {
        let mut file = std::fs::File::create(self.path.join("filler")).unwrap();
        for piece in [65_536, 4_096] {
            while file.write_all(&vec![0; piece]).is_ok() {}
        }
    }

    /// Gives it back.
    fn free(&self) {
        std::fs::remove_file(self.path.join("filler")).unwrap();
    }

    /// Makes it read-only (`ro`) or writable (`rw`).
    pub(crate) fn remount(&self, how: &str) {
        as_root(&["mount", "-o", &format!("remount,{how}"), self.path.to_str().unwrap()]).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(as_root(&["umount", "-l", self.path.to_str().unwrap()]));
    }
}

/// Runs a command as root, directly or by `sudo` without a password.
fn as_root(command: &[&str]) -> Result<(), String> {
    let mut why = String::new();
    for command in [command.to_vec(), [&["sudo", "-n"], command].concat()] {
        match Command::new(command[0]).args(&command[1..]).output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => why = format!("{}: {}", command[0], String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) if why.is_empty() => why = format!("{}: {error}", command[0]),
            Err(_) => {}
        }
    }
    Err(why)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_and_a_read_only_folder_are_said_plainly_and_cost_nothing_that_was_accepted() {
    let Some(moto) = crate::server("STANCH_MOTO") else { return };
    let cloud = crate::cloud(&moto);
    let proxy = Proxy::start(&moto, Chance::new(1)).await;
    let mut ground = Ground::new(Place::Folder, &proxy.url, &crate::rules());
    let folder = ground.data().display().to_string();
    let disk = match Disk::mount(&ground.data(), 3) {
        Ok(disk) => disk,
        Err(why) => return println!("skipped: this machine mounts no disk for the test: {why}"),
    };
    let begun = std::time::Instant::now();
    let mut number = 0;
    let mut next = async || {
        let mut event = kinds::make(&cloud, kinds::kind_of(number)).await;
        number += 1;
        event.finding["Description"] = Value::from("x".repeat(20_000));
        proxy.add(event.clone());
        event
    };

    let mut process = ground.start();
    assert!(process.ready().await, "{}", ground.log());
    for _ in 0..2 {
        assert_eq!(process.post(&next().await.delivery()).await, Posted::Accepted);
    }
    disk.fill();
    // What fits into the space the database has taken already is accepted, and then nothing more.
    let mut refused = Vec::new();
    for _ in 0..60 {
        let event = next().await;
        match process.post(&event.delivery()).await {
            Posted::Accepted => {}
            Posted::Refused(503, said) => {
                assert!(said.contains(&folder) && said.contains("make room"), "it does not say what is full: {said}");
                refused.push(event);
                if refused.len() == 3 {
                    break;
                }
            }
            other => panic!("on a full disk: {other:?}"),
        }
    }
    assert_eq!(refused.len(), 3, "the disk never was full");
    let said = ground.cli(&["writes", "off"]);
    let (text, code) = (String::from_utf8(said.stderr).unwrap(), said.status.code());
    assert!(code == Some(3) && text.contains(&folder) && text.contains("make room"), "{code:?} {text}");

    disk.free();
    assert!(process.is_alive(), "it ended: {}", ground.log());
    for event in &refused {
        assert_eq!(process.post(&event.delivery()).await, Posted::Accepted, "the same process goes on once there is space");
    }
    account::rest(&ground, &proxy, &mut process, Duration::from_mins(6)).await;
    process.kill();

    disk.remount("ro");
    for arguments in [&["up", "--listen", "127.0.0.1:0"][..], &["writes", "off"]] {
        let said = ground.cli(arguments);
        let (text, code) = (String::from_utf8(said.stderr).unwrap(), said.status.code());
        assert!(
            code == Some(3) && text.contains(&folder) && text.contains("not writable") && text.contains("mode"),
            "{arguments:?}: {code:?} {text}"
        );
    }
    disk.remount("rw");
    let figures = Figures { kills: 0, open_at_kill: 0, seconds: begun.elapsed().as_secs() };
    account::hold(&cloud, &proxy, &mut ground, figures).await;
    drop(disk);
}
