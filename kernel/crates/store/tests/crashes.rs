//! Killed writers, sessions side by side, disks that are full or closed, altered and removed entries.

mod common;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cell_store::Error;
use common::{World, files_below, touch};

/// Crates that lean on each other, with a build script and a macro.
fn several(world: &World) -> &'static str {
    world.write(
        "answers",
        "[lib]\nproc-macro = true\n",
        "use proc_macro::TokenStream;\n#[proc_macro] pub fn answer(_: TokenStream) -> TokenStream \
         { \"40\".parse().unwrap() }",
    );
    world.write("built", "", "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));");
    let script = "fn main() { println!(\"cargo::rerun-if-changed=build.rs\");
        let out = std::env::var(\"OUT_DIR\").unwrap();
        std::fs::write(out + \"/made.rs\", \"pub const MADE: i64 = 2;\").unwrap(); }";
    fs::write(world.path("built/build.rs"), script).unwrap();
    let both = "[dependencies]\nanswers = { path = '../answers' }\nbuilt = { path = '../built' }\n";
    world.write("top", both, "pub fn value() -> i64 { answers::answer!() + built::MADE }");
    "top = { path = 'top' }"
}

#[test]
fn a_writer_that_is_killed_leaves_nothing_that_looks_whole() {
    let world = World::new();
    let line = several(&world);
    let begin = Instant::now();
    assert!(world.process("whole", line).output().unwrap().status.success());
    let takes = begin.elapsed();
    world.store().clear().unwrap();
    // No two runs end at the same place, and all are of one store.
    for number in 0..24_u32 {
        let mut process = world.process(&format!("killed-{number}"), line);
        process.stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = process.spawn().unwrap();
        std::thread::sleep(takes * (number * 7 % 24) / 20);
        process.kill().unwrap();
        process.wait().unwrap();
        if number % 8 == 7 {
            // What was begun before must not pass for whole.
            let mut session = world.session(&format!("between-{number}"));
            session.add(line).unwrap();
            assert_eq!(session.run(&format!("between{number}"), "top::value()"), 42);
            world.store().clear().unwrap();
        }
    }
    let mut session = world.session("after");
    session.add(line).unwrap();
    assert_eq!(session.run("after", "top::value()"), 42);
    assert!(!world.session("last").add(line).unwrap().compiled);
}

#[test]
fn a_source_that_changes_while_writers_are_killed_is_never_taken_for_another() {
    let world = World::new();
    let line = several(&world);
    for number in 0..12_u32 {
        let source =
            format!("pub fn value() -> i64 {{ answers::answer!() + built::MADE + {number} }}");
        fs::write(world.path("top/src/lib.rs"), source).unwrap();
        let mut process = world.process(&format!("killed-{number}"), line);
        process.stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = process.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(number * 13 % 7) * 80));
        process.kill().unwrap();
        process.wait().unwrap();
        if number % 3 == 2 {
            // Back to a content that may have been compiled before.
            let back = format!(
                "pub fn value() -> i64 {{ answers::answer!() + built::MADE + {} }}",
                number - 1
            );
            fs::write(world.path("top/src/lib.rs"), back).unwrap();
            let mut session = world.session(&format!("session-{number}"));
            session.add(line).unwrap();
            let found = session.run(&format!("cell{number}"), "top::value()");
            assert_eq!(found, 42 + i64::from(number) - 1);
        }
    }
}

#[test]
fn sessions_side_by_side_all_end_right_and_each_crate_is_compiled_once() {
    for count in [2, 4] {
        let world = World::new();
        let line = several(&world);
        let sessions: Vec<_> = (0..count)
            .map(|number| {
                let mut process = world.process(&format!("session-{number}"), line);
                process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let mut told = String::new();
        for session in sessions {
            let output = session.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
            told.push_str(&said);
        }
        for name in ["answers", "built", "top"] {
            let line = format!("Compiling {name} ");
            assert_eq!(told.matches(&line).count(), 1, "{told}");
        }
        assert_eq!(told.matches("compiled: true").count(), 1, "{told}");
        let mut session = world.session("after");
        assert!(!session.add(line).unwrap().compiled);
        assert_eq!(session.run(&format!("side{count}"), "top::value()"), 42);
    }
}

#[test]
fn an_entry_that_was_altered_is_told_of_and_compiled_anew() {
    let world = World::new();
    let line = several(&world);
    world.session("first").add(line).unwrap();
    for (number, start) in ["libtop-", "libanswers-", "made.rs"].iter().enumerate() {
        let files = world.files_of_store(start);
        let file = files.first().unwrap_or_else(|| panic!("{start}"));
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        // By another program, which knows nothing of links.
        fs::remove_file(file).unwrap();
        fs::write(file, bytes).unwrap();
        let mut session = world.session(&format!("session-{number}"));
        // With another crate, so that more is needed than what is linked.
        let name = format!("more{number}");
        world.write(&name, "", "");
        session.add(&format!("{line}\n{name} = {{ path = '{name}' }}")).unwrap();
        let told = session.told();
        let altered = told.iter().any(|line| line.contains("was altered in the store"));
        assert!(altered, "{start}: {told:?}");
        assert_eq!(session.run(&format!("altered{number}"), "top::value()"), 42);
        // Put right for good.
        let mut next = world.session(&format!("next-{number}"));
        next.add(line).unwrap();
        assert_eq!(next.told_of_crates(), [""; 0], "{start}");
    }
    // The library that holds all of them.
    for file in world.files_of_store("library.so") {
        fs::remove_file(&file).unwrap();
        fs::write(&file, "no library").unwrap();
    }
    let mut session = world.session("library");
    assert!(!session.add(line).unwrap().compiled);
    assert_eq!(
        session.told_of_crates(),
        ["crates_1 was altered in the store: it is compiled anew"]
    );
    assert_eq!(session.run("library", "top::value()"), 42);
    // Another time alone is no alteration.
    let file = world.files_of_store("libtop-").remove(0);
    touch(&file, common::ahead(50));
    let mut session = world.session("touched");
    assert!(!session.add(line).unwrap().compiled);
}

#[test]
fn a_file_that_is_cut_off_does_not_spoil_a_crate_above_it() {
    let world = World::new();
    world.write("low", "", "pub fn value() -> i64 { 4 }");
    world.write(
        "high",
        "[dependencies]\nlow = { path = '../low' }",
        "pub fn value() -> i64 { low::value() }",
    );
    world.session("first").add("low = { path = 'low' }").unwrap();
    for file in world.files_of_store("liblow-") {
        let bytes = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() / 3]).unwrap();
    }
    let mut session = world.session("second");
    session.add("high = { path = 'high' }").unwrap();
    let told = session.told();
    assert!(
        told.contains(&"low v0.1.0 was altered in the store: it is compiled anew".into()),
        "{told:?}"
    );
    assert_eq!(session.run("cut", "high::value()"), 4);
}

#[test]
fn a_store_that_cannot_be_written_is_told_of_and_done_without() {
    let world = World::new();
    let line = several(&world);
    fs::create_dir(world.path("cache")).unwrap();
    // In the place of the folder: not even an administrator can write below it.
    fs::write(world.path("cache/store"), "").unwrap();
    let mut session = world.session("session");
    assert!(session.add(line).unwrap().compiled);
    let told = session.told();
    let alone = told.iter().filter(|line| line.contains("compiled for this session alone"));
    assert_eq!(alone.count(), 1, "{told:?}");
    assert_eq!(session.run("alone", "top::value()"), 42);
    world.write("more", "", "pub fn value() -> i64 { 1 }");
    session.add("more = { path = 'more' }").unwrap();
    assert_eq!(session.compiled(), ["more"]);
    assert_eq!(session.run("more", "top::value() + more::value()"), 43);
}

#[test]
fn what_is_in_a_store_that_is_closed_is_taken_all_the_same() {
    let world = World::new();
    let line = several(&world);
    world.session("first").add(line).unwrap();
    let Some(disk) = Disk::closed(&world.path("cache")) else {
        // Where nothing can be mounted, rights do it for all but an administrator.
        let closed = fs::Permissions::from_mode(0o555);
        fs::set_permissions(world.path("cache/store"), closed).unwrap();
        assert!(!world.session("second").add(line).unwrap().compiled);
        return;
    };
    let mut session = world.session("second");
    assert!(!session.add(line).unwrap().compiled);
    assert_eq!(session.run("closed", "top::value()"), 42);
    // What is not in it goes elsewhere.
    world.write("more", "", "pub fn value() -> i64 { 1 }");
    session.add("more = { path = 'more' }").unwrap();
    let told = session.told();
    assert!(told.iter().any(|line| line.contains("for this session alone")), "{told:?}");
    assert_eq!(session.run("opened", "top::value() + more::value()"), 43);
    drop(disk);
}

#[test]
fn a_disk_that_is_full_is_told_of_and_leaves_nothing_wrong() {
    let world = World::new();
    let line = several(&world);
    fs::create_dir(world.path("cache")).unwrap();
    let mut full = 0;
    for kilobytes in [40, 120, 400, 900, 2000, 4000] {
        let Some(disk) = Disk::small(&world.path("cache"), kilobytes) else { break };
        let mut session = world.session(&format!("session-{kilobytes}"));
        session.add(line).unwrap();
        let told = session.told();
        full += usize::from(told.iter().any(|line| line.contains("for this session alone")));
        assert_eq!(session.run(&format!("full{kilobytes}"), "top::value()"), 42);
        // What was left half made when the disk was full is not taken when there is room again.
        disk.enlarge();
        let mut session = world.session(&format!("enlarged-{kilobytes}"));
        session.add(line).unwrap();
        let told = session.told();
        assert!(!told.iter().any(|line| line.contains("for this session alone")), "{told:?}");
        assert_eq!(session.run(&format!("enlarged{kilobytes}"), "top::value()"), 42);
        drop(session);
        drop(disk);
    }
    if full == 0 {
        // Where nothing can be mounted: a limit on the size of a file, in the store and elsewhere.
        let mut process = world.process("limited", line);
        let program = process.get_program().to_owned();
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]).arg(program);
        let output = shell.args(process.get_args()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(said.contains("there is no room to compile crates"), "{said}");
        assert!(process.output().unwrap().status.success());
    }
    let mut session = world.session("after");
    session.add(line).unwrap();
    assert_eq!(session.run("roomy", "top::value()"), 42);
}

/// A disk over a folder, until it is dropped.
struct Disk(PathBuf);

impl Disk {
    /// None where nothing can be mounted.
    fn small(folder: &Path, kilobytes: u32) -> Option<Disk> {
        mount(&["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "none"], folder)
    }

    fn enlarge(&self) {
        let mut again = Command::new("mount");
        let status = again.args(["-o", "remount,size=256m"]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }

    fn closed(folder: &Path) -> Option<Disk> {
        let disk = mount(&["--bind", folder.to_str()?], folder)?;
        let mut again = Command::new("mount");
        again.args(["-o", "remount,ro,bind"]).arg(folder).stderr(Stdio::null());
        again.status().is_ok_and(|status| status.success()).then_some(disk)
    }
}

fn mount(arguments: &[&str], folder: &Path) -> Option<Disk> {
    let mut mount = Command::new("mount");
    mount.args(arguments).arg(folder).stderr(Stdio::null());
    mount.status().is_ok_and(|status| status.success()).then_some(Disk(folder.to_owned()))
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_session_goes_on_when_the_store_is_removed() {
    let world = World::new();
    let line = several(&world);
    let mut session = world.session("session");
    session.add(line).unwrap();
    assert_eq!(session.run("before", "top::value()"), 42);
    fs::remove_dir_all(world.path("cache")).unwrap();
    assert_eq!(session.run("gone", "top::value()"), 42);
    world.write("more", "", "pub fn value() -> i64 { 1 }");
    let added = session.add("more = { path = 'more' }").unwrap();
    assert!(added.changed.is_empty() && added.relinked.is_empty(), "{added:?}");
    assert_eq!(session.run("again", "top::value() + more::value()"), 43);
}

#[test]
fn the_longest_unused_goes_first_and_nothing_that_is_in_use() {
    let world = World::new();
    for name in ["old", "used", "new"] {
        world.write(name, "", &format!("pub fn value() -> &'static str {{ \"{name}\" }}"));
    }
    let add = |session: &str, name: &str| {
        let mut session = world.session(session);
        let added = session.add(&format!("{name} = {{ path = '{name}' }}")).unwrap();
        (session, added.compiled)
    };
    drop(add("a", "old"));
    let (used, _) = add("b", "used");
    drop(add("c", "new"));
    let names = || {
        let mut names: Vec<_> =
            world.store().list().unwrap().into_iter().map(|entry| entry.name).collect();
        names.retain(|name| ["old", "used", "new"].contains(&name.as_str()));
        names
    };
    assert_eq!(names(), ["old", "used", "new"]);
    let in_use: Vec<_> = world.store().list().unwrap();
    let of = |name: &str| in_use.iter().find(|entry| entry.name == name).unwrap();
    assert!(of("used").in_use && !of("old").in_use && of("new").last_used.is_some());
    assert_eq!((&*of("used").version, of("used").size > 1000), ("0.1.0", true));
    let size = world.store().size().unwrap();
    assert_eq!(world.store().collect(size).unwrap(), 0);
    let of_old: u64 = of("old").size;
    // Remains of packages of cells go before all else.
    let rest: u64 = in_use.iter().filter(|entry| entry.last_used.is_none()).map(|e| e.size).sum();
    let removed = world.store().collect(size - rest - of_old / 2).unwrap();
    assert!(removed >= of_old, "{removed}");
    assert_eq!(names(), ["used", "new"]);
    world.store().collect(0).unwrap();
    assert_eq!(names(), ["used"]);
    assert!(!add("d", "used").1);
    assert!(add("e", "old").1);
    drop(used);
    world.store().collect(0).unwrap();
    assert!(names().is_empty());
    world.store().clear().unwrap();
    assert!(world.store().list().unwrap().is_empty());
    assert_eq!(files_below(&world.path("cache"), "").len(), 0);
    // A limit holds after each build.
    let mut small = world.session("small");
    small.add("old = { path = 'old' }").unwrap();
    assert_eq!(names(), ["old"]);
}

#[test]
fn what_is_there_is_taken_while_another_session_compiles() {
    let world = World::new();
    let line = several(&world);
    world.session("first").add(line).unwrap();
    world.write("slow", "", "");
    // Until this test has removed its folder.
    let script = "fn main() { let out = std::env::var(\"OUT_DIR\").unwrap();
        while std::path::Path::new(&out).exists() {
            std::thread::sleep(std::time::Duration::from_millis(20)); } }";
    fs::write(world.path("slow/build.rs"), script).unwrap();
    let mut process = world.process("other", "slow = { path = 'slow' }");
    let mut other = process.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = other.stderr.take().unwrap();
    stderr.read_exact(&mut [0]).unwrap();
    let mut session = world.session("second");
    assert!(!session.add(line).unwrap().compiled);
    assert_eq!(session.told_of_crates(), [""; 0]);
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
    // Its cargo is still at work: nothing is removed from under it.
    assert_eq!(world.store().collect(0).unwrap(), 0);
}

#[test]
fn a_session_that_waits_or_compiles_can_be_interrupted() {
    let world = World::new();
    world.write("slow", "", "pub fn value() -> i64 { 5 }");
    let script = "fn main() { println!(\"cargo::rerun-if-changed=build.rs\");
        std::thread::sleep(std::time::Duration::from_millis(1500)); }";
    fs::write(world.path("slow/build.rs"), script).unwrap();
    let line = "slow = { path = 'slow' }";
    let mut session = world.session("session");
    let interrupter = session.crates.interrupter();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(700));
            interrupter.interrupt();
        });
        let begin = Instant::now();
        assert!(matches!(session.add(line), Err(Error::Interrupted)));
        assert!(begin.elapsed() < Duration::from_millis(1400), "{:?}", begin.elapsed());
    });
    assert!(session.crates.linked().rustc_arguments().is_empty());
    // Another one that compiles holds the lock, and is waited for until the session is interrupted.
    let mut process = world.process("other", line);
    process.arg("wait").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut other = process.spawn().unwrap();
    let mut stderr = other.stderr.take().unwrap();
    let mut byte = [0];
    stderr.read_exact(&mut byte).unwrap();
    let error = world.store().clear().unwrap_err().to_string();
    assert!(error.contains("a notebook is compiling"), "{error}");
    let interrupter = session.crates.interrupter();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            interrupter.interrupt();
        });
        assert!(matches!(session.add(line), Err(Error::Interrupted)));
    });
    assert_eq!(session.told().last().unwrap(), common::WAITING);
    assert!(!session.add(line).unwrap().compiled);
    assert_eq!(session.run("slow", "slow::value()"), 5);
    // As long as it runs, it uses what it took.
    world.store().collect(0).unwrap();
    assert!(world.store().list().unwrap().iter().any(|entry| entry.name == "slow"));
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
}
