//! Shows a value of the standard library in one compilation.
//!
//! evcxr compiles the last expression of a cell with a call of `evcxr_display`, and where that is an
//! error, which it is for most values, once more with `{:?}`. Here the first text is changed so that it
//! holds for values whose type is the standard library's: these have no such method. All other values
//! are called as before, if their method takes `&self`, as evcxr's documentation has it.

/// What evcxr writes where it shows a value by `{:?}`.
const BY_DEBUG: &str = "evcxr_send_text_plain(&format!(\"{:?}\",&(\n";
/// The lines between which evcxr writes an expression.
const LINES: [&str; 2] = ["\n(\n", "\n).evcxr_display();\n"];
/// What stands there instead. No line more, so that errors are found where they are.
const INSTEAD: [&str; 2] = ["\n(cells_display::Value(&(\n", "\n))).evcxr_display();\n"];
/// The method of a type of the list is found before that of another type, which `Value` leads to.
const MODULE: &str = r#"
mod cells_display {
    pub struct Value<'a, T: ?Sized>(pub &'a T);
    impl<T: ?Sized> ::std::ops::Deref for Value<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            self.0
        }
    }
    pub trait Std: ::std::fmt::Debug {}
    impl<T: Std + ?Sized> Value<'_, T> {
        pub fn evcxr_display(&self) {
            let text = ::std::format!("{:?}", self.0);
            ::std::println!("EVCXR_BEGIN_CONTENT text/plain\n{text}\nEVCXR_END_CONTENT");
        }
    }
    macro_rules! std_types {
        ($([$($generic:ident)*] $type:ty;)*) => {
            $(impl<$($generic: ::std::fmt::Debug),*> Std for $type {})*
        };
    }
    std_types! {
        [] i8; [] i16; [] i32; [] i64; [] i128; [] isize;
        [] u8; [] u16; [] u32; [] u64; [] u128; [] usize;
        [] f32; [] f64; [] bool; [] char; [] str; [] ::std::string::String; [] ::std::time::Duration;
        [T] [T]; [T] ::std::vec::Vec<T>; [T] ::std::option::Option<T>; [T E] ::std::result::Result<T, E>;
        [] (); [A] (A,); [A B] (A, B); [A B C] (A, B, C); [A B C D] (A, B, C, D);
    }
    impl<T: ::std::fmt::Debug, const N: usize> Std for [T; N] {}
    impl<T: Std + ?Sized> Std for &T {}
}
"#;

/// Whether this program shows a value as [`once`] would.
pub(crate) fn is_by_debug(program: &str) -> bool {
    program.contains(BY_DEBUG)
}

/// The program that shows the value in one go; None where it shows none, or where it is not clear at
/// which line the expression begins.
pub(crate) fn once(program: &str) -> Option<String> {
    let [begin, end] = LINES;
    let last = program.rfind(end)?;
    let first = program[..=last].find(begin)?;
    let expression = &program[first + begin.len() - 1..=last];
    if expression.contains(begin) || expression.contains(end) {
        return None;
    }
    let (before, after) = (&program[..first], &program[last + end.len()..]);
    // The last lines of nothing between them are the same.
    let inner = expression.get(1..expression.len() - 1)?;
    Some([before, INSTEAD[0], inner, INSTEAD[1], after, MODULE].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_expression_stays_on_its_lines() {
        let program = "fn a() {\nlet b = 1;\n(\nb +\n  1\n).evcxr_display();\nc();\n}\n";
        let once = once(program).unwrap();
        let changed: Vec<_> =
            program.lines().zip(once.lines()).filter(|(before, after)| before != after).collect();
        assert_eq!(
            changed,
            [("(", "(cells_display::Value(&("), (").evcxr_display();", "))).evcxr_display();")]
        );
        assert!(once.ends_with(MODULE));
    }

    #[test]
    fn what_is_not_clear_stays() {
        for program in ["fn a() {}\n", "\n(\n(\n1, 2\n)\n).evcxr_display();\n", "\n(\n)\n"] {
            assert_eq!(once(program), None, "{program}");
        }
    }

    proptest! {
        #[test]
        fn any_program_stays_or_keeps_its_lines(
            parts in proptest::collection::vec(
                proptest::sample::select(vec!["\n(\n", "\n).evcxr_display();\n", "\n", "(", "b + 1", ");"]),
                0..10,
            )
        ) {
            let program = parts.concat();
            if let Some(changed) = once(&program) {
                let lines = changed.strip_suffix(MODULE).unwrap().lines().count();
                prop_assert_eq!(lines, program.lines().count());
            }
        }
    }
}
