//! Object storage for a test: a server that speaks S3, checks signatures, and keeps objects as files.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow};
use axum::Router;
use axum::error_handling::HandleError;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::secrets::Secrets;

/// The access key, by the variables that a source takes it from, with what must be quoted.
pub const KEY: &Secrets<'static> = &[
    ("LAKE_KEY_ID", "AKIA-only-for-tests"),
    ("LAKE_SECRET", "s3cr3t'/+of-the-storage"),
];

/// What is done before a request is answered, by method and path: with a status, that is the answer.
type Before = Box<dyn FnMut(&str, &str) -> Option<u16> + Send>;

/// A running server with one bucket, `lake`.
pub struct Storage {
    folder: tempfile::TempDir,
    address: SocketAddr,
    before: Arc<Mutex<Before>>,
    server: JoinHandle<()>,
}

impl Storage {
    /// Starts one. Nothing where DuckDB's extension was not fetched: the test is to be skipped then.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start() -> Result<Option<Self>> {
        let native = Path::new(option_env!("DUCKDB_LIB_DIR").context("DUCKDB_LIB_DIR is not set")?);
        let extension = native.join("extensions/httpfs.duckdb_extension");
        if !extension.exists() {
            eprintln!("skipped: there is no {}", extension.display());
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("lake"))?;
        let before: Arc<Mutex<Before>> = Arc::new(Mutex::new(Box::new(|_, _| None)));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = serve(listener, folder.path(), &before)?;
        Ok(Some(Self {
            folder,
            address,
            before,
            server,
        }))
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file of an object.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn object(&self, key: &str) -> Result<PathBuf> {
        object(self.folder.path(), key)
    }

    /// Makes an object of Parquet from rows of `id` and `name`, as SQL writes them.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn parquet(&self, key: &str, rows: &str) -> Result<()> {
        parquet(&self.object(key)?, rows)
    }

    /// Does this before each request is answered, in place of what was done before.
    pub fn before(&self, what: impl FnMut(&str, &str) -> Option<u16> + Send + 'static) {
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(what);
    }

    /// Stops it: nobody listens any more.
    pub async fn stop(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// Starts it again, on the same port.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn restart(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.server = serve(listener, self.folder.path(), &self.before)?;
        Ok(())
    }

    /// The lines of the file of a source that is an object, or objects by a glob.
    #[must_use]
    pub fn source(&self, kind: &str, key: &str) -> String {
        format!(
            "type: {kind}\npath: \"s3://lake/{key}\"\ns3:\n  endpoint: {}\n  secrets: {{key_id: {{env: LAKE_KEY_ID}}, secret: {{env: LAKE_SECRET}}}}\n",
            self.origin()
        )
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Writes a file of Parquet from rows of `id` and `name`, as SQL writes them.
///
/// # Errors
/// What DuckDB says.
pub fn parquet(path: &Path, rows: &str) -> Result<()> {
    let copy = format!(
        "COPY (SELECT * FROM (VALUES {rows}) AS t(id, name)) TO '{}' (FORMAT parquet)",
        path.to_string_lossy().replace('\'', "''")
    );
    Ok(duckdb::Connection::open_in_memory()?.execute_batch(&copy)?)
}

fn object(folder: &Path, key: &str) -> Result<PathBuf> {
    let path = folder.join("lake").join(key);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(path)
}

fn serve(listener: TcpListener, folder: &Path, before: &Arc<Mutex<Before>>) -> Result<JoinHandle<()>> {
    let files = s3s_fs::FileSystem::new(folder).map_err(|error| anyhow!("{error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    let [(_, key_id), (_, secret)] = KEY else {
        return Err(anyhow!("the key has two parts"));
    };
    builder.set_auth(SimpleAuth::from_single(*key_id, *secret));
    let service = HandleError::new(builder.build(), |error: s3s::HttpError| async move {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}"))
    });
    let app = Router::new()
        .fallback_service(service)
        .layer(from_fn_with_state(Arc::clone(before), answer));
    Ok(tokio::spawn(async move {
        let _ = axum::serve(listener, app).await;
    }))
}

async fn answer(State(before): State<Arc<Mutex<Before>>>, request: Request, next: Next) -> Response {
    let status = {
        let mut before = before.lock().unwrap_or_else(PoisonError::into_inner);
        before(request.method().as_str(), request.uri().path())
    };
    match status.map(StatusCode::from_u16) {
        Some(Ok(status)) => status.into_response(),
        _ => next.run(request).await,
    }
}
