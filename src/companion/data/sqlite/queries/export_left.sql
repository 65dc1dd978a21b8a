UPDATE export_jobs
SET status = ?3, error = ?4, heartbeat_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER),
  finished_at = CASE WHEN ?3 = 'queued' THEN NULL ELSE CAST(unixepoch('subsec') * 1000000 AS INTEGER) END
WHERE id = ?1 AND tries = ?2 AND status = 'running'
RETURNING id, organization_id, requested_by, format, status, progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries, cancel_requested, created_at AS created_at_us, expires_at AS expires_at_us
