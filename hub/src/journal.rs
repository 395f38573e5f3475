//! Stand-in until the journal lands: keeps nothing.
use std::path::Path;
#[derive(Clone, Copy, Debug, Default)]
pub struct Position(pub u64);
#[derive(Debug, thiserror::Error)]
#[error("journal")]
pub struct OpenError;
#[derive(Debug, thiserror::Error)]
#[error("journal")]
pub struct AppendError;
#[derive(Debug)]
pub struct Refusal(pub String);
impl<E: std::error::Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
pub trait Image {
    fn load(&mut self, chunk: &[u8]) -> Result<(), Refusal>;
    fn apply(&mut self, position: Position, payload: &[u8]) -> Result<(), Refusal>;
    fn save(self, sink: &mut dyn FnMut(&[u8]));
}
#[derive(Default)]
pub struct Settings {}
#[derive(Default)]
pub struct Frame(Vec<u8>);
impl Frame {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn payload_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
    pub fn payload(&self) -> &[u8] {
        &self.0
    }
}
pub struct Journal {}
pub struct Recovery {}
pub struct Recovered<I> {
    pub journal: Journal,
    pub image: I,
}
impl Recovery {
    pub fn replay<I: Image>(self, image: I) -> Result<Recovered<I>, OpenError> {
        Ok(Recovered {
            journal: Journal {},
            image,
        })
    }
}
impl Journal {
    pub fn open(directory: &Path, _: Settings) -> Result<Recovery, OpenError> {
        std::fs::create_dir_all(directory).map_err(|_| OpenError)?;
        Ok(Recovery {})
    }
    pub fn append(&self, frame: &mut Frame) -> Result<Position, AppendError> {
        frame.0.clear();
        Ok(Position(0))
    }
    pub async fn durable(&self, _: Position) -> Result<(), AppendError> {
        Ok(())
    }
    pub fn is_full(&self) -> bool {
        false
    }
    pub fn last(&self) -> Position {
        Position(0)
    }
    pub fn stream(&self) -> u128 {
        0
    }
    pub fn compact_in_background<I: Image>(
        &self,
        _: impl Fn() -> I + Send + 'static,
    ) -> Result<(), OpenError> {
        Ok(())
    }
}
