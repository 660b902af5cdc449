//! The seam to the kernel: what widgets say to the front ends, and what comes back.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use serde_json::{Map, Value, json};

use super::lock;
use super::model::{Model, Snapshot};
use super::runner::Runner;
use super::wire::{Message, decode, encode};

/// The comms over which a front end asks for all widgets at once, as after a page is loaded again.
const CONTROL: &str = "jupyter.widget.control";
/// The comms of widgets.
const WIDGET: &str = "jupyter.widget";
/// The version of the protocol that is spoken over them.
const PROTOCOL: &str = "2.1.0";

/// What a kernel offers.
pub(super) trait Seam: Send + Sync {
    /// Sends a message to the front ends.
    fn send(&self, message: &[u8]);
    /// A number for the output of the cell that is running.
    fn new_output(&self) -> u32;
    /// What this thread writes goes to that output from now on. Returns the number before.
    fn enter_output(&self, output: u32) -> u32;
}

/// The functions that the lab's kernel has in the process of its cells.
struct Kernel {
    send: extern "C" fn(*const u8, usize),
    new_output: extern "C" fn() -> u32,
    enter_output: extern "C" fn(u32) -> u32,
}

impl Seam for Kernel {
    fn send(&self, message: &[u8]) {
        (self.send)(message.as_ptr(), message.len());
    }

    fn new_output(&self) -> u32 {
        (self.new_output)()
    }

    fn enter_output(&self, output: u32) -> u32 {
        (self.enter_output)(output)
    }
}

/// The kernel's messages, on their way to the thread that takes them.
static INBOX: OnceLock<Sender<Vec<u8>>> = OnceLock::new();

/// Called by the kernel with each message; it must return at once.
extern "C" fn receive(message: *const u8, length: usize) {
    // SAFETY: the kernel lends these bytes until this returns.
    let message = unsafe { std::slice::from_raw_parts(message, length) };
    if let Some(inbox) = INBOX.get() {
        // The thread that takes them lives as long as the process.
        let _ = inbox.send(message.to_vec());
    }
}

/// A function of the process by its name.
fn symbol(name: &std::ffi::CStr) -> Option<*mut libc::c_void> {
    // SAFETY: the name ends in a zero byte.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// The comms of the kernel in which this runs, and the thread that serves them.
fn kernel() -> Option<Arc<Hub>> {
    let send = symbol(c"live_comm_send")?;
    let listen = symbol(c"live_comm_listen")?;
    let new_output = symbol(c"live_output_new")?;
    let enter_output = symbol(c"live_output_enter")?;
    // SAFETY: the kernel defines these functions with these types.
    let (kernel, listen) = unsafe {
        let kernel = Kernel {
            send: std::mem::transmute::<*mut libc::c_void, extern "C" fn(*const u8, usize)>(send),
            new_output: std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> u32>(
                new_output,
            ),
            enter_output: std::mem::transmute::<*mut libc::c_void, extern "C" fn(u32) -> u32>(
                enter_output,
            ),
        };
        type Listen = extern "C" fn(extern "C" fn(*const u8, usize));
        (kernel, std::mem::transmute::<*mut libc::c_void, Listen>(listen))
    };
    let (hub, inbox) = Hub::start(Arc::new(kernel))
        .inspect_err(|error| eprintln!("there are no widgets: no thread for them: {error}"))
        .ok()?;
    INBOX.set(inbox).ok()?;
    listen(receive);
    hub.serve_control();
    Some(hub)
}

/// The widgets that front ends know of, and the way to them.
pub(super) struct Hub {
    seam: Arc<dyn Seam>,
    runner: Runner,
    open: Mutex<HashMap<String, Model>>,
}

impl Hub {
    /// The comms of this process, if it has any.
    pub(super) fn here() -> Option<Arc<Hub>> {
        #[cfg(test)]
        if let Some(hub) = super::fake::hub() {
            return Some(hub);
        }
        static HERE: OnceLock<Option<Arc<Hub>>> = OnceLock::new();
        HERE.get_or_init(kernel).clone()
    }

    /// Starts the threads. What is sent into the queue comes to the widgets.
    pub(super) fn start(seam: Arc<dyn Seam>) -> std::io::Result<(Arc<Hub>, Sender<Vec<u8>>)> {
        let runner = Runner::start(Arc::clone(&seam))?;
        let hub = Arc::new(Hub { seam, runner, open: HashMap::new().into() });
        let (inbox, messages) = channel();
        let serving = Arc::clone(&hub);
        thread::Builder::new().name("comms".to_owned()).spawn(move || serving.serve(&messages))?;
        Ok((hub, inbox))
    }

    /// Asks the kernel for the comms over which front ends ask for all widgets.
    pub(super) fn serve_control(&self) {
        self.send(
            &json!({ "type": "comm_target", "content": { "target_name": CONTROL } }),
            &[] as &[&[u8]],
        );
    }

    /// The thread that runs the closures.
    pub(super) fn runner(&self) -> &Runner {
        &self.runner
    }

    /// A number for the output of the cell that is running.
    pub(super) fn new_output(&self) -> u32 {
        self.seam.new_output()
    }

    /// Makes a widget known to the front ends, and keeps it: what stands on a page may be used whether
    /// or not a cell still holds it.
    pub(super) fn open(&self, model: &Model, state: Snapshot) {
        // Before it is sent: an answer to it finds the model.
        lock(&self.open).insert(model.id().to_owned(), model.clone());
        let (state, paths, buffers) = state.split();
        let message = json!({
            "type": "comm_open",
            "content": {
                "comm_id": model.id(),
                "target_name": WIDGET,
                "data": { "state": state, "buffer_paths": paths },
            },
            "metadata": { "version": PROTOCOL },
        });
        self.send(&message, &buffers);
    }

    /// Tells the front ends what changed.
    pub(super) fn update(&self, id: &str, state: Snapshot) {
        self.state("update", id, state, None);
    }

    /// Sends something of the widget's own to its other half.
    pub(super) fn custom<B: AsRef<[u8]>>(&self, id: &str, content: &Value, buffers: &[B]) {
        self.message(id, json!({ "method": "custom", "content": content }), buffers, None);
    }

    fn state(&self, method: &str, id: &str, state: Snapshot, answers: Option<&Value>) {
        let (state, paths, buffers) = state.split();
        let data = json!({ "method": method, "state": state, "buffer_paths": paths });
        self.message(id, data, &buffers, answers);
    }

    fn message<B: AsRef<[u8]>>(
        &self,
        id: &str,
        data: Value,
        buffers: &[B],
        answers: Option<&Value>,
    ) {
        let mut message = json!({
            "type": "comm_msg",
            "content": { "comm_id": id, "data": data },
        });
        if let Some(header) = answers {
            message["parent_header"] = header.clone();
        }
        self.send(&message, buffers);
    }

    fn send<B: AsRef<[u8]>>(&self, message: &Value, buffers: &[B]) {
        match encode(message, buffers) {
            Ok(bytes) => self.seam.send(&bytes),
            Err(error) => eprintln!("a widget's message was not sent: {error}"),
        }
    }

    /// Takes messages as long as there are any.
    fn serve(&self, messages: &Receiver<Vec<u8>>) {
        let mut controls = HashSet::new();
        for bytes in messages {
            // The kernel's bytes are whole, and others are none of a widget's: nobody could be told.
            if let Ok(message) = decode(&bytes) {
                self.take(message, &mut controls);
            }
        }
    }

    fn take(&self, (message, buffers): Message, controls: &mut HashSet<String>) {
        let content = &message["content"];
        let Some(id) = content["comm_id"].as_str() else { return };
        let data = &content["data"];
        match message["type"].as_str() {
            Some("comm_open") if content["target_name"] == CONTROL => {
                controls.insert(id.to_owned());
            }
            Some("comm_msg") if controls.contains(id) => self.take_control(id, &message),
            Some("comm_msg") => {
                let model = lock(&self.open).get(id).cloned();
                // Another copy of this crate may have it.
                if let Some(model) = model {
                    self.pass_on(&model, data, buffers, &message["header"]);
                }
            }
            Some("comm_close") => {
                controls.remove(id);
                let model = lock(&self.open).remove(id);
                if let Some(model) = model {
                    model.closed();
                }
            }
            _ => {}
        }
    }

    fn take_control(&self, control: &str, message: &Value) {
        if message["content"]["data"]["method"] == "request_states" {
            self.answer_with_all(control, &message["header"]);
        }
    }

    fn pass_on(&self, model: &Model, data: &Value, buffers: Vec<Vec<u8>>, header: &Value) {
        match data["method"].as_str() {
            Some("update") => {
                let Value::Object(state) = &data["state"] else { return };
                let change = Snapshot::join(state.clone(), &data["buffer_paths"], buffers);
                model.take(change, |echo| {
                    self.state("echo_update", model.id(), echo, Some(header));
                });
            }
            Some("request_state") => {
                model.in_order(|| {
                    self.state("update", model.id(), model.snapshot(), Some(header));
                });
            }
            Some("custom") => model.message(&data["content"], buffers),
            _ => {}
        }
    }

    fn answer_with_all(&self, control: &str, header: &Value) {
        let models: Vec<Model> = lock(&self.open).values().cloned().collect();
        let mut states = Map::new();
        let (mut paths, mut buffers) = (Vec::new(), Vec::new());
        for model in models {
            let (state, own_paths, own_buffers) = model.snapshot().split();
            paths.extend(own_paths.iter().map(|path| {
                let mut whole = vec![json!(model.id()), json!("state")];
                whole.extend(path.as_array().into_iter().flatten().cloned());
                Value::from(whole)
            }));
            buffers.extend(own_buffers);
            let entry = json!({
                "model_name": state["_model_name"],
                "model_module": state["_model_module"],
                "model_module_version": state["_model_module_version"],
                "state": state,
            });
            states.insert(model.id().to_owned(), entry);
        }
        let data = json!({ "method": "update_states", "states": states, "buffer_paths": paths });
        self.message(control, data, &buffers, Some(header));
    }
}
