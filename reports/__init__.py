"""What was found: statistics, figures, tables and pages from Parquet results."""
