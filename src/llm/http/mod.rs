//! The model over HTTP: chat completions as OpenAI defined them and most servers speak them.

mod client;
mod config;
mod gate;
mod pace;
mod refusal;
mod retry;
mod transport;
mod wire;

#[cfg(test)]
mod tests;

pub use client::HttpClient;
pub use config::HttpConfig;
pub use transport::install_crypto_provider;
pub use wire::sample_seed;
