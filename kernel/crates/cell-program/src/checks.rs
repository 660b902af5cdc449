//! Where a cell looks whether it is to stop.
//!
//! Every loop that the reader wrote asks once a round, and every function that calls itself when it is called.
//! A `for` loop whose body is arithmetic alone is left out: a question in each round would keep the compiler
//! from computing several at once, and such loops end soon.

use ra_ap_syntax::ast::{self, HasLoopBody as _, HasName as _};
use ra_ap_syntax::{AstNode as _, SyntaxKind, SyntaxNode};

use crate::cell::range_of;
use crate::edit::Edit;

/// The question.
const CHECK: &str = " ::rust_live::check();";

pub(crate) fn in_loops(node: &SyntaxNode) -> Vec<Edit> {
    let mut edits = Vec::new();
    for inner in node.descendants() {
        let block = if let Some(round) = ast::ForExpr::cast(inner.clone()) {
            round.loop_body().filter(|body| is_more_than_arithmetic(body.syntax()))
        } else if let Some(round) = ast::WhileExpr::cast(inner.clone()) {
            round.loop_body()
        } else if let Some(round) = ast::LoopExpr::cast(inner.clone()) {
            round.loop_body()
        } else {
            ast::Fn::cast(inner.clone()).filter(calls_itself).and_then(|function| function.body())
        };
        let open = block.and_then(|block| block.stmt_list()).and_then(|list| list.l_curly_token());
        if let Some(open) = open
            && !is_constant(&inner)
        {
            let parent = open.parent().map(|parent| range_of(&parent).start);
            edits.extend(parent.map(|start| Edit::insert(start + 1, CHECK)));
        }
    }
    edits
}

/// Whether a loop's body calls or repeats anything.
fn is_more_than_arithmetic(body: &SyntaxNode) -> bool {
    body.descendants().any(|inner| {
        matches!(
            inner.kind(),
            SyntaxKind::CALL_EXPR
                | SyntaxKind::METHOD_CALL_EXPR
                | SyntaxKind::MACRO_CALL
                | SyntaxKind::AWAIT_EXPR
                | SyntaxKind::FOR_EXPR
                | SyntaxKind::WHILE_EXPR
                | SyntaxKind::LOOP_EXPR
        )
    })
}

fn calls_itself(function: &ast::Fn) -> bool {
    let (Some(name), Some(body)) = (function.name(), function.body()) else { return false };
    let name = name.text().to_string();
    body.syntax()
        .descendants()
        .filter_map(ast::NameRef::cast)
        .any(|used| used.text() == name.as_str())
}

/// Whether code is evaluated by the compiler, or called by code that cannot be unwound.
fn is_constant(node: &SyntaxNode) -> bool {
    node.ancestors().any(|outer| {
        let by_function = ast::Fn::cast(outer.clone())
            .is_some_and(|function| function.const_token().is_some() || function.abi().is_some());
        let by_block =
            ast::BlockExpr::cast(outer.clone()).is_some_and(|block| block.const_token().is_some());
        let by_length = ast::ArrayExpr::cast(outer.clone())
            .and_then(|array| array.semicolon_token())
            .is_some_and(|semicolon| semicolon.text_range().end() <= node.text_range().start());
        by_function
            || by_block
            || by_length
            || matches!(
                outer.kind(),
                SyntaxKind::CONST
                    | SyntaxKind::VARIANT
                    | SyntaxKind::STATIC
                    | SyntaxKind::CONST_ARG
                    | SyntaxKind::ARRAY_TYPE
            )
    })
}
