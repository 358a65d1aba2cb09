"""The results: Parquet tables on any file system that pyarrow knows."""
