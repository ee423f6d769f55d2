//! The data: rows of 15 columns in a Parquet file, a project that syncs them, and a receiver.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;

/// The columns beside the key `id`.
const COLUMNS: [&str; 14] = [
    "name", "email", "age", "score", "balance", "active", "joined", "seen", "city", "country", "token", "number",
    "plan", "month",
];

/// How the rows lie in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By key.
    Sorted,
    /// The keys are in no order, and far apart.
    Random,
}

/// What a file holds.
#[derive(Clone, Copy)]
pub struct Rows {
    /// How many.
    pub count: u64,
    /// In which order.
    pub order: Order,
    /// One in a hundred rows has another name in each round; the first round is 0.
    pub round: u64,
}

impl Rows {
    /// Rows in the order of their keys.
    pub const fn sorted(count: u64, round: u64) -> Self {
        let order = Order::Sorted;
        Self { count, order, round }
    }

    /// Writes the file that the project reads.
    pub fn write(self, folder: &Path) -> Result<()> {
        let connection = duckdb::Connection::open_in_memory()?;
        let (key, order) = match self.order {
            Order::Sorted => ("i", ""),
            // Multiplying by an odd number is a permutation of the 64-bit integers.
            Order::Random => ("(hash(i) >> 1)::BIGINT", ""),
        };
        connection.execute_batch(&format!(
            "SET threads = 2; SET memory_limit = '1GB'; SET preserve_insertion_order = true;
             COPY (SELECT {key} AS id,
                CASE WHEN {round} > 0 AND i % 100 = {round} % 100 THEN 'changed {round} ' ELSE 'name ' END || i AS name,
                'user' || i || '@example.com' AS email, i % 97 AS age, (i * 31) % 1000 AS score,
                (i / 7.0)::DECIMAL(12,2) AS balance, i % 2 = 0 AS active, DATE '2020-01-01' + (i % 2000)::INTEGER AS joined,
                TIMESTAMP '2024-01-01' + to_seconds(i) AS seen, 'city ' || i % 500 AS city,
                'country ' || i % 60 AS country, md5(i::VARCHAR) AS token, (i * 7919) % 1000003 AS number,
                'plan ' || i % 4 AS plan, i % 12 AS month
             FROM range({count}) AS r(i){order}) TO '{path}' (FORMAT parquet)",
            round = self.round,
            count = self.count,
            path = folder.join("rows.parquet").display()
        ))?;
        Ok(())
    }
}

/// Makes the project of one sync, `rows-to-sink`, with its first rows. `memory_limit` is the project's, as in `256MB`;
/// without one it is the default.
pub fn project(folder: &Path, origin: &str, memory_limit: Option<&str>, rows: Rows) -> Result<()> {
    let mappings: String = COLUMNS
        .iter()
        .map(|name| format!("  - {{from: {name}, to: {name}}}\n"))
        .collect();
    let limit = memory_limit.map_or_else(String::new, |limit| format!("memory_limit: {limit}\n"));
    for (path, text) in [
        ("outflow.yml", format!("version: 1\nname: bench\n{limit}")),
        ("sources/rows.yml", "type: parquet\npath: rows.parquet\n".to_owned()),
        ("models/rows.sql", "SELECT * FROM rows\n".to_owned()),
        ("models/rows.yml", "source: rows\nkey: id\n".to_owned()),
        (
            "destinations/sink.yml",
            format!(
                "plugin: http\nconfig:\n  base_url: {origin}\n  upsert: {{method: POST, path: /batch, batch: 1000, body: {{$each: {{id: {{$match: true}}, record: {{$record: true}}}}}}}}\nallow: [\"{origin}\"]\n"
            ),
        ),
        (
            "syncs/rows-to-sink.yml",
            format!("model: rows\ndestination: sink\nmode: upsert\nmappings:\n{mappings}"),
        ),
    ] {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, text)?;
    }
    rows.write(folder)
}

/// A receiver that reads everything, counts its bytes and answers at once.
pub struct Receiver {
    origin: String,
    received: Arc<AtomicU64>,
}

impl Receiver {
    /// Listens on a free port, until the process ends.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
        let received = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&received);
        let count = move |body: Bytes| async move {
            counter.fetch_add(body.len() as u64, Ordering::Relaxed);
            "{}"
        };
        let app = Router::new()
            .route("/batch", post(count))
            .layer(axum::extract::DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { origin, received })
    }

    /// Where it listens.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Bytes of all bodies since the last call.
    pub fn take_bytes(&self) -> u64 {
        self.received.swap(0, Ordering::Relaxed)
    }
}
