DELETE FROM export_jobs
WHERE status NOT IN ('queued', 'running', 'done') AND created_at < now() - $1 * interval '1 microsecond'
