"""Pictures: folders, files and Parquet columns, decoded to arrays of one size."""
