//! What a `let` gives its variable.

use std::ops::Range;

use ra_ap_syntax::AstNode as _;
use ra_ap_syntax::ast::{self, HasArgList as _};

use crate::cell::range_of;

/// A value without a name in `let x = &f();`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Temporary {
    /// What stands before it: `&` or `&mut`.
    pub(crate) sign: Range<usize>,
    /// Where it ends.
    pub(crate) end: usize,
    /// Whether it is borrowed to be changed.
    pub(crate) is_mut: bool,
}

/// Whether a value is made by constructors that are given literals alone, as in `Vec::new()` and `channel()`.
pub(crate) fn constructs(value: &ast::Expr) -> bool {
    match value {
        ast::Expr::Literal(_) => true,
        ast::Expr::PathExpr(path) => path.syntax().text() == "None",
        ast::Expr::TupleExpr(tuple) => tuple.fields().all(|field| constructs(&field)),
        ast::Expr::MacroExpr(call) => {
            let text = call.syntax().text().to_string();
            matches!(&*text, "vec![]" | "vec!()")
        }
        ast::Expr::CallExpr(call) => {
            let Some(ast::Expr::PathExpr(function)) = call.expr() else { return false };
            let path = function.syntax().text().to_string();
            let is_known = match path.rsplit_once("::") {
                Some((_, name)) => {
                    matches!(name, "new" | "default" | "with_capacity" | "channel" | "sync_channel")
                }
                None => matches!(&*path, "channel" | "sync_channel" | "Some"),
            };
            let arguments = call.arg_list().into_iter().flat_map(|list| list.args());
            is_known && arguments.into_iter().all(|argument| constructs(&argument))
        }
        _ => false,
    }
}

/// What an initializer such as `&f()` borrows from, unless it is a place: those have names.
pub(crate) fn temporary(initializer: ast::Expr) -> Option<Temporary> {
    let ast::Expr::RefExpr(reference) = initializer else { return None };
    let value = reference.expr()?;
    let is_place = matches!(
        value,
        ast::Expr::PathExpr(_)
            | ast::Expr::IndexExpr(_)
            | ast::Expr::FieldExpr(_)
            | ast::Expr::PrefixExpr(_)
            | ast::Expr::ParenExpr(_)
    );
    let (whole, value) = (range_of(reference.syntax()), range_of(value.syntax()));
    (!is_place).then(|| Temporary {
        sign: whole.start..value.start,
        end: value.end,
        is_mut: reference.mut_token().is_some(),
    })
}
