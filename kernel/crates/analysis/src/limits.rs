//! Which texts rust-analyzer can be asked about: it goes down into what is nested, not always on a stack
//! that is large enough, and a stack that overflows ends the process.

use std::thread;

use ra_ap_parser::{LexedStr, Step, SyntaxKind, TopEntryPoint};
use ra_ap_syntax::{Edition, T};

/// Pages of it that are not used cost nothing.
const STACK: usize = 512 << 20;
/// The parser goes down as well, and needs a part of its stack for each token at worst.
const TOKENS: usize = 200_000;
/// What a macro makes of its tokens is seen only later: one expression is not longer than this.
const TOKENS_OF_AN_EXPRESSION: usize = 2_000;
/// How deep a syntax tree is at most. A call on what a call returns takes two more.
const DEPTH: usize = 1_000;

/// Whether a text is short and flat enough, which what people write is. To be asked on a large stack.
pub(crate) fn holds(source: &str) -> bool {
    let edition = Edition::Edition2024;
    let lexed = LexedStr::new(edition, source);
    let mut expression = 0;
    let is_short = (0..lexed.len()).all(|place| {
        match lexed.kind(place) {
            T![,] | T![;] | T!['{'] | T!['}'] => expression = 0,
            SyntaxKind::WHITESPACE | SyntaxKind::COMMENT => (),
            _ => expression += 1,
        }
        expression <= TOKENS_OF_AN_EXPRESSION
    });
    if !is_short || lexed.len() > TOKENS {
        return false;
    }
    let mut depth = 0usize;
    TopEntryPoint::SourceFile.parse(&lexed.to_input(edition)).iter().all(|step| {
        match step {
            Step::Enter { .. } => depth += 1,
            Step::Exit => depth = depth.saturating_sub(1),
            _ => (),
        }
        depth <= DEPTH
    })
}

/// An error is what the work panicked with.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> thread::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("analysis".to_owned()).stack_size(STACK);
        match thread.spawn_scoped(scope, work) {
            Ok(running) => running.join(),
            Err(error) => Err(Box::new(format!("a thread cannot be made: {error}")) as Box<_>),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_flat_enough() {
        let array = format!("const A: [u8; 20000] = [{}];", "1, ".repeat(20_000));
        assert!(holds(&array));
        let chain = format!("fn f() {{ a{} }}", ".map(|x| x + 1)".repeat(150));
        assert!(holds(&chain));
        let arms = format!("fn f() {{ {} {{}} }}", "if a == 1 { b() } else".repeat(100));
        assert!(holds(&arms));
    }

    #[test]
    fn what_is_too_deep_is_seen_before() {
        for part in ["(", "{", "if a { } else ", "|a| { ", "-", "m!{"] {
            for times in [5_000, TOKENS / 10] {
                let text = format!("fn f() {{ {} }}", part.repeat(times));
                assert!(!on_large_stack(|| holds(&text)).unwrap(), "{part} {times}");
            }
        }
        let deepest = format!("fn f() {{ {}", "{".repeat(TOKENS - 10));
        assert!(!on_large_stack(|| holds(&deepest)).unwrap());
        assert!(!holds(&format!("fn f() {{ m!({}1) }}", "-".repeat(5_000))));
        assert!(!holds(&";".repeat(TOKENS + 1)));
    }
}
