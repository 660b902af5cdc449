//! The variables that cells leave to later ones.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Says of which type a variable is that was kept: the kernel reads it out of the compiler's MIR.
pub struct Kept<T: ?Sized>(usize, PhantomData<T>);

impl<T: ?Sized> Kept<T> {
    /// How long the variable's name is: something has to be known of it, or it would be compiled away.
    pub fn length(&self) -> usize {
        self.0
    }
}

/// Says of which type a value is.
pub fn type_of<T: ?Sized>(_: &T) -> Kept<T> {
    Kept(0, PhantomData)
}

/// A value of a type that only the cells know.
struct Slot {
    value: *mut u8,
    drop: unsafe fn(*mut u8),
}

// SAFETY: a slot is made and taken by the one thread that runs cells, whatever its value is.
unsafe impl Send for Slot {}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: `drop` was made for the type of the value, which nobody else has.
        unsafe { (self.drop)(self.value) }
    }
}

fn slots() -> MutexGuard<'static, Option<HashMap<String, Slot>>> {
    static SLOTS: Mutex<Option<HashMap<String, Slot>>> = Mutex::new(None);
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe fn drop_as<T>(value: *mut u8) {
    // SAFETY: the caller says that it came out of a box of this type.
    drop(unsafe { Box::from_raw(value.cast::<T>()) });
}

/// Keeps a variable; what had its name before is dropped.
#[inline(never)]
pub fn keep<T: 'static>(name: &'static str, value: T) -> Kept<T> {
    // As little as can be is compiled with each cell.
    put(name, Slot { value: Box::into_raw(Box::new(value)).cast(), drop: drop_as::<T> });
    Kept(name.len(), PhantomData)
}

fn put(name: &str, slot: Slot) {
    let before = slots().get_or_insert_with(HashMap::new).insert(name.to_owned(), slot);
    // Its drop may be the reader's code, which may do anything.
    drop(before);
}

/// Takes a variable.
///
/// # Safety
/// It must be there, and of this type: as its cell was compiled.
///
/// # Panics
/// A variable that is not there.
pub unsafe fn take<T: 'static>(name: &str) -> T {
    // SAFETY: the caller says that it is of this type; its slot is gone.
    *unsafe { Box::from_raw(taken(name).cast::<T>()) }
}

fn taken(name: &str) -> *mut u8 {
    let slot = slots().as_mut().and_then(|slots| slots.remove(name));
    let Some(slot) = slot else { panic!("the variable `{name}` is not there any more") };
    std::mem::ManuallyDrop::new(slot).value
}

/// What is kept under the name of a variable that was declared anew and ended with its cell: the one
/// before it is not to come back.
pub struct Gone;

/// Whether there is a variable of this name: a cell may have kept a new one where it has taken another.
pub fn is_kept(name: &str) -> bool {
    slots().as_ref().is_some_and(|slots| slots.contains_key(name))
}

/// A `return` ends a cell that keeps only these of its variables.
pub fn left_early(names: &str) {
    crate::show_as("application/vnd.rust-live.kept", names);
}
