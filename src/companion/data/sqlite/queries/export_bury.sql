UPDATE export_jobs
SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'failed' END, once = NULL,
  finished_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER), error = CASE WHEN cancel_requested THEN NULL ELSE ?3 END
WHERE status IN ('queued', 'running') AND request IS NOT NULL AND (tries >= ?1 OR cancel_requested)
  AND heartbeat_at <= CAST(unixepoch('subsec') * 1000000 AS INTEGER) - ?2
RETURNING id, organization_id, requested_by, format, status, progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries, cancel_requested, created_at AS created_at_us, expires_at AS expires_at_us
