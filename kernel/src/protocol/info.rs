//! What the kernel says of itself.

use jupyter_protocol::{
    CodeMirrorMode, HelpLink, KernelInfoReply, LanguageInfo, ReplyStatus, UnknownMessage,
};
use serde_json::json;

use super::subshells::FEATURE;

/// The version of the protocol that is spoken.
const PROTOCOL: &str = "5.4";

/// What this kernel is.
pub(super) fn kernel_info() -> UnknownMessage {
    let mut content = json!(about());
    // Of what front ends may ask for: no debugger.
    content["supported_features"] = json!([FEATURE]);
    UnknownMessage { msg_type: "kernel_info_reply".to_owned(), content }
}

fn about() -> KernelInfoReply {
    let rust = env!("CARGO_PKG_RUST_VERSION");
    KernelInfoReply {
        status: ReplyStatus::Ok,
        protocol_version: PROTOCOL.to_owned(),
        implementation: env!("CARGO_PKG_NAME").to_owned(),
        implementation_version: env!("CARGO_PKG_VERSION").to_owned(),
        language_info: LanguageInfo {
            name: "rust".to_owned(),
            version: rust.to_owned(),
            mimetype: Some("text/x-rust".to_owned()),
            file_extension: Some(".rs".to_owned()),
            pygments_lexer: Some("rust".to_owned()),
            codemirror_mode: Some(CodeMirrorMode::Simple("rust".to_owned())),
            nbconvert_exporter: None,
        },
        banner: format!("Rust ({} {})", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
        help_links: vec![HelpLink {
            text: "Rust's standard library".to_owned(),
            url: "https://doc.rust-lang.org/std/".to_owned(),
        }],
        debugger: false,
        error: None,
    }
}
