//! Files on disk behind freighter's index and downloads.

pub mod fs {
    use std::io::Write as _;
    use std::path::PathBuf;

    use async_trait::async_trait;
    use freighter_api_types::storage::{
        Bytes, Metadata, MetadataStorageProvider, StorageError, StorageProvider, StorageResult,
    };

    #[derive(Clone)]
    pub struct FsStorageProvider {
        root: PathBuf,
    }

    impl FsStorageProvider {
        pub fn new(root: PathBuf) -> StorageResult<Self> {
            std::fs::create_dir_all(&root).map_err(failed)?;
            Ok(Self { root })
        }

        fn path(&self, name: &str) -> StorageResult<PathBuf> {
            if name.split('/').any(|part| part.is_empty() || part == "..") {
                return Err(StorageError::NotFound);
            }
            let path = self.root.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&self.root)).map_err(failed)?;
            Ok(path)
        }
    }

    fn failed(error: std::io::Error) -> StorageError {
        match error.kind() {
            std::io::ErrorKind::NotFound => StorageError::NotFound,
            _ => StorageError::ServiceError(error.into()),
        }
    }

    #[async_trait]
    impl MetadataStorageProvider for FsStorageProvider {
        async fn pull_file(&self, path: &str) -> StorageResult<Bytes> {
            Ok(std::fs::read(self.path(path)?).map_err(failed)?.into())
        }

        async fn put_file(&self, path: &str, content: Bytes, _: Metadata) -> StorageResult<()> {
            let path = self.path(path)?;
            let new = path.with_extension("new");
            std::fs::write(&new, &content).and_then(|()| std::fs::rename(new, path)).map_err(failed)
        }

        async fn delete_file(&self, path: &str) -> StorageResult<()> {
            std::fs::remove_file(self.path(path)?).map_err(failed)
        }

        async fn create_or_append_file(&self, path: &str, content: Bytes, _: Metadata) -> StorageResult<()> {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(self.path(path)?);
            file.and_then(|mut file| file.write_all(&content)).map_err(failed)
        }

        async fn healthcheck(&self) -> anyhow::Result<()> {
            Ok(())
        }
    }

    #[async_trait]
    impl StorageProvider for FsStorageProvider {
        async fn pull_crate(&self, name: &str, version: &str) -> StorageResult<Bytes> {
            self.pull_file(&format!("{name}/{version}.crate")).await
        }

        async fn put_crate(
            &self,
            name: &str,
            version: &str,
            content: Bytes,
            _: [u8; 32],
        ) -> StorageResult<()> {
            self.put_file(&format!("{name}/{version}.crate"), content, Metadata::default()).await
        }

        async fn delete_crate(&self, name: &str, version: &str) -> StorageResult<()> {
            self.delete_file(&format!("{name}/{version}.crate")).await
        }

        async fn healthcheck(&self) -> anyhow::Result<()> {
            Ok(())
        }
    }
}

/// What freighter names, and this registry has not.
pub mod s3_client {
    use async_trait::async_trait;
    use freighter_api_types::storage::{
        Bytes, Metadata, MetadataStorageProvider, StorageError, StorageResult,
    };

    pub struct S3StorageProvider;

    impl S3StorageProvider {
        pub fn new(_: &str, _: &str, _: &str, _: &str, _: &str) -> Self {
            Self
        }
    }

    #[async_trait]
    impl MetadataStorageProvider for S3StorageProvider {
        async fn pull_file(&self, _: &str) -> StorageResult<Bytes> {
            Err(StorageError::NotFound)
        }

        async fn put_file(&self, _: &str, _: Bytes, _: Metadata) -> StorageResult<()> {
            Err(StorageError::NotFound)
        }

        async fn delete_file(&self, _: &str) -> StorageResult<()> {
            Err(StorageError::NotFound)
        }

        async fn create_or_append_file(&self, _: &str, _: Bytes, _: Metadata) -> StorageResult<()> {
            Err(StorageError::NotFound)
        }

        async fn healthcheck(&self) -> anyhow::Result<()> {
            anyhow::bail!("there is none")
        }
    }
}
