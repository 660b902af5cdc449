//! Cells, compiled and run within this test: what they leave and what they print.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use cell_compiler::{Compiled, Refused, Rustc, build_support, compile};
use cell_program::{Program, Session};

/// One test at a time: all share a process, and with it the variables.
static ONE: Mutex<()> = Mutex::new(());

struct Notebook {
    rustc: Rustc,
    program: Program,
    number: usize,
    _folder: tempfile::TempDir,
    _one: std::sync::MutexGuard<'static, ()>,
}

impl Notebook {
    fn new() -> Notebook {
        let one = ONE.lock().unwrap_or_else(|error| error.into_inner());
        let folder = tempfile::tempdir().unwrap();
        let version = Command::new("rustc").arg("-Vv").output().unwrap().stdout;
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let support =
            build_support("rustc".as_ref(), &String::from_utf8_lossy(&version), &cache).unwrap();
        // SAFETY: it was just made; it stays loaded.
        unsafe {
            let flags = libloading::os::unix::RTLD_LAZY | libloading::os::unix::RTLD_GLOBAL;
            std::mem::forget(libloading::os::unix::Library::open(Some(&support), flags).unwrap());
        }
        let rustc = Rustc {
            program: "rustc".into(),
            folder: folder.path().to_owned(),
            support,
            level: "0".into(),
            edition: "2024".into(),
            crates: Vec::new(),
            environment: Vec::new(),
        };
        Notebook { rustc, program: Program::default(), number: 0, _folder: folder, _one: one }
    }

    fn compiled(&mut self, code: &str) -> Result<(Compiled, cell_program::Cell), Box<Refused>> {
        self.number += 1;
        let cell = self.program.parse(self.number, code, self.rustc.folder.as_path());
        let compiled = compile(&self.rustc, &self.program, &cell, &Session::default()).unwrap();
        compiled.map(|compiled| (compiled, cell)).map_err(Box::new)
    }

    /// Runs a cell that must compile and end well.
    fn run(&mut self, code: &str) -> Compiled {
        let (compiled, cell) = match self.compiled(code) {
            Ok(compiled) => compiled,
            Err(refused) => {
                panic!("{code}\n{}\n{}", refused.source.text, rendered(&refused.messages))
            }
        };
        self.program.define(&cell, &compiled.source, &compiled.choices);
        // SAFETY: the library was just compiled with a function of this type; it stays loaded.
        let ended = unsafe {
            let flags = libloading::os::unix::RTLD_LAZY | libloading::os::unix::RTLD_GLOBAL;
            let library =
                libloading::os::unix::Library::open(Some(&compiled.library), flags).unwrap();
            let entry: extern "C" fn() -> u8 =
                *library.get(compiled.source.symbol.as_bytes()).unwrap();
            std::mem::forget(library);
            entry()
        };
        assert_eq!(ended, 0, "{code}");
        self.program.leave(&cell, &compiled.source, &compiled.choices, &compiled.kept);
        compiled
    }

    /// The messages about a cell that must not compile.
    fn refused(&mut self, code: &str) -> String {
        match self.compiled(code) {
            Ok(_) => panic!("this compiles: {code}"),
            Err(refused) => rendered(&refused.messages),
        }
    }
}

fn rendered(messages: &str) -> String {
    let values =
        messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    values.filter_map(|value| value["rendered"].as_str().map(str::to_owned)).collect()
}

macro_rules! cells {
    ($($name:ident: $($cell:expr),+ $(,)?;)*) => {
        $(#[test]
        fn $name() {
            let mut notebook = Notebook::new();
            $(notebook.run($cell);)+
        })*
    };
}

cells! {
    variables_stay: "let a = 5; let b = vec![String::from(\"x\")];", "assert_eq!(a + b.len() as i32, 6);", "assert_eq!(b, [\"x\"])";
    a_variable_is_shadowed_by_another_type: "let x = 5;", "let x = x.to_string() + \"!\";", "let x = vec![x];", "assert_eq!(x, [\"5!\"]);";
    a_mutable_variable_is_changed: "let mut v = vec![1];", "v.push(2);", "assert_eq!(v, [1, 2]);";
    patterns: "let [a, b] = [1, 2]; let (c, (d, ..)) = (3, (4, 5)); let Some(e) = Some(6) else { panic!() };\nstruct Pt { x: i32, y: i32 } let Pt { x, y: why } = Pt { x: 7, y: 8 };",
        "assert_eq!(a + b + c + d + e + x + why, 31);";
    functions_see_new_definitions: "fn first<T: Copy>(v: &[T]) -> T { v[0] }\nfn use_it() -> i32 { first(&[1, 2]) }",
        "fn first<T: Copy>(v: &[T]) -> T { v[v.len() - 1] }", "assert_eq!(use_it(), 2);";
    a_function_and_a_module_share_a_name: "mod area { pub fn unit() -> f64 { 1.0 } }", "fn area(r: f64) -> f64 { r * r }", "assert_eq!(area(2.0) + area::unit(), 5.0);";
    an_impl_is_replaced: "struct Q(i32);",
        "impl std::fmt::Display for Q { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, \"a{}\", self.0) } }",
        "impl std::fmt::Display for Q { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, \"b{}\", self.0) } }",
        "assert_eq!(Q(1).to_string(), \"b1\");";
    parts_of_an_impl_are_replaced: "struct C { n: u32 }\nimpl C { fn new() -> Self { C { n: 0 } } fn step(&mut self) { self.n += 1; } }",
        "impl C { fn step(&mut self) { self.n += 10; } }", "impl C { fn twice(&mut self) { self.step(); self.step(); } }",
        "let mut c = C::new(); c.twice(); assert_eq!(c.n, 20);";
    another_type_leaves_an_impl: "struct A; struct B; impl A { fn a(&self) -> i32 { 1 } }", "struct B { x: i32 }", "assert_eq!(A.a(), 1);";
    macros_of_earlier_cells: "macro_rules! m1 { ($x:expr) => { $x + 1 } }\nmacro_rules! m2 { ($x:expr) => { m1!($x) + 2 } }", "fn f(x: i32) -> i32 { m2!(x) }", "assert_eq!(f(0) + m1!(1), 5);";
    a_macro_names_a_variable: "let x = 4;\nmacro_rules! x { () => { x } }\nassert_eq!(x!(), 4);";
    a_macro_makes_items: "macro_rules! make { ($n:ident) => { #[derive(Debug, PartialEq)] struct $n { v: i32 } } }\nmake!(Made);", "assert_eq!(Made { v: 1 }, Made { v: 1 });";
    a_macro_names_a_variable_of_an_earlier_cell: "let v = vec![1, 2]; let s = &v[1..];", "macro_rules! count { () => { v.len() + s.len() } }\nassert_eq!(count!(), 3);", "assert_eq!(count!(), 3);";
    a_macro_is_a_statement: "macro_rules! say { ($x:expr) => { let _ = $x; } }\nsay!(1);\nsay! { 2 }\nsay!(3)";
    a_thread_local: "thread_local! { static DEPTH: std::cell::Cell<u32> = const { std::cell::Cell::new(3) }; }\nfn depth() -> u32 { DEPTH.with(|d| d.get()) }",
        "assert_eq!(depth(), 3); DEPTH.set(4);", "assert_eq!(depth(), 4);";
    statics_keep_their_values: "use std::sync::atomic::*;\nstatic N: AtomicU32 = AtomicU32::new(1); static mut M: u8 = 1;\nfn next() -> u32 { static K: AtomicU32 = AtomicU32::new(0); K.fetch_add(1, Ordering::SeqCst) }\nnext();",
        "N.fetch_add(1, Ordering::SeqCst); unsafe { M = 7 }; next();", "assert_eq!((N.load(Ordering::SeqCst), unsafe { M }, next()), (2, 7, 2));";
    a_static_is_read_by_constants: "static A: i32 = 4; static N: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(1);", "static B: i32 = A + 1; const C: i32 = A + 2; fn c() -> i32 { C } N.fetch_add(1, std::sync::atomic::Ordering::SeqCst);", "let all = [0; A as usize]; const D: i32 = C + B; assert_eq!((A, B, c(), D, all.len()), (4, 5, 6, 11, 4)); assert_eq!(N.load(std::sync::atomic::Ordering::SeqCst), 2);";
    a_once_lock_is_one: "static O: std::sync::OnceLock<String> = std::sync::OnceLock::new();", "O.set(\"a\".to_owned()).unwrap();", "assert_eq!(O.get().unwrap(), \"a\");";
    a_closure_is_kept: "let inc = |x: i32| x + 1; let k = 10; let add = move |x: i32| x + k; let len = |s: &str| s.len();",
        "assert_eq!((inc(4), add(1), len(&String::from(\"abc\"))), (5, 11, 3)); let twice = [1, 2].map(inc); assert_eq!(inc(twice[0]), 3);";
    a_closure_of_no_type_yet: "let add = |a, b| a + b; let twice = |x| 2 * x;", "assert_eq!(add(1, 2), 3);", "assert_eq!(add(3, 4) + twice(5_i32), 17);", "assert_eq!(twice(1), 2);";
    a_closure_of_no_type_yet_names_variables: "let k = 10; let v = vec![1, 2]; let text = String::from(\"a\");", "let add = |x| x + k; let own = move |i| i + v.len();", "let say = |x| format!(\"{text}{x}\");", "assert_eq!(add(1), 11);", "assert_eq!(own(3), 5);", "assert_eq!(say(1), \"a1\"); assert_eq!(text, \"a\");", "assert_eq!(add(2), 12); assert_eq!(say(2), \"a2\");";
    what_borrows_from_one_of_several: "let mut a = vec![3, 1]; let mut b = vec![5, 9];", "let ra = a.iter();", "let most = b.iter().max(); assert_eq!(ra.len(), 2);", "a.push(4);", "assert_eq!(most, Some(&9)); assert_eq!(a.len(), 3);", "let least = a.iter().min().unwrap(); let both = vec![&a[0], most.unwrap()];", "b.len(); assert_eq!((*least, both[1]), (1, &9));";
    what_borrows_through_another: "let text = String::from(\"one two\"); let mut other = String::from(\"x\");", "let words: Vec<&str> = text.split(' ').collect(); let x = other.as_str();", "let first = words[0]; let pair = (x, 1);", "other.push('y');", "assert_eq!((first, words.len()), (\"one\", 2));";
    what_has_no_type_yet_is_empty: "use std::collections::*; let mut heap = BinaryHeap::new(); let mut names = Vec::new(); let mut map = HashMap::new(); let mut none = None;", "assert!(heap.is_empty() && map.is_empty()); let n = names.len(); println!(\"{names:?}\");", "assert_eq!(heap.peek(), None); assert_eq!(names.iter().max(), None); assert!(none.is_none()); names", "heap.push(3); names.push(\"a\"); map.insert('a', 1.5); none = Some(4_u8);", "assert_eq!((heap.len(), &names[..], map[&'a'], none, n), (1, &[\"a\"][..], 1.5, Some(4), 0));";
    a_pointer_from_a_macro: "#[repr(C, packed)] struct Packed { f1: u8, f2: u16 } let mut packed = Packed { f1: 1, f2: 2 };", "let raw = std::ptr::addr_of_mut!(packed.f2);", "unsafe { raw.write_unaligned(42); }", "assert_eq!({ packed.f2 }, 42);";
    a_reference_from_a_pointer: "let mut x = std::mem::MaybeUninit::<Vec<u32>>::uninit();", "x.write(vec![0, 1, 2]);", "let v = unsafe { &*x.as_ptr() };", "let other = vec![7; 30];", "assert_eq!(v.len(), 3); unsafe { x.assume_init_drop() };";
    errors_of_channels: "let (tx, rx) = std::sync::mpsc::channel::<u8>();", "drop(tx); let errors = vec![rx.recv()]; let more = rx.try_recv();", "assert!(errors[0].is_err() && more.is_err());";
    a_closure_that_passes_on: "let same = |x| x; let pair = |a, b| (a, b);", "assert_eq!(same(\"a\"), \"a\");", "assert_eq!(pair(1, 'c'), (1, 'c')); assert_eq!(same(\"b\"), \"b\");";
    a_closure_takes_references_of_any_lifetime: "let haystack = vec![1, 2, 3]; let contains = move |needle| haystack.contains(needle);", "assert!(contains(&1));", "let n = 4; assert!(!contains(&n));";
    what_is_made_of_what_has_no_type_yet: "use std::sync::mpsc; let (tx, rx) = mpsc::channel();", "let tx1 = tx.clone(); let tx2 = tx.clone();", "std::thread::spawn(move || tx1.send(1_u8).unwrap()).join().unwrap();", "tx2.send(2).unwrap(); drop(tx);", "drop(tx2);", "assert_eq!(rx.iter().collect::<Vec<_>>(), [1, 2]);";
    copies_beside_what_has_no_type_yet: "let (tx, rx) = std::sync::mpsc::channel(); let tx1 = tx.clone(); let tx2 = tx1.clone();", "std::thread::spawn(move || tx1.send(1_u8).unwrap()).join().unwrap(); drop(tx2);", "tx.send(2).unwrap(); drop(tx);", "assert_eq!(rx.iter().collect::<Vec<_>>(), [1, 2]);";
    a_closure_beside_what_has_no_type_yet: "let mut log = Vec::new(); let mut note = |x| log.push(x);", "note(1_u8); note(2);", "log.push(3);", "note(4);", "assert_eq!(log, [1, 2, 3, 4]);";
    room_for_so_many: "const N: u32 = 3; let names = vec![1, 2];", "let mut all = Vec::with_capacity(N as usize + names.len());", "all.push('a'); assert!(all.capacity() >= 5);", "assert_eq!(all, ['a']);";
    a_closure_that_changes_is_kept: "let mut n = 0; let mut count = move || { n += 1; n };", "count();", "assert_eq!(count(), 2);";
    a_function_is_kept: "fn foo(x: &i32) -> i32 { *x } let f = foo;", "assert_eq!(f(&3), 3);";
    an_iterator_of_text_is_kept: "let mut it = \"a b c\".split_whitespace();\nit.next();", "assert_eq!(it.next(), Some(\"b\"));";
    what_is_leaked_is_kept: "let all: &'static Vec<i32> = Box::leak(Box::new(vec![10, 20, 30]));\nlet some = &all[1..];", "assert_eq!(some, [20, 30]);";
    a_return_ends_the_cell: "let kept = 1;", "let n = 5;\nif n > 3 { return; }\nlet m = 6;", "assert_eq!(kept, 1);";
    main_runs: "static RAN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);\nfn main() { RAN.store(true, std::sync::atomic::Ordering::SeqCst); }",
        "assert!(RAN.load(std::sync::atomic::Ordering::SeqCst));";
    main_may_fail_or_wait: "fn main() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }", "async fn main() {}";
    a_future_in_a_macro: "async fn f() -> u8 { 3 }\nassert_eq!(f().await, 3); println!(\"{}\", f().await + 1);";
    futures: "async fn three() -> i32 { 3 }\nlet kept = three().await + 1;", "assert_eq!(kept, 4); let t = async { Ok::<i32, String>(4) }.await?;", "assert_eq!(t, 4);";
    imports: "use std::collections::{BTreeMap, HashMap as Map};\nuse std::fmt::Write as _;", "let mut s = String::new();\nwrite!(s, \"{}\", Map::<u8, BTreeMap<u8, u8>>::new().len())?;", "use std::collections::HashMap as Map; assert_eq!(s, \"0\"); let m: Map<u8, u8> = Map::new();", "assert!(m.is_empty());";
    an_import_takes_the_place_of_an_item: "fn max(a: i32, b: i32) -> i32 { a - b }", "use std::cmp::max; assert_eq!(max(1, 2), 2);", "assert_eq!(max(1, 2), 2);", "fn max(a: i32, b: i32) -> i32 { a - b }", "assert_eq!(max(1, 2), -1);";
    a_module_uses_the_crate: "fn helper() -> i32 { 4 }\nmod inner { pub fn call() -> i32 { crate::helper() + super::helper() } }", "fn helper() -> i32 { 5 }", "assert_eq!(inner::call(), 10);";
    names_of_own_modules: "mod shapes { #[derive(Debug, Clone)] pub struct Sq(pub u8); pub mod deep { pub enum E { A, B } } }\nuse shapes::Sq; use shapes::deep::E::{self, *};", "let q = vec![Sq(1)]; let e = A;", "assert_eq!(q[0].0, 1); assert!(matches!(e, E::A));";
    a_dot_is_no_variable: "let x = String::from(\"a\"); struct P { x: i32 } let p = P { x: 1 };", "let r = p.x; drop(p);", "assert_eq!(x, \"a\");";
    text_names_a_variable: "let name = \"you\"; let width = 5_usize;", "assert_eq!(format!(\"{name:>width$}\"), \"  you\");";
    ends_in_comments: "1 + 1 // two", "2 + 1\n// three", "let z = 5; // five", "assert_eq!(z, 5)", "/* only */", "// only", "";
    a_let_without_semicolon: "let total: i32 = [1, 2].iter().sum()", "assert_eq!(total, 3)";
    a_const_and_a_union: "const N: usize = 3; type Row = [i32; N]; union U { a: u32, b: f32 }", "let r: Row = [1; N]; let u = U { a: 0 };", "assert_eq!((r, unsafe { u.b }), ([1, 1, 1], 0.0));";
    const_generics: "#[derive(Debug, Clone)] struct M<const R: usize, const C: usize>([[f64; C]; R]);\nlet m = M::<2, 3>([[0.5; 3]; 2]);", "assert_eq!(m.0.len() * m.0[0].len(), 6);";
    any_is_the_same_type_in_every_cell: "struct T(u8); let b: Box<dyn std::any::Any> = Box::new(T(3));", "assert_eq!(b.downcast_ref::<T>().unwrap().0, 3);";
    loops_are_left: "'outer: for i in 0..3 { for j in 0..3 { if i + j > 2 { break 'outer; } else { continue } } }\nlet v = loop { break 5 };", "let mut n = 0; while n < v { n += 1; }\nconst fn up() -> u8 { let mut i = 0; while i < 3 { i += 1; } i }\nassert_eq!(up(), 3);";
    tests_run: "fn add(a: i32, b: i32) -> i32 { a + b }\n#[cfg(test)]\nmod tests { use super::*; #[test] fn adds() { assert_eq!(add(1, 2), 3) } mod deep { #[test] #[should_panic(expected = \"no\")] fn no() { panic!(\"no\") } } }";
    an_attribute_of_the_cell: "#![allow(non_snake_case)]\nlet Abc = 1;";
    a_document_comment: "//! about\n/// a function\nfn f() {}\nf();";
    a_generic_value: "let none: Option<Vec<u8>> = None; let e: Result<u8, Box<dyn std::error::Error + Send + Sync>> = Ok(1);", "assert!(none.is_none() && e.is_ok());";
    threads: "let t = std::thread::spawn(|| 5);", "assert_eq!(t.join().unwrap(), 5);";
    a_trait_and_its_objects: "trait Speak { fn say(&self) -> String; } struct Dog; impl Speak for Dog { fn say(&self) -> String { \"woof\".into() } }\nlet all: Vec<Box<dyn Speak>> = vec![Box::new(Dog)];", "assert_eq!(all[0].say(), \"woof\");";
    a_number_takes_the_type_of_its_use: "let kept = 1; let half = 0.5;", "let guess: u32 = 42; let f: f32 = 1.0;", "assert_eq!(guess + kept, 43); assert_eq!(f + half, 1.5);", "let sum: u32 = kept; assert_eq!(sum, 1);";
    a_failed_cell_leaves_what_it_would_have_renewed: "let x = 5; let v = vec![1];", "let x = x + 1; let v = v.len(); assert_eq!((x, v), (6, 1));";
    raw_names: "let r#type = 3; let r#fn = 4; fn r#in(r#as: i32) -> i32 { r#as }", "assert_eq!(r#in(r#type + r#fn), 7);";
    items_without_blanks_between: "struct A;struct B;fn f()->i32{1}static Q:i32=2;const Z:i32=3;macro_rules! m{()=>{4}}fn g()->i32{m!()}", "let all = (A, B); assert_eq!(f() + g() + Q + Z, 10);";
    statics_with_references: "static G: &str = \"a\"; static C: std::borrow::Cow<str> = std::borrow::Cow::Borrowed(\"b\"); static L: [&str; 1] = [\"c\"]; static F: fn(&str) -> &str = |x| x;",
        "assert_eq!(format!(\"{G}{C}{}{}\", L[0], F(\"d\")), \"abcd\");";
    lints_of_a_cell_are_its_own: "fn earlier() { let unused = 4; }", "#![deny(warnings)]\n#![forbid(unsafe_code)]\nlet mut v = vec![5];\nfn later() {}", "#![deny(unused_results)]\nv.push(1);", "earlier(); later(); assert_eq!(v, [5, 1]);";
    an_attribute_leaves_out_the_end: "#[cfg(unix)] {\n    assert!(true);\n}\n#[cfg(windows)] {\n    nothing();\n}";
    an_attribute_leaves_out_a_variable: "#[cfg(any())] let x = never();\n#[cfg(all())] let x = 4;\n#[cfg(any())] let y = 5;", "#[cfg(any())] let x = 5;", "assert_eq!(x, 4);";
    an_exported_macro: "#[macro_export]\nmacro_rules! count { () => { 0 }; ($h:tt $($t:tt)*) => { 1 + $crate::count!($($t)*) } }\nassert_eq!(count!(a b c), 3);", "assert_eq!(count!(a b), 2);";
    a_closure_borrows_what_ends: "let rows = [[\"a\"], [\"b\"]];\nlet one = rows.get(0).and_then(|row| row.get(0));\nassert_eq!(one, Some(&\"a\"));", "assert_eq!(rows[1], [\"b\"]);";
    a_variable_in_capitals: "let N = 3; let (A, b) = (1, 2);", "assert_eq!(N + A + b, 6);";
    a_function_takes_the_place_of_a_variable: "let f = 5; let g = [1_u16, 2];", "fn f() -> i32 { 9 }\nfn g() {}\nassert_eq!(f(), 9); let p = g as fn();", "assert_eq!(f(), 9);";
    a_macro_declares_variables: "macro_rules! all { ($($n:ident = $v:expr;)*) => { $(let $n = $v;)* }; }\nall! { a = 1; b = vec![2]; }\nassert_eq!(a, b[0] - 1);", "assert_eq!(a + b[0], 3);\nmacro_rules! one { ($n:ident, $v:expr) => { let mut $n = $v; } }\none!(c, b.len());", "c += 1; assert_eq!((c, b.len()), (2, 1));";
    names_of_the_prelude: "use std::io::Result;\nfn io() -> Result<i32> { Ok(3) }\ntrait Default { fn d(&self) -> i32 { 1 } } impl Default for i32 {}", "let x: Result<u8, u8> = Ok(1); let n: i8 = Default::default();", "assert_eq!((io()?, x, n, 5.d()), (3, Ok(1), 0, 1));";
    stars_that_hold_one_name: "use std::fmt::*;\nlet d: Result = Ok(());", "use std::io::*;\nlet mut v = Vec::new();\nv.write_all(b\"a\")?;\nfn copied<W: Write>(_: W) {}\nlet e: Result<u8> = Err(Error::other(\"no\"));", "assert!(e.is_err() && v == b\"a\");";
    const_without_a_name: "struct A; const _: () = { impl A { fn a() -> i32 { 1 } } };", "const _: () = assert!(1 < 2);", "assert_eq!(A::a(), 1);";
    a_script: "#!/usr/bin/env program\nlet x = 1;", "assert_eq!(x, 1);";
    documents_within: "//! about\n/*! and\n more */\nlet x = 1;", "/// x\nlet y = x; assert_eq!(y, 1);";
    constants_are_not_asked: "let a = [0_u8; { let mut i = 0; while i < 3 { i += 1; } i }];\nenum E { A = { let mut i = 0; while i < 5 { i += 1; } i } }\nassert_eq!(a.len() + E::A as usize, 8);";
    parts_of_a_variable_are_moved: "#[derive(Clone)] struct Person { name: String, age: u8, home: Home, tags: Vec<u8> }\n#[derive(Clone)] struct Home { city: String, zip: String }\nlet ada = Person { name: \"Ada\".into(), age: 36, home: Home { city: \"London\".into(), zip: \"W1\".into() }, tags: vec![1, 2] };\nlet mut bea = ada.clone(); let mut pair = (ada.clone(), String::from(\"b\"), 7); let older = Person { age: 37, ..ada.clone() };",
        "let name = ada.name; let Person { tags, age, .. } = older;", "assert_eq!((&*name, ada.age, ada.tags.len()), (\"Ada\", 36, 2)); assert_eq!((age, tags.len(), older.name), (37, 2, String::from(\"Ada\")));",
        "let city = ada.home.city; let young = Person { age: 1, name, ..bea };\nlet moved = pair.0.name; pair.2 += 1;", "assert_eq!((ada.home.zip, city, bea.age), (String::from(\"W1\"), String::from(\"London\"), 36)); bea.age += 1; drop(pair.1);",
        "assert_eq!((ada.tags.len(), bea.age, pair.2, pair.0.age), (2, 37, 8, 36));", "bea.tags = vec![]; bea.home = Home { city: \"Bonn\".into(), zip: \"5\".into() };", "bea.name = String::from(\"Bea\");", "let all = bea.clone(); assert_eq!((&*bea.name, bea.age, &*all.home.city), (\"Bea\", 37, \"Bonn\"));",
        "let Person { tags, .. } = ada;", "assert_eq!((tags.len(), ada.age), (2, 36));", "let out = std::process::Output { status: Default::default(), stdout: vec![1], stderr: vec![2, 3] }; let printed = out.stdout;", "assert!(out.status.success() && out.stderr.len() == 2 && printed == [1]);";
    closures_within_values_borrow: "let base = 10; struct Op<F: Fn(i32) -> i32> { f: F }\nlet op = Op { f: |x| x + base }; let calls = std::cell::Cell::new(0);", "let greeting = std::cell::LazyCell::new(|| { calls.set(calls.get() + 1); format!(\"hello\") }); assert_eq!((op.f)(5), 15);", "assert_eq!(calls.get(), 0); assert_eq!((greeting.len(), &**greeting), (5, \"hello\"));", "assert_eq!(calls.get(), 1);",
        "struct Bus<'cb, E> { handlers: Vec<Box<dyn FnMut(&E) -> bool + 'cb>> } impl<'cb, E> Bus<'cb, E> { fn on(&mut self, h: impl FnMut(&E) -> bool + 'cb) { self.handlers.push(Box::new(h)); } fn emit(&mut self, e: E) -> usize { self.handlers.iter_mut().filter_map(|h| h(&e).then_some(1)).count() } }\nlet mut seen: Vec<String> = Vec::new(); let mut bus: Bus<String> = Bus { handlers: Vec::new() }; let adders: Vec<Box<dyn Fn(i32) -> i32 + '_>> = vec![Box::new(|x| x + base)];",
        "bus.on(|e: &String| { seen.push(e.clone()); true });", "assert_eq!((bus.emit(\"a\".into()), adders[0](1)), (1, 11));", "drop(bus); assert_eq!(seen, [\"a\"]);";
    numbers_whose_type_a_method_asks_for: "use std::io::{Cursor, Seek, SeekFrom}; let mut buff = Cursor::new(vec![1, 2, 3]);", "buff.seek(SeekFrom::Current(2)).unwrap();", "assert_eq!(buff.position(), 2); let one = Ok(1); let none = Err(2);", "let two: Result<u8, String> = one; let three: Result<String, u64> = none; assert_eq!((two, three), (Ok(1), Err(2)));";
    a_macro_of_lets_in_braces: "macro_rules! bind { ($($name:ident = $value:expr);+ $(;)?) => { $(let $name = $value;)+ }; }", "bind! { width = 7; height = width * 3; label = format!(\"{width}x{height}\"); }", "assert_eq!(label, \"7x21\");";
    an_iterator_stays_what_it_is: "let path = std::iter::successors(Some(27u64), |n| (*n > 1).then(|| if n % 2 == 0 { n / 2 } else { n * 3 + 1 })); let squares = [1, 2, 3].into_iter().map(|x| x * x); let texts = vec![String::from(\"a\"), String::new()]; let full = texts.iter().filter(|text| !text.is_empty()).map(|text| text.as_str());", "assert_eq!((path.clone().count() - 1, path.max(), squares.len()), (111, Some(9232), 3)); assert_eq!(full.clone().next(), full.clone().last());", "assert_eq!((squares.rev().next(), full.count(), texts.len()), (Some(9), 1, 2));", "enum Command<'a> { Go, Unknown(&'a str) } let script = String::from(\"go x\"); let commands: Vec<Command> = script.split(' ').map(|word| if word == \"go\" { Command::Go } else { Command::Unknown(word) }).collect();", "let unknown = commands.iter().filter_map(|c| if let Command::Unknown(s) = c { Some(*s) } else { None });", "assert_eq!(unknown.collect::<Vec<_>>(), [\"x\"]);";
    what_is_lent_of_boxes: "use std::any::Any; trait Shape { fn as_any(&self) -> &dyn Any; } struct Circle(f64); impl Shape for Circle { fn as_any(&self) -> &dyn Any { self } }\nlet snapshot: Vec<Box<dyn Shape>> = vec![Box::new(Circle(1.0))];", "let circles: Vec<&Circle> = snapshot.iter().filter_map(|s| s.as_any().downcast_ref()).collect();", "assert_eq!((snapshot.len(), circles.len()), (1, 1));";
    lists_of_what_has_no_type_yet: "const N: usize = 3; let n = 2; let mut adjacent = vec![Vec::new(); N]; let mut more = vec![None; n + 1]; let mut slots = [None, None]; let (y, mut m, name) = (2024, 2, \"feb\");", "adjacent[0].push(1u8); more[n] = Some('a'); slots[1] = Some(\"b\"); let days: u32 = m * 30; let year: u16 = y;", "m += 1; assert_eq!((adjacent.len(), more.len(), slots[1], days, year, m, name), (3, 3, Some(\"b\"), 60, 2024, 3, \"feb\"));";
    numbers_in_lists_of_lists: "fn total(adj: &[Vec<(usize, u32)>]) -> u32 { adj.iter().flatten().map(|x| x.1).sum() }\nlet mut adj = vec![Vec::new(); 6];", "for (a, b, w) in [(0, 1, 7), (0, 2, 9)] {\n adj[a].push((b, w));\n adj[b].push((a, w));\n}", "assert_eq!(total(&adj), 32);";
    what_waited_is_lent_by_the_cell_that_makes_it: "let mut log = Vec::new(); let mut names = Vec::new(); let mut words = Vec::new(); let cell = std::cell::OnceCell::new(); let mut shared = Vec::new();",
        "let mut record = |s: &str| log.push(s.to_string()); names.push(\"bc\".to_string()); let first = &names[0]; let w = &mut words;\nw.push('a'); let stored = cell.get_or_init(|| 5u8);", "record(\"a\"); record(\"b\"); w.push('b'); assert_eq!((first.len(), *stored, cell.get()), (2, 5, Some(&5)));",
        "assert_eq!((log.len(), names.len(), words.len()), (2, 1, 2)); log.push(String::new());", "shared.push(1u8); let last = shared.last(); assert_eq!(last, Some(&1));", "assert_eq!(last.copied(), shared.pop());";
    a_copy_of_what_waits_by_its_path: "use std::{cell::RefCell, rc::Rc}; let trace = Rc::new(RefCell::new(Vec::new())); let t = Rc::clone(&trace);", "let last = Rc::clone(&trace);", "t.borrow_mut().push(\"a\".to_string());", "trace.borrow_mut().push(\"b\".into()); assert_eq!((t.borrow().len(), &*last.borrow()[1]), (2, \"b\"));";
    futures_are_kept: "async fn length(text: &str) -> usize { text.len() }\nlet lazy = async { 7 }; let name = String::from(\"abc\"); let borrowing = length(&name); let boxed = Box::pin(length(\"ab\")); let cell = std::rc::Rc::new(3); let stays = async move { *cell };", "assert_eq!((lazy.await, borrowing.await), (7, 3));", "assert_eq!((boxed.await, stays.await), (2, 3)); assert_eq!(name, \"abc\");";
    a_variable_that_its_cell_has_moved_gets_another_value: "let mut text = String::from(\"a\"); let spent = text;", "text = String::from(\"b\");", "assert_eq!(text + &spent, \"ba\");";
    a_variable_that_is_moved_is_given_back: "fn add(mut v: Vec<i32>, x: i32) -> Vec<i32> { v.push(x); v }\nlet mut v = vec![1]; let mut s = String::from(\"a\"); let mut p = (s.clone(), 1);",
        "v = add(v, 2); let t = s; s = t + \"b\"; (p, v) = ((p.0 + \"c\", 2), v);", "for i in 0..2 { v = add(v, i); }", "assert_eq!((v.len(), &*s, &*p.0), (4, \"ab\", \"ac\"));";
    what_never_returns_has_a_type: "let r = std::panic::catch_unwind(|| panic!(\"caught\")); let h = std::thread::spawn(|| panic!(\"joined\")); let f: Option<fn(u8) -> !> = None;", "assert!(r.is_err() && f.is_none());", "assert!(h.join().is_err() && r.is_err());";
    a_macro_hides_one_of_the_standard_library: "#[macro_export] macro_rules! vec { ($($x:expr),*) => { [$($x + 1),*] } }\nfn two() -> [i32; 1] { vec![1] }\nassert_eq!((vec![1], two()), ([2], [2]));", "assert_eq!(vec![1, 2], [2, 3]); println!(\"\");", "fn three() -> [i32; 1] { crate::vec![2] }\nmod m { pub fn four() -> [i32; 1] { vec![3] } }\nassert_eq!((two(), three(), m::four()), ([2], [3], [4]));";
    a_macro_of_an_earlier_cell_names_a_variable: "let base = 5; let n = 2;", "#[macro_export]\nmacro_rules! plus { // a sum\n    ($x:expr) => { base + $x };\n}\nmacro_rules! of { ($n:expr) => {{ let n = plus!($n); n * 2 }} }", "assert_eq!(plus!(n), 7);\n{ let base = 0; assert_eq!(of!(base), 10); }", "let base = 1; assert_eq!(plus!(base), 6);", "assert_eq!((base, plus!(0)), (1, 1));";
    a_macro_makes_macros: "macro_rules! make { ($($n:ident $v:expr;)*) => { $(macro_rules! $n { () => { $v } })* } }\nmake! { five 5; six 6; }\nassert_eq!(five!() + six!(), 11);", "fn f() -> i32 { five!() }", "assert_eq!(f() + six!(), 11);";
    macros_of_a_module: "#[macro_use] mod macros { macro_rules! thrice { ($e:expr) => { $e * 3 } } pub(crate) use thrice as three_times; pub fn one() -> i32 { thrice!(1) } }\nassert_eq!(thrice!(2), 6);", "macro_rules! twice { ($e:expr) => { $e * 2 } }", "fn nine() -> i32 { thrice!(3) }\nassert_eq!(nine() + macros::three_times!(1) + macros::one(), 15);", "#[macro_use] mod more { macro_rules! twice { ($e:expr) => { $e + $e } } }\nassert_eq!(twice!(4), 8);", "macro_rules! thrice { ($e:expr) => { 0 } }\nassert_eq!(thrice!(1) + twice!(1), 2);";
    a_macro_makes_what_its_rule_says: "macro_rules! m { (fn $n:ident) => { fn $n() -> i32 { 1 } }; () => { 0 }; ($e:expr) => { $e + 1 } }\nm!(fn one);\nassert_eq!(m!() + m!(2), 3);", "m!(one())", "macro_rules! k { ($e:expr) => { $e + 1 }; (struct $n:ident) => { struct $n; } }\nk!(struct Two);\nlet three = k!(2);", "let _ = Two; assert_eq!(three, 3);";
    parts_of_an_extern_block_are_replaced: "unsafe extern \"C\" { safe fn abs(x: i32) -> i32; safe fn labs(x: i64) -> i64; }", "unsafe extern \"C\" { safe fn labs(x: i64) -> i64; }\nassert_eq!(labs(-2), 2);", "fn labs(x: i64) -> i64 { x }", "assert_eq!((abs(-1), labs(-1)), (1, -1));";
    what_is_left_out_takes_no_place: "#[cfg(unix)] fn os() -> u8 { 1 }", "#[cfg(not(unix))] fn os() -> u8 { 2 }", "assert_eq!(os(), 1);", "#[cfg(unix)] fn os() -> u8 { 3 }", "assert_eq!(os(), 3);", "fn os() -> u8 { 4 }\nassert_eq!(os(), 4);";
    a_closure_that_captures_what_takes_no_room: "fn twice<F: Fn(i32) -> i32>(f: F) -> impl Fn(i32) -> i32 { move |x| f(f(x)) }\n#[derive(Clone, Copy)] struct Z; fn of(_: Z, x: i32) -> i32 { x } let z = Z;\nlet t = twice(|x| x + 3); let o = move |x: i32| of(z, x); let c = |(a, b): (&str, &str)| format!(\"{a}{b}\");", "assert_eq!((t(1), o(2)), (7, 2)); let s = String::from(\"a\"); assert_eq!(c((&s, \"b\")), \"ab\");";
    a_function_is_kept_as_what_it_is: "fn pick<'a>(a: &'a str, _: &str) -> &'a str { a } extern \"C\" fn next(x: i32) -> i32 { x + 1 } unsafe fn same(s: &str) -> &str { s }\nlet (p, n, s) = (pick, next, same); let p = p; let n = n; let s = s;", "let own = String::from(\"own\"); assert_eq!((p(&own, &String::new()), n(1), unsafe { s(&own) }), (\"own\", 2, \"own\"));";
    a_closure_of_one_lifetime_is_kept: "let longer = |a: &'static str, b: &'static str| if a.len() > b.len() { a } else { b }; let first = |a: &'static str| -> &'static str { &a[..1] };", "assert_eq!(longer(first(\"ab\"), \"cd\"), \"cd\");", "assert_eq!(first(\"ab\"), \"a\");";
    a_type_that_a_module_passes_on: "mod outer { mod inner { #[derive(Debug, Clone, PartialEq)] pub struct S(pub u8); } pub use inner::S; pub fn make() -> S { S(4) } }\nlet s = outer::make(); let all = vec![outer::S(1)];", "assert_eq!((s.0, all.len()), (4, 1));", "assert_eq!(all, [outer::S(1)]);";
    an_attribute_that_items_need_lasts: "#![recursion_limit = \"300\"]\nmacro_rules! count { () => { 0 }; ($h:tt $($t:tt)*) => { 1 + count!($($t)*) } }",
        "assert_eq!(count!(a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a), 150);";
    a_mark_before_all: "\u{feff}let a = 1;", "\u{feff}#!/usr/bin/env program\n#![allow(unused)]\nfn b() -> u8 { 2 }", "\u{feff}assert_eq!(a + b(), 3)";
    what_main_may_return: "use std::process::{ExitCode, Termination};\nstruct Out; impl Termination for Out { fn report(self) -> ExitCode { ExitCode::SUCCESS } }\nfn main() -> Out { Out }", "fn main() -> Result<Out, String> { Ok(Out) }", "fn main() -> impl Termination {}", "type R = Result<(), String>;\nfn main() -> R { Ok(()) }";
    a_temporary_is_borrowed_from: "struct W<T>(T); impl<T> Drop for W<T> { fn drop(&mut self) {} }\nlet (Ok(W(ref x)) | Err(&ref x)) = Ok::<_, &()>(W(()));\nassert_eq!(x, &());";
    a_line_goes_on_with_not: "let flag = true;\nlet other =\n!flag;\nassert!(\n!other);\nlet same =\n    other ||\n    !flag;\n!same", "assert!(!other && !same);";
    what_borrows_stays: "let text = String::from(\"b a c\"); let words: Vec<&str> = text.split(' ').collect();", "let first = words.iter().min().unwrap();",
        "assert_eq!((*first, words.len(), text.len()), (\"a\", 3, 5)); assert!(text == \"b a c\" && words == [\"b\", \"a\", \"c\"]); for word in &words { assert!(text.contains(word)); }", "assert_eq!(*first, words[1]);";
    what_borrows_from_an_earlier_cell_stays: "let v = vec![3, 1, 2]; let k = 5;", "let s = &v[1..]; let most = v.iter().max(); let of_k = &k;", "let by_two: Vec<i32> = s.iter().map(|x| x * *of_k).collect(); assert_eq!((by_two, most, k + v.len() as i32), (vec![5, 10], Some(&3), 8));",
        "struct Both<'a> { v: &'a [i32], k: i32 } let both = Both { v: &v, k }; assert_eq!(both.v.len(), 3);", "assert_eq!((both.k, both.v), (5, &[3, 1, 2][..]));";
    what_is_lent_is_changed_before: "let mut v = vec![3, 1, 2];", "v.sort();\nlet least = &v[0];\nassert_eq!(v.len(), 3);", "assert_eq!(v, [1, 2, 3]);", "assert_eq!((*least, &*v), (1, &[1, 2, 3][..]));";
    what_is_lent_is_changed_later: "let mut v = vec![3, 1, 2]; let least = v.iter().min();", "assert_eq!(least, Some(&1));", "v.push(0); v[0] = 4;", "v = vec![v.len()as i32]; assert_eq!(v, [4]);";
    what_is_lent_is_moved_later: "let v = vec![String::from(\"a\")]; let one = &v[0]; let n = v.len();", "assert_eq!(one, \"a\");", "let w = v; let t = std::thread::spawn(move || w.len());", "assert_eq!(t.join().unwrap(), n);";
    what_is_lent_goes_to_a_thread_later: "let v = vec![1]; let one = &v[0];", "let t = std::thread::spawn(move || v.len());", "assert_eq!(t.join().unwrap(), 1);";
    what_is_lent_is_declared_anew: "let text = String::from(\"a b\"); let first = text.split(' ').next().unwrap();", "let text = 5; let second = &text;", "assert_eq!((first, *second, text), (\"a\", 5, 5));", "let text = String::from(\"c d\"); let first = text.split(' ').next().unwrap();", "assert_eq!((first, *second), (\"c\", 5));";
    a_variable_borrows_from_one_of_its_own_name: "let v = vec![2, 1];", "let v = v.iter();", "let v = v.min(); assert_eq!(v, Some(&1));", "assert_eq!(v, Some(&1)); let v = 4;", "assert_eq!(v, 4);";
    a_collection_of_what_is_borrowed_grows: "use std::collections::HashMap; let mut counts: HashMap<&str, usize> = HashMap::new(); let text = String::from(\"a b a\");", "for word in text.split(' ') { *counts.entry(word).or_insert(0) += 1; }", "let more = String::from(\"b c\"); for word in more.split(' ') { *counts.entry(word).or_insert(0) += 1; }", "let mut all: Vec<_> = counts.iter().collect(); all.sort(); assert_eq!(all, [(&\"a\", &2), (&\"b\", &2), (&\"c\", &1)]);", "assert_eq!(all.len() + text.len() + more.len(), 11);";
    an_iterator_of_what_is_borrowed_goes_on: "let text = String::from(\"abc\"); let mut letters = text.chars().peekable();", "assert_eq!(letters.next(), Some('a'));", "assert_eq!((letters.peek(), text.len()), (Some(&'b'), 3)); letters.next();", "assert_eq!(letters.collect::<String>(), \"c\");";
    a_parser_goes_on: "struct Parser<'a> { text: &'a str, at: usize }\nimpl<'a> Parser<'a> { fn new(text: &'a str) -> Self { Parser { text, at: 0 } } fn word(&mut self) -> Option<&'a str> { let rest = &self.text[self.at..]; let word = rest.split(' ').next()?; self.at += word.len() + 1; Some(word) } }",
        "let text = std::fmt::format(format_args!(\"{} {}\", \"ab\", \"cd\")); let mut parser = Parser::new(&text); let one = parser.word();", "let two = parser.word(); assert_eq!((one, two), (Some(\"ab\"), Some(\"cd\")));", "assert_eq!((one.unwrap().len(), two, &*text), (2, Some(\"cd\"), \"ab cd\"));";
    a_guard_is_dropped_before_what_it_guards: "use std::cell::RefCell; let cell = RefCell::new(1); let guard = cell.borrow();", "assert_eq!((*guard, cell.try_borrow_mut().is_err()), (1, true));", "drop(guard);", "assert_eq!(cell.replace(3), 1);", "let mut guard = cell.borrow_mut(); *guard += 1;", "assert_eq!(cell.into_inner(), 4);";
    a_lent_variable_is_used_in_every_way: "struct S { v: Vec<i32> } let v = vec![1, 2]; let s = S { v: vec![3] }; let n = 7; let f = |x: i32| x + 1; let first = &v[0]; let of_s = s.v.first(); let of_n = &n;",
        "struct T<'a> { v: &'a Vec<i32>, n: i32 } let t = T { n, v: &v }; assert_eq!(t.v.len() as i32 + t.n + f(n) + -n + n, 17); let (a, b) = (n, if n > 3 { n } else { 0 }); assert!(n == 7 && a == b, \"{n} {v:?} {}\", n); match n { 7 => {} _ => panic!() } let each: Vec<i32> = v.iter().map(|v| v + n).collect(); assert_eq!(each, vec![n + 1, n + 2]); for x in &v { assert!(*x < n); } let S { v: inner } = &s; assert_eq!(inner[0], *of_s.unwrap()); let v = v.len(); assert_eq!(v, 2);",
        "assert_eq!((v, *first, *of_n, s.v.len()), (2, 1, 7, 1));";
    what_borrows_from_a_value_without_a_name_stays: "let text: &str = &format!(\"{}\", 12); let all = &mut vec![1]; let n = &5; let pair = &(1, String::from(\"a\"));", "all.push(text.len() as i32); assert_eq!((all.len(), *n, &*pair.1), (2, 5, \"a\"));", "all.push(0); let all = all.iter().max(); assert_eq!(all, Some(&2));", "assert_eq!(all, Some(&2));";
    values_without_names_stay_wherever_they_are_borrowed: "struct H<'a> { name: &'a str, all: &'a [u8] } fn text(n: u8) -> String { n.to_string() } let (a, b) = (&text(1), &mut text(2)); let h = H { name: &text(3), all: &vec![4] }; let some = Some(&text(5)); let list = [&text(6), &text(7)]; let part = &(text(8), 9).0; let whole = &*text(13); let d: &dyn std::fmt::Debug = &text(10); let chosen = if h.all.len() == 1 { &text(11) } else { &text(12) };", "b.push('0'); assert_eq!((&**a, &**b, h.name, h.all[0]), (\"1\", \"20\", \"3\", 4)); assert_eq!((some.unwrap().len(), list[1].len(), part.len(), chosen.len(), whole), (1, 1, 1, 2, \"13\"));", "assert_eq!(format!(\"{a} {b} {} {some:?} {list:?} {part} {d:?} {chosen}\", h.name), \"1 20 3 Some(\\\"5\\\") [\\\"6\\\", \\\"7\\\"] 8 \\\"10\\\" 11\");";
    a_variable_gets_its_value_in_a_later_cell: "let x: i32; let (a, mut b); let mut count; let name;", "x = 5; (b, ..) = ('a', 0); count = 0;", "a = 2_u8; b = 'b';", "let y; if x > 3 { y = 1 } else { y = 2 } { let inner = \"n\"; name = inner.to_owned(); } count += 1;", "assert_eq!((x, a, b, y, count, &*name), (5, 2, 'b', 1, 1, \"n\"));";
    a_variable_that_was_moved_gets_another_value: "let mut s = String::from(\"a\"); let mut v = vec![1]; let n = v.len();", "let t = s; drop(v);", "if n > 1 { s = String::new(); } v = vec![2];", "s = String::from(\"b\"); v.push(3); drop(t);", "assert_eq!((&*s, &*v), (\"b\", &[2, 3][..])); drop(s);", "s = String::from(\"c\"); drop(s);", "(s, _) = (String::from(\"d\"), 0); assert_eq!(s, \"d\");", "assert_eq!(s, \"d\");";
    a_closure_without_a_type_changes_what_stands_beside_it: "let mut total = 0; let mut add = |n| total += n; let k = 2; let times = |n| n * k;", "add(5); add(times(3));", "add(1); assert_eq!(times(2), 4);", "assert_eq!(total, 12);";
    a_closure_within_a_value_stays: "use std::cell::LazyCell; struct By<F> { f: F, n: u32 } impl<F: Fn(u32, &str) -> bool> By<F> { fn new(f: F) -> Self { By { f, n: 1 } } fn holds(&self, text: &str) -> bool { (self.f)(self.n, text) } } let five = LazyCell::new(|| 2 + 3); let k = 4; let by = By::new(|n, text| text.len() as u32 > n); let more = By::new(move |n, text: &str| text.len() as u32 > n + k); let boxed = Box::new(|x: i32| x * 2); let two = (|x: u8| x + 1, Some(|a: &str| a.len()));", "assert_eq!((*five, by.holds(\"ab\"), more.holds(\"abcd\"), boxed(4)), (5, true, false, 8));", "assert_eq!(((two.0)(1), two.1.map(|len| len(\"abc\"))), (2, Some(3))); assert_eq!(*five + k as i32, 9);";
    a_list_without_a_type_has_room_for_what_was_asked: "let all = Vec::with_capacity(10); let none = Vec::new();", "assert_eq!((all.capacity(), all.len(), none.capacity()), (10, 0, 0));", "let mut all = all; all.push(1_u8); let mut none = none; none.push(2); assert_eq!((all[0], none[0]), (1, 2));";
    a_closure_that_borrows_stays: "let limit = 2; let big = |x: &i32| *x > limit;", "let mut count = 0; let v = vec![1, 2, 3]; let all = || { let told = format!(\"{v:?} {limit}\"); assert_eq!(told, \"[1, 2, 3] 2\"); v.len() };", "let n = v.iter().filter(|x| big(x)).count(); count += all(); assert_eq!((n, count, limit), (1, 3, 2));", "assert_eq!((big(&3), all()), (true, 3));", "drop(v);", "assert!(big(&7)); let limit = 9;", "assert!(big(&7) && limit == 9);";
    what_borrows_from_boxes_of_traits_stays: "trait Shape { fn area(&self) -> f64; } struct Square(f64); impl Shape for Square { fn area(&self) -> f64 { self.0 * self.0 } }\nlet shapes: Vec<Box<dyn Shape>> = vec![Box::new(Square(2.0)), Box::new(Square(3.0))]; let largest = shapes.iter().max_by(|a, b| a.area().total_cmp(&b.area())).unwrap(); let one: &dyn Shape = &*shapes[0];", "assert_eq!((largest.area(), one.area(), shapes.len()), (9.0, 4.0, 2));", "assert_eq!(largest.area() + one.area(), 13.0);";
    what_borrows_to_change_stays: "let mut grid = vec![vec![0; 2]; 2]; let mut count = 0; let mut more = || { count += 2; count };", "let row = &mut grid[0]; row[0] = 9;", "row[1] = 8; more();", "assert_eq!((more(), &*row), (4, &vec![9, 8]));", "assert_eq!((grid[0][1], count), (8, 4));", "let (left, right) = grid.split_at_mut(1); left[0][0] = right[0][0] + 1; let mut v = vec![1]; let w = &mut v; w.push(2);", "w.push(left[0][0]);", "assert_eq!((v, grid[0][0]), (vec![1, 2, 1], 1));";
    an_iterator_without_a_name_stays: "let v = vec![1, 2, 3]; let k = 2; let mut by = v.iter().map(|x| x * k); let own = (0..3).filter(|x| x % 2 == 0); let mut power = 1; let mut grows = std::iter::repeat_with(|| { power *= 3; power / 3 }).take(9); fn odd() -> impl Iterator<Item = u8> { (0..9).step_by(2).map(|x| x + 1) } let odd_ones = odd();",
        "assert_eq!((by.next(), by.next_back(), grows.nth(2)), (Some(2), Some(6), Some(9)));", "assert_eq!(by.collect::<Vec<_>>(), [4]); assert_eq!(own.rev().collect::<Vec<_>>(), [2, 0]); assert_eq!((grows.next(), odd_ones.sum::<u8>()), (Some(27), 25));", "let n = v; assert_eq!(n.len(), 3);";
    a_variable_whose_type_is_not_known_yet_waits: "use std::collections::HashMap; use std::sync::mpsc; let mut all = Vec::new(); // none yet\nlet n = 2;", "let mut counts = HashMap::new();\nlet (send, receive) =\n    mpsc::channel();\nlet mut last = None", "for i in 0..n { all.push(i as u8); } last = Some(all.len());", "send.send(1_u16)?; let text = String::from(\"a a\"); for word in text.split(' ') { *counts.entry(word).or_insert(0) += 1; }", "assert_eq!((&*all, last, receive.recv()?, counts[\"a\"], text.len()), (&[0, 1][..], Some(2), 1, 2, 3));", "let all = Vec::new();", "let all: Vec<char> = all; assert!(all.is_empty());", "let n = Vec::new();", "let n = 5; assert_eq!(n, 5);", "assert_eq!(n, 5);", "let m = None;", "fn m() -> u8 { 1 } assert_eq!(m(), 1);", "assert_eq!(m(), 1);";
    what_raw_pointers_lead_to_stays_where_it_is: "let mut num = 5; let r1 = &raw const num; let r2 = &raw mut num; let data = [1_u8, 2, 3]; let mut p = data.as_ptr();", "unsafe { assert_eq!((*r1, *r2, *p), (5, 5, 1)); *r2 = 6; p = p.add(1); }", "num += 1; assert_eq!(num, 7);", "unsafe { assert_eq!((*r1, *p), (7, 2)); *r2 = 8; }", "assert_eq!((num, data), (8, [1, 2, 3])); let part = &num; let big = vec![num]; let b = big.as_ptr();", "assert_eq!(*part, 8); num = 9; assert_eq!(unsafe { *r1 + *b }, 17);", "let more = big; assert_eq!((more[0], num), (8, 9));", "let num = 1; assert_eq!(unsafe { *r1 }, 9);", "assert_eq!(unsafe { *r1 } + num, 10);";
    numbers_in_lists_that_were_changed_by_constants_take_the_type_of_their_use: "use std::collections::HashMap; let mut v = vec![1, 2]; let mut by_name = HashMap::new(); let squares: Vec<_> = (1..=4).map(|x| x * x).collect(); let mut none = Vec::new();",
        "v.push(3); for i in 0..2 { v.push(i * 10); } v[0] += 6; by_name.insert(\"a\", 1); println!(\"{v:?}\"); none.push(0.5);", "*by_name.entry(\"a\").or_insert(0) += 1; fn one() -> u8 { 1 } by_name.entry(\"b\").or_insert_with(one); v.sort(); let longest = v.len();",
        "let sum: u64 = v.iter().sum(); fn of(all: &HashMap<&str, u8>) -> u8 { all[\"a\"] } assert_eq!((sum, of(&by_name), longest), (22, 2, 5));", "let total: i64 = squares.iter().sum(); let halves: &[f32] = &none; assert_eq!((total, halves[0], v[4]), (30, 0.5, 10_u64));";
    numbers_in_lists_take_the_type_of_their_use: "let v = vec![1, 2, 3]; let mut buffer = [0; 4]; let pair = (1, [0.5, -2.0]); let mut used = [1]; used[0] = 2; let mut grid = vec![vec![0x10, -2], vec![3; 2]];", "fn of(grid: &mut [Vec<i8>]) -> i8 { grid[0][1] } assert_eq!((v.len(), of(&mut grid)), (3, -2));", "let sum: u64 = v.iter().sum(); let f: &[f32] = &pair.1; let n = std::io::Read::read(&mut &b\"ab\"[..], &mut buffer)?; assert_eq!((sum, f[0], n), (6, 0.5, 2));", "assert_eq!((buffer, v[0] + 1_u64, used), ([b'a', b'b', 0, 0], 2, [2]));";
    a_list_of_numbers_is_lent_as_what_it_is: "let heart = [240, 159, 146, 150];", "let heart: &str = std::str::from_utf8(&heart)?;", "let more = heart; assert_eq!(more.len(), 4);", "let heart = 1; assert_eq!((more.chars().count(), heart), (1, 1));", "let v = vec![1, 2];", "let most: Option<&u8> = v.iter().max();", "assert_eq!((most, v[0]), (Some(&2), 1_u8)); let v = vec![String::from(\"a\")]; let v = &v[0]; let w = v;", "assert_eq!((w.len(), v.len(), most), (1, 1, Some(&2))); let v = 5;", "assert_eq!((w.as_str(), v), (\"a\", 5));";
    what_borrows_before_a_return_stays: "let v = vec![1, 2]; let s = &v[1..]; if s.len() == 1 { return; } let never = 5;", "assert_eq!((s[0], v.len()), (2, 2));";
    other_blanks_and_letters: "let\tgröße\t=\t\"ü\";\r\n\tlet 数 = /* a /* b */ */ 3;\r\nfor _ in 0..2 {\tassert_eq!(größe.len(), 2);\t}\r\n", "assert_eq!(größe.len() + 数, 5);\r\n";
}

#[test]
fn an_overflow_is_a_panic_unless_checks_are_off() {
    for (level, kept) in [("2", false), ("3", true)] {
        let mut notebook = Notebook::new();
        notebook.rustc.level = level.into();
        let code =
            "let sum = std::panic::catch_unwind(|| std::hint::black_box(i32::MAX) + 1).is_ok();";
        notebook.run(code);
        notebook.run(&format!("assert_eq!(sum, {kept});"));
    }
}

#[test]
fn statics_that_a_macro_makes_are_told_of() {
    let mut notebook = Notebook::new();
    let code = "macro_rules! st { ($n:ident) => { static $n: u8 = 0; } }\nst!(COUNT);";
    let compiled = notebook.run(code);
    assert!(compiled.notes[0].contains("`st!` makes begin anew"), "{:?}", compiled.notes);
    let compiled = notebook.run("static N: u8 = 0; assert_eq!(COUNT + N, 0);");
    assert!(compiled.notes.is_empty(), "{:?}", compiled.notes);
}

#[test]
fn a_name_that_ended_with_its_cell_says_why() {
    let mut notebook = Notebook::new();
    notebook.run("let v = vec![1]; let r: Box<dyn AsRef<Vec<i32>>> = Box::new(&v); let s = String::new(); drop(s);");
    let reason =
        |notebook: &Notebook, name: &str| notebook.program.lost(name).unwrap().reason.clone();
    assert!(reason(&notebook, "r").starts_with("ended with cell 1: it borrows"));
    assert!(reason(&notebook, "s").starts_with("ended with cell 1: it was moved"));
    notebook.run("let r = 5;");
    assert!(notebook.program.lost("r").is_none());
}

#[test]
fn what_borrows_and_has_no_name_ends_with_its_cell() {
    let mut notebook = Notebook::new();
    let code = "let v = vec![1, 2, 3]; let text = String::new(); let r = v.iter().rev(); let show: Box<dyn ToString> = Box::new(&v[0]);";
    let compiled = notebook.run(code);
    assert_eq!(compiled.notes.len(), 1, "{:?}", compiled.notes);
    assert!(
        compiled.notes[0].contains("`show` ends with this cell: it borrows"),
        "{:?}",
        compiled.notes
    );
    notebook.run("assert_eq!(r.clone().next(), v.last());");
    let compiled = notebook.run(
        "trait Own { fn own(&self) -> usize; } struct Of<F>(F); impl<F: Fn() -> usize> Own for Of<F> { fn own(&self) -> usize { (self.0)() } } \
         fn of<F: Fn() -> usize>(f: F) -> impl Own { Of(f) } let own = of(|| text.len());",
    );
    assert_eq!(compiled.notes.len(), 1, "{:?}", compiled.notes);
    assert!(compiled.notes[0].contains("`own` ends with this cell"), "{:?}", compiled.notes);
}

#[test]
fn what_borrows_ends_where_its_lender_is_changed() {
    let mut notebook = Notebook::new();
    notebook.run("let mut text = String::from(\"a b\"); let words: Vec<&str> = text.split(' ').collect(); let first = words[0]; let other = 1; let last = words.last();");
    let refused = notebook.refused("text.push('c'); first.len()");
    assert!(refused.contains("cannot borrow `*text` as mutable"), "{refused}");
    assert!(refused.contains("immutable borrow later used here"), "{refused}");
    notebook.run("assert_eq!((words.len(), first), (2, \"a\"));");
    notebook.run("assert_eq!((words.len(), first), (2, \"a\")); text.push('c'); assert_eq!((&*text, other), (\"a bc\", 1));");
    for name in ["words", "first", "last"] {
        let reason = &notebook.program.lost(name).unwrap().reason;
        assert!(reason.starts_with("has ended: it borrowed from `text`"), "{name} {reason}");
    }
    assert!(notebook.refused("first").contains("cannot find value `first`"));
    notebook.run("let words = text.len(); text.clear();");
}

#[test]
fn a_number_that_is_lent_keeps_its_type() {
    let mut notebook = Notebook::new();
    notebook.run("let n = 5; let r = &n;");
    let refused = notebook.refused("let b: u8 = n; *r");
    assert!(refused.contains("expected `u8`, found `i32`"), "{refused}");
    notebook.run("assert_eq!(*r + n, 10);");
    notebook.refused("let b: u8 = n;");
    notebook.run("assert_eq!(*r, 5);");
}

#[test]
fn numbers_in_lists_that_were_changed_keep_their_type() {
    let mut notebook = Notebook::new();
    notebook.run("let mut v = vec![1, 2];");
    notebook.run("fn more(v: &mut Vec<i32>) { v.push(3); } more(&mut v);");
    let refused = notebook.refused("let w: Vec<u8> = v;");
    assert!(refused.contains("expected `Vec<u8>`, found `Vec<i32>`"), "{refused}");
    notebook.run("assert_eq!(v, [1, 2, 3]);");
    notebook.run("use std::cell::Cell; let cells = vec![Some(Cell::new(1))]; fn more(cells: &[Option<Cell<i32>>]) { cells[0].as_ref().unwrap().set(9); } let held = vec![1]; more(&cells);");
    notebook.refused("let held: Vec<u8> = held; let n: u8 = cells[0].as_ref().unwrap().get();");
    notebook.run("assert_eq!(cells[0].as_ref().unwrap().get(), 9);");
}

#[test]
fn what_has_no_type_yet_is_told_of() {
    let mut notebook = Notebook::new();
    notebook.run("let n = 3;");
    let compiled = notebook.run("let mut n = Vec::new();");
    assert_eq!(compiled.notes, ["`n` has no type yet: the first cell that uses it decides"]);
    notebook.run("assert_eq!(n.len(), 0);");
    let refused = notebook.refused("let other = n;");
    assert!(refused.contains("type annotations needed"), "{refused}");
    notebook.run("n.push(1_u8);");
    notebook.run("assert_eq!(n, [1]);");
    notebook.run("fn make<T: Default>() -> T { T::default() }");
    assert!(notebook.refused("let what = make(); 1").contains("type annotations needed"));
    let refused = notebook.refused("let mut all = Vec::new(); all.len()");
    assert!(refused.contains("type annotations needed"), "{refused}");
}

#[test]
fn a_closure_without_a_type_ends_when_what_it_names_changes() {
    let mut notebook = Notebook::new();
    notebook.run("let mut k = 10;");
    let compiled = notebook.run("let add = move |x| x + k;");
    assert_eq!(compiled.notes, ["`add` has no type yet: the first cell that uses it decides"]);
    notebook.run("k += 1;");
    let refused = notebook.refused("add(1)");
    assert!(refused.contains("cannot find"), "{refused}");
    let lost = &notebook.program.lost("add").unwrap().reason;
    assert!(lost.contains("before cell 3 made `k` another one"), "{lost}");
    // A method wants the type where it stands, as in a file.
    let refused = notebook.refused("let len = |x| x.len();");
    assert!(refused.contains("type annotations needed"), "{refused}");
    notebook.run("let show = |x| println!(\"{x}\");");
    notebook.run("show(1); show(2);");
    assert!(notebook.refused("show(\"a\");").contains("mismatched types"));
}

#[test]
fn what_borrows_from_both_ends_with_either() {
    let mut notebook = Notebook::new();
    notebook.run("let mut a = vec![1]; let mut b = vec![2]; let flag = b.len() > 1;");
    notebook.run("let ra = &a; let rb = &b;");
    notebook.run("let either = if flag { &a[0] } else { &b[0] }; let of_a = &ra[0];");
    notebook.run("let list = std::cell::RefCell::new(vec![of_a]); let mut more = vec![either];");
    notebook.run("list.borrow_mut().push(&rb[0]); more.push(of_a);");
    notebook.run("assert_eq!((either, of_a, list.borrow().len()), (&2, &1, 2));");
    notebook.run("b.push(3);");
    for name in ["either", "rb", "list", "more"] {
        assert!(notebook.refused(name).contains("cannot find value"), "{name}");
    }
    notebook.run("assert_eq!((of_a, ra.len()), (&1, 1));");
    notebook.run("a.push(3);");
    assert!(notebook.refused("of_a").contains("cannot find value"));
}

#[test]
fn what_has_to_live_on_cannot_be_borrowed() {
    let mut notebook = Notebook::new();
    notebook.run("static SEEN: std::sync::Mutex<Vec<&str>> = std::sync::Mutex::new(Vec::new()); let text = String::from(\"a\"); let part = &text[..];");
    let refused = notebook.refused("SEEN.lock().unwrap().push(part);");
    assert!(refused.contains("does not live long enough"), "{refused}");
    notebook.run("assert_eq!(part, text);");
}

#[test]
fn values_are_dropped_when_nothing_borrows_from_them_any_more() {
    let mut notebook = Notebook::new();
    notebook.run("use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};\nstatic DROPPED: AtomicUsize = AtomicUsize::new(0); struct D(u8); impl Drop for D { fn drop(&mut self) { DROPPED.fetch_add(1, SeqCst); } }");
    notebook.run("let d = D(1); let n = &d.0;");
    notebook.run("let d = D(2); assert_eq!((*n, d.0, DROPPED.load(SeqCst)), (1, 2, 0));");
    notebook.run("let n = &d.0;");
    notebook.run("assert_eq!((*n, DROPPED.load(SeqCst)), (2, 1)); let n = 3;");
    notebook.run("let d = 4;");
    notebook.run("assert_eq!((d, n, DROPPED.load(SeqCst)), (4, 3, 2));");
}

#[test]
fn an_older_variable_does_not_come_back_for_one_that_ends() {
    for code in ["let x = vec![move || x.len()];", "let x = |a: i32| move |b: i32| a + b;"] {
        let mut notebook = Notebook::new();
        notebook.run("let x = vec![1];");
        let compiled = notebook.run(code);
        assert!(compiled.notes[0].contains("`x` ends with this cell"), "{:?}", compiled.notes);
        assert!(notebook.refused("x").contains("cannot find value `x`"));
        let reason = &notebook.program.lost("x").unwrap().reason;
        assert!(reason.starts_with("ended with cell 2: it"), "{reason}");
        notebook.run("let x = 5;");
        notebook.run("assert_eq!(x, 5);");
    }
}

#[test]
fn an_import_of_what_is_defined_anew_without_it_does_not_count() {
    let mut notebook = Notebook::new();
    notebook.run(
        "mod shapes { pub struct Square; pub fn area() -> u8 { 4 } } use shapes::{Square, area};",
    );
    notebook.run("let _ = Square; assert_eq!(area(), 4);");
    let compiled = notebook.run("mod shapes { pub fn area() -> u8 { 5 } } assert_eq!(area(), 5);");
    assert!(
        compiled.notes[0].starts_with("`use shapes::Square;` of an earlier cell"),
        "{:?}",
        compiled.notes
    );
    let next = notebook.run("assert_eq!(area(), 5);");
    assert!(next.notes.is_empty(), "{:?}", next.notes);
    notebook
        .run("enum Level { Low, High } use Level::*; use Level::High as Top; let _ = (Low, Top);");
    let refused = notebook.refused("enum Level { Low } let _ = Top;");
    assert!(refused.contains("cannot find value `Top`"), "{refused}");
    notebook.run("enum Level { Low } let _ = Low;");
}

#[test]
fn a_variable_that_a_cell_moves_is_gone() {
    let mut notebook = Notebook::new();
    notebook.run("let s = String::from(\"a\"); let t = String::new(); drop(t);");
    notebook.run("drop(s);");
    assert_eq!(notebook.program.lost("s").unwrap().reason, "was moved by cell 2");
    assert!(notebook.refused("s.len()").contains("cannot find value `s`"));
}

#[test]
fn a_variable_that_was_moved_is_not_there_until_it_has_another_value() {
    let mut notebook = Notebook::new();
    notebook.run("let mut v = vec![1]; let s = String::new();");
    notebook.run("drop((v, s));");
    assert!(notebook.refused("v[0] = 2;").contains("cannot find value `v`"));
    // What is not declared with `mut` cannot have another value.
    assert!(notebook.refused("s = String::new();").contains("cannot find value `s`"));
    assert!(notebook.refused("v.push(2); v = vec![3];").contains("`v` used here but"));
    notebook.run("v = vec![3];");
    notebook.run("assert_eq!(v, [3]);");
}

#[test]
fn a_variable_of_a_type_that_is_defined_anew_is_gone() {
    let mut notebook = Notebook::new();
    notebook.run("#[derive(Debug)] struct T { a: i32 }\n#[derive(Debug)] struct U(T); let u = vec![U(T { a: 1 })]; let other = 9;");
    notebook.run("#[derive(Debug)] struct T { a: i32 }");
    notebook.run("assert_eq!(u[0].0.a + other, 10);");
    notebook.run("#[derive(Debug)] struct T { a: i32, b: i32 }");
    assert!(notebook.program.lost("u").unwrap().reason.contains("defined anew"));
    notebook.run("assert_eq!(other, 9);");
}

#[test]
fn an_item_that_does_not_fit_any_more_is_put_aside() {
    let mut notebook = Notebook::new();
    notebook.run("struct S { a: i32 }\nfn of(s: &S) -> i32 { s.a }");
    let compiled = notebook.run("struct S { b: i32 }\nlet s = S { b: 2 };");
    assert!(compiled.notes[0].contains("`of` of cell 1 does not fit"), "{:?}", compiled.notes);
    notebook.run("assert_eq!(s.b, 2);");
    notebook.run("fn of(s: &S) -> i32 { s.b }\nassert_eq!(of(&s), 2);");
}

#[test]
fn what_a_cell_does_not_reach_is_not_compiled_with_it() {
    let mut notebook = Notebook::new();
    notebook.run("fn a() -> i32 { b() }\nfn b() -> i32 { 1 }\nstruct S; impl Drop for S { fn drop(&mut self) {} }");
    notebook.run("trait Twice { fn twice(&self) -> i32; } impl Twice for i32 { fn twice(&self) -> i32 { self * 2 } }");
    let compiled = notebook.run("let one = 1;");
    assert!(compiled.source.files.is_empty(), "{:?}", compiled.source.files);
    let compiled = notebook.run("assert_eq!(one.twice(), 2);");
    assert_eq!(compiled.source.files.len(), 1, "{:?}", compiled.source.files);
    let compiled = notebook.run("assert_eq!(a(), one);");
    let text = &compiled.source.files[0].text;
    assert!(text.contains("fn b()") && !text.contains("Drop"), "{text}");
    // The name of a function that is called stands nowhere: all is tried before the cell is refused.
    let said = notebook.refused("twise(1)");
    assert!(said.contains("cannot find function `twise`"), "{said}");
}

#[test]
fn what_does_not_fit_any_more_is_said_where_it_is_used() {
    let mut notebook = Notebook::new();
    notebook
        .run("mod m { pub struct S { pub a: i32 } }\nuse m::S;\nfn of() -> i32 { S { a: 1 }.a }");
    notebook.run("mod m { pub struct S { pub b: i32 } }");
    let said = notebook.refused("of()");
    assert!(said.contains("cannot find function `of`") || said.contains("no field"), "{said}");
}

#[test]
fn what_is_wrong_is_said_of_the_cell() {
    let mut notebook = Notebook::new();
    for (code, words) in [
        ("let x: i32 = \"a\";", "mismatched types"),
        ("let a = std::", "expected"),
        ("let v = \"5\".parse().unwrap();", "type annotations needed"),
        ("struct Plain;\nPlain", "cannot be shown"),
        ("break", "break"),
        ("}", "unexpected closing"),
        ("/* open", "unterminated block comment"),
    ] {
        let said = notebook.refused(code);
        assert!(said.contains(words), "{code}: {said}");
    }
}

#[test]
fn a_word_of_a_newer_edition_is_a_name() {
    let mut notebook = Notebook::new();
    notebook.rustc.edition = "2021".into();
    notebook.program.set_edition("2021");
    notebook.run("let gen = 2;\nassert_eq!(gen, 2);");
    notebook.run("assert_eq!(gen + 1, 3)");
}

#[test]
fn a_variable_that_is_given_back_in_some_cases_is_gone() {
    let mut notebook = Notebook::new();
    notebook.run("let mut s = String::from(\"a\");");
    notebook.run("let t = s;\nif t.is_empty() { s = t; }");
    assert_eq!(notebook.program.lost("s").unwrap().reason, "was moved by cell 2");
}

#[test]
fn what_is_private_stays_so() {
    let mut notebook = Notebook::new();
    notebook.run(
        "mod outer { mod inner { pub struct S(pub u8); } pub use inner::S; }\nlet s = outer::S(1);",
    );
    notebook.run("assert_eq!(s.0, 1);");
    assert!(notebook.refused("outer::inner::S(2);").contains("module `inner` is private"));
}

#[test]
fn an_error_without_display_ends_a_cell_too() {
    let mut notebook = Notebook::new();
    let code = "#[derive(Debug)] struct MyErr;\nlet x: Result<i32, MyErr> = Ok(1);\nlet n = x?;";
    assert!(notebook.run(code).choices.errors_by_debug);
}
