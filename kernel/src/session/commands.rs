//! The kernel's own commands.

use cell_program::Command;

use super::evaluator::Evaluator;
use super::{dependencies, values};
use crate::engine::CellError;

/// What a command takes and does.
struct Known {
    names: &'static [&'static str],
    argument: &'static str,
    help: &'static str,
    run: fn(&mut Evaluator, &str) -> Result<String, CellError>,
}

const KNOWN: &[Known] = &[
    Known {
        names: &["dep"],
        argument: "NAME = \"VERSION\"",
        help: "add a crate, as in Cargo.toml",
        run: |_, _| Ok(String::new()),
    },
    Known {
        names: &["vars"],
        argument: "",
        help: "the variables, their types and values",
        run: |e, _| values::variables(e),
    },
    Known {
        names: &["type", "t"],
        argument: "EXPRESSION",
        help: "the type of an expression",
        run: values::type_of,
    },
    Known {
        names: &["clear"],
        argument: "",
        help: "forget variables, items and crates",
        run: |e, _| silent(e.clear()),
    },
    Known {
        names: &["restart"],
        argument: "",
        help: "end the process of the cells: variables are gone, items stay",
        run: |e, _| silent(e.restart()),
    },
    Known {
        names: &["env"],
        argument: "NAME=VALUE",
        help: "set a variable of the environment, from the next :restart on",
        run: environment,
    },
    Known {
        names: &["build_env"],
        argument: "NAME=VALUE",
        help: "set a variable for compilers and build scripts",
        run: build_environment,
    },
    Known {
        names: &["opt"],
        argument: "0|1|2|3",
        help: "how much cells are optimised; 2 at first, 3 without checks of overflow",
        run: level,
    },
    Known {
        names: &["edition"],
        argument: "2018|2021|2024",
        help: "the edition of the language; 2024 at first",
        run: edition,
    },
    Known {
        names: &["toolchain"],
        argument: "NAME",
        help: "another of rustup's toolchains, such as nightly",
        run: |e, name| silent(e.set_toolchain(name)),
    },
    Known {
        names: &["offline"],
        argument: "0|1",
        help: "whether the network is never asked for crates",
        run: offline,
    },
    Known {
        names: &["lock"],
        argument: "",
        help: "write the crates' versions to NAME.lock beside the notebook NAME.ipynb",
        run: |e, _| values::lock_versions(e),
    },
    Known {
        names: &["timing"],
        argument: "",
        help: "whether each cell says how long it took",
        run: timing,
    },
    Known { names: &["fmt"], argument: "{:?}|{:#?}", help: "how values are shown", run: format },
    Known {
        names: &["explain"],
        argument: "",
        help: "what rustc explains about the last error",
        run: |e, _| values::explain(e),
    },
    Known {
        names: &["show_deps"],
        argument: "",
        help: "the crates that were added",
        run: |e, _| Ok(values::crates(e)),
    },
    Known {
        names: &["last_compile_dir"],
        argument: "",
        help: "where cells are compiled",
        run: |e, _| Ok(e.setup.folder.path().display().to_string()),
    },
    Known {
        names: &["version"],
        argument: "",
        help: "the versions of this kernel and of rustc",
        run: |e, _| Ok(values::version(e)),
    },
    Known { names: &["help"], argument: "", help: "this list", run: |_, _| Ok(help()) },
    // What evcxr needs and this kernel does by itself.
    Known {
        names: &["cache", "sccache", "clear_cache"],
        argument: "",
        help: "",
        run: |e, _| {
            e.notices.say("crates are kept for all sessions by themselves: `rust-live store` says what is there");
            Ok(String::new())
        },
    },
    Known {
        names: &["doc"],
        argument: "",
        help: "",
        run: |e, _| {
            e.notices.say("with the cursor on a name, Shift-Tab shows its documentation");
            Ok(String::new())
        },
    },
    Known {
        names: &[
            "efmt",
            "types",
            "linker",
            "load_config",
            "preserve_vars_on_panic",
            "allow_static_linking",
            "internal_debug",
            "quit",
        ],
        argument: "",
        help: "",
        run: |e, _| {
            e.notices.say("this command of evcxr has no effect here");
            Ok(String::new())
        },
    },
];

/// Carries out commands, in their order; says what they show.
pub(super) fn run(evaluator: &mut Evaluator, commands: &[&Command]) -> Result<String, CellError> {
    let mut shown = Vec::new();
    // Several crates are resolved and compiled in one go.
    let mut wanted = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        if command.name == "dep" {
            let folder = evaluator.folder.clone();
            let (found, hints) = dependencies::parse(&command.argument, &folder).map_err(other)?;
            hints.iter().for_each(|hint| evaluator.notices.say(hint));
            wanted.extend(found);
            if commands.get(index + 1).is_none_or(|next| next.name != "dep") {
                evaluator.add(std::mem::take(&mut wanted))?;
            }
            continue;
        }
        if command.name == "!" {
            if let Some(failure) = evaluator.run_shell(&command.argument).map_err(other)? {
                if evaluator.shared.state.interrupted() {
                    return Err(CellError::Interrupted);
                }
                return Err(CellError::Other(failure));
            }
            continue;
        }
        let known = KNOWN.iter().find(|known| known.names.contains(&command.name.as_str()));
        let Some(known) = known else { return Err(unknown(&command.name)) };
        let text = (known.run)(evaluator, &command.argument)?;
        if !text.is_empty() {
            shown.push(text);
        }
    }
    Ok(shown.join("\n"))
}

/// The commands that begin like the line in which the cursor stands, if it is one: where they begin, and
/// each with what it takes and does.
pub(super) fn complete(before: &str) -> Option<(usize, Vec<(String, String)>)> {
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let start = start + before[start..].len() - before[start..].trim_start().len();
    let begun = before[start..].strip_prefix(':')?;
    if begun.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        return None;
    }
    let shown = KNOWN.iter().filter(|known| !known.help.is_empty());
    let fitting = shown.filter(|known| known.names[0].starts_with(begun));
    let items = fitting.map(|known| {
        let what = format!(":{} {}: {}", known.names[0], known.argument, known.help);
        (format!(":{}", known.names[0]), what.replace(" :", ":"))
    });
    Some((start, items.collect()))
}

fn other(error: anyhow::Error) -> CellError {
    CellError::Other(format!("{error:#}"))
}

fn silent(done: anyhow::Result<()>) -> Result<String, CellError> {
    done.map(|()| String::new()).map_err(other)
}

fn unknown(name: &str) -> CellError {
    let names = KNOWN.iter().flat_map(|known| known.names);
    let nearest = names.min_by_key(|known| distance(known, name)).copied().unwrap_or("help");
    CellError::Other(format!(
        "unrecognised command :{name}. Did you mean :{nearest}? :help lists all"
    ))
}

/// How many letters differ.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = before + usize::from(a != *b);
            before = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(before + 1);
        }
    }
    row[other.len()]
}

fn help() -> String {
    let lines = KNOWN.iter().filter(|known| !known.help.is_empty()).map(|known| {
        format!(":{:<34} {}", format!("{} {}", known.names[0], known.argument).trim(), known.help)
    });
    let shell = format!("{:<35} {}", "!COMMAND", "have the shell run a command");
    lines.chain([shell]).collect::<Vec<_>>().join("\n")
}

fn is_on(argument: &str) -> Result<bool, CellError> {
    match argument {
        "" | "1" | "true" | "on" => Ok(true),
        "0" | "false" | "off" => Ok(false),
        _ => Err(CellError::Other(format!("{argument} is neither 0 nor 1"))),
    }
}

fn pair(argument: &str) -> Result<(String, String), CellError> {
    match argument.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(CellError::Other("a variable is given as NAME=VALUE".into())),
    }
}

fn environment(evaluator: &mut Evaluator, argument: &str) -> Result<String, CellError> {
    let (name, value) = pair(argument)?;
    evaluator.environment.retain(|(known, _)| *known != name);
    evaluator.environment.push((name.clone(), value));
    evaluator.notices.say(&format!("{name} is set for the cells from the next :restart on"));
    Ok(String::new())
}

fn build_environment(evaluator: &mut Evaluator, argument: &str) -> Result<String, CellError> {
    let (name, value) = pair(argument)?;
    evaluator.crates.own().set_env(&name, &value);
    evaluator.rustc.environment.push((name, value));
    Ok(String::new())
}

fn level(evaluator: &mut Evaluator, argument: &str) -> Result<String, CellError> {
    let level = if argument.is_empty() { "2" } else { argument };
    if !["0", "1", "2", "3", "s", "z"].contains(&level) {
        return Err(CellError::Other(format!("{level} is no optimisation level: 0, 1, 2 or 3")));
    }
    level.clone_into(&mut evaluator.rustc.level);
    Ok(String::new())
}

fn edition(evaluator: &mut Evaluator, argument: &str) -> Result<String, CellError> {
    if !["2015", "2018", "2021", "2024"].contains(&argument) {
        return Err(CellError::Other(format!("{argument} is no edition: 2018, 2021 or 2024")));
    }
    evaluator.set_edition(argument);
    Ok(String::new())
}

fn offline(evaluator: &mut Evaluator, argument: &str) -> Result<String, CellError> {
    let offline = is_on(argument)?;
    evaluator.crates.own().offline(offline);
    Ok(String::new())
}

fn timing(evaluator: &mut Evaluator, argument: &str) -> Result<String, CellError> {
    evaluator.shows_times =
        if argument.is_empty() { !evaluator.shows_times } else { is_on(argument)? };
    let word = if evaluator.shows_times { "on" } else { "off" };
    Ok(format!("timing is {word}"))
}

fn format(evaluator: &mut Evaluator, argument: &str) -> Result<String, CellError> {
    match argument {
        "" | "{:?}" => evaluator.is_pretty = false,
        "{:#?}" => evaluator.is_pretty = true,
        _ => return Err(CellError::Other(format!("{argument} is neither {{:?}} nor {{:#?}}"))),
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_command_is_named() {
        for (typed, meant) in [("dpe", ":dep"), ("hlep", ":help"), ("varz", ":vars")] {
            let CellError::Other(text) = unknown(typed) else { panic!() };
            assert!(text.contains(&format!(":{typed}.")) && text.contains(meant), "{text}");
        }
    }

    #[test]
    fn commands_are_completed_at_the_beginning_of_a_line() {
        let found = |before: &str| {
            complete(before)
                .map(|(start, found)| (start, found.into_iter().map(|(name, _)| name).collect()))
        };
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(found(":de"), Some((0, names(&[":dep"]))));
        assert_eq!(found("let a = 1;\n  :ti"), Some((13, names(&[":timing"]))));
        assert_eq!(found(":none"), Some((0, Vec::new())));
        for code in ["de", ":dep a", "a::de", "let a: i32", ""] {
            assert_eq!(found(code), None, "{code}");
        }
    }

    #[test]
    fn help_names_all_commands() {
        let help = help();
        for known in KNOWN.iter().filter(|known| !known.help.is_empty()) {
            assert!(help.contains(&format!(":{}", known.names[0])), "{help}");
        }
    }
}
