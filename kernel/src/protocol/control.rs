//! The control channel.

use std::sync::Arc;

use jupyter_protocol::{InterruptReply, JupyterMessageContent as Content, ShutdownReply};
use jupyter_zmq_client::KernelControlConnection;
use tokio::sync::Notify;

use super::info::kernel_info;
use super::sockets::is_fatal;
use super::status::Statuses;
use super::subshells::Subshells;
use super::wire;
use crate::engine::{self, Engine, Signal};

/// The control channel: it is answered while a cell runs.
pub(super) struct Control {
    pub(super) socket: KernelControlConnection,
    pub(super) statuses: Statuses,
    pub(super) subshells: Subshells,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) stop: Arc<Notify>,
}

impl Control {
    /// Returns when a shutdown was asked for and answered.
    pub(super) async fn run(mut self) {
        loop {
            let message = match wire::read(&mut self.socket).await {
                Ok(message) => message,
                Err(error) if is_fatal(&error) => return,
                Err(error) => {
                    log::warn!("a message on the control channel was dropped: {error}");
                    continue;
                }
            };
            self.statuses.begin(&message).await;
            let mut last = false;
            let reply = match &message.content {
                Content::KernelInfoRequest(_) => Some(kernel_info().as_child_of(&message)),
                Content::InterruptRequest(_) => {
                    let engine = Arc::clone(&self.engine);
                    let counted = engine.state().count_interrupt();
                    // A cell that waits for the reader may end at once.
                    self.stop.notify_waiters();
                    match counted {
                        // It may have to wait for the compiler; the reply does not.
                        Some(interrupt) => {
                            tokio::spawn(
                                async move { engine::interrupt(&*engine, &interrupt).await },
                            );
                        }
                        None => engine.signal(Signal::InterruptCallbacks),
                    }
                    Some(InterruptReply::new().as_child_of(&message))
                }
                Content::ShutdownRequest(request) => {
                    last = true;
                    let reply = ShutdownReply { restart: request.restart, ..Default::default() };
                    Some(reply.as_child_of(&message))
                }
                _ => self.subshells.answer(&message).or_else(|| wire::refusal(&message)),
            };
            if let Some(reply) = reply
                && let Err(error) = self.socket.send(reply).await
            {
                log::warn!("a reply on the control channel could not be sent: {error}");
            }
            self.statuses.end(&message).await;
            if last {
                return;
            }
        }
    }
}
