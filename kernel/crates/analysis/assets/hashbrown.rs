//! Stands for the crate that the standard library's maps and sets are made of, whose sources do not come
//! with it. Without these types, nobody could tell that a `HashMap` has anything to do with its keys and
//! values. What they hold says no more than that.
#![no_std]

pub enum TryReserveError {
    CapacityOverflow,
    AllocError { layout: core::alloc::Layout },
}

pub mod hash_map {
    pub struct HashMap<K, V, S, A>(K, V, S, A);
    pub struct Iter<'a, K, V>(&'a K, &'a V);
    pub struct IterMut<'a, K, V>(&'a K, &'a mut V);
    pub struct IntoIter<K, V, A>(K, V, A);
    pub struct Drain<'a, K, V, A>(&'a K, &'a V, &'a A);
    pub struct ExtractIf<'a, K, V, F, A>(&'a mut K, &'a mut V, F, &'a A);
    pub struct RustcOccupiedEntry<'a, K, V, A>(&'a mut K, &'a mut V, &'a mut A);
    pub struct RustcVacantEntry<'a, K, V, A>(K, &'a mut V, &'a mut A);
    pub enum RustcEntry<'a, K, V, A> {
        Occupied(RustcOccupiedEntry<'a, K, V, A>),
        Vacant(RustcVacantEntry<'a, K, V, A>),
    }
}

pub mod hash_set {
    pub struct HashSet<T, S, A>(T, S, A);
    pub struct Iter<'a, T>(&'a T);
    pub struct IntoIter<T, A>(T, A);
    pub struct Drain<'a, T, A>(&'a T, &'a A);
    pub struct ExtractIf<'a, T, F, A>(&'a mut T, F, &'a A);
    pub struct OccupiedEntry<'a, T, S, A>(&'a mut T, &'a mut S, &'a mut A);
    pub struct VacantEntry<'a, T, S, A>(T, &'a mut S, &'a mut A);
    pub enum Entry<'a, T, S, A> {
        Occupied(OccupiedEntry<'a, T, S, A>),
        Vacant(VacantEntry<'a, T, S, A>),
    }
}
