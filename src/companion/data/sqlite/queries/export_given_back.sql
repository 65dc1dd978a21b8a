UPDATE export_jobs
-- Nothing was wrong with the attempt: it counts for nothing, and another may begin at once.
SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END, tries = tries - 1, claimed_by = NULL,
  heartbeat_at = NULL,
  finished_at = CASE WHEN cancel_requested THEN CAST(unixepoch('subsec') * 1000000 AS INTEGER) END
WHERE id = ?1 AND tries = ?2 AND status = 'running'
RETURNING id, organization_id, requested_by, format, status, progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries, cancel_requested, created_at AS created_at_us, expires_at AS expires_at_us
