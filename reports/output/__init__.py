"""What a report shows: figures, page, tables and sentences."""
