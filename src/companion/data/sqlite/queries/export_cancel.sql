UPDATE export_jobs
SET cancel_requested = 1, once = NULL,
  -- Whoever works at it is told with the next heartbeat. A file that is there goes at once.
  status = CASE status WHEN 'queued' THEN 'cancelled' WHEN 'done' THEN 'expired' ELSE status END,
  finished_at = coalesce(finished_at, CASE WHEN status = 'queued' THEN CAST(unixepoch('subsec') * 1000000 AS INTEGER) END)
WHERE organization_id = ?1 AND id = ?2 AND status IN ('queued', 'running', 'done')
RETURNING id, organization_id, requested_by, format, status, progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries, cancel_requested, created_at AS created_at_us, expires_at AS expires_at_us
