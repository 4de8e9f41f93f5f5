"""Pictures cut for the sake of memory: into tiles, and into strips of rows."""
