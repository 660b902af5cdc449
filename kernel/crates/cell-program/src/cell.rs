//! One cell, taken apart: what are its items, its imports, its variables, and what it ends with.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use ra_ap_syntax::ast::{self, HasAttrs as _, HasModuleItem as _, HasName as _};
use ra_ap_syntax::{AstNode as _, Edition, SourceFile, SyntaxKind, SyntaxNode};

use crate::again::{Effect, Facts};
use crate::edit::{Edit, rendered, without};
use crate::imports::{self, Leaf};
use crate::initializers::{Later, Temporary, is_number, temporaries};
use crate::items::{self, Item, MacroKind, Place, Rule};
use crate::names::{How, Use, words};
use crate::types::Callable;
use crate::{IncludedFile, ModuleFile};
use crate::{checks, commands, tests};

/// A cell as the reader wrote it, and what is known of it without compiling it.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Its number in the notebook.
    pub number: usize,
    /// As the reader wrote it.
    pub text: String,
    edition: Edition,
    /// The kernel's own commands in it.
    pub commands: Vec<commands::Command>,
    /// Inner attributes at its head, such as `#![allow(unused)]`.
    pub attributes: Vec<String>,
    /// Functions, types and the like.
    pub items: Vec<Item>,
    /// What it imports, name by name.
    pub imports: Vec<Leaf>,
    /// The variables that it declares, in their order; a name may be there twice.
    pub bindings: Vec<Binding>,
    /// Names that it gives to macros which may declare variables under them: the compiler knows which do.
    pub given: Vec<Binding>,
    /// The expression at its end, whose value is shown.
    pub closing: Option<Closing>,
    /// Tests, by their paths.
    pub tests: Vec<tests::Test>,
    /// Whether it awaits a future outside of functions and async blocks.
    pub awaits: bool,
    /// Whether there is anything to run.
    pub has_statements: bool,
    /// Why it cannot be parsed, if it cannot: the compiler says it better.
    pub is_broken: bool,
    /// Names outside of items, each where it is first used.
    names: Vec<(String, usize)>,
    /// Where names stand for the places of variables.
    places: Vec<Use>,
    /// Its statements.
    statements: Vec<Range<usize>>,
    /// What is known of each of them.
    facts: Vec<Facts>,
    /// Names that something is assigned to, to the whole or a part.
    assigned: BTreeSet<String>,
    /// Those of them that have a new value then.
    set: BTreeSet<String>,
    /// Names of what an operator changes: `n += 1`.
    updated: BTreeSet<String>,
    /// Where closures stand in its statements.
    closures: Vec<Range<usize>>,
    /// `return` without a value, outside of functions and closures.
    returns: Vec<Return>,
    edits: Vec<Edit>,
    /// Those that concern the statements alone.
    edits_of_statements: Vec<Edit>,
    /// Its modules that are in files of their own.
    pub module_files: Vec<ModuleFile>,
    /// The files that its items include.
    pub included_files: Vec<IncludedFile>,
    /// What of the text is no statement.
    holes: Vec<Range<usize>>,
}

/// A variable that a cell declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// Whether it is declared with `mut`.
    pub is_mut: bool,
    /// Whether its value is a number without a type, as in `let n = 5;`.
    pub is_number: bool,
    /// Whether its value is the same whenever it is made, and its type is not written down.
    pub(crate) is_same_again: bool,
    /// Its value, if that may be made later.
    pub(crate) later: Option<Later>,
    /// Where its value stands, if it is a closure.
    closure: Option<Range<usize>>,
    /// The values without names that its statement borrows from, as in `let x = &f();`.
    temporaries: Vec<Temporary>,
    /// The statement that declares it.
    range: Range<usize>,
}

impl Binding {
    /// Where the statement that declares it begins.
    pub(crate) fn place(&self) -> usize {
        self.range.start
    }
}

/// The expression at the end of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Where it stands.
    pub range: Range<usize>,
    /// Whether it is a call of a macro, which may as well be a statement.
    pub is_macro: bool,
}

#[derive(Debug, Clone)]
struct Return {
    range: Range<usize>,
    /// Names that are bound within the statement around it, which hide variables.
    hidden: BTreeSet<String>,
}

/// Where a program has the text of a module that was in a file of its own when its cell ran, below the folder of the
/// root file: what changes in that file later changes no type of a variable.
pub fn file_of_module(cell: usize, name: &str) -> String {
    format!("files/cell {cell}/{name}/mod.rs")
}

/// Where a program has the text of a file that its cell includes, the first, second or a later one, as it was then.
pub fn file_of_include(cell: usize, place: usize) -> String {
    format!("files/cell {cell}/included {place}.rs")
}

/// What is known when a cell is parsed.
pub struct Surroundings<'a> {
    /// What a call of a macro of an earlier cell expands to, by its name.
    pub macros: &'a dyn Fn(&str, &ast::MacroCall) -> Option<MacroKind>,
    /// Whether a name is a variable, function or constant of the session.
    pub is_name: &'a dyn Fn(&str) -> bool,
    /// The edition of the language.
    pub edition: Edition,
    /// The folder that relative paths mean.
    pub folder: &'a Path,
}

const BEFORE: &str = "fn cell() {\n";
const MARK: char = '\u{feff}';

impl Cell {
    /// Takes a cell apart. A text that is no Rust is taken as statements: the compiler says what is wrong.
    pub fn parse(number: usize, text: &str, surroundings: &Surroundings<'_>) -> Cell {
        // The mark of Unicode that an editor may put before all is no Rust.
        let mark = 0..if text.starts_with(MARK) { MARK.len_utf8() } else { 0 };
        let unmarked = " ".repeat(mark.len()) + &text[mark.end..];
        let (commands, mut code) = commands::taken_out(&unmarked, surroundings.is_name);
        let script = script_line(&code, mark.end);
        code.replace_range(script.clone(), &" ".repeat(script.len()));
        let edition = surroundings.edition;
        let parse = SourceFile::parse(&format!("{BEFORE}{code}\n}}"), edition);
        let mut cell = Cell {
            number,
            text: text.to_owned(),
            edition,
            holes: commands
                .iter()
                .map(|command| command.range.clone())
                .chain([mark, script])
                .collect(),
            commands,
            attributes: Vec::new(),
            items: Vec::new(),
            imports: Vec::new(),
            bindings: Vec::new(),
            given: Vec::new(),
            closing: None,
            tests: Vec::new(),
            awaits: false,
            has_statements: false,
            is_broken: false,
            names: Vec::new(),
            places: Vec::new(),
            statements: Vec::new(),
            facts: Vec::new(),
            assigned: BTreeSet::new(),
            set: BTreeSet::new(),
            updated: BTreeSet::new(),
            closures: Vec::new(),
            returns: Vec::new(),
            edits: Vec::new(),
            edits_of_statements: Vec::new(),
            module_files: Vec::new(),
            included_files: Vec::new(),
        };
        let tree = parse.tree();
        let mut functions = tree.items();
        let body = match (functions.next(), functions.next()) {
            (Some(ast::Item::Fn(function)), None) => function.body(),
            // A bracket too many closed it early.
            _ => None,
        };
        let Some(list) = body.and_then(|body| body.stmt_list()) else {
            cell.is_broken = true;
            cell.has_statements = !code.trim().is_empty();
            return cell;
        };
        cell.inner_attributes(&list);
        let included = crate::paths::included(&code, surroundings.folder);
        let own = items::macros_in(list.syntax());
        let macros = Macros { outer: surroundings.macros, own, included: &included, edition };
        for node in list.syntax().children() {
            cell.take(&node, &macros);
        }
        cell.end_with_semicolon(&list);
        let errors = parse.errors();
        let length = code.trim_end().len();
        let mended = |error: &ra_ap_syntax::SyntaxError| {
            let at = usize::from(error.range().start()).saturating_sub(BEFORE.len());
            at + 1 >= length
                && cell.edits.iter().any(|edit| edit.text == ";" && edit.range.start >= at)
        };
        cell.is_broken = !errors.iter().all(mended);
        // A comment that is not closed: nothing else says that something is wrong.
        cell.has_statements |= cell.is_broken && !cell.has_anything();
        cell.edits.extend(crate::paths::absolute(&code, surroundings.folder));
        // A statement is compiled once, and reads the file itself.
        let is_item = |included: &IncludedFile| {
            cell.items.iter().any(|item| holds(&item.range, &included.literal))
        };
        cell.included_files = included.into_iter().filter(is_item).collect();
        cell.module_files = crate::paths::modules(&code, surroundings.folder);
        cell
    }

    fn take(&mut self, node: &SyntaxNode, macros: &Macros<'_>) {
        let range = range_of(node);
        if let Some(item) = ast::Item::cast(node.clone()) {
            match item {
                ast::Item::Use(item) => {
                    self.imports.extend(imports::leaves(&item));
                    return self.take_item(Item::of_use(&item, range));
                }
                ast::Item::MacroCall(call) => return self.take_call(&call, node, macros, false),
                item => {
                    self.edits.extend(checks::in_loops(item.syntax()));
                    self.edits.extend(tests::taken(&item, &mut self.tests));
                    return self.take_item(Item::of(&item, range));
                }
            }
        }
        if let Some(expression) = ast::ExprStmt::cast(node.clone())
            && let Some(ast::Expr::MacroExpr(call)) = expression.expr()
            && let Some(call) = call.macro_call()
        {
            return self.take_call(&call, node, macros, false);
        }
        if let Some(ast::Expr::MacroExpr(call)) = ast::Expr::cast(node.clone())
            && let Some(call) = call.macro_call()
        {
            return self.take_call(&call, node, macros, true);
        }
        let is_statement = ast::Stmt::can_cast(node.kind()) || ast::Expr::can_cast(node.kind());
        if !is_statement || node.kind() == SyntaxKind::ATTR {
            return;
        }
        self.has_statements = true;
        let facts = Facts::of(node);
        if let Some(let_statement) = ast::LetStmt::cast(node.clone()) {
            let untyped = let_statement.initializer().filter(|_| let_statement.ty().is_none());
            let numbers = numbers(let_statement.pat(), untyped.as_ref());
            let is_number = untyped.as_ref().is_some_and(is_number);
            let may_fail = let_statement.let_else().is_some();
            let is_one = matches!(let_statement.pat(), Some(ast::Pat::IdentPat(_)));
            let temporaries = let_statement.initializer().map(temporaries).unwrap_or_default();
            let later = match let_statement.initializer() {
                None => Some(Later::Declared),
                Some(_) => untyped.as_ref().filter(|_| !may_fail).and_then(Later::of),
            };
            let is_closure = matches!(later, Some(Later::Taking | Later::Referring));
            let closure = untyped.as_ref().filter(|_| is_one && is_closure);
            let closure = closure.map(|value| range_of(value.syntax()));
            let is_typed = let_statement.ty().is_some_and(|kind| {
                !words(&kind.syntax().text().to_string()).any(|word| word == "_")
            });
            let is_same_again = is_one
                && !is_typed
                && !is_number
                && let_statement.initializer().is_some()
                && facts.makes_the_same();
            for pattern in let_statement.pat().iter() {
                let found = pattern.syntax().descendants().filter_map(ast::IdentPat::cast);
                self.bindings.extend(found.filter_map(|pattern| {
                    let name = pattern.name()?.text().trim_start_matches("r#").to_owned();
                    let is_mut = pattern.mut_token().is_some();
                    let is_number = is_number || numbers.contains(&name);
                    // A pattern that may fail may name a constant or a variant: `None`.
                    let is_variable = !may_fail || !name.starts_with(char::is_uppercase);
                    let (temporaries, range) = (temporaries.clone(), range.clone());
                    let closure = closure.clone();
                    let binding = Binding {
                        name,
                        is_mut,
                        is_number,
                        is_same_again,
                        later,
                        closure,
                        temporaries,
                        range,
                    };
                    is_variable.then_some(binding)
                }));
            }
        }
        if let Some(expression) = ast::Expr::cast(node.clone()) {
            self.closing = closing(&expression, false);
        }
        self.read_statement(node, facts);
    }

    /// Looks at what stands in a statement: the names that it uses, `return`, `.await`, loops.
    fn read_statement(&mut self, node: &SyntaxNode, facts: Facts) {
        self.statements.push(range_of(node));
        self.facts.push(facts);
        self.edits.extend(checks::in_loops(node));
        let bound = ast::LetStmt::cast(node.clone()).and_then(|statement| statement.pat());
        let places = crate::names::places(node, bound.as_ref().map(ast::Pat::syntax)).into_iter();
        self.places.extend(places.map(|used| {
            let range = used.range.start - BEFORE.len()..used.range.end - BEFORE.len();
            Use { range, ..used }
        }));
        let bound = bound.map(|pattern| range_of(pattern.syntax()));
        self.names.extend(
            crate::names::used(node)
                .into_iter()
                .filter(|(_, at)| {
                    let at = at - BEFORE.len();
                    bound.as_ref().is_none_or(|bound| !bound.contains(&at))
                })
                .map(|(name, at)| (name, at - BEFORE.len())),
        );
        for inner in node.descendants() {
            if ast::ClosureExpr::can_cast(inner.kind()) {
                self.closures.push(range_of(&inner));
            }
            // What stands around it, up to the statement.
            let levels = inner.ancestors().take_while(|outer| outer != node).count();
            let is_outside =
                || !inner.ancestors().skip(1).take(levels).any(|outer| is_boundary(&outer));
            let awaits = ast::AwaitExpr::can_cast(inner.kind())
                || ast::TokenTree::cast(inner.clone()).is_some_and(|tree| awaits_in_macro(&tree));
            if awaits && is_outside() {
                self.awaits = true;
            }
            if let Some(expression) = ast::BinExpr::cast(inner.clone())
                && let Some(ast::BinaryOp::Assignment { op }) = expression.op_kind()
                && let Some(left) = expression.lhs()
            {
                if op.is_none() {
                    self.set.extend(crate::names::set(&left));
                }
                let names = crate::names::used(left.syntax()).into_iter();
                let to = if op.is_none() { &mut self.assigned } else { &mut self.updated };
                to.extend(names.map(|(name, _)| name));
            }
            if let Some(expression) = ast::ReturnExpr::cast(inner.clone())
                && expression.expr().is_none()
                && is_outside()
            {
                let hidden = node.descendants().filter_map(ast::IdentPat::cast);
                let hidden = hidden.filter_map(|pattern| Some(pattern.name()?.text().to_string()));
                self.returns.push(Return { range: range_of(&inner), hidden: hidden.collect() });
            }
        }
    }

    fn take_item(&mut self, item: Item) {
        self.edits.extend(item.edits.iter().cloned());
        // A macro may name variables that stand before it: it stays among the statements, too.
        if item.is_macro {
            let exported = item.exported.iter().cloned();
            self.edits_of_statements.extend(exported.map(|range| Edit::replace(range, "")));
        } else {
            self.holes.push(item.range.clone());
        }
        self.items.push(item);
    }

    /// A call of a macro is an item if the macro makes items, else a statement, or the expression at the end.
    fn take_call(
        &mut self,
        call: &ast::MacroCall,
        node: &SyntaxNode,
        macros: &Macros<'_>,
        is_last: bool,
    ) {
        let range = range_of(node);
        let kind = macros.kind(call);
        if matches!(kind, MacroKind::Items | MacroKind::Macros) {
            let in_braces = call.token_tree().is_some_and(|tree| {
                tree.left_delimiter_token().is_some_and(|token| token.kind() == SyntaxKind::L_CURLY)
            });
            let text = &node.text().to_string();
            if !in_braces && !text.ends_with(';') {
                self.edits.push(Edit::insert(range.end, ";"));
            }
            return self.take_item(Item::of_call(call, range, kind));
        }
        self.has_statements = true;
        self.read_statement(node, Facts::of(node));
        if let MacroKind::Variables { is_mut } = kind {
            let names = items::names_given(call).into_iter();
            let new = |name| Binding {
                name,
                is_mut,
                is_number: false,
                is_same_again: false,
                later: None,
                closure: None,
                temporaries: Vec::new(),
                range: range.clone(),
            };
            self.given.extend(names.map(new));
        }
        // In braces it ends without a semicolon, wherever it stands.
        let is_last =
            is_last || node.next_sibling().is_none() && !node.text().to_string().ends_with(';');
        if is_last {
            self.closing = ast::Expr::cast(node.clone())
                .and_then(|e| closing(&e, true))
                .or(Some(Closing { range, is_macro: true }));
        }
    }

    fn inner_attributes(&mut self, list: &ast::StmtList) {
        for attribute in list.attrs().filter(|attribute| attribute.excl_token().is_some()) {
            self.attributes.push(attribute.syntax().text().to_string());
            self.holes.push(range_of(attribute.syntax()));
        }
        // Documentation of the file; there is none.
        for token in list.syntax().children_with_tokens().filter_map(|element| element.into_token())
        {
            if token.kind() == SyntaxKind::COMMENT
                && ["//!", "/*!"].iter().any(|begin| token.text().starts_with(begin))
            {
                let range = token.text_range();
                let start = usize::from(range.start()) - BEFORE.len();
                self.holes.push(start..usize::from(range.end()) - BEFORE.len());
            }
        }
    }

    /// A `let` at the end needs no semicolon.
    fn end_with_semicolon(&mut self, list: &ast::StmtList) {
        if let Some(ast::Stmt::LetStmt(last)) = list.statements().last()
            && list.tail_expr().is_none()
            && last.semicolon_token().is_none()
            && last.initializer().is_some()
        {
            let end = trimmed_end(last.syntax());
            self.edits.push(Edit::insert(end, ";"));
        }
    }

    /// The names of the variables in `known` that this cell reads or changes.
    pub fn uses<'a>(&'a self, known: &'a dyn Fn(&str) -> bool) -> BTreeSet<&'a str> {
        const NONE: &BTreeSet<usize> = &BTreeSet::new();
        self.uses_outside(NONE, known)
    }

    /// Where its statements stand, in their order.
    pub fn statements(&self) -> &[Range<usize>] {
        &self.statements
    }

    /// Where the statement begins that stands at a place of the text.
    pub fn statement_at(&self, at: usize) -> Option<usize> {
        self.statements.iter().find(|range| range.contains(&at)).map(|range| range.start)
    }

    /// The statement at a place of the text, by where it begins, if the variables that it declares may be made later:
    /// nothing in the cell uses them but copies and closures, which wait, too. Empty if it may not.
    pub fn waiting_at(&self, at: usize) -> BTreeSet<usize> {
        let Some(first) = self.declared_at(at).next() else { return BTreeSet::new() };
        let mut starts = BTreeSet::new();
        let mut left = vec![first.range.start];
        while let Some(start) = left.pop() {
            if !starts.insert(start) {
                continue;
            }
            for one in self.declared_at(start) {
                let again = |other: &Binding| other.range.start > start && other.name == one.name;
                if one.later.is_none() || self.bindings.iter().any(again) {
                    return BTreeSet::new();
                }
                let uses = self
                    .names
                    .iter()
                    .filter(|(used, at)| *used == one.name && *at >= one.range.end);
                for (_, at) in uses {
                    match self.declared_at(*at).next() {
                        Some(of) if of.later.is_some_and(|later| later != Later::Constructed) => {
                            left.push(of.range.start)
                        }
                        _ => return BTreeSet::new(),
                    }
                }
            }
        }
        starts
    }

    /// The statements that declare copies of a variable, by where they begin, where nothing in the cell uses those.
    pub fn copies_of(&self, name: &str) -> BTreeSet<usize> {
        let copies = self.bindings.iter().filter(|one| {
            one.later == Some(Later::Cloned) && self.names_within(&one.range).contains(name)
        });
        copies.flat_map(|one| self.waiting_at(one.range.start)).collect()
    }

    /// The statement that declares a variable last and gives it no value, by where it begins, if a later cell may do
    /// that: nothing in this one uses it.
    pub fn waiting_for_value(&self, name: &str) -> BTreeSet<usize> {
        let of = self.last_declared(name).filter(|one| one.later == Some(Later::Declared));
        of.map(|one| self.waiting_at(one.range.start)).unwrap_or_default()
    }

    /// The statements that make a variable as this cell leaves it, whenever they are run, if that is known.
    pub(crate) fn statements_of(&self, binding: &Binding) -> Option<String> {
        let made = self.as_statement(binding.range.clone()).filter(|_| binding.is_same_again)?;
        self.changed_by_statements(made, &binding.name, binding.range.end)
    }

    /// The same of a variable of an earlier cell, which these statements have made.
    pub(crate) fn changed_again(&self, made: String, name: &str) -> Option<String> {
        self.changed_by_statements(made, name, 0)
    }

    fn changed_by_statements(&self, mut made: String, name: &str, from: usize) -> Option<String> {
        // Made again more often than it is worth, it is left as it is.
        const LONGEST: usize = 4096;
        let behind = self.statements.iter().zip(&self.facts);
        for (range, facts) in behind.filter(|(range, _)| range.start >= from) {
            if !self.names_within(range).contains(name) {
                continue;
            }
            match facts.effect_on(name) {
                Effect::Reads => {}
                Effect::Changes => made += &self.as_statement(range.clone())?,
                Effect::Unknown => return None,
            }
        }
        (made.len() <= LONGEST).then_some(made)
    }

    /// A statement in one line, if no text in it has several.
    pub(crate) fn as_statement(&self, range: Range<usize>) -> Option<String> {
        let text = crate::source::in_one_line(&self.text, range)?;
        let end = if text.trim_end().ends_with(';') { "" } else { ";" };
        Some(text + end)
    }

    /// The names that it reads or changes in statements other than these, by where they begin.
    pub(crate) fn uses_outside<'a>(
        &'a self,
        waiting: &'a BTreeSet<usize>,
        known: &'a dyn Fn(&str) -> bool,
    ) -> BTreeSet<&'a str> {
        let holes: Vec<Range<usize>> = self.waiting(waiting).collect();
        let is_outside = |at: usize| !holes.iter().any(|hole| hole.contains(&at));
        let used = self.names.iter().filter(|(name, at)| {
            let declared = self.bindings.iter().find(|binding| binding.name == *name);
            let is_before = declared.is_none_or(|binding| *at < binding.range.end);
            known(name) && is_before && is_outside(*at)
        });
        used.map(|(name, _)| name.as_str()).collect()
    }

    /// The names that a part of it reads or changes.
    pub(crate) fn names_within(&self, range: &Range<usize>) -> BTreeSet<String> {
        let within = self.names.iter().filter(|(_, at)| range.contains(at));
        within.map(|(name, _)| name.clone()).collect()
    }

    /// The names in the statement that begins at a place.
    pub fn names_at(&self, start: usize) -> BTreeSet<String> {
        let statement = self.statements.iter().find(|range| range.start == start);
        statement.map(|range| self.names_within(range)).unwrap_or_default()
    }

    /// Whether something is assigned to a name, by `=` or an operator.
    pub(crate) fn assigns(&self, name: &str) -> bool {
        self.assigned.contains(name) || self.updated.contains(name)
    }

    /// Whether it gives the whole of a variable a new value.
    pub(crate) fn sets(&self, name: &str) -> bool {
        self.set.contains(name)
    }

    /// The statements that wait, by where they begin.
    pub(crate) fn waiting<'a>(
        &'a self,
        starts: &'a BTreeSet<usize>,
    ) -> impl Iterator<Item = Range<usize>> + 'a {
        self.statements.iter().filter(|range| starts.contains(&range.start)).cloned()
    }

    /// Where the statement begins that follows a place of the text.
    pub fn statement_after(&self, at: usize) -> Option<usize> {
        self.statements.iter().map(|range| range.start).find(|start| *start > at)
    }

    /// Where the statement begins that follows the one which declares a variable last.
    pub(crate) fn statement_behind(&self, name: &str) -> Option<usize> {
        self.statement_after(self.last_declared(name)?.range.start)
    }

    /// The edition of the language that it is written in.
    pub(crate) fn edition(&self) -> Edition {
        self.edition
    }

    /// Where the statement begins that declares a variable last, and the names in it that are for places.
    pub(crate) fn named_for(&self, name: &str) -> (usize, BTreeSet<&str>) {
        let Some(Binding { range, .. }) = self.last_declared(name) else {
            return (0, BTreeSet::new());
        };
        let within = self.places.iter().filter(|used| range.contains(&used.range.start));
        (range.start, within.map(|used| used.name.as_str()).collect())
    }

    /// Whether there is an `unsafe` block in the statement that begins here.
    pub(crate) fn is_unsafe(&self, start: usize) -> bool {
        let range = self.statements.iter().find(|range| range.start == start);
        range.is_some_and(|range| words(&self.text[range.clone()]).any(|word| word == "unsafe"))
    }

    /// The values without names that the statement borrows from which declares a variable last.
    pub(crate) fn temporaries(&self, name: &str) -> &[Temporary] {
        self.last_declared(name).map_or(&[], |binding| &binding.temporaries)
    }

    /// The variable whose name such values have which a variable borrows from: the first that its statement declares.
    pub fn holder_of_temporaries(&self, name: &str) -> Option<&str> {
        let of = self.last_declared(name).filter(|binding| !binding.temporaries.is_empty())?;
        self.declared_at(of.range.start).next().map(|first| first.name.as_str())
    }

    /// Whether a variable is declared by the statements before a place of the text.
    pub fn declares_before(&self, name: &str, at: usize) -> bool {
        self.bindings.iter().any(|binding| binding.name == name && binding.range.end <= at)
    }

    /// Whether a variable that is lent from a place on is the one whose name it has at the end.
    pub(crate) fn is_lent_to_the_end(&self, name: &str, at: usize) -> bool {
        self.last_declared(name).is_none_or(|last| last.range.end <= at)
    }

    /// What makes of a reference, which has a variable's name from a place on, the variable's place.
    pub(crate) fn behind_reference(&self, name: &str, from: usize) -> Vec<Edit> {
        let mut again = self.bindings.iter().filter(|binding| binding.name == name);
        let again = again.find(|binding| binding.range.end > from);
        let to = again.map_or(self.text.len(), |binding| binding.range.end);
        let uses = self
            .places
            .iter()
            .filter(|used| used.name == name && used.range.start >= from && used.range.end <= to);
        let variable = crate::source::raw(name);
        uses.flat_map(|used| {
            let Range { start, end } = used.range;
            let code = match used.how {
                How::Alone => ["(*".to_owned(), ")".to_owned()],
                How::Field => [format!("{variable}: (*"), ")".to_owned()],
                How::Format { ends_with_comma } => {
                    let comma = if ends_with_comma { "" } else { "," };
                    [String::new(), format!("{comma} {variable} = (*{variable})")]
                }
            };
            let [before, after] = code;
            [Edit::insert(start, before), Edit::insert(end, after)]
        })
        .collect()
    }

    /// Where its code begins: at the end of the cell, where there is none.
    pub fn code_start(&self) -> usize {
        let mut commands = self.commands.iter().map(|command| command.range.clone());
        let mut at = 0;
        loop {
            let rest = &self.text[at..];
            let is_blank = |c: char| c.is_whitespace() || c == MARK;
            at += rest.len() - rest.trim_start_matches(is_blank).len();
            match commands.find(|command| command.end > at) {
                Some(command) if command.start <= at => at = command.end,
                _ => return at,
            }
        }
    }

    /// Whether there is anything to compile.
    pub fn has_anything(&self) -> bool {
        self.has_statements || !self.items.is_empty() || !self.attributes.is_empty()
    }

    /// Whether something in it has to be waited for.
    pub fn has_future(&self) -> bool {
        self.awaits || self.main().is_some_and(|main| main.main == Some(items::Main::Async))
    }

    /// Whether there are closures in it.
    pub fn has_closures(&self) -> bool {
        let tree = SourceFile::parse(&format!("{BEFORE}{}\n}}", self.text), self.edition).tree();
        tree.syntax().descendants().any(|node| ast::ClosureExpr::can_cast(node.kind()))
    }

    /// Whether a `return` may end it before its end.
    pub fn returns(&self) -> bool {
        !self.returns.is_empty()
    }

    /// Whether a variable that it moves may have a value again at its end.
    pub fn gives_back(&self, name: &str) -> bool {
        let is_new = self.bindings.iter().any(|binding| binding.name == name);
        self.assigned.contains(name) && !is_new && !self.returns()
    }

    /// The crates that it names by `extern crate`, but for those of Rust's own.
    pub fn extern_crates(&self) -> Vec<String> {
        const OF_RUST: [&str; 6] = ["std", "core", "alloc", "proc_macro", "test", "self"];
        let heads = self.items.iter().filter(|item| item.place == Place::Crates);
        let named = heads.filter_map(|item| {
            let (_, rest) = item.text.split_once("extern crate")?;
            let name = rest
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .find(|word| !word.is_empty())?;
            (!OF_RUST.contains(&name)).then(|| name.to_owned())
        });
        named.collect()
    }

    /// The last declaration of each variable, those by macros among them whose names are in `by_macros`.
    pub fn variables(&self, by_macros: &BTreeSet<String>) -> Vec<&Binding> {
        let mut seen = BTreeSet::new();
        let given = self.given.iter().filter(|binding| by_macros.contains(&binding.name));
        let mut last: Vec<&Binding> = self
            .bindings
            .iter()
            .chain(given)
            .rev()
            .filter(|binding| seen.insert(&binding.name))
            .collect();
        last.reverse();
        last
    }

    /// Where the copies of its files are, below the folder of the root file, and how the reader knows them; a folder
    /// before the files in it.
    pub(crate) fn copies(&self) -> Vec<(String, String)> {
        let modules = self.module_files.iter().flat_map(|module| {
            let copy = file_of_module(self.number, &module.name);
            let folder = format!("{}/", module.name);
            let shown = module.file.file_name().unwrap_or_default().to_string_lossy();
            let shown = if shown == "mod.rs" { format!("{folder}mod.rs") } else { shown.into() };
            [(copy.trim_end_matches("mod.rs").to_owned(), folder), (copy, shown)]
        });
        let included = self.included_files.iter().enumerate();
        let included = included.map(|(place, included)| {
            (file_of_include(self.number, place), included.written.clone())
        });
        modules.chain(included).collect()
    }

    /// Whether a variable is declared as a closure that captures by reference: `let f = |..| ..`.
    pub fn is_closure(&self, name: &str) -> bool {
        let value = self.closure(name);
        value.is_some_and(|value| self.text[value].starts_with('|'))
    }

    /// Where the value of a variable stands, if it is written as a closure.
    fn closure(&self, name: &str) -> Option<Range<usize>> {
        self.last_declared(name)?.closure.clone()
    }

    /// Where the closure begins that is the value of a variable.
    pub fn place_of_closure(&self, name: &str) -> Option<usize> {
        self.closure(name).map(|value| value.start)
    }

    /// Whether a closure begins at a place of the text, in one of its statements.
    pub fn closure_begins_at(&self, at: usize) -> bool {
        self.closures.iter().any(|closure| closure.start == at)
    }

    /// What makes the closure that begins at a place into something else.
    pub(crate) fn as_called(&self, at: usize, callable: &Callable) -> Vec<Edit> {
        let closure = self.closures.iter().find(|closure| closure.start == at);
        let (before, after) = callable.in_place().around();
        let edits = closure
            .map(|value| [Edit::insert(value.start, before), Edit::insert(value.end, after)]);
        edits.into_iter().flatten().collect()
    }

    /// Whether a closure stands at a place of the text, as the value of a variable.
    pub fn has_closure_at(&self, at: usize) -> bool {
        let of =
            |binding: &Binding| binding.closure.as_ref().is_some_and(|value| value.contains(&at));
        self.bindings.iter().any(of)
    }

    /// Where a variable is declared last.
    fn last_declared(&self, name: &str) -> Option<&Binding> {
        self.bindings.iter().rev().find(|binding| binding.name == name)
    }

    /// The variables that the statement declares which stands at a place of the text.
    pub fn declared_at(&self, at: usize) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |binding| binding.range.contains(&at))
    }

    /// Whether it is nothing but items, with a function `main` among them.
    pub fn main(&self) -> Option<&Item> {
        let alone = !self.has_statements && !self.is_broken;
        self.items.iter().find(|item| alone && item.main.is_some())
    }

    /// The statements on their lines. Where a `return` ends the cell, `leave` says what comes before it,
    /// for the variables that are declared by then; `loans` is what lends variables.
    pub(crate) fn with_statements(
        &self,
        show: Option<(&str, &str)>,
        loans: &[Edit],
        waiting: &BTreeSet<usize>,
        leave: &dyn Fn(&[&Binding], usize) -> String,
    ) -> (String, Vec<Edit>) {
        let holes: Vec<Range<usize>> =
            self.holes.iter().cloned().chain(self.waiting(waiting)).collect();
        let kept = without(0..self.text.len(), &holes);
        // What ends with a name comes before what follows it.
        let (before, within): (Vec<Edit>, Vec<Edit>) =
            loans.iter().cloned().partition(|edit| edit.text.ends_with(' '));
        let mut edits = within;
        edits.extend(self.edits.iter().cloned());
        edits.extend(self.edits_of_statements.iter().cloned());
        for exit in &self.returns {
            let declared: Vec<&Binding> = self
                .variables(&BTreeSet::new())
                .into_iter()
                .filter(|binding| {
                    binding.range.end <= exit.range.start && !exit.hidden.contains(&binding.name)
                })
                .collect();
            edits.push(Edit::replace(exit.range.clone(), leave(&declared, exit.range.start)));
        }
        self.around_closing(show, &mut edits);
        edits.splice(0..0, before);
        (rendered(&self.text, &kept, &edits), edits)
    }

    /// Puts the expression at the end between two texts.
    fn around_closing(&self, show: Option<(&str, &str)>, edits: &mut Vec<Edit>) {
        if let (Some(closing), Some((before, after))) = (&self.closing, show) {
            edits.insert(0, Edit::insert(closing.range.start, before));
            edits.push(Edit::insert(closing.range.end, after));
        }
    }

    /// The statements as the reader wrote them, with nothing of the kernel's among them; the expression at
    /// the end stands between the two texts of `show`.
    pub fn plain_statements(&self, show: Option<(&str, &str)>, folder: &Path) -> String {
        let kept = without(0..self.text.len(), &self.holes);
        let mut edits: Vec<Edit> =
            self.edits.iter().filter(|edit| edit.text == ";").cloned().collect();
        let leave = |exit: &Return| Edit::replace(exit.range.clone(), "return Ok(())");
        edits.extend(self.returns.iter().map(leave));
        edits.extend(crate::paths::absolute(&self.text, folder));
        self.around_closing(show, &mut edits);
        rendered(&self.text, &kept, &edits)
    }

    /// Some ranges of it as the reader wrote them.
    pub(crate) fn plain(&self, kept: &[Range<usize>], folder: &Path) -> String {
        rendered(&self.text, kept, &crate::paths::absolute(&self.text, folder))
    }

    /// Some of its items on their lines.
    pub(crate) fn items_text(&self, kept: &[Range<usize>], more: &[Edit]) -> (String, Vec<Edit>) {
        let mut edits = self.edits.clone();
        edits.extend(more.iter().cloned());
        // From one of the folders in which items are.
        let read = |module: &ModuleFile| {
            module.read_from(&format!("../{}", file_of_module(self.number, &module.name)))
        };
        edits.extend(self.module_files.iter().map(read));
        let is_copied =
            |edit: &Edit| self.included_files.iter().any(|included| included.literal == edit.range);
        edits.retain(|edit| !is_copied(edit));
        edits.extend(self.included_files.iter().enumerate().map(|(place, included)| {
            let path = format!("../{}", file_of_include(self.number, place));
            Edit::replace(included.literal.clone(), format!("{path:?}"))
        }));
        (rendered(&self.text, kept, &edits), edits)
    }
}

/// The names that a pattern gives to numbers without a type: those in `let (a, b) = (1, "b");`.
fn numbers(pattern: Option<ast::Pat>, value: Option<&ast::Expr>) -> BTreeSet<String> {
    let (Some(ast::Pat::TuplePat(pattern)), Some(ast::Expr::TupleExpr(value))) = (pattern, value)
    else {
        return BTreeSet::new();
    };
    let has_rest = pattern.fields().any(|field| matches!(field, ast::Pat::RestPat(_)));
    let pairs = pattern.fields().zip(value.fields()).filter(|_| !has_rest);
    let names = pairs.filter_map(|(pattern, value)| match pattern {
        ast::Pat::IdentPat(one) if is_number(&value) => Some(one.name()?.text().to_string()),
        _ => None,
    });
    names.collect()
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// What macros expand to: those of this cell, then those of earlier ones and of the standard library.
struct Macros<'a> {
    outer: &'a dyn Fn(&str, &ast::MacroCall) -> Option<MacroKind>,
    own: Vec<(String, Vec<Rule>)>,
    /// The files that the cell includes.
    included: &'a [IncludedFile],
    edition: Edition,
}

impl Macros<'_> {
    fn kind(&self, call: &ast::MacroCall) -> MacroKind {
        let Some(name) = items::name_of(call) else { return MacroKind::Statements };
        let range = range_of(call.syntax());
        let of_call = |included: &&IncludedFile| holds(&range, &included.literal);
        if name == "include"
            && let Some(included) = self.included.iter().find(of_call)
            && let Some(text) = &included.text
            && crate::paths::has_items_alone(text, self.edition)
        {
            return MacroKind::Items;
        }
        let own = self.own.iter().rev().find(|(own, _)| *own == name);
        own.and_then(|(_, rules)| items::expansion(rules, call))
            .or_else(|| (self.outer)(&name, call))
            .unwrap_or_else(|| items::guessed_kind(&name, call))
    }
}

/// The first line, where it names the program that runs a script.
fn script_line(code: &str, start: usize) -> Range<usize> {
    let is_script =
        code[start..].strip_prefix("#!").is_some_and(|rest| !rest.trim_start().starts_with('['));
    start..if is_script { code.find('\n').unwrap_or(code.len()) } else { start }
}

/// Whether the arguments of a macro wait for a future, as in `println!("{}", f().await)`. Where they make the
/// future themselves, nothing is lost by waiting around them.
fn awaits_in_macro(tree: &ast::TokenTree) -> bool {
    let tokens = tree.syntax().children_with_tokens().filter_map(|element| element.into_token());
    let tokens: Vec<_> = tokens.filter(|token| !token.kind().is_trivia()).collect();
    tokens.windows(2).any(|pair| pair[0].text() == "." && pair[1].text() == "await")
}

/// What is shown of an expression at the end; None for those that are never a value.
fn closing(expression: &ast::Expr, is_macro: bool) -> Option<Closing> {
    use ast::Expr::{BreakExpr, ContinueExpr, ForExpr, IfExpr, LetExpr, ReturnExpr, WhileExpr};
    match expression {
        // `#[cfg(unix)] { .. }` may be left out.
        _ if expression.attrs().next().is_some() => None,
        ForExpr(_) | WhileExpr(_) | ReturnExpr(_) | BreakExpr(_) | ContinueExpr(_) | LetExpr(_) => {
            None
        }
        IfExpr(branches) if branches.else_branch().is_none() => None,
        _ => {
            let range = range_of(expression.syntax());
            Some(Closing { range, is_macro })
        }
    }
}

/// Whether `return` and `.await` within mean something else.
fn is_boundary(node: &SyntaxNode) -> bool {
    let is_async =
        || ast::BlockExpr::cast(node.clone()).is_some_and(|block| block.async_token().is_some());
    ast::Fn::can_cast(node.kind()) || ast::ClosureExpr::can_cast(node.kind()) || is_async()
}

/// Where a node stands in the cell.
pub(crate) fn range_of(node: &SyntaxNode) -> Range<usize> {
    let range = node.text_range();
    let start = usize::from(range.start()).saturating_sub(BEFORE.len());
    start..usize::from(range.end()).saturating_sub(BEFORE.len())
}

fn trimmed_end(node: &SyntaxNode) -> usize {
    let text = node.text().to_string();
    range_of(node).start + text.trim_end().len()
}
