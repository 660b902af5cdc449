//! What a `let` gives its variable.

use std::ops::Range;

use ra_ap_syntax::ast::{self, HasArgList as _};
use ra_ap_syntax::{AstNode as _, Edition, SourceFile};

use crate::cell::range_of;

/// Where a value without a name stands that lives as long as what borrows from it: `f()` in `let x = &f();`.
pub(crate) type Temporary = Range<usize>;

/// A value that may be made later than where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Later {
    /// It has none yet: `let x: i32;`.
    Declared,
    /// It had one, which was moved: a cell that gives it another declares it.
    Moved,
    /// It is the same whenever it is made.
    Constructed,
    /// As long as nothing of what it names has changed, and with the variable that it is a copy of.
    Cloned,
    /// A closure that takes what it names as it is now: as long as nothing of that has changed.
    Taking,
    /// A closure that refers to what it names, or names nothing.
    Referring,
}

impl Later {
    pub(crate) fn of(value: &ast::Expr) -> Option<Later> {
        match value {
            ast::Expr::ClosureExpr(closure) if closure.move_token().is_some() => {
                Some(Later::Taking)
            }
            ast::Expr::ClosureExpr(_) => Some(Later::Referring),
            ast::Expr::MethodCallExpr(call) => {
                let is_clone = call.name_ref().is_some_and(|name| name.text() == "clone");
                let is_of_name = matches!(call.receiver(), Some(ast::Expr::PathExpr(_)));
                (is_clone && is_of_name).then_some(Later::Cloned)
            }
            // `Rc::clone(&x)`
            ast::Expr::CallExpr(call) if is_clone_of_name(call) => Some(Later::Cloned),
            // As long as that number has not changed.
            ast::Expr::MacroExpr(call) if counted(call).is_some_and(|count| !is_fixed(&count)) => {
                Some(Later::Cloned)
            }
            _ => constructs(value).then_some(Later::Constructed),
        }
    }
}

/// Whether a call is one of `clone` by its path, with a reference to a variable.
fn is_clone_of_name(call: &ast::CallExpr) -> bool {
    let function = call.expr().map(|function| function.syntax().text().to_string());
    let mut arguments = call.arg_list().into_iter().flat_map(|list| list.args());
    let is_of_name = matches!(
        arguments.next(),
        Some(ast::Expr::RefExpr(one)) if matches!(one.expr(), Some(ast::Expr::PathExpr(_)))
    );
    function.is_some_and(|function| function.ends_with("::clone"))
        && is_of_name
        && arguments.next().is_none()
}

/// Whether a value is made by constructors that are given literals alone, as in `Vec::new()` and `channel()`; room
/// may be asked for by any number.
fn constructs(value: &ast::Expr) -> bool {
    match value {
        ast::Expr::Literal(_) => true,
        ast::Expr::PathExpr(path) => path.syntax().text() == "None",
        ast::Expr::TupleExpr(tuple) => tuple.fields().all(|field| constructs(&field)),
        ast::Expr::ArrayExpr(array) => array.exprs().all(|part| constructs(&part)),
        ast::Expr::MacroExpr(call) => {
            let text = call.syntax().text().to_string();
            matches!(&*text, "vec![]" | "vec!()")
                || counted(call).is_some_and(|count| is_fixed(&count))
        }
        ast::Expr::CallExpr(call) => {
            let Some(ast::Expr::PathExpr(function)) = call.expr() else { return false };
            let path = function.syntax().text().to_string();
            let is_known = match path.rsplit_once("::") {
                Some((_, name)) => {
                    matches!(
                        name,
                        "new" | "default" | "with_capacity" | "uninit" | "channel" | "sync_channel"
                    )
                }
                None => matches!(&*path, "channel" | "sync_channel" | "Some" | "Ok" | "Err"),
            };
            let asks_for_room = path.ends_with("with_capacity");
            let is_plain =
                |argument: &ast::Expr| constructs(argument) || asks_for_room && is_count(argument);
            let mut arguments = call.arg_list().into_iter().flat_map(|list| list.args());
            is_known && arguments.all(|argument| is_plain(&argument))
        }
        _ => false,
    }
}

/// How many there are in `vec![Vec::new(); n]`, whose parts are made by constructors.
fn counted(call: &ast::MacroExpr) -> Option<ast::Expr> {
    let text = call.syntax().text().to_string();
    let list = text.strip_prefix("vec![")?.strip_suffix(']')?;
    let array = expression(&format!("[{list}]"))?;
    let ast::Expr::ArrayExpr(array) = array else { return None };
    array.semicolon_token()?;
    let mut parts = array.exprs();
    let (part, count) = (parts.next()?, parts.next()?);
    (constructs(&part) && is_count(&count)).then_some(count)
}

fn expression(text: &str) -> Option<ast::Expr> {
    let file = SourceFile::parse(&format!("const _: () = {text};"), Edition::Edition2024);
    let body = file.tree().syntax().descendants().find_map(ast::Const::cast)?.body();
    body.filter(|_| file.errors().is_empty())
}

/// Whether a number of things is the same whenever it is asked for: it names nothing but constants.
fn is_fixed(count: &ast::Expr) -> bool {
    let mut names = count.syntax().descendants().filter_map(ast::NameRef::cast);
    names.all(|name| name.text().chars().all(|c| c.is_uppercase() || c.is_numeric() || c == '_'))
}

/// Whether an expression is a number of things, as in `2 * n as usize` and `names.len()`.
fn is_count(value: &ast::Expr) -> bool {
    let is = |part: Option<ast::Expr>| part.as_ref().is_some_and(is_count);
    match value {
        ast::Expr::Literal(_) | ast::Expr::PathExpr(_) => true,
        ast::Expr::CastExpr(cast) => is(cast.expr()),
        ast::Expr::ParenExpr(inner) => is(inner.expr()),
        ast::Expr::BinExpr(both) => is(both.lhs()) && is(both.rhs()),
        ast::Expr::MethodCallExpr(call) => {
            call.name_ref().is_some_and(|name| name.text() == "len") && is(call.receiver())
        }
        _ => false,
    }
}

/// The values without names that an initializer borrows from and that live as long as its variable does: Rust's
/// extended temporaries.
pub(crate) fn temporaries(initializer: ast::Expr) -> Vec<Temporary> {
    let mut found = Vec::new();
    let mut left = vec![initializer];
    let tail = |block: &ast::BlockExpr| block.tail_expr();
    while let Some(value) = left.pop() {
        match value {
            ast::Expr::RefExpr(reference) => {
                let Some(base) = reference.expr().and_then(base_of_place) else { continue };
                found.push(range_of(base.syntax()));
                left.push(base);
            }
            ast::Expr::ParenExpr(inner) => left.extend(inner.expr()),
            ast::Expr::CastExpr(cast) => left.extend(cast.expr()),
            ast::Expr::TupleExpr(tuple) => left.extend(tuple.fields()),
            ast::Expr::ArrayExpr(array) => left.extend(array.exprs()),
            ast::Expr::RecordExpr(record) => {
                let fields = record.record_expr_field_list().into_iter();
                left.extend(fields.flat_map(|list| list.fields()).filter_map(|field| field.expr()));
            }
            // `Some(&f())`: what is called like a type is no function.
            ast::Expr::CallExpr(call) => {
                let name = call.expr().map(|function| function.syntax().text().to_string());
                let name = name.as_deref().and_then(|path| path.rsplit("::").next());
                if name.is_some_and(|name| name.starts_with(char::is_uppercase)) {
                    left.extend(call.arg_list().into_iter().flat_map(|list| list.args()));
                }
            }
            ast::Expr::BlockExpr(block) => left.extend(tail(&block)),
            ast::Expr::IfExpr(branches) => {
                left.extend(branches.then_branch().as_ref().and_then(tail));
                match branches.else_branch() {
                    Some(ast::ElseBranch::Block(block)) => left.extend(tail(&block)),
                    Some(ast::ElseBranch::IfExpr(again)) => left.push(ast::Expr::IfExpr(again)),
                    None => {}
                }
            }
            _ => {}
        }
    }
    found
}

/// The value without a name of which a place is a part, if it is one's.
fn base_of_place(place: ast::Expr) -> Option<ast::Expr> {
    match place {
        ast::Expr::PathExpr(_) => None,
        ast::Expr::PrefixExpr(behind) if behind.op_kind() == Some(ast::UnaryOp::Deref) => {
            base_of_place(behind.expr()?)
        }
        ast::Expr::ParenExpr(inner) => base_of_place(inner.expr()?),
        ast::Expr::FieldExpr(field) => base_of_place(field.expr()?),
        ast::Expr::IndexExpr(index) => base_of_place(index.base()?),
        value => Some(value),
    }
}

/// Whether an expression is a number of which Rust knows the type by its use alone.
pub(crate) fn is_number(expression: &ast::Expr) -> bool {
    let literal = match expression {
        ast::Expr::Literal(literal) => literal.clone(),
        ast::Expr::PrefixExpr(minus) => match minus.expr() {
            Some(ast::Expr::Literal(literal)) => literal,
            _ => return false,
        },
        _ => return false,
    };
    match literal.kind() {
        ast::LiteralKind::IntNumber(number) => number.suffix().is_none(),
        ast::LiteralKind::FloatNumber(number) => number.suffix().is_none(),
        _ => false,
    }
}
