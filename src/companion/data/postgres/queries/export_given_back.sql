UPDATE export_jobs
-- Nothing was wrong with the attempt: it counts for nothing, and another may begin at once.
SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END, tries = tries - 1, claimed_by = NULL,
  heartbeat_at = NULL, finished_at = CASE WHEN cancel_requested THEN now() END
WHERE id = $1 AND tries = $2 AND status = 'running'
RETURNING id, organization_id, requested_by, format, status, progress::bigint AS progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries::bigint AS tries, cancel_requested::int::bigint AS cancel_requested,
  (extract(epoch FROM created_at) * 1000000)::bigint AS created_at_us,
  (extract(epoch FROM expires_at) * 1000000)::bigint AS expires_at_us
