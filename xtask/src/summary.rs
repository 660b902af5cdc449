//! What a test run came to: read from the output of cargo and pytest, told in a few lines.

use std::fmt;
use std::time::Duration;

/// The tests of one step.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tests {
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
    /// Seconds and names, the longest first.
    slowest: Vec<(f64, String)>,
}

impl Tests {
    /// Reads what `cargo test` writes: `test NAME ... ok`, `FAILED` or `ignored`, and what a test says that
    /// cannot run here, though it passes: `skipped: NAME (REASON)`.
    pub(crate) fn of_cargo(output: &str) -> Self {
        let mut tests = Self::default();
        let mut without_running = 0;
        for line in output.lines() {
            if let Some(skipped) = line.strip_prefix("skipped: ") {
                tests.skipped.push(skipped.split(" (").next().unwrap_or_default().to_owned());
                without_running += 1;
                continue;
            }
            let Some((name, result)) =
                line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... "))
            else {
                continue;
            };
            tests.count(name, result.split([',', ' ']).next().unwrap_or_default());
        }
        tests.passed -= without_running.min(tests.passed);
        tests
    }

    /// Reads what `pytest -v --durations` writes: `FILE::NAME PASSED [ 10%]`, `1.20s call FILE::NAME` and the
    /// like; `[gw0] [ 10%] PASSED FILE::NAME` where several processes run them.
    pub(crate) fn of_pytest(output: &str) -> Self {
        const RESULTS: [&str; 6] = [" PASSED", " FAILED", " SKIPPED", " ERROR", " XFAIL", " XPASS"];
        let mut tests = Self::default();
        // A program that writes past pytest may part a name from its result.
        let mut begun = "";
        for line in output.lines() {
            let of_several = line.strip_prefix("[gw").and_then(|line| line.split_once("%] "));
            if let Some((result, name)) = of_several.and_then(|(_, told)| told.split_once(' ')) {
                tests.count(name_of(name).unwrap_or(name), result);
                continue;
            }
            let place = |result: &str| {
                if line.starts_with(result.trim()) { Some(0) } else { line.find(result) }
            };
            let found = RESULTS.iter().filter_map(|result| Some((place(result)?, result)));
            let found = found.min().filter(|_| line.trim_end().ends_with("%]"));
            let (before, result) =
                found.map_or((line, ""), |(at, result)| (&line[..at], result.trim()));
            begun = name_of(before).unwrap_or(begun);
            if !result.is_empty() && !begun.is_empty() {
                tests.count(begun, result);
                begun = "";
            }
        }
        tests.slowest = output.lines().filter_map(duration).collect();
        tests
    }

    fn count(&mut self, name: &str, result: &str) {
        match result {
            "ok" | "PASSED" | "XFAIL" | "XPASS" => self.passed += 1,
            "FAILED" | "ERROR" => self.failed.push(name.to_owned()),
            "ignored" | "SKIPPED" => self.skipped.push(name.to_owned()),
            _ => {}
        }
    }
}

/// The name of a test with which a line begins. What stands in brackets may hold blanks.
fn name_of(line: &str) -> Option<&str> {
    let (file, _) = line.split_once("::")?;
    let is_file = !file.is_empty() && !file.contains(char::is_whitespace);
    let bare = line.find(char::is_whitespace).unwrap_or(line.len());
    let end = if line[..bare].contains('[') {
        line.find("] ").map_or(line.trim_end().len(), |at| at + 1)
    } else {
        bare
    };
    is_file.then(|| &line[..end])
}

/// How long a part of a test took: setting up counts, too.
fn duration(line: &str) -> Option<(f64, String)> {
    let (seconds, rest) = line.trim().split_once("s ")?;
    let seconds = seconds.parse().ok()?;
    let (part, name) = rest.trim().split_once(' ')?;
    let name = Some(name.trim()).filter(|name| name.contains("::"))?;
    if !["setup", "call", "teardown"].contains(&part) {
        return None;
    }
    Some((seconds, if part == "call" { name.to_owned() } else { format!("{name} ({part})") }))
}

/// One step of a run.
#[derive(Debug)]
pub(crate) struct Step {
    /// What was done.
    pub name: &'static str,
    /// Whether it ended well.
    pub ok: bool,
    /// How long it took.
    pub took: Duration,
    /// Its tests, where it is one that counts them.
    pub tests: Option<Tests>,
}

/// All steps of a run.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// In the order in which they were run.
    pub steps: Vec<Step>,
}

impl Summary {
    /// Whether every step ended well.
    pub(crate) fn ok(&self) -> bool {
        self.steps.iter().all(|step| step.ok)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for step in &self.steps {
            let result = if step.ok { "ok" } else { "FAILED" };
            write!(f, "{:<14} {result:<7} {:>7.1} s", step.name, step.took.as_secs_f64())?;
            let named = step.tests.as_ref().map_or(0, |tests| tests.failed.len());
            failed += if step.ok { named } else { named.max(1) };
            if let Some(tests) = &step.tests {
                passed += tests.passed;
                skipped += tests.skipped.len();
                write!(
                    f,
                    "   {} passed, {named} failed, {} skipped",
                    tests.passed,
                    tests.skipped.len()
                )?;
                for name in &tests.failed {
                    write!(f, "\n    failed:  {name}")?;
                }
                for name in &tests.skipped {
                    write!(f, "\n    skipped: {name}")?;
                }
                for (seconds, name) in &tests.slowest {
                    write!(f, "\n    {seconds:>6.1} s: {name}")?;
                }
            } else {
                passed += usize::from(step.ok);
            }
            writeln!(f)?;
        }
        let took = self.steps.iter().map(|step| step.took).sum::<Duration>().as_secs_f64();
        write!(f, "===== {passed} passed, {failed} failed, {skipped} skipped in {took:.1} s =====")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARGO: &str = "
running 4 tests
test spec::tests::seed ... ok
test data::slow ... ignored, needs a network
test data::cut ... FAILED
test googlenet-lib/src/lib.rs - (line 14) ... ok

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    const PYTEST: &str = "
tests/test_a.py::test_one PASSED                                         [ 25%]
tests/test_a.py::test_two[a] PASSED                                      [ 50%]
tests/test_b.py::test_three SKIPPED (no chromium)                        [ 75%]
tests/test_b.py::test_four ERROR                                         [ 80%]
tests/test_b.py::test_five[a b] What a program says
FAILED                                                                   [100%]
FAILED tests/test_b.py::test_four - AssertionError
============================= slowest 2 durations ==============================
12.50s call     tests/test_a.py::test_two[a b]
3.00s setup    tests/test_a.py::test_one
";

    #[test]
    fn cargos_tests_are_counted_and_named() {
        let tests = Tests::of_cargo(CARGO);
        assert_eq!(tests.passed, 2);
        assert_eq!(tests.failed, ["data::cut"]);
        assert_eq!(tests.skipped, ["data::slow"]);
        let without = "\nskipped: on_a_gpu (no CUDA device)\ntest on_a_gpu ... ok\ntest a ... ok\n";
        let tests = Tests::of_cargo(without);
        assert_eq!((tests.passed, tests.skipped), (1, vec!["on_a_gpu".to_owned()]));
    }

    #[test]
    fn pytests_tests_are_counted_and_named_once() {
        let tests = Tests::of_pytest(PYTEST);
        assert_eq!(tests.passed, 2);
        assert_eq!(tests.failed, ["tests/test_b.py::test_four", "tests/test_b.py::test_five[a b]"]);
        assert_eq!(tests.skipped, ["tests/test_b.py::test_three"]);
        let slowest =
            [(12.5, "tests/test_a.py::test_two[a b]"), (3.0, "tests/test_a.py::test_one (setup)")];
        assert_eq!(tests.slowest, slowest.map(|(seconds, name)| (seconds, name.to_owned())));
    }

    #[test]
    fn pytests_tests_are_counted_where_several_processes_run_them() {
        const SEVERAL: &str = "
tests/test_a.py::test_one 
tests/test_b.py::test_five[a b] 
[gw1] [ 50%] FAILED tests/test_b.py::test_five[a b] 
[gw0] [ 75%] PASSED tests/test_a.py::test_one 
tests/test_c.py::test_six 
[gw0] [100%] SKIPPED tests/test_c.py::test_six 
";
        let tests = Tests::of_pytest(SEVERAL);
        assert_eq!(tests.passed, 1);
        assert_eq!(tests.failed, ["tests/test_b.py::test_five[a b]"]);
        assert_eq!(tests.skipped, ["tests/test_c.py::test_six"]);
    }

    #[test]
    fn a_step_that_fails_without_naming_a_test_counts_as_one_failure() {
        let step = |name, ok, tests| Step { name, ok, took: Duration::from_secs(2), tests };
        let summary = Summary {
            steps: vec![
                step("cargo fmt", true, None),
                step("cargo test", false, Some(Tests::of_cargo(CARGO))),
                step("pytest", false, Some(Tests::default())),
            ],
        };
        assert!(!summary.ok());
        let text = summary.to_string();
        assert!(text.ends_with("===== 3 passed, 2 failed, 1 skipped in 6.0 s ====="), "{text}");
        assert!(text.contains("failed:  data::cut") && text.contains("skipped: data::slow"));
    }
}
