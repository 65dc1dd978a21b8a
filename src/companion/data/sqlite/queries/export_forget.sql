DELETE FROM export_jobs
WHERE status NOT IN ('queued', 'running', 'done') AND created_at < CAST(unixepoch('subsec') * 1000000 AS INTEGER) - ?1
