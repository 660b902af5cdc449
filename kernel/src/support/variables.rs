//! The variables that cells leave to later ones.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

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

/// What is lent to a cell it has as long as this local variable of its own is there.
pub struct Lease;

impl Lease {
    /// How long a cell may use what is lent.
    pub fn term(&self) -> Term<'_> {
        Term(PhantomData)
    }
}

/// The lifetime of what is lent to a cell, neither longer nor shorter.
#[derive(Clone, Copy)]
pub struct Term<'a>(PhantomData<fn(&'a ()) -> &'a ()>);

impl Term<'_> {
    /// It is not over before this.
    pub fn ends(self) {}
}

/// The type of what a list holds while no cell has told it: nothing. It takes room, for a list of what takes none has
/// room for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unknown(usize, Nothing);

/// There is no value of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Nothing {}

impl std::fmt::Display for Unknown {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1 {}
    }
}

/// Where a program that is never run asks the compiler something.
pub fn asks() -> bool {
    false
}

/// Uses a value.
pub fn uses<T: ?Sized>(_: &T) {}

/// A value of a type that only the cells know.
struct Slot {
    value: *mut u8,
    drop: unsafe fn(*mut u8),
    /// The cell that declared it, where another variable may borrow from it.
    lent: Option<usize>,
}

// SAFETY: a slot is made and taken by the one thread that runs cells, whatever its value is.
unsafe impl Send for Slot {}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: `drop` was made for the type of the value, which nobody else has.
        unsafe { (self.drop)(self.value) }
    }
}

/// The variables by their names, and values that have lost theirs while others may borrow from them.
#[derive(Default)]
struct Slots {
    named: HashMap<String, Slot>,
    aside: Vec<(String, Slot)>,
}

fn with_slots<R>(change: impl FnOnce(&mut Slots) -> R) -> R {
    static SLOTS: Mutex<Option<Slots>> = Mutex::new(None);
    change(SLOTS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

unsafe fn drop_as<T>(value: *mut u8) {
    // SAFETY: the caller says that it came out of a box of this type.
    drop(unsafe { Box::from_raw(value.cast::<T>()) });
}

/// Keeps a variable; what had its name before is dropped.
#[inline(never)]
pub fn keep<T: 'static>(name: &'static str, value: T) -> Kept<T> {
    put(name, slot(value, None));
    Kept(name.len(), PhantomData)
}

/// Keeps a variable that borrows from what is lent. The kernel ends it before what it borrows from.
#[inline(never)]
pub fn keep_borrowing<'a, T: 'a>(name: &'static str, value: T, _: Term<'a>) -> Kept<T> {
    put(name, slot(value, None));
    Kept(name.len(), PhantomData)
}

/// Puts a value from which variables will borrow to where it is to lie until [`free`]. It may get a name by [`settle`].
#[inline(never)]
pub fn lend<'a, T: 'static>(name: &'static str, cell: usize, value: T, _: Term<'a>) -> &'a mut T {
    lent_now(name, cell, value)
}

/// The same of a value that borrows itself.
#[inline(never)]
pub fn lend_borrowing<'a, T: 'a>(
    name: &'static str,
    cell: usize,
    value: T,
    _: Term<'a>,
) -> &'a mut T {
    lent_now(name, cell, value)
}

fn lent_now<'a, T: 'a>(name: &str, cell: usize, value: T) -> &'a mut T {
    let slot = slot(value, Some(cell));
    let place = slot.value;
    with_slots(|slots| slots.aside.push((name.to_owned(), slot)));
    // SAFETY: it was just made of a value of this type, and stays until nothing borrows from it.
    unsafe { &mut *place.cast::<T>() }
}

/// Gives a value that this cell has lent the name of its variable.
pub fn settle(name: &str, cell: usize) {
    let found = with_slots(|slots| {
        let place = slots.aside.iter().rposition(|aside| is_of(aside, name, cell))?;
        Some(slots.aside.remove(place).1)
    });
    if let Some(slot) = found {
        put(name, slot);
    }
}

fn is_of((of, slot): &(String, Slot), name: &str, cell: usize) -> bool {
    of == name && slot.lent == Some(cell)
}

// As little as can be is compiled with each cell.
fn slot<T>(value: T, lent: Option<usize>) -> Slot {
    Slot { value: Box::into_raw(Box::new(value)).cast(), drop: drop_as::<T>, lent }
}

fn put(name: &str, slot: Slot) {
    let before = with_slots(|slots| {
        let before = slots.named.insert(name.to_owned(), slot)?;
        slots.dropped(name, before)
    });
    // Its drop may be the reader's code, which may do anything.
    drop(before);
}

impl Slots {
    /// What may be dropped of a value that has lost its name.
    fn dropped(&mut self, name: &str, slot: Slot) -> Option<Slot> {
        if slot.lent.is_none() {
            return Some(slot);
        }
        self.aside.push((name.to_owned(), slot));
        None
    }
}

/// The value of a variable from which others borrow.
///
/// # Safety
/// It must be there, and of this type: as its cell was compiled. Who changes it must be the only one that has it.
///
/// # Panics
/// A variable that is not there.
pub unsafe fn lent<'a, T: 'a>(_: Term<'a>, name: &str, cell: usize) -> &'a mut T {
    let found = with_slots(|slots| {
        let slot = slots.named.get_mut(name)?;
        slot.lent = Some(cell);
        Some(slot.value)
    });
    let Some(value) = found else { panic!("the variable `{name}` is not there any more") };
    // SAFETY: the caller says that it is of this type, and who has it.
    unsafe { &mut *value.cast::<T>() }
}

/// Ends a variable.
pub fn end(name: &str) {
    let ended = with_slots(|slots| {
        let slot = slots.named.remove(name)?;
        slots.dropped(name, slot)
    });
    drop(ended);
}

/// Drops a value that has lost its name, since nothing borrows from it any more.
pub fn free(name: &str, cell: usize) {
    let freed: Vec<_> = with_slots(|slots| {
        let aside = std::mem::take(&mut slots.aside);
        let (freed, left) = aside.into_iter().partition(|aside| is_of(aside, name, cell));
        slots.aside = left;
        freed
    });
    drop(freed);
}

/// Takes a variable.
///
/// # Safety
/// It must be there, and of this type: as its cell was compiled.
///
/// # Panics
/// A variable that is not there.
pub unsafe fn take<T>(name: &str) -> T {
    // SAFETY: the caller says that it is of this type; its slot is gone.
    *unsafe { Box::from_raw(taken(name).cast::<T>()) }
}

/// The value of a number, which stays where it is.
///
/// # Safety
/// It must be there, and of this type: as its cell was compiled.
///
/// # Panics
/// A variable that is not there.
pub unsafe fn seen<T: Copy>(name: &str) -> T {
    let value = with_slots(|slots| slots.named.get(name).map(|slot| slot.value));
    let Some(value) = value else { panic!("the variable `{name}` is not there any more") };
    // SAFETY: the caller says that it is of this type.
    unsafe { *value.cast::<T>() }
}

/// What is left of a variable of which parts were moved, in a place for all of it.
pub struct Parts<T> {
    place: *mut MaybeUninit<T>,
    /// What is in it: each part, and what drops it.
    left: Vec<(*mut u8, unsafe fn(*mut u8))>,
}

impl<T> Parts<T> {
    /// A place for what is left of a variable like this one.
    pub fn like(_: &T) -> Parts<T> {
        Parts { place: Box::into_raw(Box::new(MaybeUninit::zeroed())), left: Vec::new() }
    }

    /// Where the variable would lie.
    pub fn place(&self) -> *mut T {
        self.place.cast()
    }

    /// Puts a part to where it would lie.
    ///
    /// # Safety
    /// It has to be there, within what lies at [`Parts::place`], and nothing else may be put there.
    pub unsafe fn put<P>(&mut self, part: *mut P, value: P) {
        // SAFETY: the caller says that there is room for it.
        unsafe { part.write(value) };
        self.left.push((part.cast(), drop_in_place_as::<P>));
    }
}

impl<T> Drop for Parts<T> {
    fn drop(&mut self) {
        for (part, drop) in self.left.drain(..) {
            // SAFETY: it was put there as one of the type for which `drop` was made.
            unsafe { drop(part) };
        }
        // SAFETY: it came out of a box; a place that may hold nothing drops nothing.
        drop(unsafe { Box::from_raw(self.place) });
    }
}

unsafe fn drop_in_place_as<P>(part: *mut u8) {
    // SAFETY: the caller says that it is of this type.
    unsafe { part.cast::<P>().drop_in_place() }
}

/// Keeps what is left of a variable; what had its name before is dropped.
#[inline(never)]
pub fn keep_parts<T: 'static>(name: &'static str, parts: Parts<T>) -> Kept<T> {
    put(name, slot(parts, None));
    Kept(name.len(), PhantomData)
}

/// Takes a variable of which parts were moved: who takes it forgets those before all else.
///
/// # Safety
/// There must be parts of this type under this name: as its cell was compiled.
///
/// # Panics
/// A variable that is not there.
pub unsafe fn take_parts<T>(name: &str) -> T {
    // SAFETY: the caller says what it is; its slot is gone.
    let mut parts = unsafe { Box::from_raw(taken(name).cast::<Parts<T>>()) };
    parts.left.clear();
    // SAFETY: nobody looks at what is not there, and what is has one owner from here on.
    unsafe { parts.place().read() }
}

fn taken(name: &str) -> *mut u8 {
    let slot = with_slots(|slots| slots.named.remove(name));
    let Some(slot) = slot else { panic!("the variable `{name}` is not there any more") };
    std::mem::ManuallyDrop::new(slot).value
}

/// What is kept under the name of a variable that was declared anew and ended with its cell: the one
/// before it is not to come back.
pub struct Gone;

/// Whether there is a variable of this name: a cell may have kept a new one where it has taken another.
pub fn is_kept(name: &str) -> bool {
    with_slots(|slots| slots.named.contains_key(name))
}

/// A `return` ends a cell that keeps only these of its variables.
pub fn left_early(names: &str) {
    crate::show_as("application/vnd.rust-live.kept", names);
}
