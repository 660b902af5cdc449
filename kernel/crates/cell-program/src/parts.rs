//! Variables of which parts were moved: behind `let name = person.name;` there still is `person.age`.
//!
//! The compiler says that a variable was moved in part, of which type it is, and which parts are left; the fields
//! of that type stand in the cells. What is left of the variable is kept in a place for all of it. A later cell has
//! the whole variable and forgets, before all else, what was moved: from there on the compiler knows it as it was.

use std::collections::{BTreeMap, BTreeSet};

use ra_ap_syntax::ast::{self, HasName as _};
use ra_ap_syntax::{AstNode as _, SourceFile};

use crate::cell::Cell;
use crate::choices::Choices;
use crate::edit::Edit;
use crate::loans::Loans;
use crate::program::Program;
use crate::source::{Mark, raw};

/// What is known of the parts of a variable, each by what stands behind the variable's name: `.age`, `.home.street`.
/// The variable as a whole is an empty text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Those that are left.
    left: BTreeSet<String>,
    /// Those that were moved, each with the cell that did it.
    moved: BTreeMap<String, usize>,
    /// Those that were moved in part: the compiler is asked of which types they are.
    asked: BTreeSet<String>,
    /// Where the type of the variable is not one of the cells': whether it has other fields.
    foreign: Option<Foreign>,
}

/// A type that the cells do not define.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Foreign {
    /// The fields that it is known to have.
    fields: Vec<String>,
    /// The type, once it is known: the compiler is asked whether it has more.
    kind: Option<String>,
}

/// What is known of the fields of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fields {
    /// All of them.
    All(Vec<String>),
    /// Some, of a type that is not one of the cells'.
    Some(Vec<String>),
}

impl Parts {
    /// Of a variable that was moved in part, and of which nothing else is known.
    pub fn unknown() -> Parts {
        Parts { asked: BTreeSet::from([String::new()]), ..Parts::default() }
    }

    /// Of a variable of whose parts nothing can be kept.
    pub fn none() -> Parts {
        Parts { moved: BTreeMap::from([(String::new(), 0)]), ..Parts::default() }
    }

    /// Whether nothing was moved.
    pub fn is_whole(&self) -> bool {
        self.moved.is_empty() && self.asked.is_empty()
    }

    /// Whether there is something to keep.
    pub fn is_some(&self) -> bool {
        !self.left.is_empty() || !self.asked.is_empty()
    }

    /// Those that were moved, each with the cell that did it.
    pub fn moved(&self) -> impl Iterator<Item = (&str, usize)> {
        self.moved.iter().map(|(part, cell)| (part.as_str(), *cell))
    }

    /// Takes in that a cell has moved a part.
    pub fn is_moved(&mut self, part: &str, cell: usize) {
        self.left.remove(part);
        self.asked.remove(part);
        self.moved.insert(part.to_owned(), cell);
    }

    /// Takes in that a part was moved in part.
    pub fn is_moved_in_part(&mut self, part: &str) {
        self.left.remove(part);
        self.asked.insert(part.to_owned());
    }

    /// Whether the compiler is asked of which type a part is.
    pub fn is_asked(&self, part: &str) -> bool {
        self.asked.contains(part)
    }

    /// Takes in the fields of a part that a cell has moved in part.
    pub fn has_fields(&mut self, part: &str, fields: Fields, cell: usize) {
        let fields = match fields {
            Fields::All(fields) => fields,
            Fields::Some(fields) if part.is_empty() => {
                self.foreign = Some(Foreign { fields: fields.clone(), kind: None });
                fields
            }
            Fields::Some(_) => return self.is_moved(part, cell),
        };
        self.asked.remove(part);
        self.left.extend(fields.iter().map(|field| format!("{part}.{field}")));
    }

    /// Takes in the type of the variable. Returns whether the compiler is asked for more of it.
    pub fn is_of(&mut self, kind: &str) -> bool {
        match &mut self.foreign {
            Some(foreign @ Foreign { kind: None, .. }) => {
                foreign.kind = Some(kind.to_owned());
                true
            }
            _ => false,
        }
    }

    /// What forgets what was moved of a variable of this name.
    pub(crate) fn forgets(&self, name: &str) -> String {
        let variable = raw(name);
        let forget = |part: &String| format!("::std::mem::forget({variable}{part}); ");
        self.moved.keys().map(forget).collect()
    }

    /// The lines that keep what is left of a variable of this name, or that ask about it.
    pub(crate) fn lines(&self, name: &str) -> Vec<(String, Mark)> {
        let variable = raw(name);
        let mark = |part: &str| Mark::Part { name: name.to_owned(), part: part.to_owned() };
        if !self.asked.is_empty() {
            let ask = |part: &String| (format!("let _ = {variable}{part}.{NO_FIELD};"), mark(part));
            return self.asked.iter().map(ask).collect();
        }
        let place = place_of(name);
        let put = |part: &String| {
            let code = format!(
                "#[allow(warnings, unsafe_code)] unsafe {{ {place}.put(&raw mut (*{place}.place()){part}, {variable}{part}) }};"
            );
            (code, mark(part))
        };
        let mut lines: Vec<(String, Mark)> = self.left.iter().map(put).collect();
        let keep = format!("#[allow(warnings)] ::rust_live::keep_parts({name:?}, {place});");
        lines.push((keep, mark("")));
        if let Some(Foreign { fields, kind: Some(kind) }) = &self.foreign {
            let fields: String = fields.iter().map(|field| format!("{field}: _, ")).collect();
            let code = format!(
                "#[allow(warnings)] {{ type All = {kind}; fn has_no_more(all: All) {{ let All {{ {fields}}} = all; }} }}"
            );
            lines.push((code, mark("")));
        }
        lines
    }

    /// Whether the compiler is asked about them.
    fn asks(&self) -> bool {
        !self.asked.is_empty()
    }
}

/// A field that no type has: the compiler says then which there are.
const NO_FIELD: &str = "__rust_live_no_field";

/// The local variable that is the place for what is left of a variable.
fn place_of(name: &str) -> String {
    format!("__rust_live_parts_{name}")
}

/// What makes that place, while all of the variable is there: it shows its type.
pub(crate) fn makes_place(name: &str) -> String {
    format!(
        "#[allow(warnings)] let mut {} = ::rust_live::Parts::like(&{}); ",
        place_of(name),
        raw(name)
    )
}

impl Choices {
    /// What is left of a variable, if some of it was moved and some is kept.
    pub(crate) fn parts_of(&self, name: &str) -> Option<&Parts> {
        self.parts.get(name).filter(|parts| parts.is_some())
    }

    /// The places for what is left of the variables that a cell declares.
    pub(crate) fn places_of_parts(&self, cell: &Cell) -> Vec<Edit> {
        let made = self.parts.iter().filter(|(_, parts)| parts.is_some() && !parts.asks());
        let places =
            made.filter_map(|(name, _)| Some((cell.statement_behind(name)?, makes_place(name))));
        places.map(|(at, code)| Edit::insert(at, code)).collect()
    }
}

impl Program {
    /// Takes in of which variables a cell has left some parts: of its own if they were kept, of earlier ones in any
    /// case, unless only its own code has had them and has not come to its end.
    pub(crate) fn leave_parts(
        &mut self,
        cell: &Cell,
        choices: &Choices,
        kept: &[(String, String)],
    ) {
        let is_kept = |name: &String| kept.iter().any(|(kept, _)| kept == name);
        for name in choices.within.iter().filter(|name| !is_kept(name)) {
            let reason =
                format!("is gone: cell {}, which changed it, did not come to its end", cell.number);
            self.lose(name, cell.number, |_| reason.clone());
        }
        for (name, parts) in choices.parts.iter().filter(|(_, parts)| parts.is_some()) {
            let is_own = cell.bindings.iter().any(|binding| binding.name == *name);
            if let Some(variable) =
                self.variables.get_mut(name).filter(|_| !is_own || is_kept(name))
            {
                variable.parts = parts.clone();
                variable.made_by = None;
            }
        }
    }

    /// Whether something was moved of a variable of an earlier cell.
    pub fn is_in_parts(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|variable| !variable.parts.is_whole())
    }

    /// What of a variable can be kept, of which a cell has moved some: nothing is known yet, or what is known of an
    /// earlier cell. None where a part cannot be kept alone.
    pub fn parts_left(
        &self,
        cell: &Cell,
        loans: &Loans,
        choices: &Choices,
        name: &str,
    ) -> Option<Parts> {
        let is_own = cell.bindings.iter().any(|binding| binding.name == name);
        let known = self.variables.get(name);
        let known = known.filter(|_| !cell.uses(&|used| used == name).is_empty());
        let is_plain = is_own != known.is_some()
            && !loans.concerns(name)
            && !choices.lending.lent.contains_key(name)
            && !choices.lending.borrowing.contains(name)
            && !choices.by_macros.contains(name)
            && !choices.decides_on(name);
        if !is_plain || choices.parts.contains_key(name) {
            return None;
        }
        match known.map(|variable| &variable.parts) {
            Some(parts) if !parts.is_whole() => Some(parts.clone()),
            Some(_) => Some(Parts::unknown()),
            None => cell.statement_behind(name).map(|_| Parts::unknown()),
        }
    }

    /// The fields of a type as the compiler names it in an error, of which it says that these are among them.
    pub fn fields(&self, cell: &Cell, kind: &str, said: &str) -> Option<Fields> {
        let listed = said.split('`').skip(1).step_by(2);
        if kind.starts_with('(') {
            let more = said.rsplit_once("and ").and_then(|(_, rest)| rest.split(' ').next());
            let more: usize = more.and_then(|count| count.parse().ok()).unwrap_or_default();
            let count = listed.count() + more;
            return Some(Fields::All((0..count).map(|place| place.to_string()).collect()));
        }
        let name = kind.split('<').next()?;
        let own = cell.items.iter();
        let earlier = self.alive_items().map(|(_, item)| item);
        let earlier = earlier.filter(|old| {
            !old.keys.iter().any(|key| cell.items.iter().any(|new| new.keys.contains(key)))
        });
        let mut found = own.chain(earlier).filter(|item| item.says(name)).flat_map(|item| {
            let tree = SourceFile::parse(&item.text, cell.edition()).tree();
            let structs = tree.syntax().descendants().filter_map(ast::Struct::cast);
            structs
                .filter(|one| one.name().is_some_and(|own| own.text() == name))
                .collect::<Vec<_>>()
        });
        match (found.next(), found.next()) {
            (Some(one), None) => fields_of(&one).map(Fields::All),
            (None, _) if !said.contains(" others") => {
                Some(Fields::Some(listed.map(str::to_owned).collect()))
            }
            _ => None,
        }
    }
}

/// The names of all fields of a struct; None where some may be left out.
fn fields_of(one: &ast::Struct) -> Option<Vec<String>> {
    fn is_there(field: &impl ast::HasAttrs) -> bool {
        !field.attrs().any(|attribute| attribute.syntax().text().to_string().contains("cfg"))
    }
    match one.field_list()? {
        ast::FieldList::RecordFieldList(list) => list
            .fields()
            .map(|field| {
                field.name().filter(|_| is_there(&field)).map(|name| name.text().to_string())
            })
            .collect(),
        ast::FieldList::TupleFieldList(list) => {
            let fields = list.fields().enumerate();
            fields.map(|(place, field)| is_there(&field).then(|| place.to_string())).collect()
        }
    }
}
