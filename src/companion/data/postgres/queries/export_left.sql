UPDATE export_jobs
SET status = $3, error = $4, finished_at = CASE WHEN $3 = 'queued' THEN NULL ELSE now() END, heartbeat_at = now()
WHERE id = $1 AND tries = $2 AND status = 'running'
RETURNING id, organization_id, requested_by, format, status, progress::bigint AS progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries::bigint AS tries, cancel_requested::int::bigint AS cancel_requested,
  (extract(epoch FROM created_at) * 1000000)::bigint AS created_at_us,
  (extract(epoch FROM expires_at) * 1000000)::bigint AS expires_at_us
