UPDATE export_jobs
SET status = 'running', tries = tries + 1, claimed_by = $1, heartbeat_at = now(), started_at = coalesce(started_at, now())
WHERE id = (
  SELECT id
  FROM export_jobs
  WHERE status IN ('queued', 'running') AND request IS NOT NULL AND tries < $2 AND NOT cancel_requested
    -- A queued one that has failed before rests as long as one whose worker is gone.
    AND (heartbeat_at IS NULL OR heartbeat_at <= now() - $3 * interval '1 microsecond')
  ORDER BY created_at
  LIMIT 1
  FOR UPDATE SKIP LOCKED
)
RETURNING id, organization_id, requested_by, format, status, progress::bigint AS progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries::bigint AS tries, cancel_requested::int::bigint AS cancel_requested,
  (extract(epoch FROM created_at) * 1000000)::bigint AS created_at_us,
  (extract(epoch FROM expires_at) * 1000000)::bigint AS expires_at_us
