//! The model over HTTP: chat completions as OpenAI defined them and most servers speak them.

mod client;
mod config;
mod embeddings;
mod fit;
mod gate;
mod identity;
mod pace;
mod probe;
mod refusal;
mod retry;
mod sse;
mod transport;
mod wire;

#[cfg(test)]
mod tests;

pub use client::HttpClient;
pub use config::{HttpConfig, Streaming};
pub use probe::Ability;
pub use transport::install_crypto_provider;
pub use wire::sample_seed;
