UPDATE export_jobs
SET status = 'running', tries = tries + 1, claimed_by = ?1, heartbeat_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER),
  started_at = coalesce(started_at, CAST(unixepoch('subsec') * 1000000 AS INTEGER))
WHERE id = (
  SELECT id
  FROM export_jobs
  WHERE status IN ('queued', 'running') AND request IS NOT NULL AND tries < ?2 AND NOT cancel_requested
    -- A queued one that has failed before rests as long as one whose worker is gone.
    AND (heartbeat_at IS NULL OR heartbeat_at <= CAST(unixepoch('subsec') * 1000000 AS INTEGER) - ?3)
  ORDER BY created_at
  LIMIT 1
)
RETURNING id, organization_id, requested_by, format, status, progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries, cancel_requested, created_at AS created_at_us, expires_at AS expires_at_us
