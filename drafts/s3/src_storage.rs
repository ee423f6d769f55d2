//! Object storage for a test: a server that speaks S3, checks signatures, and keeps objects as files.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The id of the access key.
pub const KEY_ID: &str = "AKIA-only-for-tests";
/// The secret of the access key, with what must be quoted.
pub const SECRET: &str = "s3cr3t'/+of-storage";

/// A running server with one bucket, `lake`.
pub struct Storage {
    folder: tempfile::TempDir,
    /// Scheme, host and port.
    pub origin: String,
    server: JoinHandle<()>,
}

impl Storage {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("lake"))?;
        let files = s3s_fs::FileSystem::new(folder.path()).map_err(|error| anyhow!("{error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let connection = auto::Builder::new(TokioExecutor::new());
                    // A client that goes away is no fault.
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { folder, origin, server })
    }

    /// Where the object's file is.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn object(&self, key: &str) -> Result<PathBuf> {
        let path = self.folder.path().join("lake").join(key);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(path)
    }

    /// Takes no connections any more.
    pub fn stop(&self) {
        self.server.abort();
    }

    /// The lines of a source's file.
    #[must_use]
    pub fn source(&self, kind: &str, key: &str) -> String {
        format!(
            "type: {kind}\npath: s3://lake/{key}\ns3:\n  endpoint: {}\n  secrets: {{key_id: {{env: LAKE_KEY_ID}}, secret: {{env: LAKE_SECRET}}}}\n",
            self.origin
        )
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.stop();
    }
}
