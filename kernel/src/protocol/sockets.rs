//! The five sockets of a kernel.

use std::path::Path;

use anyhow::{Context as _, Result};
use jupyter_protocol::ConnectionInfo;
use jupyter_zmq_client::{
    self as zmq, KernelControlConnection, KernelIoPubXPubConnection, KernelStdinConnection,
    RouterRecvConnection, RouterSendConnection, RuntimeError,
};

/// The sockets, bound.
pub(crate) struct Sockets {
    pub(super) shell: RouterRecvConnection,
    pub(super) replies: RouterSendConnection,
    pub(super) control: KernelControlConnection,
    pub(super) stdin: KernelStdinConnection,
    pub(super) iopub: KernelIoPubXPubConnection,
}

impl Sockets {
    /// Binds them and answers heartbeats.
    ///
    /// # Errors
    /// A connection file that cannot be read, and a port that is in use.
    pub(crate) async fn bind(connection_file: &Path) -> Result<Sockets> {
        let text = std::fs::read_to_string(connection_file)
            .with_context(|| format!("{} cannot be read", connection_file.display()))?;
        let info: ConnectionInfo = serde_json::from_str(&text)
            .with_context(|| format!("{} is no connection file", connection_file.display()))?;
        let session = uuid::Uuid::new_v4().to_string();
        let failed = || format!("a port of {} cannot be bound", connection_file.display());
        let mut heartbeat =
            zmq::create_kernel_heartbeat_connection(&info).await.with_context(failed)?;
        tokio::spawn(async move { while heartbeat.single_heartbeat().await.is_ok() {} });
        let shell = zmq::create_kernel_shell_connection(&info, &session).await;
        let (replies, shell) = shell.with_context(failed)?.split();
        let control = zmq::create_kernel_control_connection(&info, &session).await;
        let stdin = zmq::create_kernel_stdin_connection(&info, &session).await;
        let iopub = zmq::create_kernel_iopub_xpub_connection(&info, &session).await;
        Ok(Sockets {
            shell,
            replies,
            control: control.with_context(failed)?,
            stdin: stdin.with_context(failed)?,
            iopub: iopub.with_context(failed)?,
        })
    }
}

/// A socket that is gone, in contrast to a message that cannot be used.
pub(super) fn is_fatal(error: &RuntimeError) -> bool {
    matches!(error, RuntimeError::ZmqError(_) | RuntimeError::IoError(_))
        && error.to_string().contains("No message")
}
