UPDATE export_jobs
SET cancel_requested = true, once = NULL,
  -- Whoever works at it is told with the next heartbeat. A file that is there goes at once.
  status = CASE status WHEN 'queued' THEN 'cancelled' WHEN 'done' THEN 'expired' ELSE status END,
  finished_at = coalesce(finished_at, CASE WHEN status = 'queued' THEN now() END)
WHERE organization_id = $1 AND id = $2 AND status IN ('queued', 'running', 'done')
RETURNING id, organization_id, requested_by, format, status, progress::bigint AS progress, row_count, byte_count, error, request,
  request_digest, sha256, file, tries::bigint AS tries, cancel_requested::int::bigint AS cancel_requested,
  (extract(epoch FROM created_at) * 1000000)::bigint AS created_at_us,
  (extract(epoch FROM expires_at) * 1000000)::bigint AS expires_at_us
