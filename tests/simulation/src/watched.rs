//! A value that knows whether it may have changed since it was looked at last, so that what follows
//! from it alone is checked when it can have become wrong, and only then.

use std::ops::{Deref, DerefMut};

#[derive(Debug, Default)]
pub struct Watched<T> {
    value: T,
    is_changed: bool,
}

impl<T> Watched<T> {
    /// Whether anybody could have changed it since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }
}

impl<T> Deref for Watched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Watched<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.is_changed = true;
        &mut self.value
    }
}
